// Package cache_test runs the Go library against an in-process broker.
package cache_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
)

func TestMain(m *testing.M) {
	// sarama's metrics library has one ticking goroutine a process, from the first meter on.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// patience bounds every wait: a test that reaches it has failed.
const patience = 20 * time.Second

// broker is an in-process cluster with a client that is apart from the code under test.
type broker struct {
	t       *testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
}

func startBroker(t *testing.T, opts ...kfake.Opt) *broker {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &broker{t, c, cl, kadm.NewClient(cl)}
}

func (b *broker) create(topic string, partitions int32, settings ...string) {
	b.t.Helper()
	configs := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	for i := 0; i+1 < len(settings); i += 2 {
		configs[settings[i]] = &settings[i+1]
	}
	if _, err := b.admin.CreateTopic(b.t.Context(), partitions, 1, configs, topic); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) remove(topic string) {
	b.t.Helper()
	if _, err := b.admin.DeleteTopics(b.t.Context(), topic); err != nil {
		b.t.Fatal(err)
	}
	b.client.PurgeTopicsFromClient(topic) // the client keeps what it knew of it
}

// produce writes a record and returns its offset; a nil value is a tombstone.
func (b *broker) produce(topic string, partition int32, key, value []byte, headers ...kgo.RecordHeader) int64 {
	b.t.Helper()
	r, err := b.client.ProduceSync(b.t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value, Headers: headers}).First()
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Offset
}

func (b *broker) config(topics ...cache.TopicConfig) cache.Config {
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	return cache.Config{
		Kafka:        kafka.Config{Bootstrap: b.cluster.ListenAddrs(), MaxWait: 100 * time.Millisecond, RefreshInterval: 200 * time.Millisecond},
		Topics:       topics,
		EndsInterval: 50 * time.Millisecond,
		Logger:       slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
}

func open(t *testing.T, cfg cache.Config) *cache.Cache {
	t.Helper()
	c, err := cache.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// ready opens a cache of one topic and waits until it answers.
func ready(t *testing.T, cfg cache.Config) (*cache.Cache, *cache.Topic) {
	t.Helper()
	c := open(t, cfg)
	topic := c.Topics()[0]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := topic.WaitReady(ctx); err != nil {
		t.Fatalf("not ready: %v: %+v", err, topic.Status())
	}
	return c, topic
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond) // between looks at the condition
	}
}

func value(t *testing.T, topic *cache.Topic, key string) string {
	t.Helper()
	v, err := topic.Get([]byte(key))
	if err != nil {
		return err.Error()
	}
	return string(v)
}
