package conformance

import (
	"context"
	"fmt"
	"time"
)

func init() {
	register(
		Scenario{ID: "A7", Name: "the log is truncated while it is loaded, and grown past the position again", Brokers: []int{3}, Private: true,
			Settings: throttledSettings, Limit: 4 * time.Minute, Needs: []Capability{Reports}, Run: regrownWhileLoading},
		Scenario{ID: "B6", Name: "truncated while it is verified", Brokers: []int{3}, Private: true,
			Settings: throttledSettings, Limit: 4 * time.Minute, Needs: []Capability{Reports}, Run: truncatedWhileVerified},
	)
}

// regrownWhileLoading: a load has read what an unclean election takes out of the log, and other records come to stand there before it asks again.
func regrownWhileLoading(ctx context.Context, r *Run) error {
	t := newTwoReplicas(ctx, r, nil)
	const rate, kept, lost, regrown = 256 << 10, 200, 4000, 6000
	r.produceSmall(ctx, bigRecords(t.topic, "kept", kept)...)
	t.leaveBehind(ctx)
	r.produceSmall(ctx, bigRecords(t.topic, "lost", lost)...)
	r.Throttle(ctx, rate)
	i := r.Start(ctx, Spec{Topic: t.topic})
	r.Says(ctx, i, 40*time.Second, "that it has read some of what is going to be lost", func(s TopicStatus) bool {
		return s.State == "CatchingUp" && len(s.Partitions) == 1 && s.Partitions[0].Position > kept+300
	})
	i.Pause()
	t.truncate(ctx)
	r.Throttle(ctx, 0)
	r.produceSmall(ctx, bigRecords(t.topic, "regrown", regrown)...)
	if end := r.Cluster.Ends(r, t.topic)[0].HighWatermark; end != kept+regrown {
		return fmt.Errorf("the log ends at %d, not at %d: it was not truncated", end, kept+regrown)
	}
	i.Resume()
	want := r.Truth(ctx, t.topic)
	r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "when ready")
	r.Rebuilt(ctx, i, "truncated", 1)
	t.heal(ctx)
	r.AtEnd(ctx, i, t.topic)
	r.sameAsFresh(ctx, i, t.topic)
	r.Sawf("the %d keys of the log as it is now, and none that was lost", len(want))
	return nil
}

// truncatedWhileVerified: the second reading may see the log as it is after the election before the tail does.
func truncatedWhileVerified(ctx context.Context, r *Run) error {
	t := newTwoReplicas(ctx, r, with(compacted(shortRetention), map[string]string{"segment.bytes": "1048576"}))
	seed(r, t.topic)
	r.fillSlowly(ctx, t.topic, 12)
	i := r.Start(ctx, Spec{Topic: t.topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, t.topic)
	t.leaveBehind(ctx)
	r.Produce(records(t.topic, "lost", 50, "1")...)
	r.Gets(ctx, i, "lost49", "1", 10*time.Second)
	i.Pause()
	r.wake(t.topic)
	change(r, t.topic)
	compactedAway(ctx, r, t.topic)
	r.Throttle(ctx, slowRate)
	i.Resume()
	r.Says(ctx, i, 20*time.Second, "that it is being verified", func(s TopicStatus) bool { return s.State == "Rebuilding" && s.Rebuild != nil && s.Rebuild.Verifying })
	t.truncate(ctx)
	r.Throttle(ctx, 0)
	r.Produce(records(t.topic, "regrown", 300, "2")...)
	r.Has(ctx, i, r.Truth(ctx, t.topic), 60*time.Second)
	r.Rebuilt(ctx, i, "truncated", 1)
	t.heal(ctx)
	r.AtEnd(ctx, i, t.topic)
	r.sameAsFresh(ctx, i, t.topic)
	r.Sawf("the keys of the log as it is now, and none that was lost")
	return nil
}
