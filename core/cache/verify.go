package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// suspected has the suspect partitions verified.
func (s *session) suspected() {
	select {
	case s.suspect <- struct{}{}:
	default:
	}
}

// verifyLoop verifies suspect partitions, once all partitions are at their ends. It returns ctx's error, or one of the store.
func (s *session) verifyLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.suspect:
		}
		if !s.atEnd.Load() {
			continue // caughtUp asks again
		}
		if err := s.awaitFetches(ctx); err != nil {
			return err
		}
		for ids := s.freshness.suspected(); len(ids) > 0; ids = s.freshness.suspected() {
			if err := s.verify(ctx, ids); err != nil {
				return fmt.Errorf("verify topic %s against the log: %w", s.topic.name, err)
			}
		}
		if s.topic.serves(s.to) {
			s.topic.judge()
		} else if err := s.serve(ctx); err != nil {
			return err
		}
	}
}

// awaitFetches waits until every partition has had a fetch since it was called, as what made one of them suspect is rarely its own alone: they are
// verified together. One without a leader is not waited for long.
func (s *session) awaitFetches(ctx context.Context) error {
	began := time.Now()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for time.Since(began) < goneAfter {
		if _, age := s.to.tracker().oldestFetch(); age < time.Since(began) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// verify reads the log of partitions again, from where their reading began, and removes what is here and not there any more. The
// tail goes on meanwhile.
func (s *session) verify(ctx context.Context, ids []int32) error {
	t, began := s.topic, time.Now()
	t.setVerifying(rebuildExpired + ": tombstones may have been missed, the log is read again")
	defer t.setVerifying("")
	t.rebuilding(rebuildExpired, "tombstones may have been missed, the log is read again")
	if err := s.resident(ctx); err != nil {
		return err
	}
	v, err := s.to.store.Verify()
	if err != nil {
		return err
	}
	defer v.Cancel()
	upTo := make(map[int32]int64, len(ids))
	for _, id := range ids {
		if next, ok := s.to.tracker().next(id); ok {
			upTo[id] = next
		}
	}
	for {
		err := s.readAgain(ctx, upTo, v)
		var outside *kafka.OutOfRangeError
		if err == nil {
			break
		}
		if !errors.As(err, &outside) || outside.Position >= outside.LogStart {
			return err
		}
		// Retention has overtaken the reading; what is below the log's start is removed for that reason.
	}
	// A record that was not met because a newer one has taken its place in the log is no longer here either once the tail has come to
	// where the log ends now.
	if err := s.reachEnds(ctx, ids); err != nil {
		return err
	}
	watching := t.watched(s.to)
	removed := 0
	err = s.to.digests.change(func() (err error) {
		removed, err = v.Finish(upTo, s.removal(watching))
		return err
	}, func() bool { return removed > 0 })
	if err != nil {
		return err
	}
	s.told(watching, removed)
	t.metrics.verifiedRemoved.Add(float64(removed))
	s.freshness.verified(ids, began)
	t.log.Info("verified against the log", "partitions", ids, "removed", removed, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// readAgain reads the partitions from where their reading began up to the given positions.
func (s *session) readAgain(ctx context.Context, upTo map[int32]int64, v *store.Verification) error {
	t := s.topic
	starts := s.to.tracker().logStarts()
	from := map[int32]int64{}
	for _, c := range s.to.store.Checkpoint() {
		if c.Start > starts[c.Partition] {
			from[c.Partition] = c.Start
		}
	}
	until := make(map[int32]int64, len(upTo))
	for id, next := range upTo {
		if next > max(starts[id], from[id]) {
			until[id] = next
		}
	}
	if len(until) == 0 {
		return nil
	}
	fetcher, err := kafka.NewFetcher(kafka.FetcherConfig{
		Kafka: t.cache.cfg.Kafka,
		Topic: t.name,
		ID:    s.info.ID,
		Start: func(partition int32) int64 {
			if o, ok := from[partition]; ok {
				return o
			}
			return -1
		},
		Until:      until,
		OnError:    s.fetchError,
		OnThrottle: s.throttled,
	})
	if err != nil {
		return err
	}
	pool := sync.Pool{New: func() any { return new(scratch) }}
	return fetcher.Run(ctx, func(ctx context.Context, b *kafka.Batch) error {
		sc := pool.Get().(*scratch)
		defer pool.Put(sc)
		for records := b.Records; len(records) > 0; {
			if err := ctx.Err(); err != nil {
				return err
			}
			taken, err := sc.takeKeys(ctx, t, b.Partition, records)
			if err != nil {
				return err
			}
			sc.batch.Partition = b.Partition
			if err := v.Met(&sc.batch); err != nil {
				return err
			}
			records = records[taken:]
		}
		return nil
	})
}

// reachEnds waits until the tail has come to where the log ends now.
func (s *session) reachEnds(ctx context.Context, ids []int32) error {
	ends, err := s.topic.cache.client.Ends(ctx, s.topic.name, ids)
	for err != nil || len(ends) < len(ids) {
		s.topic.metrics.fetchErrors.Inc()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoffMin):
		}
		ends, err = s.topic.cache.client.Ends(ctx, s.topic.name, ids)
	}
	told := make(chan error, 1)
	cancel := s.to.tracker().wait(stableEnds(s.info.ID, ends), func(err error) { told <- err })
	defer cancel()
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// removal tells watchers of what left the log.
func (s *session) removal(watching bool) func(store.Removal) {
	if !watching || s.to.view != nil { // which tells
		return nil
	}
	return func(r store.Removal) {
		s.topic.tellChange(s.to.id, store.Projected{Removal: r, ByPartition: -1, ByOffset: -1})
	}
}

// told makes up for who began to watch while something was removed.
func (s *session) told(watching bool, removed int) {
	if t := s.topic; !watching && removed > 0 && t.watched(s.to) {
		t.watchers.tell(Event{Kind: EventFlush})
	}
}

// removeBelow removes what the log has lost at its start.
func (s *session) removeBelow(ctx context.Context) error {
	t := s.topic
	if !s.atEnd.Load() {
		return nil
	}
	removed := map[int32]int64{}
	for _, c := range s.to.store.Checkpoint() {
		removed[c.Partition] = c.LogStart
	}
	for id, start := range s.to.tracker().logStarts() {
		if start <= removed[id] {
			continue
		}
		if err := s.resident(ctx); err != nil {
			return err
		}
		watching := t.watched(s.to)
		removed := 0
		err := s.to.digests.change(func() (err error) {
			removed, err = s.to.store.RemoveBelow(id, start, s.removal(watching))
			return err
		}, func() bool { return false })
		if err != nil {
			return fmt.Errorf("remove what lies below offset %d of partition %d: %w", start, id, err)
		}
		s.told(watching, removed)
		t.metrics.retentionRemoved.Add(float64(removed))
		if removed > 0 {
			t.log.Info("the log's start moved: entries below it were removed", "partition", id, "logStart", start, "removed", removed)
		}
	}
	return nil
}

// setVerifying says why the topic is being verified, "" where it is not.
func (t *Topic) setVerifying(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verifying, t.verifyingSince = reason, time.Now()
}
