package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	a1 := func(name string, partitions int, write func(ctx context.Context, r *Run, topic string)) Scenario {
		return Scenario{ID: "A1", Name: name, Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, partitions, nil, write)
		}}
	}
	commit := func(ctx context.Context, r *Run, topic string, recs ...*kgo.Record) {
		r.End(ctx, r.Begin(ctx, recs...), topic, kgo.TryCommit)
	}
	register(
		a1("the last thing is a commit marker", 1, func(ctx context.Context, r *Run, topic string) {
			r.Produce(record(topic, "a", "0"))
			commit(ctx, r, topic, record(topic, "a", "1"), record(topic, "b", "2"))
		}),
		a1("the last thing is an abort marker behind aborted records", 1, func(ctx context.Context, r *Run, topic string) {
			commit(ctx, r, topic, record(topic, "a", "1"))
			r.End(ctx, r.Begin(ctx, record(topic, "a", "aborted"), tombstone(topic, "a"), record(topic, "x", "aborted")), topic, kgo.TryAbort)
		}),
		a1("there is nothing but what was aborted", 1, func(ctx context.Context, r *Run, topic string) {
			r.End(ctx, r.Begin(ctx, record(topic, "x", "aborted")), topic, kgo.TryAbort)
		}),
		a1("aborted between committed ones", 1, func(ctx context.Context, r *Run, topic string) {
			open := r.Begin(ctx, record(topic, "x", "aborted"))
			if err := r.Begin(ctx, record(topic, "a", "1")).EndTransaction(ctx, kgo.TryCommit); err != nil {
				r.Fatal(err)
			}
			r.Produce(record(topic, "b", "2"))
			r.End(ctx, open, topic, kgo.TryAbort)
		}),
		a1("markers are all that some of four partitions have", 4, func(ctx context.Context, r *Run, topic string) {
			open := r.Begin(ctx, records(topic, "x", 20, "aborted")...)
			r.End(ctx, open, topic, kgo.TryAbort)
			commit(ctx, r, topic, record(topic, "a", "1"))
		}),
		Scenario{ID: "A1", Name: "a marker is last and it starts from its data directory", Needs: []Capability{Durable}, Run: func(ctx context.Context, r *Run) error {
			topic, dir := r.Topic(1, nil), r.TempDir()
			commit(ctx, r, topic, record(topic, "a", "1"))
			first := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
			r.Ready(ctx, first)
			r.Has(ctx, first, map[string]string{"a": "1"}, 10*time.Second)
			if err := first.Stop(ctx); err != nil {
				return err
			}
			commit(ctx, r, topic, record(topic, "a", "2"))
			r.End(ctx, r.Begin(ctx, record(topic, "a", "aborted")), topic, kgo.TryAbort)
			second := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
			took := r.Ready(ctx, second)
			r.HasNow(ctx, second, map[string]string{"a": "2"}, "when ready")
			r.AtEnd(ctx, second, topic)
			r.NotRebuilt(ctx, second)
			r.Sawf("ready after %.1f s", took.Seconds())
			return nil
		}},
	)
}

// readyAtOnce is for logs whose end is no record that is delivered: with nobody writing, an instance must be ready a second
// after one on a plain log of as many partitions, with the log's contents. A machine that is busy may be slow once, and a cache that waits for
// another record is so for ever.
func readyAtOnce(ctx context.Context, r *Run, partitions int, config map[string]string, write func(ctx context.Context, r *Run, topic string)) error {
	plain, topic := r.Topic(partitions, config), r.Topic(partitions, config)
	for p := range partitions {
		r.Cluster.ProduceTo(r, on(plain, p, fmt.Sprintf("k%d", p), "1", time.Time{}))
	}
	write(ctx, r, topic)
	want := r.Truth(ctx, topic)
	var took, allowed time.Duration
	for range 3 {
		reference := r.Start(ctx, Spec{Topic: plain})
		allowed = max(allowed, r.Ready(ctx, reference)+time.Second)
		reference.Kill()
		i := r.Start(ctx, Spec{Topic: topic})
		took = r.Ready(ctx, i)
		r.HasNow(ctx, i, want, "when ready")
		if r.Failed() {
			return nil
		}
		if took > allowed {
			i.Kill()
			continue
		}
		r.AtEnd(ctx, i, topic)
		// And the tail goes on from there.
		r.Produce(record(topic, "later", "x"))
		r.Gets(ctx, i, "later", "x", 10*time.Second)
		r.Sawf("ready after %.1f s", took.Seconds())
		return nil
	}
	return fmt.Errorf("ready after %.1f s three times, where a plain log allows %.1f s", took.Seconds(), allowed.Seconds())
}
