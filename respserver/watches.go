package respserver

import (
	"context"
	"errors"
	"sync"

	"github.com/yolean/kafka-cache/core/cache"
)

// topicWatches are watches of all topics, one each, from the first start until close. Starts are one at a time, under the lock of whoever owns it.
type topicWatches struct {
	cancel context.CancelFunc // nil before the first start
	done   sync.WaitGroup
}

func (w *topicWatches) started() bool { return w.cancel != nil }

// start watches the topics and returns when all changes from now on are told. fn gets what follows EventAttached, in each topic's goroutine; ended is called where a
// watch has failed by itself.
func (w *topicWatches) start(topics []*cache.Topic, fn func(topic int, e cache.Event), ended func(topic int, err error)) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	var attached sync.WaitGroup
	for i, topic := range topics {
		attached.Add(1)
		w.done.Go(func() {
			var once sync.Once
			err := topic.Watch(ctx, func(e cache.Event) {
				if e.Kind == cache.EventAttached {
					once.Do(attached.Done)
					return
				}
				fn(i, e)
			})
			once.Do(attached.Done) // before ended, which may want the lock under which start waits
			if err != nil && ctx.Err() == nil && !errors.Is(err, cache.ErrClosed) {
				ended(i, err)
			}
		})
	}
	attached.Wait()
}

// close ends the watches and returns when they have ended. mu is the owner's lock, which is not held: what is told needs it.
func (w *topicWatches) close(mu *sync.Mutex) {
	mu.Lock()
	cancel := w.cancel
	mu.Unlock()
	if cancel != nil {
		cancel()
		w.done.Wait()
	}
}
