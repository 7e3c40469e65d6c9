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
		Scenario{ID: "A1", Name: "the log starts within an aborted transaction", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 1, deletable, func(ctx context.Context, r *Run, topic string) {
				r.Produce(record(topic, "before", "1")) // 0
				open := r.Begin(ctx, records(topic, "x", 10, "aborted")...)
				r.Produce(record(topic, "between", "1")) // 11
				if err := open.ProduceSync(ctx, records(topic, "y", 10, "aborted")...).FirstErr(); err != nil {
					r.Fatal(err)
				}
				r.End(ctx, open, topic, kgo.TryAbort)
				r.Cluster.DeleteRecords(r, topic, 0, 5)
			})
		}},
		Scenario{ID: "A1", Name: "the log starts at the marker of what was deleted", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 1, deletable, func(ctx context.Context, r *Run, topic string) {
				r.End(ctx, r.Begin(ctx, records(topic, "x", 10, "deleted")...), topic, kgo.TryCommit) // the marker is at 10
				r.Produce(record(topic, "a", "1"))
				r.Cluster.DeleteRecords(r, topic, 0, 10)
			})
		}},
		Scenario{ID: "A1", Name: "nothing is left but a marker", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 1, deletable, func(ctx context.Context, r *Run, topic string) {
				r.End(ctx, r.Begin(ctx, records(topic, "x", 10, "deleted")...), topic, kgo.TryAbort)
				r.Cluster.DeleteRecords(r, topic, 0, 10)
			})
		}},
		Scenario{ID: "A1", Name: "a producer was fenced within its transaction, and its successor committed", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 1, nil, fencedProducer)
		}},
		Scenario{ID: "A2", Name: "the log starts within an open transaction", Run: startWithinOpenTransaction},
		Scenario{ID: "A1", Name: "an aborted transaction takes many fetches, among committed ones and across restarts", Needs: []Capability{Durable}, Run: abortedInPieces},
	)
}

// fencedProducer: two producers have one transactional id, and so perhaps one producer id. The first one's records are aborted by the second one's beginning.
func fencedProducer(ctx context.Context, r *Run, topic string) {
	r.Produce(record(topic, "a", "0"))
	producer := func() *kgo.Client {
		return r.Cluster.Client(r, kgo.TransactionalID(topic), kgo.TransactionTimeout(time.Minute))
	}
	write := func(c *kgo.Client, records ...*kgo.Record) {
		if err := c.BeginTransaction(); err != nil {
			r.Fatal(err)
		}
		if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
			r.Fatal(err)
		}
	}
	first, second := producer(), producer()
	write(first, record(topic, "x", "fenced"), tombstone(topic, "a"))
	write(second, record(topic, "b", "1"))
	if err := second.EndTransaction(ctx, kgo.TryCommit); err != nil {
		r.Fatal(err)
	}
	if err := first.ProduceSync(ctx, record(topic, "x", "late")).FirstErr(); err == nil {
		r.Fatalf("a fenced producer still writes: the situation did not come about")
	}
	write(second, record(topic, "c", "aborted"))
	r.End(ctx, second, topic, kgo.TryAbort)
	if truth := r.Truth(ctx, topic); len(truth) != 2 || truth["a"] != "0" || truth["b"] != "1" {
		r.Fatalf("the log says %v", truth)
	}
}

// startWithinOpenTransaction: DeleteRecords passes the beginning of an open transaction, below which instances stand. The stable end is at the log's start then.
func startWithinOpenTransaction(ctx context.Context, r *Run) error {
	topic := r.Topic(1, deletable)
	r.Produce(records(topic, "before", 5, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	open := r.Begin(ctx, records(topic, "x", 10, "open")...)
	r.Produce(records(topic, "above", 5, "1")...)
	r.Cluster.DeleteRecords(r, topic, 0, 12)
	r.Has(ctx, i, map[string]string{}, 30*time.Second)
	fresh := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, fresh)
	r.HasNow(ctx, fresh, map[string]string{}, "when ready within an open transaction")
	r.End(ctx, open, topic, kgo.TryCommit)
	want := r.Truth(ctx, topic)
	if len(want) != 3+5 {
		return fmt.Errorf("the log has %d keys", len(want))
	}
	for _, j := range []Instance{i, fresh} {
		r.Has(ctx, j, want, 20*time.Second)
		r.AtEnd(ctx, j, topic)
	}
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("nothing of it before its end, and what is left of it after")
	return nil
}

// abortedInPieces: which records were aborted is told with each fetch anew, also of a transaction that began before it. 24 MB of two interleaved transactions, of which one
// is aborted, are more than a fetch takes.
func abortedInPieces(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, nil), r.TempDir()
	r.Produce(records(topic, "k", 20, "before")...)
	doomed, kept := r.Begin(ctx, record(topic, "doomed", "aborted")), r.Begin(ctx, record(topic, "kept", "committed"))
	value := func(what string) string { return what + strings.Repeat(randomText(1000), 5) }
	const rounds, each = 12, 200
	for n := range rounds {
		if err := doomed.ProduceSync(ctx, append(records(topic, "k", each, value("aborted")), tombstone(topic, fmt.Sprintf("k%d", n)))...).FirstErr(); err != nil {
			return err
		}
		if err := kept.ProduceSync(ctx, records(topic, fmt.Sprintf("kept%d-", n), each, value("committed"))...).FirstErr(); err != nil {
			return err
		}
	}
	if err := kept.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	r.End(ctx, doomed, topic, kgo.TryAbort)
	want := r.Truth(ctx, topic)
	if len(want) != 20+1+rounds*each {
		return fmt.Errorf("the log has %d keys", len(want))
	}
	for range 3 { // wherever it is killed
		i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
		r.Says(ctx, i, 20*time.Second, "that it has read something", func(s TopicStatus) bool { return len(s.Partitions) == 1 && s.Partitions[0].Position > 100 })
		i.Kill()
	}
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "when ready")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("%d keys, and nothing of %d aborted records", len(want), rounds*(each+1))
	return nil
}
