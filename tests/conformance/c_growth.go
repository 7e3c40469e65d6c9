package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func init() {
	register(
		Scenario{ID: "C2", Name: "partitions are added while it runs", Run: grownWhileRunning},
		Scenario{ID: "C2", Name: "partitions are added long after the start", Needs: []Capability{Reports}, Run: grownLongAfterStart},
		Scenario{ID: "C2", Name: "a token names a partition that it has not seen", Needs: []Capability{Tokens, Options}, Run: tokenOfNewPartition},
		Scenario{ID: "C2", Name: "writes go to a partition that was added", Needs: []Capability{Writes, Tokens, Redis, Options}, Run: writesToNewPartition},
	)
}

func grownWhileRunning(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Cluster.AddPartitions(r, topic, 3)
	r.Cluster.ProduceTo(r, on(topic, 1, "b", "2", time.Time{}), on(topic, 2, "c", "3", time.Time{}))
	began := time.Now()
	r.Has(ctx, i, map[string]string{"a": "1", "b": "2", "c": "3"}, 15*time.Second)
	took := time.Since(began)
	r.loggedSoon(ctx, i, "partitions found")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("their records are there after %.1f s", took.Seconds())
	return nil
}

// grownLongAfterStart: who finds a partition after having run for longer than tombstones are kept has missed nothing of it.
func grownLongAfterStart(ctx context.Context, r *Run) error {
	topic := r.Topic(1, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": fmt.Sprint(shortRetention.Milliseconds())})
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	began := time.Now()
	for n := 0; time.Since(began) < 2*shortRetention; n++ { // it is at the end all the time
		r.Produce(record(topic, "a", fmt.Sprint(n)))
		r.Gets(ctx, i, "a", fmt.Sprint(n), 10*time.Second)
	}
	r.Cluster.AddPartitions(r, topic, 3)
	r.Cluster.ProduceTo(r, on(topic, 1, "b", "2", time.Time{}), on(topic, 2, "c", "3", time.Time{}))
	r.Has(ctx, i, r.Truth(ctx, topic), 15*time.Second)
	r.AtEnd(ctx, i, topic)
	r.NotRebuilt(ctx, i)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("nothing was read twice")
	return nil
}

// rarely is for instances that are not going to find a partition by themselves while a scenario lasts.
var rarely = []string{"--metadata-refresh", "1h"}

func tokenOfNewPartition(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic, Args: rarely})
	r.Ready(ctx, i)
	r.Cluster.AddPartitions(r, topic, 3)
	r.Cluster.ProduceTo(r, on(topic, 2, "c", "3", time.Time{}))
	position, err := i.(Waiter).Position(ctx)
	if err != nil {
		return err
	}
	id := strings.Split(position, ":")[1]
	began := time.Now()
	ok, err := i.(Waiter).Wait(ctx, fmt.Sprintf("1:%s:2.1", id), 10*time.Second)
	if err != nil || !ok {
		return fmt.Errorf("the wait for partition 2 says %v, %w", ok, err)
	}
	took := time.Since(began)
	if got, found, err := i.Get(ctx, "c"); err != nil || !found || got != "3" {
		r.Errorf("after the wait it is %q (there: %v, %v)", got, found, err)
	}
	// A partition that the topic does not have is never covered, and the wait for it ends in time.
	began = time.Now()
	if ok, err := i.(Waiter).Wait(ctx, fmt.Sprintf("1:%s:7.1", id), time.Second); ok || err == nil && time.Since(began) < time.Second {
		r.Errorf("the wait for partition 7 of 3 says %v, %v after %v", ok, err, time.Since(began))
	}
	r.Sawf("a wait for a record of the new partition took %.2f s", took.Seconds())
	return nil
}

// writesToNewPartition: +OK says that it is applied, wherever it went.
func writesToNewPartition(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	other := r.Start(ctx, Spec{Topic: topic, Args: rarely})
	r.Ready(ctx, i)
	r.Ready(ctx, other)
	r.Cluster.AddPartitions(r, topic, 4)
	want := map[string]string{}
	seen := map[int64]bool{}
	n := 0
	r.Await(ctx, 30*time.Second, "writes go to all partitions", func(ctx context.Context) error {
		for range 20 {
			key := fmt.Sprintf("k%d", n)
			n++
			reply, err := i.(RedisServer).Redis().Do(ctx, "KAFKA.SET", key, "1").Slice()
			if err != nil {
				r.Fatalf("KAFKA.SET %s: %v", key, err)
			}
			want[key] = "1"
			seen[reply[0].(int64)] = true
			if got, found, err := i.Get(ctx, key); err != nil || !found || got != "1" {
				r.Fatalf("after KAFKA.SET, which went to partition %v, %s is %q (there: %v, %v)", reply[0], key, got, found, err)
			}
			// And the token takes it to an instance that has not heard of the partition.
			ok, err := other.(Waiter).Wait(ctx, fmt.Sprint(reply[2]), 10*time.Second)
			if err != nil || !ok {
				r.Fatalf("another instance says %v, %v of the token %v", ok, err, reply[2])
			}
			if _, found, err := other.Get(ctx, key); err != nil || !found {
				r.Fatalf("after the wait for %v another instance does not have %s (%v)", reply[2], key, err)
			}
		}
		if len(seen) < 4 {
			return fmt.Errorf("they went to %v", seen)
		}
		return nil
	})
	r.HasNow(ctx, i, want, "at the end")
	r.HasNow(ctx, other, want, "at the end, in another instance")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("%d writes to 4 partitions, each read after its reply and, by its token, elsewhere", n)
	return nil
}
