package respserver

import (
	"context"
	"errors"
	"sync"

	"github.com/yolean/kafka-cache/core/cache"
)

// topicWatches are feeds of all topics, one each, from the first start until close. Starts are one at a time, under the lock of whoever owns it.
type topicWatches struct {
	feeds  []*cache.Feed
	cancel context.CancelFunc // nil before the first start
	done   sync.WaitGroup
}

func (w *topicWatches) started() bool { return w.cancel != nil }

// start begins to watch the topics: all changes from now on are told. take is called from a goroutine of each topic's, without a lock, whenever its feed has something. A
// feed ends by itself only with its topic, which changes no more then.
func (w *topicWatches) start(topics []*cache.Topic, take func(topic int)) error {
	var feeds []*cache.Feed
	for _, topic := range topics {
		f, err := topic.Feed()
		if err != nil {
			for _, f := range feeds {
				f.Close()
			}
			return err
		}
		feeds = append(feeds, f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.feeds, w.cancel = feeds, cancel
	for i, f := range feeds {
		w.done.Go(func() {
			defer f.Close()
			for f.Wait(ctx) == nil {
				take(i)
			}
		})
	}
	return nil
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

// errNoWatch is what a client is answered that can be told nothing, since the cache is closed.
var errNoWatch = errors.New("ERR the instance is shutting down")
