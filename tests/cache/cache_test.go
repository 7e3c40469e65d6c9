package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

func TestLoadTailReadWrite(t *testing.T) {
	b := startBroker(t)
	b.create("users", 3)
	for i := range int32(30) {
		b.produce("users", i%3, fmt.Appendf(nil, "k%02d", i), fmt.Appendf(nil, `{"n":%d}`, i))
	}
	b.produce("users", 0, []byte("k00"), nil)
	b.produce("users", 1, nil, []byte("no key"))
	b.produce("users", 2, []byte(""), []byte("empty key"))
	registry := prometheus.NewRegistry()
	cfg := b.config(cache.TopicConfig{Name: "users", Writable: true})
	cfg.Registerer = registry
	_, topic := ready(t, cfg)
	if topic.Len() != 29 || value(t, topic, "k07") != `{"n":7}` || value(t, topic, "k00") != cache.ErrNotFound.Error() {
		t.Fatalf("loaded: %d keys, k07 %s, k00 %s", topic.Len(), value(t, topic, "k07"), value(t, topic, "k00"))
	}
	b.produce("users", 1, []byte("new"), []byte(`1`))
	eventually(t, "a record of another producer", func() bool { return value(t, topic, "new") == "1" })

	w, err := topic.Put(t.Context(), []byte("mine"), []byte(`"x"`), cache.Header{Key: []byte("h"), Value: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	if err := topic.WaitFor(t.Context(), w.Position); err != nil {
		t.Fatal(err)
	}
	if got := value(t, topic, "mine"); got != `"x"` {
		t.Fatalf("after WaitFor: %s", got)
	}
	m, err := topic.Meta([]byte("mine"))
	if err != nil || m.Partition != w.Partition || m.Offset != w.Offset || len(m.Headers) != 1 || string(m.Headers[0].Value) != "v" || m.Timestamp == 0 {
		t.Fatalf("meta %+v, %v; written %+v", m, err, w)
	}
	for _, c := range []struct {
		key     string
		removed bool
	}{{"mine", true}, {"mine", false}, {"never was", false}} {
		ch := make(chan error, 1)
		var got cache.Written
		topic.Submit(cache.Write{Key: []byte(c.key), Delete: true, Apply: patience}, func(w cache.Written, err error) { got = w; ch <- err })
		if err := <-ch; err != nil || !got.Applied || got.Removed != c.removed {
			t.Fatalf("delete of %q: %+v, %v", c.key, got, err)
		}
	}
	var keys []string
	if err := topic.Range(t.Context(), []byte("k10"), []byte("k13"), func(e cache.Entry) bool {
		keys = append(keys, string(e.Key)+string(e.Value))
		return true
	}); err != nil || fmt.Sprint(keys) != `[k10{"n":10} k11{"n":11} k12{"n":12}]` {
		t.Fatalf("range: %v, %v", keys, err)
	}
	status := topic.Status()
	if status.State != cache.Ready || status.Keyless != 2 || len(status.Partitions) != 3 || status.Invalid != 0 {
		t.Fatalf("status %+v", status)
	}
	eventually(t, "no lag", func() bool {
		for _, p := range topic.Status().Partitions {
			if p.Lag != 0 || p.LagSeconds != 0 {
				return false
			}
		}
		return true
	})
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(registry, "kafka_cache_consumer_lag_seconds", "kafka_cache_position_offset"); err != nil || n != 6 {
		t.Errorf("%d lag and position series, %v", n, err)
	}
}

func TestRefusedBeforeProducing(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1, "max.message.bytes", "2000")
	b.create("b", 1)
	c := open(t, b.config(cache.TopicConfig{Name: "a", Writable: true}, cache.TopicConfig{Name: "b"}))
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, readOnly := c.Topics()[0], c.Topics()[1]
	_, err := a.Put(t.Context(), []byte("k"), []byte("hello"))
	var encoding *cache.EncodingError
	if !errors.As(err, &encoding) || encoding.Field != "value" || encoding.Encoding != "json" {
		t.Errorf("not JSON: %v", err)
	}
	if _, err = a.Put(t.Context(), []byte("k\xff"), []byte("1")); !errors.As(err, &encoding) || encoding.Field != "key" {
		t.Errorf("not UTF-8: %v", err)
	}
	if _, err = a.Put(t.Context(), nil, []byte("1")); !errors.Is(err, cache.ErrEmptyKey) {
		t.Errorf("no key: %v", err)
	}
	var large *cache.TooLargeError
	if _, err = a.Put(t.Context(), []byte("k"), append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 3000)...), '"')); !errors.As(err, &large) ||
		large.Max != 2000 || large.Size < 3000 || !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err = readOnly.Put(t.Context(), []byte("k"), []byte("1")); !errors.Is(err, cache.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	if _, err = readOnly.Delete(t.Context(), []byte("k")); !errors.Is(err, cache.ErrReadOnly) {
		t.Errorf("read-only delete: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = a.Put(ended, []byte("k"), []byte("1")); !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrUnknownOutcome) {
		t.Errorf("a context that had ended before: %v", err)
	}
	ends, err := b.admin.ListEndOffsets(t.Context(), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 0 {
			t.Errorf("a refused write is in the log of %s", o.Topic)
		}
	})
}

