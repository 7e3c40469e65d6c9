package cache

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/yolean/kafka-cache/core/position"
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
	// anew: all that is known from earlier events may be outdated.
	EventFlush
)

// Event is what [Topic.Watch] tells. Its bytes belong to the watcher.
type Event struct {
	Kind      EventKind
	Key       []byte
	Value     []byte
	Old       []byte
	Partition int32
	Offset    int64
	Timestamp int64             // milliseconds since 1970, the record's
	Position  position.Position // of EventAttached
}

// Bounds of what waits for one watcher.
const (
	watchQueueEvents = 8192
	watchQueueBytes  = 16 << 20
)

// Watch calls fn, from the calling goroutine, for each change that is applied from now on while the topic is ready, in
// the order of application, until ctx ends (its error) or the topic is closed (ErrClosed). A record that changes nothing
// is not told. Nothing is told of a load; a rebuild ends with EventFlush. fn may take its time: what waits for it is
// bounded, and past the bound it is replaced by one EventFlush.
func (t *Topic) Watch(ctx context.Context, fn func(Event)) error {
	w := &watcher{wake: make(chan struct{}, 1)}
	if !t.watchers.add(w) {
		return ErrClosed
	}
	defer t.watchers.remove(w)
	stop := context.AfterFunc(ctx, w.signal)
	defer stop()
	fn(Event{Kind: EventAttached, Position: t.Position()})
	for {
		events, closed := w.take()
		for _, e := range events {
			if err := ctx.Err(); err != nil {
				return err
			}
			fn(e)
		}
		if closed {
			return ErrClosed
		}
		if len(events) > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		<-w.wake
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

// tell queues an event whose bytes nobody else changes.
func (ws *watchers) tell(e Event) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.push(e)
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

type watcher struct {
	mu     sync.Mutex
	queue  []Event
	bytes  int
	closed bool
	wake   chan struct{}
}

func (w *watcher) push(e Event) {
	w.mu.Lock()
	size := len(e.Key) + len(e.Value) + len(e.Old)
	if e.Kind == EventFlush || len(w.queue) >= watchQueueEvents || w.bytes+size > watchQueueBytes {
		// A flush makes all that was queued before it superfluous, and may be followed by changes again.
		w.queue, w.bytes = append(w.queue[:0], Event{Kind: EventFlush}), 0
	} else {
		w.queue, w.bytes = append(w.queue, e), w.bytes+size
	}
	w.mu.Unlock()
	w.signal()
}

func (w *watcher) take() (events []Event, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, w.queue, w.bytes = w.queue, nil, 0
	return events, w.closed
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
