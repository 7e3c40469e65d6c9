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
		Scenario{ID: "A1", Name: "an aborted transaction takes many fetches, among committed ones and across restarts", Needs: []Capability{Durable}, Run: abortedInPieces},
	)
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
