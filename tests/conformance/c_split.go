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
		Scenario{ID: "C1", Name: "partitions were added, and keys went to others", Needs: []Capability{Durable}, Run: splitByGrowth},
		Scenario{ID: "C1", Name: "another partitioner: values and tombstones of a key in two partitions", Needs: []Capability{Durable}, Run: splitByPartitioner},
		Scenario{ID: "C1", Name: "an older value is read after the newer tombstone of another partition", Run: splitReadOutOfOrder},
		Scenario{ID: "C1", Name: "SET and DEL of a key that another partition has", Needs: []Capability{Writes, Reports, Redis}, Run: splitWritten},
		Scenario{ID: "C1", Name: "KAFKA.REPAIR", Needs: []Capability{Writes, Reports, Redis}, Run: splitRepaired},
		Scenario{ID: "C1", Name: "repair-split-keys", Needs: []Capability{Writes, Reports, Redis, Options}, Run: splitRepairedByItself},
	)
}

// on is a record for a partition that the scenario chooses, with a time of its own. An empty value is a tombstone here.
func on(topic string, partition int, key, value string, at time.Time) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: int32(partition), Key: []byte(key), Timestamp: at}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// splitCounted waits until an instance that reports counts so many keys with records in several partitions.
func (r *Run) splitCounted(ctx context.Context, i Instance, keys, deleted int64) {
	r.Says(ctx, i, 10*time.Second, fmt.Sprintf("%d split keys, %d of them deleted", keys, deleted), func(s TopicStatus) bool {
		return s.SplitKeys == keys && s.SplitKeysDeleted == deleted
	})
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == float64(keys) }, "kafka_cache_split_keys")
	r.loggedSoon(ctx, i, "keys have records in several partitions: the newest by timestamp counts")
}

// splitByGrowth: an instance that has seen the topic grow, one that was stopped before, and one that reads everything at once hold the same.
func splitByGrowth(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, map[string]string{"cleanup.policy": "compact"}), r.TempDir()
	r.Produce(records(topic, "k", 40, "old")...)
	old := r.Start(ctx, Spec{Topic: topic})
	stopped := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, old)
	r.Ready(ctx, stopped)
	if err := stopped.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.AddPartitions(r, topic, 4)
	newer := records(topic, "k", 40, "new")
	for i := range 10 {
		newer[i].Value = nil
	}
	r.Produce(newer...)
	want := map[string]string{}
	var split, deleted int64
	for _, rec := range newer {
		if rec.Value != nil {
			want[string(rec.Key)] = "new"
		}
		if rec.Partition != 0 {
			split++
			if rec.Value == nil {
				deleted++
			}
		}
	}
	fresh := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, fresh)
	r.HasNow(ctx, fresh, want, "one that reads everything at once, when ready")
	again := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, again)
	r.HasNow(ctx, again, want, "one that was stopped before, when ready")
	r.Has(ctx, old, want, 20*time.Second)
	for _, i := range []Instance{fresh, again, old} {
		r.splitCounted(ctx, i, split, deleted)
		r.NotRebuilt(ctx, i)
	}
	r.allAgree(ctx, topic, fresh, again, old)
	r.Sawf("%d of 40 keys in two partitions, three instances hold the same", split)
	return nil
}

// twoOfFour are keys that were written to one of four partitions and then to another, every pair once for a value and once for a tombstone.
func twoOfFour(topic string, at time.Time) (first, second []*kgo.Record, want map[string]string) {
	want = map[string]string{}
	for a := range 4 {
		for b := range 4 {
			if a == b {
				continue
			}
			live, dead := fmt.Sprintf("live-%d-%d", a, b), fmt.Sprintf("dead-%d-%d", a, b)
			first = append(first, on(topic, a, live, "1", at), on(topic, a, dead, "1", at))
			second = append(second, on(topic, b, live, "2", at.Add(time.Second)), on(topic, b, dead, "", at.Add(time.Second)))
			want[live] = "2"
		}
	}
	return first, second, want
}

