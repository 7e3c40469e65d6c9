package peers

import (
	"container/heap"

	"github.com/yolean/kafka-cache/core/position"
)

// Wait is somebody who is woken whenever one more peer has applied all of some positions. Set.Count says how many have.
type Wait struct {
	set  *Set
	all  []position.Position
	wake func()
}

// Wait begins one; wake must not block, and is called with no lock held. Cancel must follow.
func (s *Set) Wait(all []position.Position, wake func()) *Wait {
	w := &Wait{set: s, all: all, wake: wake}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits[w] = struct{}{}
	for _, p := range s.peers {
		p.await(w)
	}
	return w
}

// Cancel ends it. A call of wake may be under way.
func (w *Wait) Cancel() {
	s := w.set
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waits, w)
	for _, p := range s.peers {
		p.forget(w)
	}
}

// place is where a position is waited for.
type place struct {
	topic     position.TopicID
	partition int32
}

// pending is what a Wait lacks of one peer.
type pending struct {
	wait  *Wait
	items []*item
	left  int
}

type item struct {
	of    *pending
	at    place
	next  int64
	index int // in its heap, -1 when it is due
}

// queue has the lowest next offset first.
type queue []*item

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].next < q[j].next }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].index, q[j].index = i, j }

// Push is heap.Interface's.
func (q *queue) Push(x any) {
	it := x.(*item)
	it.index = len(*q)
	*q = append(*q, it)
}

// Pop is heap.Interface's.
func (q *queue) Pop() any {
	old := *q
	it := old[len(old)-1]
	old[len(old)-1] = nil
	it.index = -1
	*q = old[:len(old)-1]
	return it
}

// await notes what w lacks of the peer. A peer that is not connected is waited for as a whole when it connects.
func (p *peer) await(w *Wait) {
	if p.state != Connected || p.covers(w.all) {
		return
	}
	on := &pending{wait: w}
	for _, q := range w.all {
		at := p.position(q.Topic())
		for _, o := range q.Offsets() {
			if next, _ := at.Next(o.Partition); next >= o.Next {
				continue
			}
			it := &item{of: on, at: place{q.Topic(), o.Partition}, next: o.Next}
			if p.queues == nil {
				p.queues = map[place]*queue{}
			}
			if p.queues[it.at] == nil {
				p.queues[it.at] = &queue{}
			}
			heap.Push(p.queues[it.at], it)
			on.items = append(on.items, it)
		}
	}
	on.left = len(on.items)
	if p.pending == nil {
		p.pending = map[*Wait]*pending{}
	}
	p.pending[w] = on
	p.hurry()
}

func (p *peer) forget(w *Wait) {
	on := p.pending[w]
	if on == nil {
		return
	}
	delete(p.pending, w)
	for _, it := range on.items {
		if it.index < 0 {
			continue
		}
		q := p.queues[it.at]
		heap.Remove(q, it.index)
		if len(*q) == 0 {
			delete(p.queues, it.at)
		}
	}
}

// again begins all waits anew, since what the peer had told no longer counts. It returns those that are to be woken.
func (p *peer) again() (woken []*Wait) {
	p.queues, p.pending = nil, nil
	for w := range p.set.waits {
		if p.await(w); p.state == Connected && p.pending[w] == nil {
			woken = append(woken, w)
		}
	}
	return woken
}

// due takes out the waits that lack nothing any more once the peer has told a position.
func (p *peer) due(at position.Position) (woken []*Wait) {
	if len(p.queues) == 0 {
		return nil
	}
	for _, o := range at.Offsets() {
		where := place{at.Topic(), o.Partition}
		q := p.queues[where]
		if q == nil {
			continue
		}
		for len(*q) > 0 && (*q)[0].next <= o.Next {
			on := heap.Pop(q).(*item).of
			if on.left--; on.left == 0 {
				delete(p.pending, on.wait)
				woken = append(woken, on.wait)
			}
		}
		if len(*q) == 0 {
			delete(p.queues, where)
		}
	}
	return woken
}
