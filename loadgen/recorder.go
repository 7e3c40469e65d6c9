package loadgen

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms count nanoseconds from a microsecond to ten minutes with three significant digits; what is outside counts as the bound.
const (
	shortest = int64(time.Microsecond)
	longest  = int64(10 * time.Minute)
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(shortest, longest, 3) }

func count(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), shortest), longest)) // it is within the bounds
}

// counts are what was measured of one operation.
type counts struct {
	operations int64 // replies that are what they must be, without an error
	misses     int64 // of operations: GET, MGET's elements and DEL of what is not there
	failed     map[string]int64
	latency    *hdrhistogram.Histogram // of operations: from the intended start, in a closed loop from the sending; nil: none yet
	service    *hdrhistogram.Histogram // from the sending
}

func (c *counts) errors() (n int64) {
	for _, f := range c.failed {
		n += f
	}
	return n
}

func (c *counts) add(o *counts) {
	c.operations += o.operations
	c.misses += o.misses
	for kind, n := range o.failed {
		c.fail(kind, n)
	}
	merge(&c.latency, o.latency)
	merge(&c.service, o.service)
}

func (c *counts) fail(kind string, n int64) {
	if c.failed == nil {
		c.failed = map[string]int64{}
	}
	c.failed[kind] += n
}

// measured adds a latency alone.
func (c *counts) measured(d time.Duration) {
	if c.latency == nil {
		c.latency = newHistogram()
	}
	count(c.latency, d)
}

func merge(into **hdrhistogram.Histogram, from *hdrhistogram.Histogram) {
	if from == nil || from.TotalCount() == 0 {
		return
	}
	if *into == nil {
		*into = newHistogram()
	}
	(*into).Merge(from) // same bounds: nothing is dropped
}

// reset empties it and keeps its histograms.
func (c *counts) reset() {
	c.operations, c.misses = 0, 0
	clear(c.failed)
	for _, h := range []*hdrhistogram.Histogram{c.latency, c.service} {
		if h != nil {
			h.Reset()
		}
	}
}

// interval is what was measured in a time, by operation.
type interval struct {
	by       [operations]counts
	late     int64                   // sent later than the schedule allows
	lateness *hdrhistogram.Histogram // of all that was sent: from the intended start to the sending; nil: none yet
}

func (i *interval) reset() {
	for o := range i.by {
		i.by[o].reset()
	}
	i.late = 0
	if i.lateness != nil {
		i.lateness.Reset()
	}
}

func (i *interval) add(o *interval) {
	for k := range i.by {
		i.by[k].add(&o.by[k])
	}
	i.late += o.late
	merge(&i.lateness, o.lateness)
}

// all is the sum over operations.
func (i *interval) all() counts {
	var sum counts
	for o := range i.by {
		sum.add(&i.by[o])
	}
	return sum
}

// measured is one operation as it was.
type measured struct {
	operation Operation
	misses    int64
	failed    string // its kind, empty: none
	latency   time.Duration
	service   time.Duration
	lateness  time.Duration
}

// shard is where some connections to one address record. Several share one, so that five hundred connections do not hold a
// thousand histograms, and there are several, so that they seldom wait for each other.
type shard struct {
	address int // its index in the target's

	mu      sync.Mutex
	current *interval
	spare   *interval // taken by the collector alone
}

func newShard(address int) *shard {
	return &shard{address: address, current: &interval{}, spare: &interval{}}
}

// record adds a batch.
func (s *shard) record(batch []measured, open bool, lateAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch {
		b := &batch[i]
		c := &s.current.by[b.operation]
		if open {
			if b.lateness > lateAfter {
				s.current.late++
			}
			if s.current.lateness == nil {
				s.current.lateness = newHistogram()
			}
			count(s.current.lateness, b.lateness)
		}
		if b.failed != "" {
			c.fail(b.failed, 1)
			continue
		}
		c.operations++
		c.misses += b.misses
		if c.latency == nil {
			c.latency, c.service = newHistogram(), newHistogram()
		}
		count(c.latency, b.latency)
		count(c.service, b.service)
	}
}

// take is what was recorded since the last call. It is the caller's until the next.
func (s *shard) take() *interval {
	s.spare.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.spare = s.spare, s.current
	return s.spare
}
