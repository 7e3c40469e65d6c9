package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "A3", Name: "keys move past the first end while it loads, and their old records are compacted away", Settings: throttledSettings, Private: true, Run: movedWhileLoading},
		Scenario{ID: "A4", Name: "all of twelve partitions are empty", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 12, nil, func(context.Context, *Run, string) {})
		}},
		Scenario{ID: "A4", Name: "one of twelve partitions has data", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 12, nil, func(_ context.Context, r *Run, topic string) {
				r.Cluster.ProduceTo(r, &kgo.Record{Topic: topic, Partition: 7, Key: []byte("a"), Value: []byte("1")})
			})
		}},
		Scenario{ID: "A4", Name: "the log starts above 0", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 1, deletable, func(_ context.Context, r *Run, topic string) {
				r.Produce(records(topic, "k", 10, "1")...)
				r.Cluster.DeleteRecords(r, topic, 0, 7)
			})
		}},
		Scenario{ID: "A4", Name: "everything was deleted from the log", Run: func(ctx context.Context, r *Run) error {
			return readyAtOnce(ctx, r, 2, deletable, func(_ context.Context, r *Run, topic string) {
				r.Produce(records(topic, "k", 20, "1")...)
				for p, e := range r.Cluster.Ends(r, topic) {
					r.Cluster.DeleteRecords(r, topic, int32(p), e.HighWatermark)
				}
			})
		}},
		Scenario{ID: "A4", Name: "nothing but empty batches that compaction left", Run: onlyCompactedAway},
		Scenario{ID: "A5", Name: "20,000 writes a second throughout the load", Alone: true, Run: writtenWhileLoading},
	)
}

var deletable = map[string]string{"cleanup.policy": "compact,delete"}

// movedWhileLoading slows reading down, and overwrites keys all the time that a load takes, so that each of their
// records is soon compacted away: a reader that stops at the end which it saw first finds none of them there any more.
func movedWhileLoading(ctx context.Context, r *Run) error {
	topic := r.Topic(1, with(compacted(time.Hour), map[string]string{"segment.bytes": "1048576"}))
	const rate = 1 << 20
	fill := bigRecords(topic, "filler", 8*rate/1000)
	r.produceSmall(ctx, fill...)
	const moving = 50
	r.Produce(records(topic, "moving", moving, "0")...)
	first := r.Cluster.Ends(r, topic)[0].HighWatermark
	r.Throttle(ctx, rate)

	writing, stop := context.WithCancel(ctx)
	written := make(chan error, 1)
	var rounds atomic.Int64
	client := r.Cluster.Client(r)
	go func() {
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			// Not with the context that ends the loop: what is sent is acknowledged.
			if err := client.ProduceSync(ctx, records(topic, "moving", moving, fmt.Sprint(n))...).FirstErr(); err != nil {
				written <- err
				return
			}
			rounds.Add(1)
			select {
			case <-writing.Done():
				written <- nil
				return
			case <-tick.C:
			}
		}
	}()
	i := r.Start(ctx, Spec{Topic: topic})
	took := r.Ready(ctx, i)
	got, err := i.All(ctx)
	moved := rounds.Load()
	log := r.ReadLog(ctx, topic)
	stop()
	if err != nil {
		return fmt.Errorf("when ready: %w", err)
	}
	if moved < 5 {
		return fmt.Errorf("the load took %v, in which the keys were overwritten %d times: too few for the situation", took, moved)
	}
	for _, rec := range log {
		if strings.HasPrefix(string(rec.Key), "moving") && rec.Offset < first {
			return fmt.Errorf("compaction has not got to offset %d of %s in the %v that the load took: the situation did not come about", rec.Offset, rec.Key, took)
		}
	}
	missing := 0
	for n := range moving {
		if _, ok := got[fmt.Sprintf("moving%d", n)]; !ok {
			missing++
		}
	}
	for n := range fill {
		if _, ok := got[fmt.Sprintf("filler%d", n)]; !ok {
			missing++
		}
	}
	if missing > 0 {
		r.Errorf("when ready, %d of %d keys were missing that existed all the time", missing, moving+len(fill))
	}
	if err := <-written; err != nil {
		return err
	}
	r.Throttle(ctx, 0)
	r.Has(ctx, i, r.Truth(ctx, topic), 20*time.Second)
	r.Sawf("all keys there at ready, %.1f s after the start, %d overwrites later", took.Seconds(), moved)
	return nil
}

