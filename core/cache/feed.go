package cache

import "context"

// Feed holds what [Topic.Watch] tells until it is taken, for who has to know that nothing is left to be told: an event is in the feed before anybody who waits
// for its position is woken ([Topic.PutAndWait], [Topic.WaitFor]), and before Position covers it. What is held is bounded as Watch's is. It is made by
// [Topic.Feed], and is to be closed. Its methods may be called from any goroutine.
type Feed struct {
	topic *Topic
	w     *watcher
}

// Feed begins to hold changes: each that is applied after it has returned is told, and none of what was told before; there is no EventAttached. Its error is ErrClosed.
func (t *Topic) Feed() (*Feed, error) {
	w := &watcher{wake: make(chan struct{}, 1)}
	if !t.watchers.add(w) {
		return nil, ErrClosed
	}
	return &Feed{t, w}, nil
}

// Waiting reports, at the cost of reading one word, whether there is something to take.
func (f *Feed) Waiting() bool { return f.w.queued.Load() > 0 }

// Take returns what there is, in the order of application, without waiting; nil where that is nothing. The events belong to the caller.
func (f *Feed) Take() []Event {
	events := f.w.take()
	for i := range events {
		if events[i].Kind == EventFlush {
			events[i].Position = f.topic.Position() // what is applied after it is told after it
		}
	}
	return events
}

// Wait returns nil when there may be something to take, ctx's error, or ErrClosed once the topic is closed and everything has been taken. One goroutine waits
// at a time. The events of one commit are mostly there together.
func (f *Feed) Wait(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.w.over() {
			return ErrClosed
		}
		select {
		case <-f.w.wake:
			if f.Waiting() {
				return nil
			}
		case <-ctx.Done():
		}
	}
}

// Close ends the feed; what it holds is let go.
func (f *Feed) Close() { f.topic.watchers.remove(f.w) }
