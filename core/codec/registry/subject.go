package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
)

// subject keeps the latest schema of one subject, which is what is written with.
type subject struct {
	registry *Registry
	name     string
	known    atomic.Pointer[known]
	wanted   chan struct{} // somebody lacks it
}

// known is what the last look-up came to. A failed one does not replace a schema: it is registered still.
type known struct {
	schema *schema
	err    error // errMissing's, or codec.ErrUnavailable's
}

func newSubject(r *Registry, name string) *subject {
	return &subject{registry: r, name: name, wanted: make(chan struct{}, 1)}
}

// latest is the schema to write with; its error wraps errMissing or codec.ErrUnavailable. It does not wait.
func (s *subject) latest() (*schema, error) {
	k := s.known.Load()
	if k != nil && k.schema != nil {
		return k.schema, nil
	}
	select {
	case s.wanted <- struct{}{}:
	default:
	}
	if k == nil {
		return nil, fmt.Errorf("%w: the latest schema of subject %.100s has not been looked up", codec.ErrUnavailable, s.name)
	}
	return nil, k.err
}

// Pauses between look-ups that do not succeed. One that is wanted does not wait for longer than the first.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 10 * time.Second
)

// run looks the schema up until ctx ends: at once, and then regularly.
func (s *subject) run(ctx context.Context) {
	for pause := retryMin; ; {
		err := s.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := s.registry.cfg.Refresh
		if err != nil && !errors.Is(err, errMissing) {
			wait = min(pause, wait)
			pause = min(2*pause, retryMax)
		} else {
			pause = retryMin
		}
		timer := time.NewTimer(wait*9/10 + rand.N(wait/5+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			continue
		case <-s.wanted:
		}
		timer.Reset(retryMin) // so that many who want it do not ask without a pause
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// refresh looks the latest schema up. Its error is what latest tells where there is no schema yet.
func (s *subject) refresh(ctx context.Context) error {
	before := s.known.Load()
	latest, err := s.registry.client.byVersion(ctx, s.name, -1)
	now := &known{err: err}
	if err == nil {
		if before != nil && before.schema != nil && before.schema.id == latest.ID {
			if before.err != nil {
				s.known.Store(&known{schema: before.schema})
			}
			return nil
		}
		// By its id, so that the records that are written with it are read without another look-up.
		now.schema, now.err = s.registry.load(ctx, latest.ID, latest.Schema)
		if now.schema != nil {
			s.registry.cache.put(now.schema, time.Time{})
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	log := s.registry.cfg.Logger
	switch {
	case now.schema != nil && now.schema.unusable != "":
		log.Warn("writes are refused, since the latest schema cannot be used", "subject", s.name, "id", now.schema.id, "error", now.schema.unusable)
	case now.schema != nil:
		log.Info("schema to write with", "subject", s.name, "id", now.schema.id, "version", latest.Version, "type", now.schema.kind.String())
	case errors.Is(now.err, errMissing):
		if before == nil || !errors.Is(before.err, errMissing) {
			log.Warn("writes are refused until the registry has a schema", "subject", s.name, "error", now.err)
		}
	case before == nil || before.err == nil || errors.Is(before.err, errMissing):
		log.Warn("look up the schema to write with", "subject", s.name, "error", now.err)
	}
	if now.schema == nil && before != nil && before.schema != nil && !errors.Is(now.err, errMissing) {
		now.schema = before.schema // with the error, so that it is logged once
	}
	s.known.Store(now)
	return now.err
}