// onlyCompactedAway: all keys are deleted and their tombstones gone; what remains are batches with no records in them.
func onlyCompactedAway(ctx context.Context, r *Run) error {
	topic := r.Topic(1, compacted(0))
	values, tombstones := r.Cluster.Client(r), r.Cluster.Client(r) // idempotent producers, whose last batches stay while they live
	var dead []*kgo.Record
	var keys []string
	for n := range 10 {
		keys = append(keys, fmt.Sprintf("k%d", n))
		dead = append(dead, tombstone(topic, keys[n]))
	}
	if err := values.ProduceSync(ctx, records(topic, "k", 10, "1")...).FirstErr(); err != nil {
		return err
	}
	if err := tombstones.ProduceSync(ctx, dead...).FirstErr(); err != nil {
		return err
	}
	r.CompactUntil(ctx, time.Minute, topic, "the tombstones are gone", without(keys...))
	i := r.Start(ctx, Spec{Topic: topic})
	took := r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Sawf("ready after %.1f s", took.Seconds())
	return nil
}

// writtenWhileLoading: the load ends although the end moves all the time.
func writtenWhileLoading(ctx context.Context, r *Run) error {
	topic := r.Topic(4, nil)
	value := strings.Repeat("v", 100)
	const keys, perTick, each = 50_000, 200, 10 * time.Millisecond
	client := r.Cluster.Client(r, kgo.ProducerLinger(5*time.Millisecond))
	var failed atomic.Pointer[error]
	var acknowledged atomic.Int64
	n := 0
	produce := func(count int) {
		for range count {
			rec := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", n%keys), Value: fmt.Appendf(nil, "%d-%s", n, value)}
			n++
			client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Store(&err)
				}
				acknowledged.Add(1)
			})
		}
	}
	produce(100_000)
	if err := client.Flush(ctx); err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan struct{})
	var rate float64
	go func() {
		defer close(stopped)
		began, before := time.Now(), acknowledged.Load()
		tick := time.NewTicker(each)
		defer tick.Stop()
		due := 0.0
		for last := began; ; {
			select {
			case <-writing.Done():
				rate = float64(acknowledged.Load()-before) / time.Since(began).Seconds()
				return
			case now := <-tick.C:
				due += now.Sub(last).Seconds() * float64(perTick) / each.Seconds() // a tick may come late
				last = now
				produce(int(due))
				due -= float64(int(due))
			}
		}
	}()
	i := r.Start(ctx, Spec{Topic: topic})
	took := r.Ready(ctx, i)
	// What it serves now is at most some seconds old: it follows, and is not merely ready.
	seen := func() (newest int) {
		for k := range 20 {
			v, _, err := i.Get(ctx, fmt.Sprintf("k%d", k*keys/20))
			if err != nil {
				r.Fatalf("get under load: %v", err)
			}
			var at int
			if _, err := fmt.Sscanf(v, "%d-", &at); err != nil {
				r.Fatalf("get under load: %q", shorten(v))
			}
			newest = max(newest, at)
		}
		return newest
	}
	then := seen()
	r.Await(ctx, 20*time.Second, "newer values are served under load", func(context.Context) error {
		if now := seen(); now < then+keys {
			return fmt.Errorf("the newest was write %d and is write %d", then, now)
		}
		return nil
	})
	stop()
	<-stopped
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	if rate < 15_000 {
		return fmt.Errorf("this machine wrote %.0f records/s only, not the 20,000 that the situation asks for", rate)
	}
	r.Has(ctx, i, r.Truth(ctx, topic), 30*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Sawf("ready after %.1f s under %.0f writes/s", took.Seconds(), rate)
	return nil
}
