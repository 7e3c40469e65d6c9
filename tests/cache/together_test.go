package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/cache"
)

// openTopics opens a cache of writable topics of binary values and waits until it answers.
func openTopics(t *testing.T, b *broker, change func(*cache.Config), names ...string) (*cache.Cache, []*cache.Topic) {
	t.Helper()
	cfg := b.config()
	cfg.Identity, cfg.NoCommit = "test", true
	for _, name := range names {
		cfg.Topics = append(cfg.Topics, cache.TopicConfig{Name: name, Writable: true, ValueEncoding: "binary"})
	}
	if change != nil {
		change(&cfg)
	}
	c := open(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(ctx); err != nil {
			t.Fatalf("not ready: %v: %+v", err, topic.Status())
		}
	}
	return c, c.Topics()
}

func set(topic *cache.Topic, key, value string) cache.TopicWrite {
	return cache.TopicWrite{Topic: topic, Write: cache.Write{Key: []byte(key), Value: []byte(value), Apply: patience}}
}

func del(topic *cache.Topic, key string) cache.TopicWrite {
	return cache.TopicWrite{Topic: topic, Write: cache.Write{Key: []byte(key), Delete: true, Apply: patience}}
}

// describe is what came of writes, in short.
func describe(all []cache.Outcome) string {
	var s []string
	for _, o := range all {
		word := "written"
		switch {
		case o.Err != nil:
			word = "pending"
		case o.Removed:
			word = "removed"
		case o.Applied:
			word = "applied"
		}
		s = append(s, word)
	}
	return strings.Join(s, " ")
}

