package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func init() {
	outage := func(name string, down, up func(b *kafkatest.Broker) error) Scenario {
		return Scenario{ID: "E3", Name: name, Brokers: []int{1}, Private: true, Run: func(ctx context.Context, r *Run) error {
			return servesThrough(ctx, r, down, up)
		}}
	}
	kill := func(b *kafkatest.Broker) error { b.Kill(); return nil }
	start := func(b *kafkatest.Broker) error { return b.Start() }
	register(
		outage("the broker is gone for a while", kill, start),
		outage("the broker stands still for a while", func(b *kafkatest.Broker) error { b.Pause(); return nil }, func(b *kafkatest.Broker) error { b.Resume(); return nil }),
		Scenario{ID: "E3", Name: "it verifies after an outage that was longer than tombstones are kept", Brokers: []int{1}, Private: true, Needs: []Capability{Reports}, Run: verifiesAfterOutage},
		Scenario{ID: "E3", Name: "all brokers are killed at once, and come back", Brokers: []int{3}, Private: true, Needs: []Capability{Durable}, Limit: 3 * time.Minute, Run: allBrokersKilled},
		Scenario{ID: "E4", Name: "a leader stands still", Brokers: []int{3}, Private: true, Run: leaderStandsStill},
	)
}

// outageLasts is long enough for reads to time out and for a state to say so.
const outageLasts = 12 * time.Second

// servesThrough: nothing that was true before is withheld because no broker answers, and what happens afterwards is followed.
func servesThrough(ctx context.Context, r *Run, down, up func(b *kafkatest.Broker) error) error {
	topic := r.Topic(2, nil)
	r.Produce(records(topic, "k", 50, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	want := r.Truth(ctx, topic)
	r.Has(ctx, i, want, 10*time.Second)
	b := r.Cluster.Brokers[0]
	if err := down(b); err != nil {
		return err
	}
	r.Cleanup(b.Resume)
	if rep, ok := i.(Reporter); ok {
		r.Says(ctx, i, 15*time.Second, "that it is stale, since when, and why", func(s TopicStatus) bool {
			return s.State == "Stale" && s.Serving && s.Reason != "" && len(s.Partitions) == 2 && s.Partitions[0].FetchAgeSeconds > 0
		})
		r.inState(ctx, i, "Stale", "no fetch of partition …")
		r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_last_fetch_age_seconds")
		if code, body, err := rep.HTTP(ctx, "/readyz"); err != nil || code != http.StatusOK {
			r.Errorf("/readyz says %d %.100s (%v)", code, body, err)
		}
	}
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for began := time.Now(); time.Since(began) < outageLasts && !r.Failed(); <-pace.C {
		asked := time.Now()
		if got, found, err := i.Get(ctx, "k7"); err != nil || !found || got != "1" || time.Since(asked) > 2*time.Second {
			r.Errorf("%.1f s into the outage a read says %q (there: %v, %v) after %v", time.Since(began).Seconds(), got, found, err, time.Since(asked))
		}
	}
	r.HasNow(ctx, i, want, "at the end of the outage")
	ready, cancel := context.WithTimeout(ctx, 3*time.Second)
	if _, err := i.WaitReady(ready); err != nil {
		r.Errorf("it has become unready: %v", err)
	}
	cancel()
	if rep, ok := i.(Reporter); ok {
		s, err := rep.Status(ctx)
		if err != nil || s.State != "Stale" || s.Partitions[0].FetchAgeSeconds < 5 || s.Partitions[0].LagSeconds < 5 {
			r.Errorf("at the end of the outage the status is %s, fetched %.1f s ago (%v)", s, s.Partitions[0].FetchAgeSeconds, err)
		}
	}
	if err := up(b); err != nil {
		return err
	}
	if err := b.WaitReady(ctx); err != nil {
		return err
	}
	r.Produce(record(topic, "k7", "2"), tombstone(topic, "k8"), record(topic, "new", "1"))
	began := time.Now()
	r.Await(ctx, 30*time.Second, "all leaders answer", func(ctx context.Context) error {
		ends, err := r.Cluster.Admin(r).ListEndOffsets(ctx, topic)
		return errors.Join(err, ends.Error())
	})
	r.Has(ctx, i, r.Truth(ctx, topic), 30*time.Second)
	took := time.Since(began)
	r.AtEnd(ctx, i, topic)
	r.NotRebuilt(ctx, i)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("served throughout, and followed %.1f s after the broker was back", took.Seconds())
	return nil
}

// allBrokersKilled: leaders that have just been elected know less than was acknowledged, until their followers have asked them. That is no truncated log, neither for
// an instance that runs nor for one that starts.
func allBrokersKilled(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(3, nil), r.TempDir()
	r.Produce(records(topic, "k", 300, "1")...)
	running, stopped := r.Start(ctx, Spec{Topic: topic}), r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, running)
	r.Ready(ctx, stopped)
	for n := range 20 { // up to the moment of the kill
		r.Produce(record(topic, fmt.Sprintf("k%d", n), fmt.Sprint(n)))
	}
	want := r.Truth(ctx, topic)
	r.Has(ctx, running, want, 10*time.Second)
	r.Has(ctx, stopped, want, 10*time.Second)
	if err := stopped.Stop(ctx); err != nil {
		return err
	}
	served := r.servedThroughout(ctx, running, "k7")
	for _, b := range r.Cluster.Brokers {
		b.Kill()
	}
	for _, b := range r.Cluster.Brokers {
		if err := b.Start(); err != nil {
			return err
		}
	}
	stopped = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, stopped)
	r.HasNow(ctx, stopped, want, "when ready")
	r.Await(ctx, time.Minute, "all leaders answer", func(ctx context.Context) error {
		ends, err := r.Cluster.Admin(r).ListEndOffsets(ctx, topic)
		return errors.Join(err, ends.Error())
	})
	r.Produce(record(topic, "k7", "2"), tombstone(topic, "k8"), record(topic, "new", "1"))
	want = r.Truth(ctx, topic)
	for _, i := range []Instance{running, stopped} {
		r.Has(ctx, i, want, 40*time.Second)
		r.AtEnd(ctx, i, topic)
		r.NotRebuilt(ctx, i)
	}
	served()
	r.sameAsFresh(ctx, running, topic)
	r.Sawf("served throughout, and nothing was taken for truncated")
	return nil
}

