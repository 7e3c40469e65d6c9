package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
)

// Registry looks schemas up, and makes codecs of them. It is safe for concurrent use, and one serves all topics.
type Registry struct {
	cfg    Config
	client *client
	cache  *cache

	mu      sync.Mutex
	flights map[int]*flight   // ids that are being looked up
	missing map[int]time.Time // ids that the registry has said it does not have, since when
	graces  []time.Time       // when the last ids began to be asked for again
}

// New makes a Registry. It asks nothing of the network; its errors wrap ErrConfig.
func New(cfg Config) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	return &Registry{cfg: cfg, client: c, cache: newCache(), flights: map[int]*flight{}, missing: map[int]time.Time{}}, nil
}

// Close closes idle connections. What is under way ends with its context.
func (r *Registry) Close() { r.client.transport.CloseIdleConnections() }

// lookUp gets a schema by its id, from the registry where it is not kept. Its error wraps codec.ErrUnavailable, or is ctx's. An id that the registry does
// not have is a schema that cannot be used.
func (r *Registry) lookUp(ctx context.Context, id int) (*schema, error) {
	for {
		if s := r.cache.get(id); s != nil {
			return s, nil
		}
		f, mine := r.flight(id)
		if mine {
			var s *schema
			s, f.err = r.ask(ctx, id)
			r.mu.Lock()
			delete(r.flights, id)
			r.mu.Unlock()
			close(f.landed)
			return s, f.err
		}
		select {
		case <-f.landed:
			if errors.Is(f.err, codec.ErrUnavailable) {
				return nil, f.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// flight is a look-up of an id that is under way, so that several who lack the same ask once.
type flight struct {
	landed chan struct{} // closed when it has ended, err set
	err    error         // also the context's of who made it
}

// flight is the look-up of an id that is under way, or one that the caller is to make.
func (r *Registry) flight(id int) (f *flight, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.flights[id]; ok {
		return f, false
	}
	f = &flight{landed: make(chan struct{})}
	r.flights[id] = f
	return f, true
}

func (r *Registry) ask(ctx context.Context, id int) (*schema, error) {
	text, err := r.client.byID(ctx, id)
	if err == nil {
		var s *schema
		if s, err = r.load(ctx, id, text); err == nil {
			r.found(id)
			r.cache.put(s, time.Time{})
			return s, nil
		}
	}
	if !errors.Is(err, errMissing) {
		return nil, err
	}
	if left := r.stillAsked(id); left > 0 {
		return nil, fmt.Errorf("%w: %w; it is asked for %s more, since a node of the registry may lag behind", codec.ErrUnavailable, err, left.Round(100*time.Millisecond))
	}
	s := &schema{id: id, unusable: err.Error()}
	r.cache.put(s, r.cache.now().Add(r.cfg.MissingFor))
	return s, nil
}

// Bounds of what is asked for again: ids at a time, and ids that begin in a minute. Bytes that are no schema's id must not hold a partition back for
// longer than some of the time.
const (
	maxMissing        = 1000
	maxGracesAMinute  = 10
	graceBudgetPeriod = time.Minute
)

// stillAsked is for how much longer an id is to be asked for until it is taken not to exist; 0: it is.
func (r *Registry) stillAsked(id int) time.Duration {
	if r.cache.wasMissing(id) {
		return 0 // it has had its time
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cache.now()
	since, again := r.missing[id]
	if !again {
		for len(r.graces) > 0 && now.Sub(r.graces[0]) > graceBudgetPeriod {
			r.graces = r.graces[1:]
		}
		if len(r.graces) >= maxGracesAMinute || len(r.missing) >= maxMissing {
			return 0
		}
		r.graces = append(r.graces, now)
		r.missing[id] = now
		since = now
	}
	left := r.cfg.MissingGrace - now.Sub(since)
	if left <= 0 {
		delete(r.missing, id)
	}
	return max(left, 0)
}

func (r *Registry) found(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.missing, id)
}
