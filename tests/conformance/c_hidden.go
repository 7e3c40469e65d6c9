package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "C1", Name: "a transaction that is open for long hides a value that is older than the tombstone of another partition", Slow: true, Needs: []Capability{Reports}, Run: olderValueAboveTransaction},
		Scenario{ID: "C1", Name: "a value of a producer whose clock is seconds behind comes after the tombstone of another partition", Run: lateOlderValue},
		Scenario{ID: "C1", Name: "partitions were added while it was stopped, and keys deleted in old and new ones", Needs: []Capability{Durable}, Run: grownAndDeletedWhileStopped},
	)
}

// ticks writes to partitions until each has had its end several times since, so that an instance has done what it does about what came before.
func (r *Run) ticks(ctx context.Context, i Instance, topic string, partitions ...int) {
	for n := range 5 {
		for _, p := range partitions {
			r.Cluster.ProduceTo(r, on(topic, p, fmt.Sprint("tick", p), fmt.Sprint(n), time.Time{}))
		}
		r.Await(ctx, 10*time.Second, "the ticks are there", func(ctx context.Context) error {
			all, err := i.All(ctx)
			for _, p := range partitions {
				if got := all[fmt.Sprint("tick", p)]; err == nil && got != fmt.Sprint(n) {
					err = fmt.Errorf("partition %d has come to %q of %d", p, got, n)
				}
			}
			return err
		})
	}
}

// olderValueAboveTransaction: partition 0 is at its stable end all the time, and yet has not told all that was written before the tombstone.
func olderValueAboveTransaction(ctx context.Context, r *Run) error {
	topic := r.Topic(2, nil)
	at := time.Now().Add(-time.Minute)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	open := r.Cluster.Client(r, kgo.TransactionalID(topic), kgo.TransactionTimeout(3*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := open.BeginTransaction(); err != nil {
		return err
	}
	if err := open.ProduceSync(ctx, on(topic, 0, "open", "1", time.Time{})).FirstErr(); err != nil {
		return err
	}
	r.Cluster.ProduceTo(r, on(topic, 0, "gone", "old", at), on(topic, 1, "gone", "", at.Add(time.Second)))
	// An idle partition is looked at once a minute in this respect.
	r.Await(ctx, 100*time.Second, "partition 0 is blocked for long enough", func(ctx context.Context) error {
		s, err := i.(Reporter).Status(ctx)
		if err != nil {
			return err
		}
		if len(s.Partitions) != 2 || s.Partitions[0].BlockedSince == nil || time.Since(*s.Partitions[0].BlockedSince) < 70*time.Second {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
	r.ticks(ctx, i, topic, 1)
	r.End(ctx, open, topic, kgo.TryAbort)
	r.Cluster.ProduceTo(r, on(topic, 0, "last", "1", time.Time{}))
	r.Gets(ctx, i, "last", "1", 10*time.Second)
	r.HasNow(ctx, i, map[string]string{"tick1": "4", "last": "1"}, "after the transaction's end")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the tombstone counts against what came to light later")
	return nil
}

// lateOlderValue: by its timestamp the value is the older one, and so it is for an instance that reads everything at once.
func lateOlderValue(ctx context.Context, r *Run) error {
	topic := r.Topic(2, nil)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	at, last := time.Now(), homeKey("last", 0, 2)
	r.Cluster.ProduceTo(r, on(topic, 1, "gone", "1", at.Add(-10*time.Second)), on(topic, 1, "gone", "", at))
	r.ticks(ctx, i, topic, 0, 1)
	r.Cluster.ProduceTo(r, on(topic, 0, "gone", "late", at.Add(-5*time.Second)), on(topic, 0, last, "1", time.Time{}))
	r.Gets(ctx, i, last, "1", 10*time.Second)
	r.HasNow(ctx, i, map[string]string{"tick0": "4", "tick1": "4", last: "1"}, "when it has the late value")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the tombstone counts against the older value that came later")
	return nil
}

// grownAndDeletedWhileStopped: tombstones of keys that moved are in new partitions, those of keys that stayed are compacted away.
func grownAndDeletedWhileStopped(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, compacted(0)), r.TempDir()
	const n = 40
	r.Produce(records(topic, "k", n, "old")...)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.AddPartitions(r, topic, 4)
	r.Cluster.SetTopicConfig(r, topic, map[string]string{"delete.retention.ms": "3600000"})
	newer := records(topic, "k", n, "new")
	var stayed []string
	want := map[string]string{}
	for x, rec := range newer {
		if x%2 == 0 {
			rec.Value = nil
		} else {
			want[string(rec.Key)] = "new"
		}
	}
	r.Produce(newer...)
	// Those that stayed: their tombstones go, and their values with them.
	for _, rec := range newer {
		if rec.Partition == 0 && rec.Value == nil {
			stayed = append(stayed, string(rec.Key))
		}
	}
	if len(stayed) == 0 || len(stayed) == n/2 {
		return fmt.Errorf("%d of %d deleted keys stayed in partition 0: the situation did not come about", len(stayed), n/2)
	}
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "when ready")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.SetTopicConfig(r, topic, map[string]string{"delete.retention.ms": "0"})
	r.CompactUntil(ctx, time.Minute, topic, "tombstones are compacted away", without(stayed...))
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	for _, k := range stayed {
		r.Misses(ctx, i, k, "when its tombstone is gone")
	}
	r.Sawf("%d keys moved and %d stayed, and none that was deleted is there", n/2-len(stayed), len(stayed))
	return nil
}
