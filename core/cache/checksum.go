package cache

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/yolean/kafka-cache/core/store"
)

// digestEvery is the distance, in offsets, at which a partition's digest is kept for comparison, and digestsKept how many of
// them are.
const (
	digestEvery = 4096
	digestsKept = 256
)

// digests are the digests that a generation had when its positions passed multiples of digestEvery, since it has been served.
type digests struct {
	// changing is held while retention or a verification removes claims in several commits: what lies between them is no state of the log.
	changing sync.RWMutex
	mu       sync.Mutex
	all      map[int32][]RecordedDigest // ascending by offset
}

// change runs what removes claims. Where it removed what should not have been there, what was recorded before is forgotten.
func (ds *digests) change(remove func() error, forget func() bool) error {
	ds.changing.Lock()
	defer ds.changing.Unlock()
	err := remove()
	if forget() {
		ds.mu.Lock()
		ds.all = nil
		ds.mu.Unlock()
	}
	return err
}

// RecordedDigest is a partition's digest when everything below Offset, and nothing else, was applied.
type RecordedDigest struct {
	Offset   int64  `json:"offset"`
	LogStart int64  `json:"logStart"`
	Digest   string `json:"digest"`
}

func (ds *digests) record(st *store.Store, partition int32, at int64) {
	if !ds.changing.TryRLock() {
		return
	}
	defer ds.changing.RUnlock()
	if _, all := st.Resident(); !all {
		return // not all is counted yet
	}
	var logStart int64
	for _, c := range st.Checkpoint() {
		if c.Partition == partition {
			logStart = c.LogStart
		}
	}
	sum, _ := st.Digest(partition)
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.all == nil {
		ds.all = map[int32][]RecordedDigest{}
	}
	all := ds.all[partition]
	if n := len(all); n > 0 && all[n-1].Offset >= at {
		return
	}
	if len(all) >= digestsKept {
		all = slices.Delete(all, 0, len(all)-digestsKept+1)
	}
	ds.all[partition] = append(all, RecordedDigest{Offset: at, LogStart: logStart, Digest: hex.EncodeToString(sum[:])})
}

func (ds *digests) of(partition int32) []RecordedDigest {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return slices.Clone(ds.all[partition])
}

// Checksum is what an instance holds of a topic, in a form that two instances can compare: see [CompareChecksums].
type Checksum struct {
	Topic         string              `json:"topic"`
	ID            string              `json:"id"`
	Identity      string              `json:"identity"`
	Rules         string              `json:"rules"` // how records are read; instances with other rules cannot be compared
	State         State               `json:"state"`
	Comparable    bool                `json:"comparable"`
	NotComparable string              `json:"notComparable,omitempty"` // why
	Partitions    []PartitionChecksum `json:"partitions"`
}

// PartitionChecksum is one partition's part: the sum, modulo 2¹²⁸, of a hash of (key, source, partition, offset) over the newest records
// of its keys that have a value.
type PartitionChecksum struct {
	Partition int32  `json:"partition"`
	Position  int64  `json:"position"`
	LogStart  int64  `json:"logStart"` // what lay below it has been removed
	Claims    int64  `json:"claims"`
	Digest    string `json:"digest"`
	// Recorded are the digests at offsets that the position passed while the topic was served, ascending.
	Recorded []RecordedDigest `json:"recorded"`
	// Hidden are the claims whose values are not seen because the key's newest record is a tombstone in another partition, and HiddenDigest is
	// the sum over these.
	Hidden       int64  `json:"hidden,omitempty"`
	HiddenDigest string `json:"hiddenDigest,omitempty"`
	// Full is a sum over keys and values, of the entries whose record is this partition's; there where it was asked for.
	Full string `json:"full,omitempty"`
}

// Checksum is the topic's at this moment; ErrNotReady where it is not served. With full the values are part of it, for which
// nothing is applied while they are gone through: about a tenth of a second for a million keys. It ends with ctx.
func (t *Topic) Checksum(ctx context.Context, full bool) (Checksum, error) {
	g := t.servedGeneration()
	if g == nil || !t.serves(g) {
		return Checksum{}, ErrNotReady
	}
	if err := ctx.Err(); err != nil {
		return Checksum{}, err
	}
	c := Checksum{Topic: t.name, ID: g.id.String(), Identity: t.cache.cfg.Identity, Rules: t.rules(), State: t.stateNow()}
	c.NotComparable = t.notComparable()
	c.Comparable = c.NotComparable == ""
	g.digests.changing.RLock()
	defer g.digests.changing.RUnlock()
	digests, err := g.store.Digests(ctx, full)
	if err != nil {
		return Checksum{}, fmt.Errorf("sum up topic %s: %w", t.name, readErr(err))
	}
	for _, d := range digests {
		p := PartitionChecksum{Partition: d.Partition, Position: d.Next, LogStart: d.LogStart, Claims: d.Claims, Digest: hex.EncodeToString(d.Sum[:]),
			Recorded: g.digests.of(d.Partition)}
		if d.Hidden > 0 {
			p.Hidden, p.HiddenDigest = d.Hidden, hex.EncodeToString(d.HiddenSum[:])
		}
		if full {
			p.Full = hex.EncodeToString(d.Values[:])
		}
		c.Partitions = append(c.Partitions, p)
	}
	return c, nil
}

// notComparable is why instances of other age may hold something else than this one; "" where they may not.
func (t *Topic) notComparable() string {
	if t.start.kind == startAgo {
		return "start " + t.start.spec + " is relative to when the load began"
	}
	return t.meaning.history()
}
