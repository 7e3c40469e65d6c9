package conformance

import (
	"context"
	"fmt"
	"time"
)

func init() {
	register(
		Scenario{ID: "B3", Name: "the log's start passes a load", Settings: throttledSettings, Private: true, Needs: []Capability{Reports}, Run: startPassesLoad},
		Scenario{ID: "B4", Name: "DeleteRecords while it is verified", Settings: throttledSettings, Private: true, Needs: []Capability{Reports}, Run: deletedRecordsWhileVerified},
	)
}

// startPassesLoad: what the load has read is gone from the log, and so is what it would have read next.
func startPassesLoad(ctx context.Context, r *Run) error {
	topic := r.Topic(1, deletable)
	seed(r, topic)
	r.fillSlowly(ctx, topic, 20)
	change(r, topic)
	r.Throttle(ctx, slowRate)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Says(ctx, i, 20*time.Second, "that it has read the first records", func(s TopicStatus) bool {
		return !s.Serving && len(s.Partitions) == 1 && s.Partitions[0].Position > 100
	})
	end := r.Cluster.Ends(r, topic)[0].HighWatermark
	r.Cluster.DeleteRecords(r, topic, 0, end-1000)
	if _, _, err := i.Get(ctx, "keep1"); err == nil {
		return fmt.Errorf("the load was over before the log's start was moved, or a loading instance answers")
	}
	r.Throttle(ctx, 0)
	took := r.Ready(ctx, i)
	r.HasNow(ctx, i, r.Truth(ctx, topic), "when ready")
	r.Rebuilt(ctx, i, "log-start", 1)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("what is left of the log when ready, %.1f s after the start", took.Seconds())
	return nil
}

// deletedRecordsWhileVerified: the second reading begins again where the log starts now, and both reasons for which keys leave are at work.
func deletedRecordsWhileVerified(ctx context.Context, r *Run) error {
	// Tombstones go, and the log's start can be moved.
	topic := r.Topic(1, with(compacted(shortRetention), map[string]string{"segment.bytes": "1048576", "cleanup.policy": "compact,delete", "retention.ms": "-1"}))
	r.Produce(records(topic, "early", 30, "1")...)
	r.fillSlowly(ctx, topic, 12)
	seed(r, topic)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	i.Pause()
	r.wake(topic)
	change(r, topic)
	compactedAway(ctx, r, topic)
	r.Throttle(ctx, slowRate)
	i.Resume()
	r.Says(ctx, i, 20*time.Second, "that it is being verified", func(s TopicStatus) bool { return s.State == "Rebuilding" && s.Rebuild != nil && s.Rebuild.Verifying })
	r.Cluster.DeleteRecords(r, topic, 0, 9000)
	served := r.servedThroughout(ctx, i, "keep3")
	r.Says(ctx, i, 15*time.Second, "that retention has removed the early keys while the verification goes on", func(s TopicStatus) bool {
		return s.RetentionRemoved >= 30 && s.State == "Rebuilding"
	})
	r.Throttle(ctx, 0)
	r.AtEnd(ctx, i, topic)
	served()
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.rebuiltOften(ctx, i, "expired")
	r.verifiedRemoved(ctx, i)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("served throughout, and what is left of the log afterwards")
	return nil
}
