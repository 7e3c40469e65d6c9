package cache

import (
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

// adopt takes over what another tracker of the same topic knows, once the store that it speaks of is the one that is served: positions
// and the state of the load are its, who waits here goes on waiting, or is to be woken. From then on what is published there is published here.
func (t *tracker) adopt(from *tracker) (r published) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from.mu.Lock()
	defer from.mu.Unlock()
	for id, q := range from.partitions {
		p := t.get(id)
		waiters := p.waiters
		*p = *q
		p.waiters = waiters
		for _, it := range waiters {
			it.p = p
		}
		r.woken = append(r.woken, p.waiters.due(p.next)...)
	}
	for id, p := range t.partitions {
		if from.partitions[id] == nil {
			p.known = false
			p.forget()
		}
	}
	r.woken = append(r.woken, t.settle()...)
	t.behind = from.behind
	from.heir = t
	r.follow = t.turned()
	return r
}

// absent notes that Kafka says that there is no such topic. Where it has said so for long, the topic counts as gone: who waits, and
// who comes to wait, for a position of it is refused at once.
func (t *tracker) absent(believed time.Duration) (gone bool) {
	t.mu.Lock()
	now := t.now()
	if t.missing.IsZero() {
		t.missing = now
	}
	var woken []*waiter
	if !t.gone && now.Sub(t.missing) > believed {
		t.gone = true
		woken = t.takeAll()
	}
	gone = t.gone
	var follow followers
	if woken != nil || gone {
		follow = t.turned()
	}
	t.mu.Unlock()
	for _, w := range woken {
		w.done(ErrOtherTopic)
	}
	follow.call()
	return gone
}

// isGone reports whether the topic is believed not to exist any more.
func (t *tracker) isGone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// logStarts are the partitions' first offsets, the highest that was heard of.
func (t *tracker) logStarts() map[int32]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	starts := make(map[int32]int64, len(t.partitions))
	for id, p := range t.partitions {
		if p.known {
			starts[id] = p.logStart
		}
	}
	return starts
}

// trail is a copy of a partition's anchors and leader epochs.
func (t *tracker) trail(id int32) kafka.Trail {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.partitions[id]; p != nil {
		return p.trail.Clone()
	}
	return kafka.Trail{}
}

// mark is the end of a partition's trail once part is applied.
func (t *tracker) mark(id int32, part *kafka.Batch) []byte {
	t.mu.Lock()
	var newest kafka.Trail
	if p := t.partitions[id]; p != nil {
		newest = p.trail.Newest()
	}
	t.mu.Unlock()
	newest.Add(part)
	newest = newest.Newest()
	if len(newest.Anchors) == 0 && len(newest.Epochs) == 0 {
		return nil
	}
	return newest.AppendBinary(nil)
}

// stableEnds is the position that covers the stable ends, as given.
func stableEnds(id position.TopicID, ends map[int32]kafka.Ends) position.Position {
	offsets := make([]position.Offset, 0, len(ends))
	for p, e := range ends {
		offsets = append(offsets, position.Offset{Partition: p, Next: e.LastStable, LeaderEpoch: position.UnknownEpoch})
	}
	return position.New(id, offsets...)
}
