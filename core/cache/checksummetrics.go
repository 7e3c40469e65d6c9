package cache

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// checksumSpacings are the distances, in offsets, of the points at which a partition's checksum is shown in the metrics: the position itself, which instances of a quiet
// partition share when they are scraped, and the last multiple of the others, which those of a busy one do.
var checksumSpacings = []int64{1, digestEvery, digestEvery << 6}

// checksumPoint is what instances are compared by in a metrics database, in numbers that it holds exactly.
type checksumPoint struct {
	partition, every int64
	point            float64 // of where: instances that show the same are comparable
	sum              float64 // of where and of what is there
}

// checksumPoints are those of a topic at this moment; none where there is nothing that others could be compared with. They are right as of one moment.
func (t *Topic) checksumPoints() []checksumPoint {
	g := t.servedGeneration()
	if g == nil || !t.serves(g) || t.notComparable() != "" {
		return nil
	}
	if !g.digests.changing.TryRLock() {
		return nil // what lies between is no state of the log
	}
	defer g.digests.changing.RUnlock()
	sums, err := g.store.Sums()
	if err != nil { // it is closing, or has failed and says so itself
		return nil
	}
	of := fmt.Sprintf("%s\x00%s\x00", g.id, t.rules())
	var points []checksumPoint
	for _, s := range sums {
		for _, every := range checksumSpacings {
			at := RecordedDigest{Offset: s.Next, LogStart: s.LogStart, Digest: hex.EncodeToString(s.Sum[:])}
			if every > 1 {
				var ok bool
				if at, ok = g.digests.lastMultiple(s.Partition, every); !ok {
					continue
				}
			}
			point, sum := at.numbers(of, s.Partition)
			points = append(points, checksumPoint{partition: int64(s.Partition), every: every, point: point, sum: sum})
		}
	}
	return points
}

// lastMultiple is the newest of what was recorded of a partition at a multiple of every.
func (ds *digests) lastMultiple(partition int32, every int64) (RecordedDigest, bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, r := range slices.Backward(ds.all[partition]) {
		if r.Offset%every == 0 {
			return r, true
		}
	}
	return RecordedDigest{}, false
}

// numbers are hashes of as many bits as a float64 has exactly: of where the digest is from, and of that with the digest.
func (r RecordedDigest) numbers(of string, partition int32) (point, sum float64) {
	h := xxhash.New()
	_, _ = h.WriteString(of) // neither it nor Write fails
	for _, n := range []int64{int64(partition), r.Offset, r.LogStart} {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		_, _ = h.Write(b[:])
	}
	const exact = 53
	point = float64(h.Sum64() >> (64 - exact))
	_, _ = h.WriteString(r.Digest)
	return point, float64(h.Sum64() >> (64 - exact))
}

func (c *collector) checksums(gauge gaugeFunc, t *Topic) {
	for _, p := range t.checksumPoints() {
		partition, every := strconv.FormatInt(p.partition, 10), strconv.FormatInt(p.every, 10)
		gauge(descChecksumPoint, p.point, t.name, partition, every)
		gauge(descChecksum, p.sum, t.name, partition, every)
	}
}
