package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// generation is a store with what is known of its positions. A topic has one that is served, or that is to be as soon as it has caught up;
// beside it there may be one that is being built to take its place.
type generation struct {
	id      position.TopicID
	store   *store.Store
	view    *store.Store            // what readers see of it, where its entries are yields; nil before it is served
	yields  bool                    // its entries are yields
	where   atomic.Pointer[tracker] // the topic's, but for the one that is built beside
	disk    store.Generation        // nothing in memory
	reason  string                  // why it was made anew; "" where it was not
	since   time.Time               // when it was opened
	trails  trails
	digests digests
}

func newGeneration(id position.TopicID, st *store.Store, tr *tracker) *generation {
	g := &generation{id: id, store: st, since: time.Now()}
	g.where.Store(tr)
	return g
}

// reads is what reads are answered from; nil where that is not there yet.
func (g *generation) reads() *store.Store {
	if g.yields {
		return g.view
	}
	return g.store
}

// project makes the view of a generation whose entries are yields, and has its changes told while it is served.
func (t *Topic) project(g *generation) error {
	if !g.yields || g.view != nil {
		return nil
	}
	began := time.Now()
	v, err := g.store.Project(func(r store.Projected) {
		if t.watched(g) {
			t.tellChange(g.id, r)
		}
	})
	if err != nil {
		return fmt.Errorf("topic %s: %w", t.name, err)
	}
	t.mu.Lock()
	g.view = v
	t.mu.Unlock()
	t.log.Info("projected what records yield", "records", g.store.Len(), "keys", v.Len(), "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// tracker is where the generation's positions are kept.
func (g *generation) tracker() *tracker { return g.where.Load() }

// trails remembers when the partitions' trails were last stored: they change with every record, and are only needed to be about right.
type trails struct {
	mu sync.Mutex
	at map[int32]time.Time
}

// due is a partition's trail where it is time to store it, nil otherwise.
func (ts *trails) due(t *tracker, partition int32) []byte {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if time.Since(ts.at[partition]) < trailEvery {
		return nil
	}
	trail := t.trail(partition)
	if len(trail.Anchors) == 0 && len(trail.Epochs) == 0 {
		return nil // nothing was applied before this batch
	}
	if ts.at == nil {
		ts.at = map[int32]time.Time{}
	}
	ts.at[partition] = time.Now()
	return trail.AppendBinary(nil)
}

// checkpoint is where a store lets its partitions go on.
func checkpoint(st *store.Store) (map[int32]begun, error) {
	start := map[int32]begun{}
	for _, c := range st.Checkpoint() {
		b := begun{next: c.Next, leaderEpoch: c.LeaderEpoch, freshAt: c.FreshAt}
		var err error
		if b.trail, err = kafka.ParseTrail(c.Trail); err != nil {
			return nil, fmt.Errorf("%w: the trail of partition %d: %w", store.ErrCorrupt, c.Partition, err)
		}
		mark, err := kafka.ParseTrail(c.Mark)
		if err != nil {
			return nil, fmt.Errorf("%w: the mark of partition %d: %w", store.ErrCorrupt, c.Partition, err)
		}
		b.trail.Join(mark)
		start[c.Partition] = b
	}
	return start, nil
}

// outside says why a checkpoint cannot be gone on from; "" where it can.
func outside(points []store.Checkpoint, ends map[int32]kafka.Ends) string {
	for _, c := range points {
		end, ok := ends[c.Partition]
		switch {
		case !ok:
			return rebuildTruncated // a partition that the log no longer has
		case c.Next < end.LogStart:
			return rebuildLogStart
		case c.Next > end.HighWatermark:
			return rebuildTruncated
		}
	}
	return ""
}

// rules names everything, beside the log itself, that decides what a record means here and which ones are read.
func (t *Topic) rules() string {
	rules := "key=" + t.keyCodec.Name() + " value=" + t.valueCodec.Name()
	if t.start.kind != startEarliest {
		rules += " start=" + t.start.spec
	}
	return rules + t.meaning.rules()
}

// choose says which directory a generation is, or is to be, in. In memory it says nothing.
func (t *Topic) choose(info kafka.TopicInfo, reason string) (store.Generation, error) {
	var g store.Generation
	if t.cache.cfg.DataDir == "" {
		g.Reason = reason
		return g, nil
	}
	g, err := store.ChooseGenerationOn(t.cache.cfg.FS, t.cache.cfg.DataDir, store.Identity{ClusterID: info.ClusterID, Topic: t.name, TopicID: info.ID, Rules: t.rules()})
	if errors.Is(err, store.ErrOtherCluster) || errors.Is(err, store.ErrTopicName) {
		return g, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err != nil {
		return g, fmt.Errorf("choose a generation in %s: %w", t.cache.cfg.DataDir, err)
	}
	if reason != "" && g.Reason == "" {
		if g = g.Anew(reason); t.current == nil {
			g.Previous = "" // not served, and of no use
		}
	}
	return g, nil
}

// storeOptions adds what all generations have.
func (t *Topic) storeOptions(o store.Options) store.Options {
	cfg := &t.cache.cfg
	o.CacheBytes, o.Logger, o.Pebble = cfg.BlockCacheBytes/int64(len(cfg.Topics)), t.log, cfg.PebbleOptions
	if o.Dir != "" {
		o.FS = cfg.FS
	}
	o.ViewTime, o.ViewKeys = cfg.SnapshotTime, cfg.SnapshotKeys
	return o
}

// open makes or resumes the generation that choose said. tr is where its positions are kept.
func (t *Topic) open(info kafka.TopicInfo, disk store.Generation, reason string, tr *tracker) (*generation, error) {
	if disk.Reason != "" && disk.Reason != store.ReasonNew {
		reason = disk.Reason
	}
	if disk.Dir != "" {
		if err := disk.Prepare(); err != nil {
			if errors.Is(err, store.ErrInUse) {
				return nil, fmt.Errorf("%w: %w", ErrConfig, err)
			}
			return nil, fmt.Errorf("prepare %s: %w", disk.Dir, err)
		}
	}
	if reason != "" {
		t.rebuilding(reason, "the store is made anew from the log")
	}
	o := store.Options{Dir: disk.Dir, Load: true, Refill: disk.Dir != ""}
	if served := t.servedGeneration(); served != nil {
		o.Expect, _ = served.store.Resident() // about what the log will come to again
	}
	st, err := store.Open(t.storeOptions(o))
	if err != nil {
		switch {
		case errors.Is(err, store.ErrInUse):
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrFormat):
			t.rebuild = rebuildCorrupt // the log has it all
		}
		return nil, fmt.Errorf("open the store: %w", err)
	}
	g := newGeneration(info.ID, st, tr)
	g.disk, g.reason, g.yields = disk, reason, t.meaning.projects()
	return g, nil
}

// rebuilding counts a rebuild or verification, and says so once.
func (t *Topic) rebuilding(reason, what string) {
	t.metrics.rebuilds.WithLabelValues(reason).Inc()
	t.log.Warn(what, "reason", reason)
	t.setState(Rebuilding, reason+": "+what)
}

// complete says on disk that a generation has all of the log, once that is durable and the one before it, where there is one, is closed: it is removed.
func (t *Topic) complete(g, before *generation) {
	t.cache.background(func(ctx context.Context) {
		t.closeGeneration(before)
		if g.disk.Dir == "" {
			return
		}
		if g.store.WaitDurable(ctx) != nil && g.store.EndLoad() != nil { // who closes the cache waits for it in any case
			return // the next start completes it
		}
		if err := g.disk.Complete(); err != nil {
			t.log.Error("complete the generation", "directory", g.disk.Dir, "error", err)
		}
	})
}

// supersede says on disk, before a generation is served, that the one before it is not to be served any more.
func (t *Topic) supersede(g *generation) {
	if g.disk.Dir == "" {
		return
	}
	if err := g.disk.Supersede(); err != nil {
		t.log.Error("mark the former generation as superseded", "directory", g.disk.Previous, "error", err)
	}
}

// closeGeneration gives back a generation that is not read any more.
func (t *Topic) closeGeneration(g *generation) {
	if g == nil {
		return
	}
	if err := g.store.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
		t.log.Warn("close the store", "error", err)
	}
}
