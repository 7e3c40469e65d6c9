package cache

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// EventKind says what an [Event] tells.
type EventKind uint8

const (
	// EventAttached is the first event of a Watch: every change that is applied after Position is told.
	EventAttached EventKind = iota
	// EventSet tells that Key has Value now. Old is what it had, nil where it had none.
	EventSet
	// EventDelete tells that Key has no value any more. Old is what it had.
	EventDelete
	// EventFlush tells that changes were not told one by one, because the watcher was too slow or the store was made
	// anew: all that is known from earlier events may be outdated. Every change that is applied after Position is told
	// again; what the topic has can be read anew at once.
	EventFlush
)

// String is the kind's name in lower case.
func (k EventKind) String() string {
	switch k {
	case EventAttached:
		return "attached"
	case EventSet:
		return "set"
	case EventDelete:
		return "delete"
	case EventFlush:
		return "flush"
	}
	return "unknown"
}

// Event is what [Topic.Watch] tells. Its bytes belong to the watcher.
type Event struct {
	Kind  EventKind
	Key   []byte
	Value []byte // of EventSet; not nil where it is empty
	Old   []byte // nil: there was none

	// The record that Value is of, or the tombstone. Where the key's value left with the log's start, or was found to be gone, the record that
	// it was of; the Timestamp may then be 0.
	Partition int32
	Offset    int64
	Timestamp int64 // milliseconds since 1970, the record's

	// Position of EventSet and EventDelete: where an instance has applied it, it has the change, or what came after it (see [Topic.WaitFor]). It covers the record
	// above and the one whose application led to the change, which is another one where a tombstone uncovered a value of another partition. It says
	// nothing of other partitions, nor of what other instances have done about a log start that moved.
	//
	// Of EventAttached and EventFlush: how far this instance has applied the topic.
	Position position.Position
}

// newEvent is what a change tells; false where it has changed nothing.
func newEvent(id position.TopicID, c store.Projected) (Event, bool) {
	e := Event{Partition: c.Partition, Offset: c.Offset, Timestamp: c.Timestamp}
	switch c.Kind {
	case store.Created, store.Updated:
		e.Kind, e.Value = EventSet, append([]byte{}, c.Value...)
	case store.Deleted:
		e.Kind = EventDelete
	default:
		return Event{}, false
	}
	e.Key = bytes.Clone(c.Key)
	if c.Kind != store.Created {
		e.Old = append([]byte{}, c.Old...)
	}
	e.Position = position.OfRecord(id, c.Partition, c.Offset)
	if c.ByOffset >= 0 && (c.ByOffset != c.Offset || c.ByPartition != c.Partition) {
		e.Position = e.Position.Merge(position.OfRecord(id, c.ByPartition, c.ByOffset))
	}
	return e, true
}

// tellChange tells watchers what a commit did to a key.
func (t *Topic) tellChange(id position.TopicID, c store.Projected) {
	t.queueChange(id, c)
	t.watchers.signal()
}

// queueChange is tellChange, of which watchers hear when they are signalled.
func (t *Topic) queueChange(id position.TopicID, c store.Projected) {
	if e, ok := newEvent(id, c); ok {
		t.watchers.queue(e)
	}
}

// Bounds of what waits for one watcher.
const (
	watchQueueEvents = 8192
	watchQueueBytes  = 16 << 20
)

// Watch calls fn, from the calling goroutine, for each change that is applied from now on while the topic is ready, in
// the order of application, until ctx ends (its error) or the topic is closed (ErrClosed). A record that changes nothing
// is not told. Nothing is told of a load; a rebuild ends with EventFlush. fn may take its time: what waits for it is
// bounded, and past the bound it is replaced by one EventFlush. fn may call the topic.
//
// Who follows the topic as a whole reads it on EventAttached and on EventFlush (see [Topic.Stream]), and then applies the events as they come. Some of
// what was read may be told once more; nothing is missed. Watch once the topic is ready: see [Topic.WaitReady].
func (t *Topic) Watch(ctx context.Context, fn func(Event)) error {
	f, err := t.Feed()
	if err != nil {
		return err
	}
	defer f.Close()
	fn(Event{Kind: EventAttached, Position: t.Position()})
	for {
		if err := f.Wait(ctx); err != nil {
			return err
		}
		for _, e := range f.Take() {
			if err := ctx.Err(); err != nil {
				return err
			}
			fn(e)
		}
	}
}

// watchers are those of one topic.
type watchers struct {
	count  atomic.Int64
	mu     sync.Mutex
	all    map[*watcher]struct{}
	closed bool
}

func (ws *watchers) add(w *watcher) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return false
	}
	if ws.all == nil {
		ws.all = map[*watcher]struct{}{}
	}
	ws.all[w] = struct{}{}
	ws.count.Add(1)
	return true
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, ok := ws.all[w]; ok {
		delete(ws.all, w)
		ws.count.Add(-1)
	}
}

// any is the applier's cheap question whether old values are wanted.
func (ws *watchers) any() bool { return ws.count.Load() > 0 }

// tell queues an event whose bytes nobody else changes, and says so.
func (ws *watchers) tell(e Event) {
	ws.queue(e)
	ws.signal()
}

// queue queues an event; signal has to follow, so that the events of one commit are taken together.
func (ws *watchers) queue(e Event) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.push(e)
	}
}

func (ws *watchers) signal() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.signal()
	}
}

func (ws *watchers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for w := range ws.all {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.signal()
	}
}

// watcher is the queue of one.
type watcher struct {
	queued atomic.Int64 // events
	mu     sync.Mutex
	queue  []Event
	bytes  int
	closed bool
	wake   chan struct{}
}

func (w *watcher) push(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	size := len(e.Key) + len(e.Value) + len(e.Old)
	if e.Kind == EventFlush || len(w.queue) >= watchQueueEvents || w.bytes+size > watchQueueBytes {
		// A flush makes all that was queued before it superfluous, and may be followed by changes again.
		w.queue, w.bytes = append(w.queue[:0], Event{Kind: EventFlush}), 0
	} else {
		w.queue, w.bytes = append(w.queue, e), w.bytes+size
	}
	w.queued.Store(int64(len(w.queue)))
}

func (w *watcher) take() (events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, w.queue, w.bytes = w.queue, nil, 0
	w.queued.Store(0)
	return events
}

// over reports whether the topic is closed and everything has been taken.
func (w *watcher) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed && len(w.queue) == 0
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
