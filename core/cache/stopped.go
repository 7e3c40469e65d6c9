package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
)

// StoppedError says in front of which record a topic has stopped: one that a rule refuses whose outcome is [policy.Stop].
type StoppedError struct {
	Topic     string
	Partition int32
	Offset    int64
	Rule      string
	Err       error
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("cache: topic %s stops in front of offset %d of partition %d, which its %s rule refuses: %s", e.Topic, e.Offset, e.Partition, e.Rule, policy.Line(e.Err.Error()))
}

// Unwrap is the rule's own error.
func (e *StoppedError) Unwrap() error { return e.Err }

// stoppedEvery is how often it is looked whether a record that stopped a topic is still there.
const stoppedEvery = 5 * time.Second

// stopped keeps the topic where it is until the log no longer has the record: by compaction, since what follows was written over it, or
// because the log itself is another one. Ends go on being asked for meanwhile, so that the lag is known.
func (s *session) stopped(ctx context.Context, stop *StoppedError) error {
	t := s.topic
	t.halted.Store(stop)
	defer t.halted.Store(nil)
	t.setState(Failed, plain(stop))
	t.log.Error("the topic has stopped", "partition", stop.Partition, "offset", stop.Offset, "rule", stop.Rule, "error", stop.Err)
	ticker := time.NewTicker(t.cache.cfg.stoppedEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		there, err := s.hasRecord(ctx, stop.Partition, stop.Offset)
		var outside *kafka.OutOfRangeError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &outside), errors.Is(err, kafka.ErrTopicRecreated):
			return err // the next session judges the log
		case err != nil:
			if suppressed, ok := t.metrics.complaints.allow(stop.Partition); ok {
				t.log.Warn("look for the record that stopped the topic", "error", err, "unlogged", suppressed)
			}
		case !there:
			t.log.Info("the record that stopped the topic is gone", "partition", stop.Partition, "offset", stop.Offset)
			return nil
		}
	}
}

// hasRecord reports whether the log has a record at an offset.
func (s *session) hasRecord(ctx context.Context, partition int32, offset int64) (there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.topic.cache.cfg.stoppedEvery)
	defer cancel()
	fetcher, err := kafka.NewFetcher(kafka.FetcherConfig{
		Kafka:   s.topic.cache.cfg.Kafka,
		Topic:   s.topic.name,
		ID:      s.info.ID,
		Start:   func(int32) int64 { return offset },
		Until:   map[int32]int64{partition: offset + 1},
		OnError: s.fetchError,
	})
	if err != nil {
		return true, err
	}
	err = fetcher.Run(ctx, func(_ context.Context, b *kafka.Batch) error {
		for i := range b.Records {
			there = there || b.Partition == partition && b.Records[i].Offset == offset
		}
		return nil
	})
	return there, err
}
