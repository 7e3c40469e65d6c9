package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "A2", Name: "started below an open transaction", Run: startedBelowOpenTransaction},
		Scenario{ID: "A2", Name: "a transaction stays open while it runs", Run: openTransactionWhileRunning},
		Scenario{ID: "A2", Name: "writes and waits above an open transaction", Needs: []Capability{Writes, Tokens, Redis}, Run: writesAboveOpenTransaction},
	)
}

// startedBelowOpenTransaction: what is above the last stable offset cannot be read, and does not keep an instance from being ready.
func startedBelowOpenTransaction(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"))
	open := r.Begin(ctx, record(topic, "a", "2"), record(topic, "b", "2"))
	r.Produce(record(topic, "above", "3"))
	i := r.Start(ctx, Spec{Topic: topic})
	took := r.Ready(ctx, i)
	r.HasNow(ctx, i, map[string]string{"a": "1"}, "when ready below an open transaction")
	r.blockedIsVisible(ctx, i, 3)
	r.HasNow(ctx, i, map[string]string{"a": "1"}, "later, below an open transaction")
	r.End(ctx, open, topic, kgo.TryCommit)
	r.Has(ctx, i, map[string]string{"a": "2", "b": "2", "above": "3"}, 10*time.Second)
	r.unblockedIsVisible(ctx, i, topic)
	r.Sawf("ready after %.1f s below the transaction, and everything there after its end", took.Seconds())
	return nil
}

func openTransactionWhileRunning(ctx context.Context, r *Run) error {
	topic := r.Topic(2, nil)
	on := func(partition int32, key, value string) *kgo.Record {
		return &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)}
	}
	a, b := homeKey("a", 0, 2), homeKey("b", 1, 2)
	r.Cluster.ProduceTo(r, on(0, a, "1"), on(1, b, "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	client := r.Cluster.Client(r, kgo.TransactionalID(topic), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, on(0, a, "aborted"), on(0, "x", "aborted")).FirstErr(); err != nil {
		return err
	}
	r.Cluster.ProduceTo(r, on(0, "above", "2"), on(1, b, "2"))
	// The other partition is not held up, and its records show that the instance reads on.
	r.Gets(ctx, i, b, "2", 10*time.Second)
	r.HasNow(ctx, i, map[string]string{a: "1", b: "2"}, "while a transaction is open")
	r.blockedIsVisible(ctx, i, 3)
	r.End(ctx, client, topic, kgo.TryAbort)
	r.Has(ctx, i, map[string]string{a: "1", b: "2", "above": "2"}, 10*time.Second)
	r.unblockedIsVisible(ctx, i, topic)
	r.Sawf("only the other partition moved on until the abort")
	return nil
}

// blockedIsVisible: partition 0 is at its stable end and n offsets below its high watermark.
func (r *Run) blockedIsVisible(ctx context.Context, i Instance, n int64) {
	r.Says(ctx, i, 10*time.Second, fmt.Sprintf("that it is blocked by an open transaction, %d below the high watermark", n), func(s TopicStatus) bool {
		if !strings.Contains(s.Reason, "blocked by an open transaction") || !s.Serving || len(s.Partitions) == 0 {
			return false
		}
		p := s.Partitions[0]
		return p.Lag == 0 && p.LagHighWatermark == n && p.LagSeconds > 0 && p.BlockedSince != nil && time.Since(*p.BlockedSince) < time.Minute
	})
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_blocked_by_transaction_seconds", "partition=0")
	r.Measures(ctx, i, 5*time.Second, zero, "kafka_cache_consumer_lag_records", "partition=0")
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == float64(n) }, "kafka_cache_consumer_lag_high_watermark_records", "partition=0")
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_consumer_lag_seconds", "partition=0")
	r.loggedState(ctx, i, "Ready", "partition 0 is blocked by an open transaction")
}

func (r *Run) unblockedIsVisible(ctx context.Context, i Instance, topic string) {
	r.AtEnd(ctx, i, topic)
	r.Says(ctx, i, 10*time.Second, "that nothing blocks it", func(s TopicStatus) bool {
		for _, p := range s.Partitions {
			if p.BlockedSince != nil {
				return false
			}
		}
		return s.State == "Ready" && s.Reason == ""
	})
	r.Measures(ctx, i, 5*time.Second, func(v float64, _ bool) bool { return v == 0 }, "kafka_cache_blocked_by_transaction_seconds")
}

// writesAboveOpenTransaction: a write is acknowledged and cannot be read. It says so within its apply time-out of 1 s, and
// at once where the partition is known to be blocked for longer.
func writesAboveOpenTransaction(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	r.Ready(ctx, i)
	if err := i.(Writer).Put(ctx, "a", "1"); err != nil {
		return fmt.Errorf("a write with no transaction open: %w", err)
	}
	open := r.Begin(ctx, record(topic, "x", "open"))

	conn := i.(RedisServer).Redis().Conn() // WAIT is about the writes of one connection
	defer conn.Close()
	pending := func(value string, atLeast, atMost time.Duration) string {
		began := time.Now()
		err := conn.Set(ctx, "k", value, 0).Err()
		took := time.Since(began)
		if err == nil || !strings.HasPrefix(err.Error(), "PENDING 1:") {
			r.Fatalf("a SET above an open transaction answers %v, not PENDING and a token", err)
		}
		if took < atLeast || took > atMost {
			r.Errorf("a SET above an open transaction took %.2f s, not %v to %v", took.Seconds(), atLeast, atMost)
		}
		return strings.Fields(err.Error())[1]
	}
	token := pending("2", 900*time.Millisecond, 1900*time.Millisecond)
	r.Says(ctx, i, 10*time.Second, "since when it is blocked", func(s TopicStatus) bool {
		return len(s.Partitions) == 1 && s.Partitions[0].BlockedSince != nil && time.Since(*s.Partitions[0].BlockedSince) > 1500*time.Millisecond
	})
	again := pending("3", 0, 500*time.Millisecond)

	for _, tok := range []string{token, again} {
		if done, err := i.(Waiter).Wait(ctx, tok, 300*time.Millisecond); done || err != nil {
			r.Errorf("waiting for %s while the transaction is open: %v, %v", tok, done, err)
		}
	}
	if n, err := conn.Wait(ctx, 1, 300*time.Millisecond).Result(); n != 0 || err != nil {
		r.Errorf("WAIT 1 300 while the transaction is open: %d, %v", n, err)
	}
	r.Misses(ctx, i, "k", "while the transaction is open")
	waited := make(chan error, 1)
	go func() {
		done, err := i.(Waiter).Wait(ctx, again, 30*time.Second)
		if err == nil && !done {
			err = fmt.Errorf("not within 30 s")
		}
		waited <- err
	}()
	r.End(ctx, open, topic, kgo.TryAbort)
	if err := <-waited; err != nil {
		r.Errorf("waiting across the transaction's end: %v", err)
	}
	if n, err := conn.Wait(ctx, 1, 10*time.Second).Result(); n != 1 || err != nil {
		r.Errorf("WAIT 1 10000 after the transaction's end: %d, %v", n, err)
	}
	r.HasNow(ctx, i, map[string]string{"a": "1", "k": "3"}, "after the waits")
	if err := i.(Writer).Put(ctx, "k", "4"); err != nil {
		r.Errorf("a SET after the transaction's end: %v", err)
	}
	r.told(ctx, i, "pending", 2)
	r.told(ctx, i, "applied", 2)
	r.Sawf("PENDING with a token after 1 s, then at once; the waits end with the transaction")
	return nil
}
