package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// session reads one incarnation of a topic into one generation.
type session struct {
	topic     *Topic
	info      kafka.TopicInfo
	to        *generation
	began     time.Time
	freshness *freshness
	atEnd     atomic.Bool   // every partition has been at its stable end
	suspect   chan struct{} // a partition is to be verified
	split     bool          // there were split keys when that was looked at last
}

// run runs the fetcher, the loop that asks for ends and the one that verifies, until one of them cannot go on.
func (s *session) run(ctx context.Context) error {
	t := s.topic
	a := newApplier(t, s.to, s.freshness, s.caughtUp)
	config := kafka.FetcherConfig{
		Kafka: t.cache.cfg.Kafka,
		Topic: t.name,
		ID:    s.info.ID,
		Start: func(partition int32) int64 {
			next, ok := s.to.tracker().next(partition)
			switch {
			case !ok:
				return -1
			case resumeAhead && s.to.reason == "" && next > s.to.tracker().logStarts()[partition]:
				return next + 1
			}
			return next
		},
		Trail:        func(partition int32) kafka.Trail { return s.to.tracker().trail(partition) },
		OnError:      s.fetchError,
		OnThrottle:   s.throttled,
		OnPartitions: s.discovered,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for {
			err := s.fetch(ctx, config, a.apply)
			var stop *StoppedError
			if !errors.As(err, &stop) {
				return err
			}
			if err := s.stopped(ctx, stop); err != nil {
				return err
			}
			if t.Ready() {
				t.judge()
			} else {
				t.setState(CatchingUp, "reading the log")
			}
		}
	})
	group.Go(func() error { return s.awaitResident(ctx) })
	group.Go(func() error { return s.watchEnds(ctx) })
	group.Go(func() error { return s.judgeLoop(ctx) })
	group.Go(func() error { return s.verifyLoop(ctx) })
	if t.repairs {
		group.Go(func() error { return s.repairLoop(ctx) })
	}
	return group.Wait()
}

