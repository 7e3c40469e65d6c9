package loadgen

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// observer asks one instance for what was written, until it answers the new value.
type observer struct {
	of     *propagating
	addr   string
	client *redis.Client

	mu       sync.Mutex // of what follows
	waiting  []*sighting
	finished bool
	changed  chan struct{} // of one element: something was added, or it is finished
	second   counts        // since the collector took it; latency: from the intended start of the write
	total    counts
	polls    counts // its latency alone: round trips of asking, the resolution of what is measured
	timeline []Point
}

// sighting is a write that an instance has not shown yet.
type sighting struct {
	key, value        string
	intended, started time.Duration
	dropped           bool // by drop, while it was asked for
}

// kindUnseen is a write that was not visible in time.
const kindUnseen = "unseen"

func newObserver(r *propagating, addr string) *observer {
	return &observer{of: r, addr: addr, client: r.Client(addr, r.Topic.Database), changed: make(chan struct{}, 1)}
}

func (o *observer) add(s *sighting) {
	o.mu.Lock()
	o.waiting = append(o.waiting, s)
	o.mu.Unlock()
	o.wake()
}

// drop forgets a write that failed.
func (o *observer) drop(key string) {
	o.mu.Lock()
	n := len(o.waiting)
	o.waiting = slices.DeleteFunc(o.waiting, func(s *sighting) bool {
		s.dropped = s.dropped || s.key == key
		return s.dropped
	})
	dropped := len(o.waiting) < n
	o.mu.Unlock()
	if dropped {
		o.of.done(key)
	}
}

// finish has run return once nothing is waited for any more.
func (o *observer) finish() {
	o.mu.Lock()
	o.finished = true
	o.mu.Unlock()
	o.wake()
}

func (o *observer) wake() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// mostAtOnce bounds what is asked for in one round trip.
const mostAtOnce = 200

// run asks, one round trip after the other, as long as something is waited for.
func (o *observer) run(begin time.Time) {
	var asked []*sighting
	for {
		o.mu.Lock()
		asked = append(asked[:0], o.waiting[:min(len(o.waiting), mostAtOnce)]...)
		finished := o.finished
		o.mu.Unlock()
		if len(asked) == 0 {
			if finished {
				return
			}
			<-o.changed
			continue
		}
		o.ask(begin, asked)
	}
}

func (o *observer) ask(begin time.Time, asked []*sighting) {
	pipe := o.client.Pipeline()
	replies := make([]*redis.StringCmd, len(asked))
	for i, s := range asked {
		replies[i] = pipe.Get(context.Background(), s.key)
	}
	sent := time.Since(begin)
	_, _ = pipe.Exec(context.Background()) // each command has its own error
	now := time.Since(begin)

	over := map[string]bool{}
	lost := false
	o.mu.Lock()
	o.polls.measured(now - sent)
	for i, s := range asked {
		err := replies[i].Err()
		switch {
		case s.dropped:
		case err == nil && replies[i].Val() == s.value:
			over[s.key] = true
			o.second.operations++
			o.second.measured(now - s.intended)
		case now-s.started > o.of.Within:
			over[s.key] = true
			o.second.fail(kindUnseen, 1)
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			o.second.fail(kindOf(err), 1)
			lost = true
		}
	}
	had := len(o.waiting)
	o.waiting = slices.DeleteFunc(o.waiting, func(s *sighting) bool { return over[s.key] })
	if had > mostAtOnce && len(over) == 0 { // those that were not asked for are next
		o.waiting = append(o.waiting[len(asked):], asked...)
	}
	o.mu.Unlock()
	for key := range over {
		o.of.done(key)
	}
	if lost {
		pause(pauseAfterBroken)
	}
}

// take is what was seen since the last call, as a point of the timeline that is kept.
func (o *observer) take(at, length float64, log *hdrLog, begin, end time.Time) Point {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := Point{At: at, Length: length, Operations: o.second.operations, Errors: o.second.errors()}
	if h := o.second.latency; h != nil && h.TotalCount() > 0 {
		p.P50, p.P99, p.Max = seconds(h, 50), seconds(h, 99), float64(h.Max())/1e9
		log.write(o.addr, h, begin, end)
	}
	o.total.add(&o.second)
	o.second.reset()
	if p.Length > 0.05 || p.Operations > 0 {
		o.timeline = append(o.timeline, p)
	}
	return p
}
