package cache

import (
	"container/heap"
	"fmt"

	"github.com/yolean/kafka-cache/core/position"
)

// waiter waits for one or several partitions; done is called once, when the last of them is covered.
type waiter struct {
	done    func(error)
	pending int
	ended   bool // done was called or is about to be, or the wait was cancelled
	items   []*waiterItem
	strange []position.Offset // of partitions that are not known; together they count as one that is pending
	first   waiterItem        // of items, as a rule the only one
	one     [1]*waiterItem    // what items begins in
}

type waiterItem struct {
	waiter *waiter
	next   int64
	p      *partition
	index  int // in p.waiters; -1 when it is not there
}

// wait calls done(nil) when q is covered (at once where it is), done(ErrOtherTopic) where it can never be, or what fail
// was given. cancel ends the wait without a call, unless done has been called or is just being called.
func (t *tracker) wait(q position.Position, done func(error)) (cancel func()) {
	w := &waiter{done: done}
	if t.await(q, w) {
		return func() {}
	}
	return func() { t.cancel(w) }
}

// await is wait with a waiter that has its done alone. It reports whether that has been called.
func (t *tracker) await(q position.Position, w *waiter) (over bool) {
	t.mu.Lock()
	err := t.err
	if err == nil {
		err = t.refuses(q)
	}
	if err != nil {
		w.ended = true
		t.mu.Unlock()
		w.done(err)
		return true
	}
	unknown := false
	for _, o := range q.Offsets() {
		if o.Next <= 0 {
			continue
		}
		p := t.partitions[o.Partition]
		if p == nil { // none is made: a client may name any number of partitions
			w.strange = append(w.strange, o)
			continue
		}
		if p.next >= o.Next {
			continue
		}
		unknown = unknown || !p.known
		w.add(p, o.Next)
	}
	if len(w.strange) > 0 {
		unknown = true
		w.pending++
		if t.strangers == nil {
			t.strangers = map[*waiter]struct{}{}
		}
		t.strangers[w] = struct{}{}
	}
	if w.pending == 0 {
		w.ended = true
		t.mu.Unlock()
		w.done(nil)
		return true
	}
	t.mu.Unlock()
	if unknown && t.onUnknown != nil {
		t.onUnknown()
	}
	return false
}

// add has the waiter wait for a partition.
func (w *waiter) add(p *partition, next int64) {
	it := &w.first
	if len(w.items) > 0 {
		it = new(waiterItem)
	} else if w.items == nil {
		w.items = w.one[:0]
	}
	*it = waiterItem{waiter: w, next: next, p: p}
	heap.Push(&p.waiters, it)
	w.items = append(w.items, it)
	w.pending++
}

// settle is called with mu held when there are new partitions: who waits for them waits there. It returns those that need not.
func (t *tracker) settle() (woken []*waiter) {
	for w := range t.strangers {
		rest := w.strange[:0]
		for _, o := range w.strange {
			switch p := t.partitions[o.Partition]; {
			case p == nil:
				rest = append(rest, o)
			case p.next < o.Next:
				w.add(p, o.Next)
			}
		}
		if w.strange = rest; len(rest) > 0 {
			continue
		}
		delete(t.strangers, w)
		if w.pending--; w.pending == 0 && !w.ended {
			w.ended = true
			woken = append(woken, w)
		}
	}
	return woken
}

// refuses says why q can never be covered, or not told yet; nil where it can be waited for.
func (t *tracker) refuses(q position.Position) error {
	switch {
	case q.IsZero():
		return nil
	case t.topic.IsZero() && q.Topic() != t.former:
		return ErrNotReady // which topic this is has not been asked yet
	case t.topic != q.Topic() || t.gone:
		return ErrOtherTopic
	}
	for _, o := range q.Offsets() {
		if p := t.partitions[o.Partition]; p != nil && p.trail.Contradicts(o.Next, o.LeaderEpoch) {
			return fmt.Errorf("%w: partition %d lost the record before offset %d, of leader epoch %d", ErrOtherTopic, o.Partition, o.Next, o.LeaderEpoch)
		}
	}
	return nil
}

func (t *tracker) cancel(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.ended = true
	delete(t.strangers, w)
	for _, it := range w.items {
		if it.index >= 0 && it.index < len(it.p.waiters) && it.p.waiters[it.index] == it {
			heap.Remove(&it.p.waiters, it.index)
		}
	}
}

// waiterHeap has the waiter of the lowest next offset first.
type waiterHeap []*waiterItem

// due takes out those whose last missing partition this was.
func (h *waiterHeap) due(next int64) (woken []*waiter) {
	for len(*h) > 0 && (*h)[0].next <= next {
		w := heap.Pop(h).(*waiterItem).waiter
		if w.pending--; w.pending == 0 && !w.ended {
			w.ended = true
			woken = append(woken, w)
		}
	}
	return woken
}

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].next < h[j].next }
func (h waiterHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }

// Push is heap.Interface's.
func (h *waiterHeap) Push(x any) {
	it := x.(*waiterItem)
	it.index = len(*h)
	*h = append(*h, it)
}

// Pop is heap.Interface's.
func (h *waiterHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	it.index = -1
	*h = old[:len(old)-1]
	return it
}
