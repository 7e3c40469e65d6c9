package conformance

import (
	"context"
	"fmt"
	"time"
)

func init() {
	register(Scenario{ID: "A7", Name: "the log is truncated below the end that a load waits for", Brokers: []int{3}, Private: true,
		Settings: throttledSettings, Limit: 4 * time.Minute, Run: truncatedWhileLoading})
}

// truncatedWhileLoading: an instance that loads slowly has seen an end that the log, after an unclean election, does not
// have any more.
func truncatedWhileLoading(ctx context.Context, r *Run) error {
	t := newTwoReplicas(ctx, r, nil)
	const rate, kept, lost = 256 << 10, 1500, 3000
	r.produceSmall(ctx, bigRecords(t.topic, "kept", kept)...)
	t.leaveBehind(ctx)
	r.produceSmall(ctx, bigRecords(t.topic, "lost", lost)...)
	r.Throttle(ctx, rate)
	i := r.Start(ctx, Spec{Topic: t.topic})
	// It has begun to read, and so knows the end.
	r.Says(ctx, i, 20*time.Second, "that it is loading", func(s TopicStatus) bool {
		return s.State == "CatchingUp" && len(s.Partitions) == 1 && s.Partitions[0].Position > 0 && s.Partitions[0].End == kept+lost
	})
	if rep, ok := i.(Reporter); ok {
		if s, err := rep.Status(ctx); err != nil || s.State == "Ready" {
			return fmt.Errorf("the load was over before the log could be truncated: %v, %w", s, err)
		}
	}
	t.truncate(ctx)
	r.Throttle(ctx, 0)
	if end := r.Cluster.Ends(r, t.topic)[0].HighWatermark; end >= kept+lost {
		return fmt.Errorf("the log ends at %d: it was not truncated", end)
	}
	want := r.Truth(ctx, t.topic)
	began := time.Now()
	if _, err := i.WaitReady(ctx); err != nil {
		return fmt.Errorf("it is not ready %.0f s after the election: %w", time.Since(began).Seconds(), err)
	}
	took := time.Since(began)
	if took > 30*time.Second {
		r.Errorf("it became ready %.0f s after the election", took.Seconds())
	}
	r.Has(ctx, i, want, 20*time.Second)
	r.loggedSoon(ctx, i, "the log ends below where it did when the load began: it was truncated")
	t.heal(ctx)
	r.Produce(record(t.topic, "later", "x"))
	r.Gets(ctx, i, "later", "x", 20*time.Second)
	r.Has(ctx, i, r.Truth(ctx, t.topic), 10*time.Second)
	r.AtEnd(ctx, i, t.topic)
	r.Sawf("ready %.1f s after the election, with the %d keys that were left", took.Seconds(), len(want))
	return nil
}