func TestWritesTogether(t *testing.T) {
	b := startBroker(t)
	b.create("a", 3)
	b.create("b", 1)
	registry := prometheus.NewRegistry()
	c, topics := openTopics(t, b, func(cfg *cache.Config) { cfg.Registerer = registry }, "a", "b")
	first, second := topics[0], topics[1]
	all, err := c.WriteAll(t.Context(), set(first, "k", "1"), set(first, "l", "1"), set(second, "k", "2"), del(first, "k"), set(first, "k", "3"), del(second, "none"), del(second, "k"), del(second, "k"))
	if err != nil || describe(all) != "applied applied applied removed applied applied removed applied" {
		t.Fatalf("%s, %v", describe(all), err)
	}
	if value(t, first, "k") != "3" || value(t, first, "l") != "1" || value(t, second, "k") != cache.ErrNotFound.Error() {
		t.Errorf("k=%s l=%s, k=%s", value(t, first, "k"), value(t, first, "l"), value(t, second, "k"))
	}
	for i, o := range all {
		if o.Offset < 0 || o.Position.IsZero() || !c.Topics()[map[bool]int{true: 1, false: 0}[i == 2 || i >= 5]].Position().Covers(o.Position) {
			t.Errorf("%d: %+v", i, o)
		}
	}
	// One alone is no transaction.
	if all, err = c.WriteAll(t.Context(), del(first, "l")); err != nil || describe(all) != "removed" {
		t.Errorf("one: %s, %v", describe(all), err)
	}
	if all, err = c.WriteAll(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("none: %s, %v", describe(all), err)
	}
	want := `
# HELP kafka_cache_transactions_total Kafka transactions of writes that belong together, by outcome: committed, aborted, or unknown.
# TYPE kafka_cache_transactions_total counter
kafka_cache_transactions_total{outcome="aborted"} 0
kafka_cache_transactions_total{outcome="committed"} 1
kafka_cache_transactions_total{outcome="unknown"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kafka_cache_transactions_total"); err != nil {
		t.Error(err)
	}
	// Not asked to be applied.
	w := set(first, "m", "1")
	w.Apply = 0
	x := w
	x.Key = []byte("n")
	if all, err = c.WriteAll(t.Context(), w, x); err != nil || describe(all) != "written written" {
		t.Errorf("%s, %v", describe(all), err)
	}
	if err := first.WaitFor(t.Context(), all[0].Position.Merge(all[1].Position)); err != nil || value(t, first, "n") != "1" {
		t.Errorf("n=%s, %v", value(t, first, "n"), err)
	}
}

func TestWritesTogetherAreCheckedBefore(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1, "max.message.bytes", "2000")
	b.create("b", 1)
	c, topics := openTopics(t, b, func(cfg *cache.Config) {
		cfg.Topics[0].ValueEncoding, cfg.Topics[1].Writable = "json", false
	}, "a", "b")
	good := set(topics[0], "k", "1")
	for name, tc := range map[string]struct {
		bad  cache.TopicWrite
		want func(error) bool
	}{
		"read-only": {set(topics[1], "k", "1"), func(err error) bool { return errors.Is(err, cache.ErrReadOnly) }},
		"no key":    {set(topics[0], "", "1"), func(err error) bool { return errors.Is(err, cache.ErrEmptyKey) }},
		"not json":  {set(topics[0], "k", "x"), func(err error) bool { var e *cache.EncodingError; return errors.As(err, &e) }},
		"too large": {set(topics[0], "k", `"`+strings.Repeat("x", 3000)+`"`), func(err error) bool { var e *cache.TooLargeError; return errors.As(err, &e) }},
	} {
		_, err := c.WriteAll(t.Context(), good, good, tc.bad)
		var of *cache.TopicError
		if !tc.want(err) || !errors.As(err, &of) || of.Topic != tc.bad.Topic {
			t.Errorf("%s: %v", name, err)
		}
		if err := tc.bad.Topic.Check(tc.bad.Write); !tc.want(err) {
			t.Errorf("%s: checked: %v", name, err)
		}
	}
	if err := topics[0].Check(good.Write); err != nil {
		t.Error(err)
	}
	if end := b.cluster.PartitionInfo("a", 0).HighWatermark; end != 0 {
		t.Errorf("%d records were written", end)
	}
}

// TestNothingIsWrittenWhereOneCannotBe: the records of the topic that takes them are not there either.
func TestNothingIsWrittenWhereOneCannotBe(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("b", 1)
	c, topics := openTopics(t, b, nil, "a", "b")
	f := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "b", Err: kerr.TopicAuthorizationFailed, Count: -1})
	_, err := c.WriteAll(t.Context(), set(topics[0], "k", "1"), set(topics[1], "k", "1"), del(topics[0], "x"))
	if !errors.Is(err, cache.ErrNotAuthorized) {
		t.Errorf("%v", err)
	}
	f.Remove()
	if all, err := c.WriteAll(t.Context(), del(topics[0], "k"), del(topics[1], "k")); err != nil || describe(all) != "applied applied" {
		t.Errorf("%s, %v", describe(all), err)
	}
}

// openTransaction is one of another producer, with a record in a partition.
func openTransaction(t *testing.T, b *broker, topic string, partition int32) (end func()) {
	t.Helper()
	w, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.TransactionalID("other"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte("other"), Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := w.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
			t.Error(err)
		}
	}
}

// TestWritesTogetherBehindAnOpenTransaction are in the log, and pending here until it ends.
func TestWritesTogetherBehindAnOpenTransaction(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("b", 1)
	c, topics := openTopics(t, b, nil, "a", "b")
	end := openTransaction(t, b, "b", 0)
	writes := []cache.TopicWrite{set(topics[0], "k", "1"), set(topics[1], "k", "1"), set(topics[0], "l", "1")}
	for i := range writes {
		writes[i].Apply = 300 * time.Millisecond
	}
	all, err := c.WriteAll(t.Context(), writes...)
	if err != nil || describe(all) != "applied pending applied" {
		t.Fatalf("%s, %v", describe(all), err)
	}
	var pending *cache.PendingError
	if !errors.As(all[1].Err, &pending) || pending.Written.Position.IsZero() {
		t.Errorf("%v", all[1].Err)
	}
	// It has been open for longer than may be waited by now: there is no waiting.
	for i := range writes {
		writes[i].Apply = 200 * time.Millisecond
	}
	var began time.Time
	eventually(t, "it is known to block", func() bool {
		began = time.Now()
		all, err = c.WriteAll(t.Context(), writes[1], writes[1])
		return err == nil && describe(all) == "pending pending" && time.Since(began) < 200*time.Millisecond
	})
	end()
	if err := topics[1].WaitFor(t.Context(), pending.Written.Position); err != nil || value(t, topics[1], "k") != "1" {
		t.Errorf("k=%s, %v", value(t, topics[1], "k"), err)
	}
}

// TestATransactionThatTakesLongIsNotPendingForIt: it is its own that blocks the partition.
func TestATransactionThatTakesLongIsNotPendingForIt(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	c, topics := openTopics(t, b, nil, "a")
	release := make(chan struct{})
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.DropControl()
		b.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	go func() {
		defer close(release)
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if s := topics[0].Status().Partitions[0]; s.BlockedSeconds > 0.3 {
				return
			}
		}
		t.Error("the partition is not blocked")
	}()
	writes := []cache.TopicWrite{set(topics[0], "k", "1"), set(topics[0], "l", "1")}
	writes[0].Apply, writes[1].Apply = 290*time.Millisecond, 290*time.Millisecond
	if all, err := c.WriteAll(t.Context(), writes...); err != nil || describe(all) != "applied applied" {
		t.Errorf("%s, %v", describe(all), err)
	}
}

// TestWritesTogetherOfKeysInSeveralPartitions: tombstones go to the other partitions in the same transaction.
func TestWritesTogetherOfKeysInSeveralPartitions(t *testing.T) {
	for _, stamps := range []string{"CreateTime", "LogAppendTime"} {
		t.Run(stamps, func(t *testing.T) {
			b := startBroker(t)
			b.create("a", 3, "message.timestamp.type", stamps)
			for p := range int32(3) {
				for _, key := range []string{"k", "l"} {
					b.produce("a", p, []byte(key), fmt.Appendf(nil, "old%d", p))
				}
			}
			c, topics := openTopics(t, b, nil, "a")
			a := topics[0]
			all, err := c.WriteAll(t.Context(), set(a, "k", "1"), set(a, "k", "2"), del(a, "l"), set(a, "other", "1"))
			if err != nil || describe(all) != "applied applied removed applied" {
				t.Fatalf("%s, %v", describe(all), err)
			}
			if value(t, a, "k") != "2" || value(t, a, "l") != cache.ErrNotFound.Error() || value(t, a, "other") != "1" {
				t.Errorf("k=%s l=%s other=%s", value(t, a, "k"), value(t, a, "l"), value(t, a, "other"))
			}
			// One that comes later, and reads the partitions in another order, sees the same.
			_, later := openTopics(t, b, func(cfg *cache.Config) { cfg.Identity = "later" }, "a")
			if value(t, later[0], "k") != "2" || value(t, later[0], "l") != cache.ErrNotFound.Error() {
				t.Errorf("later: k=%s l=%s", value(t, later[0], "k"), value(t, later[0], "l"))
			}
		})
	}
}

// TestSnapshotsDuringTransactions: what a snapshot has of one partition's keys is whole transactions, and agrees with its position.
func TestSnapshotsDuringTransactions(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("b", 1)
	c, topics := openTopics(t, b, nil, "a", "b")
	var mu sync.Mutex
	at := map[string]map[int64]string{"a": {}, "b": {}} // by topic and offset of the second record: the number
	var writing sync.WaitGroup
	var done atomic.Bool
	writing.Go(func() {
		defer done.Store(true)
		for n := range 60 {
			v := fmt.Sprint(n)
			all, err := c.WriteAll(t.Context(), set(topics[0], "x", v), set(topics[0], "y", v), set(topics[1], "x", v), set(topics[1], "y", v))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			at["a"][all[1].Offset], at["b"][all[3].Offset] = v, v
			mu.Unlock()
		}
	})
	type seen struct {
		topic string
		next  int64
		x, y  string
	}
	var all []seen
	for !done.Load() {
		err := c.Snapshot(t.Context(), topics, func(s []*cache.Snapshot) error {
			for _, s := range s {
				p, err := s.Position()
				if err != nil {
					return err
				}
				x, errX := s.Get([]byte("x"))
				y, errY := s.Get([]byte("y"))
				if errors.Is(errX, cache.ErrNotFound) && errors.Is(errY, cache.ErrNotFound) {
					continue
				}
				if errX != nil || errY != nil {
					return errors.Join(errX, errY)
				}
				all = append(all, seen{s.Topic().Name(), p.Offsets()[0].Next, string(x), string(y)})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	writing.Wait()
	different := map[string]bool{}
	for _, s := range all {
		want, last := "", int64(-1)
		for offset, v := range at[s.topic] {
			if offset < s.next && offset > last {
				want, last = v, offset
			}
		}
		different[s.topic+want] = true
		if s.x != want || s.y != want {
			t.Errorf("%+v, where the log says %s", s, want)
		}
	}
	if len(different) < 20 {
		t.Errorf("%d different states were seen in %d snapshots", len(different), len(all))
	}
}

func TestCloseEndsWritesTogether(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("b", 1)
	cfg := b.config(cache.TopicConfig{Name: "a", Writable: true}, cache.TopicConfig{Name: "b", Writable: true})
	cfg.Identity = "closing"
	c, err := cache.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "b", Err: kerr.NotEnoughReplicas, Count: -1})
	outcome := make(chan error, 1)
	c.SubmitAll([]cache.TopicWrite{set(c.Topics()[0], "k", "1"), set(c.Topics()[1], "k", "1")}, func(_ []cache.Outcome, err error) { outcome <- err })
	eventually(t, "it is open", func() bool { return f.Hits() > 0 && b.cluster.PartitionInfo("a", 0).HighWatermark == 1 })
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-outcome; err == nil || errors.Is(err, cache.ErrUnknownOutcome) {
		t.Errorf("the write: %v", err)
	}
	ends, err := b.admin.ListCommittedOffsets(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := ends.Lookup("a", 0); o.Offset != b.cluster.PartitionInfo("a", 0).HighWatermark {
		t.Errorf("a transaction was left open: %+v", o)
	}
}