func TestEmptyValueTombstoneAndMissingAreThree(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("empty"), []byte{})
	b.produce("t", 0, []byte("deleted"), []byte("1"))
	b.produce("t", 0, []byte("deleted"), nil)
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "t", Writable: true, ValueEncoding: "binary"}))
	if v, err := topic.Get([]byte("empty")); err != nil || v == nil || len(v) != 0 {
		t.Errorf("empty: %q, %v", v, err)
	}
	for _, k := range []string{"deleted", "missing"} {
		if _, err := topic.Get([]byte(k)); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("%s: %v", k, err)
		}
	}
	w, err := topic.Put(t.Context(), []byte("written empty"), nil)
	if err == nil {
		err = topic.WaitFor(t.Context(), w.Position)
	}
	if v, got := topic.Get([]byte("written empty")); err != nil || got != nil || len(v) != 0 {
		t.Errorf("written empty: %v, %v, %q", err, got, v)
	}
}

func TestUndecodableValueReadsAsMissing(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("a"), []byte("good"))
	b.produce("t", 0, []byte("b"), []byte("good"))
	b.produce("t", 0, []byte("a"), []byte("\xff\xfe"))
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "t", ValueEncoding: "utf-8"}))
	if topic.Len() != 1 || value(t, topic, "b") != "good" || value(t, topic, "a") != cache.ErrNotFound.Error() {
		t.Errorf("%d keys, a: %s", topic.Len(), value(t, topic, "a"))
	}
	if s := topic.Status(); s.Invalid != 1 || s.Partitions[0].Position != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestWatch(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("a"), []byte("1"))
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "t"}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan cache.Event, 100)
	ended := make(chan error, 1)
	go func() { ended <- topic.Watch(ctx, func(e cache.Event) { events <- e }) }()
	if e := <-events; e.Kind != cache.EventAttached {
		t.Fatalf("first event %+v", e)
	}
	b.produce("t", 0, []byte("a"), []byte("1")) // changes nothing
	b.produce("t", 0, []byte("a"), []byte("2"))
	b.produce("t", 0, []byte("b"), nil) // nothing to delete
	b.produce("t", 0, []byte("a"), nil)
	b.produce("t", 0, []byte("c"), []byte{})
	for _, want := range []string{"1 a 2 1", "2 a  2", "1 c  "} {
		e := <-events
		if got := fmt.Sprintf("%d %s %s %s", e.Kind, e.Key, e.Value, e.Old); got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPositionsOfOtherTopicsAreRefused(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "a"}))
	if err := topic.WaitFor(t.Context(), position.OfRecord(position.TopicID{42}, 0, 0)); !errors.Is(err, cache.ErrOtherTopic) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := topic.WaitFor(ctx, position.OfRecord(topic.Position().Topic(), 0, 1000)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestRecreatedWhileRunning(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	for i := range 5 {
		b.produce("t", 0, fmt.Appendf(nil, "old%d", i), []byte("1"))
	}
	for _, dir := range []string{"", t.TempDir()} {
		cfg := b.config(cache.TopicConfig{Name: "t"})
		cfg.DataDir = dir
		_, topic := ready(t, cfg)
		before := topic.Position()
		b.remove("t")
		b.create("t", 2)
		for i := range 9 {
			b.produce("t", 1, fmt.Appendf(nil, "new%d", i), []byte("2"))
		}
		eventually(t, "the new topic's keys and no other", func() bool {
			return topic.Ready() && topic.Len() == 9 && value(t, topic, "new8") == "2" && value(t, topic, "old1") == cache.ErrNotFound.Error()
		})
		if err := topic.WaitFor(t.Context(), before); !errors.Is(err, cache.ErrOtherTopic) {
			t.Errorf("a token of the old topic: %v", err)
		}
		b.remove("t")
		b.create("t", 1)
		for i := range 5 {
			b.produce("t", 0, fmt.Appendf(nil, "old%d", i), []byte("1"))
		}
	}
}

func TestResumesFromTheDataDirectory(t *testing.T) {
	b := startBroker(t)
	b.create("t", 2)
	for i := range int32(100) {
		b.produce("t", i%2, fmt.Appendf(nil, "k%d", i), []byte("1"), kgo.RecordHeader{Key: "h", Value: []byte{0}})
	}
	cfg := b.config(cache.TopicConfig{Name: "t"})
	cfg.DataDir = filepath.Join(t.TempDir(), "made by us")
	c, topic := ready(t, cfg)
	if topic.Len() != 100 {
		t.Fatal(topic.Len())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Get([]byte("k1")); !errors.Is(err, cache.ErrNotReady) {
		t.Errorf("read after close: %v", err)
	}
	b.produce("t", 0, []byte("k0"), nil)
	b.produce("t", 1, []byte("late"), []byte("2"))
	c, topic = ready(t, cfg)
	if s := topic.Status(); topic.Len() != 100 || s.Applied != 2 || value(t, topic, "late") != "2" || value(t, topic, "k0") != cache.ErrNotFound.Error() {
		t.Errorf("resumed: %+v", s)
	}
	if m, err := topic.Meta([]byte("k1")); err != nil || len(m.Headers) != 1 {
		t.Errorf("meta after a restart: %+v, %v", m, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// The log's start moved past the checkpoint while we were away.
	for i := range int32(100) {
		b.produce("t", i%2, fmt.Appendf(nil, "z%d", i), []byte("3"))
	}
	if _, err := b.admin.DeleteRecords(t.Context(), kadm.Offsets{"t": {
		0: {Topic: "t", Partition: 0, At: 60}, 1: {Topic: "t", Partition: 1, At: 60},
	}}); err != nil {
		t.Fatal(err)
	}
	c, topic = ready(t, cfg)
	if _, err := topic.Get([]byte("k1")); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("a key that the log no longer has: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// Other rules.
	cfg.Topics[0].ValueEncoding = "binary"
	c, topic = ready(t, cfg)
	eventually(t, "other rules are applied to the log", func() bool { s := topic.Status(); return s.State == cache.Ready && s.Applied > 0 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// Another cluster.
	other := startBroker(t, kfake.ClusterID("another-cluster-000000"))
	other.create("t", 1)
	cfg.Kafka.Bootstrap = other.cluster.ListenAddrs()
	before := listing(t, cfg.DataDir)
	o, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Run(t.Context()); !errors.Is(err, cache.ErrConfig) {
		t.Errorf("another cluster's directory: %v", err)
	}
	if after := listing(t, cfg.DataDir); after != before {
		t.Errorf("touched:\n%s\nbefore:\n%s", after, before)
	}
}

// listing names every file with its size and time.
func listing(t *testing.T, dir string) (s string) {
	t.Helper()
	if err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			s += fmt.Sprintln(path, info.Size(), info.ModTime())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStartsBeforeKafkaAndTopic(t *testing.T) {
	b := startBroker(t)
	cfg := b.config(cache.TopicConfig{Name: "later"})
	c := open(t, cfg)
	topic := c.Topics()[0]
	eventually(t, "a reason", func() bool {
		s := topic.Status()
		return s.State == cache.Starting && strings.Contains(s.Reason, "unknown topic")
	})
	if c.Ready() {
		t.Error("ready without a topic")
	}
	if _, err := topic.Get([]byte("k")); !errors.Is(err, cache.ErrNotReady) {
		t.Error(err)
	}
	b.create("later", 1)
	eventually(t, "ready", c.Ready)

	cfg.StartupTimeout = 50 * time.Millisecond
	cfg.Topics[0].Name = "never"
	never, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := never.Run(t.Context()); !errors.Is(err, cache.ErrStartupTimeout) {
		t.Errorf("Run returned %v", err)
	}
}

func TestNewPartitionIsFoundByItsToken(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	cfg := b.config(cache.TopicConfig{Name: "t"})
	cfg.Kafka.RefreshInterval = time.Hour
	_, topic := ready(t, cfg)
	if _, err := b.admin.CreatePartitions(t.Context(), 1, "t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the partition can be produced to", func() bool {
		d, err := b.admin.ListTopics(t.Context(), "t")
		return err == nil && len(d["t"].Partitions) == 2
	})
	o := b.produce("t", 1, []byte("k"), []byte("1"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := topic.WaitFor(ctx, position.OfRecord(topic.Position().Topic(), 1, o)); err != nil {
		t.Fatal(err)
	}
	if value(t, topic, "k") != "1" {
		t.Error("waited for and not there")
	}
}

func TestGroupIsCommittedAndDeleted(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("k"), []byte("1"))
	cfg := b.config(cache.TopicConfig{Name: "t"})
	cfg.Identity, cfg.CommitInterval = "test.pod-0", 20*time.Millisecond
	c, _ := ready(t, cfg)
	eventually(t, "the committed offset", func() bool {
		o, err := b.admin.FetchOffsets(t.Context(), cfg.Identity)
		at, ok := o.Lookup("t", 0)
		return err == nil && ok && at.At == 1
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	groups, err := b.admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := groups[cfg.Identity]; ok {
		t.Error("the group is still there after a clean exit")
	}
}