// verifiesAfterOutage: with tombstones that may go at once, a gap of some seconds is too long not to look.
func verifiesAfterOutage(ctx context.Context, r *Run) error {
	topic := r.Topic(1, compacted(0))
	r.Produce(records(topic, "k", 50, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	before, _, err := i.(Reporter).Metric(ctx, "kafka_cache_rebuilds_total", "reason=expired")
	if err != nil {
		return err
	}
	b := r.Cluster.Brokers[0]
	b.Kill()
	r.Says(ctx, i, 15*time.Second, "that it is stale", func(s TopicStatus) bool {
		return s.State == "Stale" && len(s.Partitions) == 1 && s.Partitions[0].FetchAgeSeconds > 8
	})
	if err := b.Start(); err != nil {
		return err
	}
	if err := b.WaitReady(ctx); err != nil {
		return err
	}
	served := r.servedThroughout(ctx, i, "k7")
	r.Measures(ctx, i, 30*time.Second, func(v float64, ok bool) bool { return ok && v > before }, "kafka_cache_rebuilds_total", "reason=expired")
	r.loggedState(ctx, i, "Rebuilding", "expired")
	r.AtEnd(ctx, i, topic)
	served()
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("verified when the broker was back, and served meanwhile")
	return nil
}

// servedThroughout reads a key, which is not deleted meanwhile, until the function that it returns is called; each time it must be answered.
func (r *Run) servedThroughout(ctx context.Context, i Instance, key string) (end func()) {
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			asked := time.Now()
			if _, found, err := i.Get(ctx, key); err != nil || !found || time.Since(asked) > 2*time.Second {
				r.Errorf("a read of %s says there: %v, %v, after %v", key, found, err, time.Since(asked))
				return
			}
		}
	})
	var once sync.Once
	end = func() {
		once.Do(func() { close(stop) })
		reading.Wait()
	}
	r.Cleanup(end)
	return end
}

func leaderStandsStill(ctx context.Context, r *Run) error {
	topic := r.Topic(3, nil)
	r.Produce(records(topic, "k", 60, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	details, err := r.Cluster.Admin(r).ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	old := details[topic].Partitions[0].Leader
	at := slices.IndexFunc(r.Cluster.Brokers, func(b *kafkatest.Broker) bool { return int32(b.ID) == old })
	standing := r.Cluster.Brokers[at]
	var rest []string
	for _, b := range r.Cluster.Brokers {
		if b != standing {
			rest = append(rest, b.Addr)
		}
	}
	served := r.servedThroughout(ctx, i, "k7")
	standing.Pause()
	r.Cleanup(standing.Resume)
	paused := time.Now()
	// Of the brokers that answer, with a client that gives the one that does not a second.
	client, err := kgo.NewClient(kgo.SeedBrokers(rest...), kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DisableIdempotentWrite(), kgo.RequestTimeoutOverhead(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	r.Await(ctx, 30*time.Second, "another leader", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		d, err := kadm.NewClient(client).ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		if l := d[topic].Partitions[0].Leader; l == old || l < 0 {
			return fmt.Errorf("it is %d", l)
		}
		return nil
	})
	replaced := time.Now()
	key := homeKey("new", 0, 3)
	if err := client.ProduceSync(ctx, on(topic, 0, key, "1", time.Time{})).FirstErr(); err != nil {
		return fmt.Errorf("produce to the new leader: %w", err)
	}
	acknowledged := time.Now()
	r.Gets(ctx, i, key, "1", 60*time.Second)
	took, sincePause := time.Since(replaced), time.Since(paused)
	if took > 5*time.Second {
		r.Errorf("a record of the new leader is there %.1f s after it has replaced the old one (%.1f s after its acknowledgement, %.1f s after the old one was stopped)",
			took.Seconds(), time.Since(acknowledged).Seconds(), sincePause.Seconds())
	}
	key = homeKey("newer", 0, 3)
	if err := client.ProduceSync(ctx, on(topic, 0, key, "1", time.Time{}), on(topic, 1, "newest", "1", time.Time{}), on(topic, 2, "last", "1", time.Time{})).FirstErr(); err != nil {
		return err
	}
	r.Gets(ctx, i, key, "1", 10*time.Second)
	served()
	standing.Resume()
	r.Await(ctx, 30*time.Second, "all replicas are in sync", func(ctx context.Context) error {
		d, err := kadm.NewClient(client).ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		for _, p := range d[topic].Partitions {
			if len(p.ISR) < 3 {
				return fmt.Errorf("partition %d has %v", p.Partition, p.ISR)
			}
		}
		return nil
	})
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_fetch_errors_total")
	r.loggedSoon(ctx, i, "fetch")
	r.AtEnd(ctx, i, topic)
	r.NotRebuilt(ctx, i)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("read throughout; a record of the new leader %.1f s after it was elected, %.1f s after the old one was stopped", took.Seconds(), sincePause.Seconds())
	return nil
}
