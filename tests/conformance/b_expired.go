package conformance

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Tombstones may be missed by whoever is away from the end for longer than delete.retention.ms, D. kafka-cache takes D − D/10 − 5 s
// for the time that is safe: below 5.6 s it verifies always, with an hour never here, and with these it depends on how long it was away.
const (
	shortRetention = 7 * time.Second // safe for 1.3 s
	longRetention  = time.Hour
)

func init() {
	durable := []Capability{Durable}
	b1 := func(name string, slow bool, retention time.Duration, away func(ctx context.Context, r *Run, topic string), reason string) Scenario {
		return Scenario{ID: "B1", Name: name, Needs: durable, Slow: slow, Run: func(ctx context.Context, r *Run) error {
			return deletedWhileStopped(ctx, r, retention, away, reason)
		}}
	}
	register(
		b1("stopped until the tombstone was compacted away, with no retention of tombstones", false, 0, compactedAway, "expired"),
		b1("stopped until the tombstone was compacted away, 7 s later", false, shortRetention, compactedAway, "expired"),
		b1("stopped while the tombstone stayed", false, longRetention, func(context.Context, *Run, string) {}, ""),
		b1("the retention of tombstones was lowered while it was stopped", true, longRetention, func(ctx context.Context, r *Run, topic string) {
			r.Cluster.SetTopicConfig(r, topic, map[string]string{"delete.retention.ms": "0"})
			compactedAway(ctx, r, topic)
		}, "expired"),
		Scenario{ID: "B1", Name: "killed, and the tombstone compacted away before the start", Needs: []Capability{Durable, Reports}, Run: deletedWhileKilled},
		Scenario{ID: "B1", Name: "one of two partitions has lost a tombstone, and keys are written while it starts", Needs: durable, Run: deletedInOnePartition},
		Scenario{ID: "B2", Name: "the first load takes longer than tombstones are kept", Settings: throttledSettings, Private: true, Needs: []Capability{Reports}, Run: slowFirstLoad},
		Scenario{ID: "B2", Name: "a running instance stands still until the tombstone was compacted away", Run: func(ctx context.Context, r *Run) error {
			return deletedWhilePaused(ctx, r, shortRetention, true)
		}},
		Scenario{ID: "B2", Name: "a running instance stands still while the tombstone stays", Run: func(ctx context.Context, r *Run) error {
			return deletedWhilePaused(ctx, r, longRetention, false)
		}},
		Scenario{ID: "B2", Name: "it serves and follows while it is verified", Settings: throttledSettings, Private: true, Needs: []Capability{Reports}, Run: servesWhileVerified},
	)
}

func compactedAway(ctx context.Context, r *Run, topic string) {
	r.CompactUntil(ctx, time.Minute, topic, "the tombstone is compacted away", without("gone"))
}

// seed writes what is there all the time, and a key that is going to be deleted.
func seed(r *Run, topic string) {
	r.Produce(append(records(topic, "keep", 20, "1"), record(topic, "gone", "secret"), record(topic, "changed", "1"))...)
}

// change deletes a key, changes one and writes one.
func change(r *Run, topic string) {
	r.Produce(tombstone(topic, "gone"), record(topic, "changed", "2"), record(topic, "new", "1"))
}

// wake answers the fetch that a paused instance has under way, so that it does not find there what comes next.
func (r *Run) wake(topic string) {
	for p := range r.Cluster.Ends(r, topic) {
		r.Cluster.ProduceTo(r, &kgo.Record{Topic: topic, Partition: int32(p), Key: []byte(compactionKey + fmt.Sprint(p)), Value: []byte("wake")})
	}
}

func deletedWhileStopped(ctx context.Context, r *Run, retention time.Duration, away func(context.Context, *Run, string), reason string) error {
	topic, dir := r.Topic(1, compacted(retention)), r.TempDir()
	seed(r, topic)
	first := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, first)
	r.Has(ctx, first, r.Truth(ctx, topic), 10*time.Second)
	if err := first.Stop(ctx); err != nil {
		return err
	}
	change(r, topic)
	away(ctx, r, topic)
	second := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	took := r.Ready(ctx, second)
	r.HasNow(ctx, second, r.Truth(ctx, topic), "when ready")
	r.loggedState(ctx, second, "CatchingUp", "reading on from what is stored")
	if reason == "" {
		r.NotRebuilt(ctx, second)
	} else {
		r.Rebuilt(ctx, second, reason, 1)
		r.verifiedRemoved(ctx, second)
	}
	r.AtEnd(ctx, second, topic)
	r.sameAsFresh(ctx, second, topic)
	r.Sawf("no ghost when ready, %.1f s after the start", took.Seconds())
	return nil
}

// deletedWhileKilled: the time that counts is that of the checkpoint that survived SIGKILL.
func deletedWhileKilled(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, compacted(shortRetention)), r.TempDir()
	seed(r, topic)
	first := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, first)
	// What a load has read is durable when the load is over; what is written to the log now is so with the next flush.
	r.Produce(record(topic, "keep0", "2"))
	r.Gets(ctx, first, "keep0", "2", 10*time.Second)
	first.Kill()
	change(r, topic)
	compactedAway(ctx, r, topic)
	second := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, second)
	r.HasNow(ctx, second, r.Truth(ctx, topic), "when ready")
	r.AtEnd(ctx, second, topic)
	r.sameAsFresh(ctx, second, topic)
	r.Sawf("no ghost when ready")
	return nil
}

