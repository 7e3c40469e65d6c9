package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	durable := []Capability{Durable}
	register(
		Scenario{ID: "B1", Name: "the retention of tombstones was raised after they were gone, while it was stopped", Needs: durable, Run: func(ctx context.Context, r *Run) error {
			return deletedWhileStopped(ctx, r, 0, func(ctx context.Context, r *Run, topic string) {
				compactedAway(ctx, r, topic)
				r.Cluster.SetTopicConfig(r, topic, map[string]string{"delete.retention.ms": "3600000"})
			}, "expired")
		}},
		Scenario{ID: "B1", Name: "compaction was switched off after tombstones were gone, while it was stopped", Needs: durable, Run: func(ctx context.Context, r *Run) error {
			return deletedWhileStopped(ctx, r, 0, func(ctx context.Context, r *Run, topic string) {
				compactedAway(ctx, r, topic)
				r.Cluster.SetTopicConfig(r, topic, map[string]string{"cleanup.policy": "delete"})
			}, "expired")
		}},
		Scenario{ID: "B1", Name: "killed while it is verified", Settings: throttledSettings, Private: true, Needs: []Capability{Durable, Reports}, Run: killedWhileVerified},
		Scenario{ID: "B2", Name: "stands still again and again for as long as tombstones are kept", Run: standsStillAgain},
		Scenario{ID: "B2", Name: "a load is killed, and goes on when its tombstones are gone", Settings: throttledSettings, Private: true, Slow: true, Needs: []Capability{Durable, Reports}, Run: loadResumedLate},
	)
}

// killedWhileVerified: what a verification had not come to yet is looked at again after the next start, and the one after it.
func killedWhileVerified(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, with(compacted(shortRetention), map[string]string{"segment.bytes": "1048576"})), r.TempDir()
	seed(r, topic)
	r.fillSlowly(ctx, topic, 12)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	change(r, topic)
	compactedAway(ctx, r, topic)
	r.Throttle(ctx, slowRate)
	for range 2 {
		i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
		r.Says(ctx, i, 20*time.Second, "that it is being verified, and does not serve before", func(s TopicStatus) bool {
			return s.State == "Rebuilding" && !s.Serving && s.Rebuild != nil && s.Rebuild.Verifying
		})
		i.Kill()
	}
	r.Throttle(ctx, 0)
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, r.Truth(ctx, topic), "when ready")
	r.Rebuilt(ctx, i, "expired", 1)
	r.verifiedRemoved(ctx, i)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("verified anew after each kill, and no ghost when ready")
	return nil
}

// standsStillAgain: none of the pauses is long, and in each a key is deleted; in one of them the tombstone goes as well.
func standsStillAgain(ctx context.Context, r *Run) error {
	topic := r.Topic(1, compacted(shortRetention))
	seed(r, topic)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	gone := func(n int) func(log []*kgo.Record) bool { return without(fmt.Sprintf("keep%d", n)) }
	const rounds = 12
	for n := range rounds {
		i.Pause()
		r.wake(topic)
		r.Produce(tombstone(topic, fmt.Sprintf("keep%d", n)), record(topic, "changed", fmt.Sprint(n)))
		if n%4 == 1 {
			r.CompactUntil(ctx, 30*time.Second, topic, "a tombstone is compacted away", gone(n))
		}
		i.Resume()
		if n%3 == 0 { // otherwise it is stopped again at once, wherever it is
			r.Gets(ctx, i, "changed", fmt.Sprint(n), 15*time.Second)
		}
	}
	r.Has(ctx, i, r.Truth(ctx, topic), 20*time.Second)
	r.rebuiltOften(ctx, i, "expired")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the contents are the log's after %d pauses", rounds)
	return nil
}

// loadResumedLate: what a load has read before it was cut off is as old as that.
func loadResumedLate(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, with(compacted(shortRetention), map[string]string{"segment.bytes": "1048576"})), r.TempDir()
	seed(r, topic)
	r.fillSlowly(ctx, topic, 150) // more than a load keeps in memory before it writes
	r.Throttle(ctx, 100*slowRate)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Says(ctx, i, 30*time.Second, "that it has read most of it", func(s TopicStatus) bool {
		return !s.Serving && len(s.Partitions) == 1 && s.Partitions[0].Position > 120_000
	})
	i.Kill()
	r.Throttle(ctx, 0)
	change(r, topic)
	compactedAway(ctx, r, topic)
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, r.Truth(ctx, topic), "when ready")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	rep := i.(Reporter)
	s, err := rep.Status(ctx)
	if err != nil {
		return err
	}
	r.Sawf("no ghost when ready, with %d of %d records read after the restart", s.AppliedRecords, s.Partitions[0].Position)
	return nil
}