func splitByPartitioner(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(4, nil), r.TempDir()
	first, second, want := twoOfFour(topic, time.Now().Add(-time.Minute))
	r.Cluster.ProduceTo(r, first...)
	old := r.Start(ctx, Spec{Topic: topic})
	stopped := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, old)
	r.Ready(ctx, stopped)
	if err := stopped.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.ProduceTo(r, second...)
	r.Has(ctx, old, want, 15*time.Second)
	again := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, again)
	r.HasNow(ctx, again, want, "one that was stopped between the writes, when ready")
	all := []Instance{old, again}
	for range 3 { // leaders answer in whatever order
		fresh := r.Start(ctx, Spec{Topic: topic})
		r.Ready(ctx, fresh)
		r.HasNow(ctx, fresh, want, "one that reads everything at once, when ready")
		all = append(all, fresh)
	}
	for _, i := range all {
		r.splitCounted(ctx, i, 24, 12)
	}
	r.allAgree(ctx, topic, all...)
	// A newer record of the partition that had lost wins again, and its tombstone lets the other one's value be what the log says of the key no longer.
	later := time.Now()
	r.Cluster.ProduceTo(r, on(topic, 0, "live-0-1", "3", later), on(topic, 0, "dead-0-1", "3", later), on(topic, 2, "live-2-3", "", later))
	want["live-0-1"], want["dead-0-1"] = "3", "3"
	delete(want, "live-2-3")
	for _, i := range all {
		r.Has(ctx, i, want, 15*time.Second)
	}
	r.allAgree(ctx, topic, all...)
	r.Sawf("24 keys in two of four partitions, five instances of three ages hold the same")
	return nil
}

// splitReadOutOfOrder: what partition 0 says of the keys lies behind 20 MB, so it is read after what the others say.
func splitReadOutOfOrder(ctx context.Context, r *Run) error {
	topic := r.Topic(3, nil)
	filler := make([]*kgo.Record, 20_000)
	value := strings.Repeat("x", 1000)
	for i := range filler {
		filler[i] = on(topic, 0, fmt.Sprintf("filler%d", i%100), value, time.Time{})
	}
	r.Cluster.ProduceTo(r, filler...)
	at := time.Now().Add(-time.Minute)
	want := map[string]string{}
	for i := range 100 {
		want[fmt.Sprintf("filler%d", i)] = value
	}
	for i := range 20 {
		live, dead := fmt.Sprintf("live%d", i), fmt.Sprintf("dead%d", i)
		r.Cluster.ProduceTo(r, on(topic, 0, live, "old", at), on(topic, 0, dead, "old", at),
			on(topic, 1+i%2, live, "new", at.Add(time.Second)), on(topic, 1+i%2, dead, "", at.Add(time.Second)))
		want[live] = "new"
	}
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "when ready")
	r.splitCounted(ctx, i, 40, 20)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("tombstones and newer values held against older values that were read after them")
	return nil
}

// homeOf is the partition to which the key goes by murmur2, and the only one of two that it does not go to. It writes the key.
func (r *Run) homeOf(topic, key string) (home, other int) {
	rec := record(topic, key, "home")
	r.Produce(rec)
	return int(rec.Partition), 1 - int(rec.Partition)
}

func splitWritten(ctx context.Context, r *Run) error {
	topic := r.Topic(2, compacted(0))
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	r.Ready(ctx, i)
	w := i.(Writer)
	// Producers with clocks ahead of ours: a write must win against them too.
	ahead := time.Now().Add(20 * time.Second)
	keys := []string{"a", "b", "c", "d"}
	others := map[string]int32{}
	for _, k := range keys {
		_, other := r.homeOf(topic, k)
		others[k] = int32(other)
		r.Cluster.ProduceTo(r, on(topic, other, k, "foreign", ahead))
		r.Gets(ctx, i, k, "foreign", 10*time.Second)
	}
	for n, k := range keys {
		if err := w.Put(ctx, k, "ours"); err != nil {
			return fmt.Errorf("SET: %w", err)
		}
		if got, found, err := i.Get(ctx, k); err != nil || !found || got != "ours" {
			for _, rec := range r.ReadLog(ctx, topic) {
				r.Logf("partition %d offset %d %s: %s %q", rec.Partition, rec.Offset, rec.Timestamp.Format(time.StampMilli), rec.Key, rec.Value)
			}
			return fmt.Errorf("after SET %s it is %q (there: %v, %v)", k, got, found, err)
		}
		if n%2 == 1 {
			if err := w.Delete(ctx, k); err != nil {
				return fmt.Errorf("DEL: %w", err)
			}
			r.Misses(ctx, i, k, "after DEL")
		}
	}
	r.sameAsFresh(ctx, i, topic)
	// The brokers drop the tombstones, which purges the values of the other partition with them.
	r.CompactUntil(ctx, time.Minute, topic, "the other partition has nothing of the keys", func(log []*kgo.Record) bool {
		for _, rec := range log {
			if other, ok := others[string(rec.Key)]; ok && rec.Partition == other {
				return false
			}
		}
		return true
	})
	fresh := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, fresh)
	for n, k := range keys {
		for who, j := range map[string]Instance{"the writer": i, "a fresh instance": fresh} {
			got, found, err := j.Get(ctx, k)
			if err != nil || found != (n%2 == 0) || found && got != "ours" {
				r.Errorf("after compaction %s says of %s: %q (there: %v, %v)", who, k, got, found, err)
			}
		}
	}
	r.Sawf("neither SET nor DEL leaves anything in the other partition")
	return nil
}

