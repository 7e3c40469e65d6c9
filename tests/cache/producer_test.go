package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
)

func openProducer(t *testing.T, cfg cache.ProducerConfig) *cache.Producer {
	t.Helper()
	p, err := cache.OpenProducer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// TestProducerWritesWhatACacheReads: in the encodings and under the rule that both are configured with, with positions that the reader can wait for.
func TestProducerWritesWhatACacheReads(t *testing.T) {
	b := startBroker(t)
	b.create("users", 4)
	topic := cache.TopicConfig{Name: "users", ValueEncoding: "json.gzip", ValidateWrite: noBad, Start: "offset:0", ValidateRead: cache.ReadPolicy{Rule: noBad}}
	registry := prometheus.NewRegistry()
	p := openProducer(t, cache.ProducerConfig{Kafka: b.config().Kafka, Topics: []cache.TopicConfig{topic}, Registerer: registry})
	users, err := cache.WriterOf(p, "users", codec.JSON[user]())
	if err != nil {
		t.Fatal(err)
	}
	c, _ := ready(t, b.config(topic)) // which nothing has been written to yet
	reader, err := cache.ReaderOf(c, "users", codec.JSON[user]())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		key, want := fmt.Sprintf("k%d", i%8), user{"Ann", i}
		w, err := users.Put(t.Context(), key, want, cache.Header{Key: []byte("h"), Value: []byte("v")})
		if err != nil || w.Applied || w.Offset < 0 {
			t.Fatalf("%+v, %v", w, err)
		}
		if err := reader.WaitFor(t.Context(), w.Position); err != nil {
			t.Fatal(err)
		}
		if u, err := reader.Get(key); err != nil || u != want {
			t.Fatalf("%+v, %v", u, err)
		}
		if m, err := reader.Meta(key); err != nil || m.Partition != w.Partition || m.Offset != w.Offset || len(m.Headers) != 1 {
			t.Fatalf("%+v, %v; written %+v", m, err, w)
		}
	}
	w, err := users.Delete(t.Context(), "k3")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.WaitFor(t.Context(), w.Position); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Get("k3"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("a deleted key: %v", err)
	}
	// What is in the log is encoded, and where a Cache's writes go.
	fetched := fetchAll(t, b, "users", 41)
	if v := fetched[0].Value; !bytes.HasPrefix(v, []byte{0x1f, 0x8b}) {
		t.Errorf("in the log there is %q", v)
	}

	_, err = users.Put(t.Context(), "k", user{Name: "bad"})
	var invalid *cache.InvalidError
	if !errors.As(err, &invalid) || invalid.Rule != cache.RuleWrite || invalid.Path != "/word" || invalid.Written != nil {
		t.Errorf("against the rule: %v", err)
	}
	raw, err := p.Topic("users")
	if err != nil || raw.Name() != "users" || users.Name() != "users" || raw.KeyEncoding() != "utf-8" || raw.ValueEncoding() != "json.gzip" {
		t.Fatalf("%+v, %v", raw, err)
	}
	var encoding *cache.EncodingError
	if _, err := raw.Put(t.Context(), []byte("k"), []byte("no JSON")); !errors.As(err, &encoding) || encoding.Field != "value" {
		t.Errorf("not JSON: %v", err)
	}
	if _, err := raw.Put(t.Context(), []byte("\xff"), []byte("1")); !errors.As(err, &encoding) || encoding.Field != "key" {
		t.Errorf("not UTF-8: %v", err)
	}
	if _, err := users.Delete(t.Context(), ""); !errors.Is(err, cache.ErrEmptyKey) {
		t.Errorf("no key: %v", err)
	}
	done := make(chan error, 1)
	raw.Submit(cache.Write{Key: []byte("k"), Value: []byte("1"), Apply: patience}, func(_ cache.Written, err error) { done <- err })
	if err := <-done; !errors.Is(err, cache.ErrNotTailed) {
		t.Errorf("to be waited for: %v", err)
	}
	if end := len(fetchAll(t, b, "users", 41)); end != 41 {
		t.Errorf("%d records, want 41: a refused write is in the log", end)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP kafka_cache_producer_writes_total Records that were to be written, by result; refused: before they were produced; failed: surely not in the log; unknown: perhaps.
# TYPE kafka_cache_producer_writes_total counter
kafka_cache_producer_writes_total{result="acknowledged",topic="users"} 41
kafka_cache_producer_writes_total{result="failed",topic="users"} 0
kafka_cache_producer_writes_total{result="refused",topic="users"} 5
kafka_cache_producer_writes_total{result="unknown",topic="users"} 0
`)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d series stay in the registry, %v", n, err)
	}
	if _, err := users.Put(t.Context(), "k", user{}); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// fetchAll are the first n records of a topic.
func fetchAll(t *testing.T, b *broker, topic string, n int) (all []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(all) < n {
		f := client.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(all), n, err)
		}
		all = append(all, f.Records()...)
	}
	return all
}

// TestProducerOutcomes: what is told of a write that fails, and of one whose acknowledgement does not say where it is.
func TestProducerOutcomes(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1, "max.message.bytes", "2000")
	registry := prometheus.NewRegistry()
	p := openProducer(t, cache.ProducerConfig{Kafka: b.config().Kafka, Topics: []cache.TopicConfig{{Name: "t"}, {Name: "absent"}}, Registerer: registry})
	topic, err := p.Topic("t")
	if err != nil {
		t.Fatal(err)
	}
	absent, err := p.Topic("absent")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Topic("other"); !errors.Is(err, cache.ErrUnknownTopic) {
		t.Errorf("a topic that is not configured: %v", err)
	}
	if _, err := cache.WriterOf(p, "other", codec.Bytes()); !errors.Is(err, cache.ErrUnknownTopic) {
		t.Errorf("a writer of it: %v", err)
	}
	if _, err := absent.Put(t.Context(), []byte("k"), []byte("1")); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
	if _, err := topic.Put(t.Context(), []byte("k"), []byte(`"`+strings.Repeat("x", 5000)+`"`)); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("a record that is too large: %v", err)
	}
	// An answer that was lost, and the broker that knows the batch but not where it is any more.
	b.produce("t", 0, []byte("k"), []byte("1"))
	b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "t", Err: kerr.DuplicateSequenceNumber})
	w, err := topic.Put(t.Context(), []byte("k"), []byte("1"))
	if err != nil || w.Offset != -1 {
		t.Fatalf("%+v, %v", w, err)
	}
	if next, ok := w.Position.Next(0); !ok || next != end(t, b, "t") {
		t.Errorf("its position is %v, the end is %d", w.Position, end(t, b, "t"))
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP kafka_cache_producer_writes_total Records that were to be written, by result; refused: before they were produced; failed: surely not in the log; unknown: perhaps.
# TYPE kafka_cache_producer_writes_total counter
kafka_cache_producer_writes_total{result="acknowledged",topic="absent"} 0
kafka_cache_producer_writes_total{result="acknowledged",topic="t"} 1
kafka_cache_producer_writes_total{result="failed",topic="absent"} 1
kafka_cache_producer_writes_total{result="failed",topic="t"} 1
kafka_cache_producer_writes_total{result="refused",topic="absent"} 0
kafka_cache_producer_writes_total{result="refused",topic="t"} 0
kafka_cache_producer_writes_total{result="unknown",topic="absent"} 0
kafka_cache_producer_writes_total{result="unknown",topic="t"} 0
`)); err != nil {
		t.Error(err)
	}
}
