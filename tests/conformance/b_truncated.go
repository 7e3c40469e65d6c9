package conformance

import (
	"context"
	"fmt"
	"time"
)

func init() {
	b6 := func(name string, needs []Capability, run func(ctx context.Context, r *Run, t *twoReplicas) error) {
		register(Scenario{ID: "B6", Name: name, Brokers: []int{3}, Private: true, Needs: needs, Limit: 4 * time.Minute, Run: func(ctx context.Context, r *Run) error {
			return run(ctx, r, newTwoReplicas(ctx, r, nil))
		}})
	}
	durable := []Capability{Durable}
	b6("truncated while stopped, and grown past the position again", durable, func(ctx context.Context, r *Run, t *twoReplicas) error {
		return truncated(ctx, r, t, true, 300)
	})
	b6("truncated while stopped, after what is lost was applied bit by bit", durable, truncatedAfterTail)
	b6("truncated below the position while stopped", durable, func(ctx context.Context, r *Run, t *twoReplicas) error {
		return truncated(ctx, r, t, true, 10)
	})
	b6("truncated under a running instance, and grown past the position again", nil, func(ctx context.Context, r *Run, t *twoReplicas) error {
		return truncated(ctx, r, t, false, 300)
	})
	b6("truncated under a running instance", nil, func(ctx context.Context, r *Run, t *twoReplicas) error {
		return truncated(ctx, r, t, false, 0)
	})
	b6("an election that loses nothing", durable, cleanElection)
}

// truncated: an instance has applied records that an unclean election takes out of the log, and others come to stand at
// their offsets. What is lost is a ghost, and what stands in its place must not be passed over.
func truncated(ctx context.Context, r *Run, t *twoReplicas, stopped bool, grow int) error {
	dir := ""
	if stopped {
		dir = r.TempDir()
	}
	r.Produce(records(t.topic, "kept", 50, "1")...)
	t.leaveBehind(ctx)
	r.Produce(append(records(t.topic, "lost", 100, "1"), record(t.topic, "kept1", "lost"))...)
	i := r.Start(ctx, Spec{Topic: t.topic, DataDir: dir})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, t.topic), 10*time.Second)
	ghost := fmt.Sprintf("%s.%d", r.token(ctx, t.topic, 0, 151), t.epoch) // of the last record that is going to be lost
	if stopped {
		if err := i.Stop(ctx); err != nil {
			return err
		}
	} else if grow > 0 {
		i.Pause()
	}
	t.truncate(ctx)
	if grow > 0 {
		r.Produce(records(t.topic, "regrown", grow, "2")...)
	}
	if end := r.Cluster.Ends(r, t.topic)[0].HighWatermark; end != int64(50+grow) {
		return fmt.Errorf("the log ends at %d, not at %d: it was not truncated", end, 50+grow)
	}
	want := r.Truth(ctx, t.topic)
	if stopped {
		i = r.Start(ctx, Spec{Topic: t.topic, DataDir: dir})
		r.Ready(ctx, i)
		r.HasNow(ctx, i, want, "when ready")
	} else if grow > 0 {
		i.Resume()
	}
	r.Has(ctx, i, want, 40*time.Second)
	r.Rebuilt(ctx, i, "truncated", 1)
	r.loggedState(ctx, i, "Rebuilding", "truncated")
	t.heal(ctx)
	r.Produce(record(t.topic, "later", "x"))
	r.Gets(ctx, i, "later", "x", 20*time.Second)
	r.refused(ctx, i, ghost) // the log has a record of a newer leader epoch below it
	r.AtEnd(ctx, i, t.topic)
	r.sameAsFresh(ctx, i, t.topic)
	r.Sawf("the %d keys of the log as it is now, and none that was lost", len(want))
	return nil
}

// truncatedAfterTail: what is lost came in single records to an instance that was ready, so that whatever it keeps for
// recognising the log must be as new as its position.
func truncatedAfterTail(ctx context.Context, r *Run, t *twoReplicas) error {
	dir := r.TempDir()
	r.Produce(records(t.topic, "kept", 50, "1")...)
	i := r.Start(ctx, Spec{Topic: t.topic, DataDir: dir})
	r.Ready(ctx, i)
	r.Produce(record(t.topic, "kept1", "2"))
	r.Gets(ctx, i, "kept1", "2", 10*time.Second)
	t.leaveBehind(ctx)
	for n := range 20 {
		r.Produce(record(t.topic, fmt.Sprintf("lost%d", n), "1"))
		r.Gets(ctx, i, fmt.Sprintf("lost%d", n), "1", 10*time.Second)
	}
	if err := i.Stop(ctx); err != nil {
		return err
	}
	t.truncate(ctx)
	r.Produce(records(t.topic, "regrown", 100, "2")...)
	if end := r.Cluster.Ends(r, t.topic)[0].HighWatermark; end != 151 {
		return fmt.Errorf("the log ends at %d, not at 151: it was not truncated", end)
	}
	i = r.Start(ctx, Spec{Topic: t.topic, DataDir: dir})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, r.Truth(ctx, t.topic), "when ready")
	r.Rebuilt(ctx, i, "truncated", 1)
	r.AtEnd(ctx, i, t.topic)
	r.sameAsFresh(ctx, i, t.topic)
	r.Sawf("none of the 20 keys that were lost")
	return nil
}

// cleanElection: another leader epoch with the same log is nothing to rebuild for, running or stopped.
func cleanElection(ctx context.Context, r *Run, t *twoReplicas) error {
	dir := r.TempDir()
	r.Produce(records(t.topic, "k", 50, "1")...)
	i := r.Start(ctx, Spec{Topic: t.topic, DataDir: dir})
	r.Ready(ctx, i)
	t.ahead.Kill()
	t.await(ctx, "the other replica leads", func(leader int32, _ []int32) bool { return leader == int32(t.short.ID) })
	r.Produce(record(t.topic, "k1", "2"))
	r.Gets(ctx, i, "k1", "2", 20*time.Second)
	t.heal(ctx)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	t.short.Kill()
	t.await(ctx, "the first replica leads again", func(leader int32, _ []int32) bool { return leader == int32(t.ahead.ID) })
	r.Produce(record(t.topic, "k2", "2"))
	i = r.Start(ctx, Spec{Topic: t.topic, DataDir: dir})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, t.topic), 10*time.Second)
	r.NotRebuilt(ctx, i)
	r.Says(ctx, i, 5*time.Second, "that it has read the one new record only", func(s TopicStatus) bool { return s.AppliedRecords == 1 })
	r.Sawf("it went on where it was, through two elections")
	return nil
}