// splitKeys writes keys whose older value another partition keeps: of five the newest is a value, of five a tombstone.
func (r *Run) splitKeys(ctx context.Context, i Instance, topic string) map[string]string {
	at := time.Now().Add(-time.Minute)
	want := map[string]string{}
	for n := range 5 {
		live, dead := fmt.Sprintf("live%d", n), fmt.Sprintf("dead%d", n)
		r.Cluster.ProduceTo(r, on(topic, 0, live, "old", at), on(topic, 0, dead, "old", at),
			on(topic, 1, live, "new", at.Add(time.Second)), on(topic, 1, dead, "", at.Add(time.Second)))
		want[live] = "new"
	}
	return want
}

// outdatedOf counts keys of which a partition's last record is a value that a newer one of another partition has overwritten.
func outdatedOf(log []*kgo.Record) int {
	type place struct {
		key       string
		partition int32
	}
	last, newest := map[place]*kgo.Record{}, map[string]*kgo.Record{}
	for _, rec := range log {
		p := place{string(rec.Key), rec.Partition}
		if l := last[p]; l == nil || l.Offset < rec.Offset {
			last[p] = rec
		}
	}
	for p, rec := range last {
		if n := newest[p.key]; n == nil || n.Timestamp.Before(rec.Timestamp) || n.Timestamp.Equal(rec.Timestamp) && n.Partition < rec.Partition {
			newest[p.key] = rec
		}
	}
	n := 0
	for p, rec := range last {
		if rec.Value != nil && newest[p.key] != rec {
			n++
		}
	}
	return n
}

func splitRepaired(ctx context.Context, r *Run) error {
	topic := r.Topic(2, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	r.Ready(ctx, i)
	want := r.splitKeys(ctx, i, topic)
	r.Has(ctx, i, want, 10*time.Second)
	r.splitCounted(ctx, i, 10, 5)
	redis := i.(RedisServer).Redis()
	if n, err := redis.Do(ctx, "KAFKA.REPAIR", "COUNT", "3").Int(); err != nil || n != 3 {
		return fmt.Errorf("KAFKA.REPAIR COUNT 3 replies %d, %v", n, err)
	}
	if n, err := redis.Do(ctx, "KAFKA.REPAIR").Int(); err != nil || n != 7 {
		return fmt.Errorf("KAFKA.REPAIR of what is left replies %d, %v", n, err)
	}
	if n := outdatedOf(r.ReadLog(ctx, topic)); n != 0 {
		r.Errorf("after KAFKA.REPAIR the log has %d outdated values", n)
	}
	r.HasNow(ctx, i, want, "after KAFKA.REPAIR")
	if n, err := redis.Do(ctx, "KAFKA.REPAIR").Int(); err != nil || n != 0 {
		r.Errorf("KAFKA.REPAIR where nothing is left to do replies %d, %v", n, err)
	}
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	// One that is read-only repairs nothing.
	reader := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, reader)
	if err := reader.(RedisServer).Redis().Do(ctx, "KAFKA.REPAIR").Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		r.Errorf("KAFKA.REPAIR of a read-only instance replies %v", err)
	}
	r.Sawf("10 keys repaired, tombstones in the log where the outdated values are")
	return nil
}

func splitRepairedByItself(ctx context.Context, r *Run) error {
	topic := r.Topic(2, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true, Args: []string{"--repair-split-keys"}})
	r.Ready(ctx, i)
	want := r.splitKeys(ctx, i, topic)
	took := r.Await(ctx, 40*time.Second, "the log has no outdated values", func(context.Context) error {
		if n := outdatedOf(r.ReadLog(ctx, topic)); n > 0 {
			return fmt.Errorf("it has %d", n)
		}
		return nil
	})
	r.Has(ctx, i, want, 10*time.Second)
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == 10 }, "kafka_cache_repaired_split_keys_total")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("repaired %.0f s after the writes", took.Seconds())
	return nil
}

// allAgree waits until the checksums of instances which report are the same as the first one's.
func (r *Run) allAgree(ctx context.Context, topic string, instances ...Instance) {
	first, ok := instances[0].(Reporter)
	if !ok {
		return
	}
	for _, i := range instances[1:] {
		r.sameChecksums(ctx, first, i.(Reporter), topic)
	}
}
