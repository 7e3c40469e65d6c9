package conformance

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "D4", Name: "the leader stands still with a write", Brokers: []int{1}, Private: true, Needs: []Capability{Writes}, Run: writeToStandingLeader},
		Scenario{ID: "D4", Name: "the leader is gone before a write", Brokers: []int{1}, Private: true, Needs: []Capability{Writes}, Run: writeWithoutLeader},
		Scenario{ID: "D5", Name: "an empty value, a tombstone and a missing key", Needs: []Capability{Durable}, Run: emptyAndMissing},
		Scenario{ID: "D5", Name: "an empty value is written and read back", Needs: []Capability{Writes, Redis}, Run: emptyIsWritten},
	)
}

// What client libraries send again by themselves, so it must never stand for a write that may be in the log.
func retriedByClients(err error) bool {
	for _, code := range []string{"TRYAGAIN", "LOADING", "READONLY", "MOVED", "ASK", "CLUSTERDOWN", "MASTERDOWN"} {
		if strings.HasPrefix(err.Error(), code) {
			return true
		}
	}
	return false
}

// told checks how many writes are counted of which that was told.
func (r *Run) told(ctx context.Context, i Instance, outcome string, n uint64) {
	r.Says(ctx, i, 5*time.Second, fmt.Sprintf("%d writes that are %s", n, outcome), func(s TopicStatus) bool { return s.Writes[outcome] == n })
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == float64(n) }, "kafka_cache_writes_total", "outcome="+outcome)
}

// writeToStandingLeader: the leader takes the request, or its socket does, and nobody can tell what came of it.
func writeToStandingLeader(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	r.Ready(ctx, i)
	w := i.(Writer)
	if err := w.Put(ctx, "before", "1"); err != nil {
		return err
	}
	r.Cluster.Brokers[0].Pause()
	r.Cleanup(r.Cluster.Brokers[0].Resume)
	began := time.Now()
	err := w.Put(ctx, "unknown", "1")
	took := time.Since(began)
	if err == nil {
		return fmt.Errorf("SET says OK though the broker stands still")
	}
	if !strings.HasPrefix(err.Error(), "UNKNOWN") || !strings.Contains(err.Error(), "may or may not be in the log") || retriedByClients(err) {
		r.Errorf("SET says %v", err)
	}
	if took > 30*time.Second {
		r.Errorf("SET takes %v to say so", took)
	}
	if got, found, err := i.Get(ctx, "before"); err != nil || !found || got != "1" {
		r.Errorf("meanwhile a read says %q (there: %v, %v)", got, found, err)
	}
	r.Misses(ctx, i, "unknown", "before it is in the log")
	r.told(ctx, i, "unknown", 1)
	r.loggedSoon(ctx, i, "a write may or may not be in the log")
	r.Cluster.Brokers[0].Resume()
	r.Await(ctx, 20*time.Second, "writes are taken again", func(ctx context.Context) error { return w.Put(ctx, "after", "1") })
	r.Has(ctx, i, r.Truth(ctx, topic), 15*time.Second)
	r.AtEnd(ctx, i, topic)
	_, is, _ := i.Get(ctx, "unknown")
	r.Sawf("after %.1f s: %.60s…; it is in the log: %v", took.Seconds(), err.Error(), is)
	return nil
}

// writeWithoutLeader: nothing was sent, and an error says so; it is not in the log later either.
func writeWithoutLeader(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	r.Ready(ctx, i)
	w := i.(Writer)
	if err := w.Put(ctx, "before", "1"); err != nil {
		return err
	}
	b := r.Cluster.Brokers[0]
	b.Kill()
	for n := range 3 { // the connection that was there is seen to be closed before the first is sent
		key := fmt.Sprintf("refused%d", n)
		began := time.Now()
		err := w.Put(ctx, key, "1")
		switch {
		case err == nil:
			return fmt.Errorf("SET says OK though there is no broker")
		case !strings.HasPrefix(err.Error(), "TRYAGAIN"):
			r.Errorf("SET says %v", err)
		case time.Since(began) > 8*time.Second:
			r.Errorf("SET takes %v to say that there is no broker", time.Since(began))
		}
	}
	if err := b.Start(); err != nil {
		return err
	}
	if err := b.WaitReady(ctx); err != nil {
		return err
	}
	r.Await(ctx, 30*time.Second, "writes are taken again", func(ctx context.Context) error { return w.Put(ctx, "after", "1") })
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_writes_total", "outcome=failed")
	truth := r.Truth(ctx, topic)
	r.Has(ctx, i, truth, 15*time.Second)
	if want := (map[string]string{"before": "1", "after": "1"}); !maps.Equal(truth, want) {
		r.Errorf("the log has %v, which was said not to be written", truth)
	}
	r.Sawf("refused as not written, and not written")
	return nil
}

func emptyAndMissing(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(2, nil), r.TempDir()
	empty := func(key string) *kgo.Record { return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte{}} }
	r.Produce(record(topic, "full", "1"), empty("empty"), record(topic, "emptied", "1"), empty("emptied"),
		record(topic, "deleted", "1"), tombstone(topic, "deleted"), empty("empty then deleted"), tombstone(topic, "empty then deleted"),
		tombstone(topic, "deleted then empty"), empty("deleted then empty"))
	want := map[string]string{"full": "1", "empty": "", "emptied": "", "deleted then empty": ""}
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	check := func(i Instance, when string) {
		r.HasNow(ctx, i, want, when)
		for k := range want {
			if got, found, err := i.Get(ctx, k); err != nil || !found || got != want[k] {
				r.Errorf("%s: %q is %q (there: %v, %v)", when, k, got, found, err)
			}
		}
		for _, k := range []string{"deleted", "empty then deleted", "never written"} {
			r.Misses(ctx, i, k, when)
		}
	}
	check(i, "when ready")
	r.AtEnd(ctx, i, topic)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	again := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, again)
	check(again, "after a restart")
	r.Produce(empty("full"), tombstone(topic, "empty"))
	want["full"] = ""
	delete(want, "empty")
	r.Has(ctx, again, want, 10*time.Second)
	r.sameAsFresh(ctx, again, topic)
	r.Sawf("an empty value is a value")
	return nil
}

func emptyIsWritten(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	i := r.Start(ctx, Spec{Topic: topic, Writable: true})
	r.Ready(ctx, i)
	if err := i.(Writer).Put(ctx, "empty", ""); err != nil {
		return fmt.Errorf("SET: %w", err)
	}
	redis := i.(RedisServer).Redis()
	if n, err := redis.Exists(ctx, "empty", "missing").Result(); err != nil || n != 1 {
		r.Errorf("EXISTS of an empty value and a missing key says %d, %v", n, err)
	}
	if n, err := redis.Del(ctx, "missing").Result(); err != nil || n != 0 {
		r.Errorf("DEL of a missing key says %d, %v", n, err)
	}
	if n, err := redis.Del(ctx, "empty").Result(); err != nil || n != 1 {
		r.Errorf("DEL of an empty value says %d, %v", n, err)
	}
	r.Misses(ctx, i, "empty", "after DEL")
	var kinds []string
	for _, rec := range r.ReadLog(ctx, topic) {
		switch {
		case string(rec.Key) != "empty":
		case rec.Value == nil:
			kinds = append(kinds, "tombstone")
		default:
			kinds = append(kinds, fmt.Sprintf("%d bytes", len(rec.Value)))
		}
	}
	if got := strings.Join(kinds, ", "); got != "0 bytes, tombstone" {
		r.Errorf("the log has %s", got)
	}
	r.Sawf("SET writes an empty value, DEL a tombstone")
	return nil
}