// deletedInOnePartition: keys of the other partition, and those that the log's tail touches meanwhile, stay.
func deletedInOnePartition(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(2, compacted(0)), r.TempDir()
	seed(r, topic)
	first := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, first)
	if err := first.Stop(ctx); err != nil {
		return err
	}
	change(r, topic)
	compactedAway(ctx, r, topic)
	second := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	n := 0
	ready := make(chan error, 1)
	go func() {
		readyCtx, cancel := context.WithTimeout(ctx, readyPatience)
		defer cancel()
		_, err := second.WaitReady(readyCtx)
		ready <- err
	}()
	for waiting := true; waiting; n++ { // overwritten, deleted and written anew, as fast as acknowledgements come
		r.Produce(record(topic, "gone", fmt.Sprint(n)), record(topic, fmt.Sprintf("during%d", n), "1"), tombstone(topic, fmt.Sprintf("during%d", n-2)), record(topic, "keep1", fmt.Sprint(n)))
		select {
		case err := <-ready:
			if err != nil {
				return fmt.Errorf("it is not ready: %w", err)
			}
			waiting = false
		default:
		}
	}
	r.Has(ctx, second, r.Truth(ctx, topic), 15*time.Second)
	r.Rebuilt(ctx, second, "expired", 1)
	r.Produce(tombstone(topic, "gone"))
	r.Has(ctx, second, r.Truth(ctx, topic), 15*time.Second)
	r.sameAsFresh(ctx, second, topic)
	r.Sawf("the contents are the log's after %d rounds of writes during the start", n)
	return nil
}

const slowRate = 1 << 20 // bytes a second

// fillSlowly writes what takes seconds to read when reading is throttled to slowRate.
func (r *Run) fillSlowly(ctx context.Context, topic string, seconds int) {
	r.produceSmall(ctx, bigRecords(topic, "filler", seconds*slowRate/1000)...)
}

// slowFirstLoad: the value is read at the beginning of a load, and its tombstone has come and gone before the load gets to it.
func slowFirstLoad(ctx context.Context, r *Run) error {
	topic := r.Topic(1, with(compacted(shortRetention), map[string]string{"segment.bytes": "1048576"}))
	seed(r, topic)
	r.fillSlowly(ctx, topic, 30)
	r.Throttle(ctx, slowRate)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Says(ctx, i, 20*time.Second, "that it has read the first records", func(s TopicStatus) bool {
		return !s.Serving && len(s.Partitions) == 1 && s.Partitions[0].Position > 100
	})
	r.inState(ctx, i, "CatchingUp", "reading the log")
	change(r, topic)
	compactedAway(ctx, r, topic)
	if _, _, err := i.Get(ctx, "gone"); err == nil {
		return fmt.Errorf("the load was over before the tombstone was gone, or a loading instance answers")
	}
	r.Throttle(ctx, 0)
	took := r.Ready(ctx, i)
	r.HasNow(ctx, i, r.Truth(ctx, topic), "when ready")
	r.Rebuilt(ctx, i, "expired", 1)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("no ghost when ready, %.1f s after the start", took.Seconds())
	return nil
}

func deletedWhilePaused(ctx context.Context, r *Run, retention time.Duration, expired bool) error {
	topic := r.Topic(1, compacted(retention))
	seed(r, topic)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.AtEnd(ctx, i, topic)
	i.Pause()
	r.wake(topic)
	change(r, topic)
	if expired {
		compactedAway(ctx, r, topic)
	}
	i.Resume()
	r.Has(ctx, i, r.Truth(ctx, topic), 20*time.Second)
	if expired {
		r.rebuiltOften(ctx, i, "expired")
		r.loggedState(ctx, i, "Rebuilding", "expired")
		r.verifiedRemoved(ctx, i)
	} else {
		r.NotRebuilt(ctx, i)
	}
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the contents are the log's")
	return nil
}

// servesWhileVerified slows the second reading of the log down: meanwhile the old contents are served, as those of an
// instance that is Rebuilding, and what is written is there at once.
func servesWhileVerified(ctx context.Context, r *Run) error {
	topic := r.Topic(1, with(compacted(shortRetention), map[string]string{"segment.bytes": "1048576"}))
	seed(r, topic)
	r.fillSlowly(ctx, topic, 12)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	i.Pause()
	r.wake(topic)
	change(r, topic)
	compactedAway(ctx, r, topic)
	r.Throttle(ctx, slowRate)
	i.Resume()
	r.Says(ctx, i, 20*time.Second, "that it is being verified, and serves", func(s TopicStatus) bool {
		return s.State == "Rebuilding" && s.Serving && s.Rebuild != nil && s.Rebuild.Reason == "expired" && s.Rebuild.Verifying &&
			time.Since(s.Rebuild.Since) < time.Minute
	})
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == 1 }, "kafka_cache_state", "state=Rebuilding")
	if code, body, err := i.(Reporter).HTTP(ctx, "/readyz"); err != nil || code != 200 {
		r.Errorf("/readyz while a running instance is verified: %d, %v: %s", code, err, oneLine(string(body)))
	}
	// Written during the verification: a new key, the deleted one anew, one that is there.
	r.Produce(record(topic, "during", "1"), record(topic, "gone", "again"), record(topic, "keep3", "2"), tombstone(topic, "keep4"))
	r.Gets(ctx, i, "during", "1", 15*time.Second)
	r.Says(ctx, i, 5*time.Second, "that the verification still goes on", func(s TopicStatus) bool { return s.State == "Rebuilding" })
	r.Throttle(ctx, 0)
	r.Says(ctx, i, 30*time.Second, "that it is verified", func(s TopicStatus) bool { return s.State == "Ready" && s.Rebuild == nil })
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.rebuiltOften(ctx, i, "expired")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("Rebuilding and serving until the log was read again")
	return nil
}
