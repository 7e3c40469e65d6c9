package admin

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// checksums answers what instances are compared by: see [cache.CompareChecksums].
type checksums struct {
	cache *cache.Cache
	limit time.Duration // that an answer may take

	// Each holds as many turns as there may be sums under way: of those that go through all values one, of the others, which take no time unless
	// retention is just removing much, a few.
	full, plain chan struct{}
	running     sync.WaitGroup
}

const (
	checksumLimit = 25 * time.Second // below writeTimeout, so that a peer is told
	plainSums     = 4
)

func newChecksums(c *cache.Cache) *checksums {
	return &checksums{cache: c, limit: checksumLimit, full: make(chan struct{}, 1), plain: make(chan struct{}, plainSums)}
}

// ServeHTTP takes topic=NAME and full. 404: the topic is not configured; 503, with its state: it is not served; 429: others are under way.
func (s *checksums) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := query.Get("topic")
	if name == "" {
		writeError(w, http.StatusBadRequest, "which topic? /api/v1/checksum?topic=NAME")
		return
	}
	full := false
	switch query.Get("full") {
	case "", "true", "1":
		full = query.Has("full")
	case "false", "0":
	default:
		writeError(w, http.StatusBadRequest, "full is true or false")
		return
	}
	topic, err := s.cache.Topic(name)
	if err != nil {
		writeError(w, http.StatusNotFound, err.Error())
		return
	}
	sum, err := s.of(r.Context(), topic, full)
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, sum)
	case errors.Is(err, errBusy):
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusTooManyRequests, err.Error())
	case errors.Is(err, cache.ErrNotReady):
		w.Header().Set("Retry-After", "1")
		writeNotServed(w, topic.Status())
	case errors.Is(err, context.DeadlineExceeded):
		writeError(w, http.StatusServiceUnavailable, "the sum takes longer than "+s.limit.String())
	case r.Context().Err() != nil: // the peer has left
	default:
		writeError(w, http.StatusInternalServerError, err.Error())
	}
}

var errBusy = errors.New("other sums are under way here; of full ones there is one at a time")

// of returns when ctx ends, or at the limit; a sum that was begun ends soon after, and keeps its turn until then.
func (s *checksums) of(ctx context.Context, topic *cache.Topic, full bool) (cache.Checksum, error) {
	turns := s.plain
	if full {
		turns = s.full
	}
	select {
	case turns <- struct{}{}:
	default:
		return cache.Checksum{}, errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	type result struct {
		sum cache.Checksum
		err error
	}
	done := make(chan result, 1)
	s.running.Go(func() {
		sum, err := topic.Checksum(ctx, full)
		<-turns
		done <- result{sum, err}
	})
	select {
	case r := <-done:
		return r.sum, r.err
	case <-ctx.Done():
		return cache.Checksum{}, ctx.Err()
	}
}

// wait returns when no sum is under way, or with ctx's error.
func (s *checksums) wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeNotServed says what a topic waits for.
func writeNotServed(w http.ResponseWriter, t cache.TopicStatus) {
	writeJSON(w, http.StatusServiceUnavailable, struct {
		Error  string      `json:"error"`
		Topic  string      `json:"topic"`
		State  cache.State `json:"state"`
		Reason string      `json:"reason"`
	}{"topic " + t.Name + " is not served: " + stateText(t), t.Name, t.State, t.Reason})
}