// awaitResident ends the session where what is stored turns out not to be readable.
func (s *session) awaitResident(ctx context.Context) error {
	err := s.resident(ctx)
	if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

// resident waits until all that is stored is in memory: here, where what needs that can be ended with ctx.
func (s *session) resident(ctx context.Context) error {
	if err := s.to.store.WaitResident(ctx); err != nil {
		return fmt.Errorf("read what is stored of topic %s: %w", s.topic.name, err)
	}
	return nil
}

// fetch reads on until that cannot go on.
func (s *session) fetch(ctx context.Context, config kafka.FetcherConfig, apply func(context.Context, *kafka.Batch) error) error {
	t := s.topic
	fetcher, err := kafka.NewFetcher(config)
	if err != nil {
		return fmt.Errorf("make a fetcher for topic %s: %w", t.name, err)
	}
	t.fetcher.Store(fetcher)
	defer t.fetcher.Store(nil)
	if err := fetcher.Run(ctx, apply); err != nil {
		return fmt.Errorf("read topic %s: %w", t.name, err)
	}
	return fmt.Errorf("read topic %s: the fetcher ended", t.name)
}

func (s *session) fetchError(e kafka.FetchError) {
	t := s.topic
	t.metrics.fetchErrors.Inc()
	if errors.Is(e.Err, kafka.ErrUnknownTopic) {
		t.tracker.absent(goneAfter)
	}
	if suppressed, ok := t.metrics.complaints.allow(-1 - e.Leader); ok {
		attrs := []any{"error", e.Err, "unlogged", suppressed}
		if e.Partition >= 0 {
			attrs = append([]any{"partition", e.Partition}, attrs...)
		}
		if e.Leader >= 0 {
			attrs = append([]any{"leader", e.Leader}, attrs...)
		}
		t.log.Warn("fetch", attrs...)
	}
}

// throttled counts how long a broker's quota holds reading back.
func (s *session) throttled(leader int32, d time.Duration) {
	t := s.topic
	t.metrics.throttled.Add(d.Seconds())
	t.throttledUntil.Store(time.Now().Add(d).UnixNano())
	if suppressed, ok := t.metrics.complaints.allow(throttleComplaint - leader); ok {
		t.log.Info("a quota of the broker's holds reading back", "leader", leader, "for", d.String(), "unlogged", suppressed)
	}
}

// discovered is told of all partitions whenever there are new ones.
func (s *session) discovered(ids []int32) {
	s.freshness.found(ids)
	s.to.store.SetPartitions(ids)
	s.to.tracker().discovered(ids)
	if t := s.topic.tracker; t != s.to.tracker() {
		t.discovered(ids)
	}
}

// caughtUp is called once a session, when every partition has been at its stable end.
func (s *session) caughtUp(ctx context.Context) error {
	if err := s.to.store.FinishLoad(); err != nil {
		return err
	}
	s.atEnd.Store(true)
	if err := s.removeBelow(ctx); err != nil {
		return err
	}
	if len(s.freshness.suspected()) > 0 {
		s.suspected()
		if !s.topic.serves(s.to) {
			return nil // verified first
		}
	}
	return s.serve(ctx)
}

// serve lets reads be answered from the session's generation.
func (s *session) serve(ctx context.Context) error {
	t := s.topic
	if s.to.yields {
		if err := s.resident(ctx); err != nil { // the view is made of all of them
			return err
		}
	}
	if err := t.project(s.to); err != nil {
		return err
	}
	var before *generation
	t.supersede(s.to) // what was answered before must not be answered again after a crash
	if t.aside == s.to {
		before = t.swap()
	}
	t.reads.Store(s.to.reads())
	t.unverified.Store(false)
	again, swapped := t.wasReady(), before != nil
	wasServing := t.Ready()
	t.startServing()
	if swapped || again && !wasServing {
		t.watchers.tell(Event{Kind: EventFlush}) // the contents were made anew
	}
	t.complete(s.to, before)
	if t.halted.Load() == nil {
		t.setState(Ready, "")
	}
	keys, all := t.Resident()
	t.log.Info("ready", "keys", keys, "resident", all, "took", time.Since(s.began).Round(time.Millisecond).String(), "position", t.Position().String())
	return nil
}

// swap makes the generation that was built beside the one that is served. Reads find the new contents before positions say so; a Snapshot is of
// one of the two, with its position.
func (t *Topic) swap() (before *generation) {
	t.mu.Lock()
	old, g := t.current, t.aside
	t.current, t.aside = g, nil
	t.mu.Unlock()
	var adopted published
	exchange := func() {
		t.store.Store(g.store)
		t.reads.Store(g.reads())
		adopted = t.tracker.adopt(g.tracker())
		g.where.Store(t.tracker)
	}
	if old == nil {
		g.store.Change(exchange)
	} else {
		old.store.Change(func() { g.store.Change(exchange) })
	}
	adopted.wake()
	return old
}

// setCurrent makes g what reads are answered from, once they are.
func (t *Topic) setCurrent(g *generation) {
	t.mu.Lock()
	t.current = g
	t.mu.Unlock()
	t.store.Store(g.store)
	t.reads.Store(g.reads())
}

func (t *Topic) setAside(g *generation) {
	t.mu.Lock()
	t.aside = g
	t.mu.Unlock()
}

// dropAside gives up what is being built beside the current generation.
func (t *Topic) dropAside() {
	t.mu.Lock()
	g := t.aside
	t.aside = nil
	t.mu.Unlock()
	t.closeGeneration(g)
}

// discard closes the current generation. Readers of it get ErrNotReady, and nothing counts as applied.
func (t *Topic) discard() {
	t.stopServing()
	t.store.Store(nil)
	t.reads.Store(nil)
	t.mu.Lock()
	g := t.current
	t.current = nil
	t.mu.Unlock()
	t.closeGeneration(g)
	t.tracker.forget()
}

// servedGeneration is the current generation, nil where there is none.
func (t *Topic) servedGeneration() *generation {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// stores are the current generation's, and those of the one that is built beside it, with their views, which their stores close.
func (t *Topic) stores() (all []*store.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range []*generation{t.current, t.aside} {
		if g == nil {
			continue
		}
		all = append(all, g.store)
		if g.view != nil {
			all = append(all, g.view)
		}
	}
	return all
}
