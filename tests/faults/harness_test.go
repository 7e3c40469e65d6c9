package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/kafka"
)

const topic = "things"

// patience is how long a condition may take to come true before a test fails.
const patience = 20 * time.Second

func startCluster(tb testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func configFor(addrs []string) kafka.Config {
	return kafka.Config{Bootstrap: addrs, MaxWait: 100 * time.Millisecond, RefreshInterval: 500 * time.Millisecond}
}

func newClient(tb testing.TB, c kafka.Config) *kafka.Client {
	tb.Helper()
	client, err := kafka.NewClient(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	return client
}

func newProducer(tb testing.TB, c kafka.ProducerConfig) *kafka.Producer {
	tb.Helper()
	p, err := kafka.NewProducer(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p.Close(ctx)
	})
	return p
}

// newWriter is a producer that is not ours.
func newWriter(tb testing.TB, addrs []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	w, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(patience),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	return w
}

func write(tb testing.TB, w *kgo.Client, partition int32, key, value string) int64 {
	tb.Helper()
	r := w.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte(value)})
	if err := r.FirstErr(); err != nil {
		tb.Fatalf("write: %v", err)
	}
	return r[0].Record.Offset
}

// keyFor is a key that belongs to a partition.
func keyFor(partition int32, of int) []byte {
	chooser := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for i := 0; ; i++ {
		k := fmt.Appendf(nil, "key-%d", i)
		if chooser.Partition(&kgo.Record{Key: k}, of) == int(partition) {
			return k
		}
	}
}

type produced struct {
	at  kafka.Produced
	err error
}

// produce writes one record and waits for its outcome.
func produce(tb testing.TB, p *kafka.Producer, key, value []byte) produced {
	tb.Helper()
	return <-produceLater(p, key, value)
}

func produceLater(p *kafka.Producer, key, value []byte) <-chan produced {
	c := make(chan produced, 2) // room for a second call, which would be a fault
	p.Produce(topic, kafka.ProduceRecord{Key: key, Value: value}, func(at kafka.Produced, err error) { c <- produced{at, err} })
	return c
}

func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	within(tb, patience, what, cond)
}

func within(tb testing.TB, d time.Duration, what string, cond func() bool) {
	tb.Helper()
	deadline := time.Now().Add(d)
	for !cond() {
		if time.Now().After(deadline) {
			tb.Fatalf("after %v: not yet: %s", d, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// record is a copy of what a Fetcher delivered.
type record struct {
	offset    int64
	timestamp int64
	key       string
	value     *string
	headers   string
}

// reader runs a Fetcher, keeps what it delivers, and holds it to what it promises.
type reader struct {
	fetcher *kafka.Fetcher
	stop    context.CancelFunc
	ended   chan error // Run's result

	mu         sync.Mutex
	records    map[int32][]record
	last       map[int32]kafka.Batch // without its records
	applying   map[int32]bool
	partitions []int32
	errs       []kafka.FetchError
	broken     error // a promise that was not kept
	apply      func(*kafka.Batch) error
}

// read starts a reader of all of topic from the log's start; change may alter its configuration.
func read(tb testing.TB, addrs []string, change func(*kafka.FetcherConfig, *reader)) *reader {
	tb.Helper()
	r := &reader{
		ended: make(chan error, 1), records: map[int32][]record{}, last: map[int32]kafka.Batch{}, applying: map[int32]bool{},
	}
	c := kafka.FetcherConfig{
		Kafka: configFor(addrs), Topic: topic,
		Start:        func(int32) int64 { return -1 },
		OnError:      func(e kafka.FetchError) { r.mu.Lock(); r.errs = append(r.errs, e); r.mu.Unlock() },
		OnPartitions: func(ps []int32) { r.mu.Lock(); r.partitions = ps; r.mu.Unlock() },
	}
	if change != nil {
		change(&c, r)
	}
	if c.ID.IsZero() {
		info, err := newClient(tb, c.Kafka).DescribeTopic(context.Background(), c.Topic)
		if err != nil {
			tb.Fatal(err)
		}
		c.ID = info.ID
	}
	f, err := kafka.NewFetcher(c)
	if err != nil {
		tb.Fatal(err)
	}
	r.fetcher = f
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- f.Run(ctx, r.take) }()
	tb.Cleanup(func() {
		cancel()
		select {
		case <-r.ended:
		case <-time.After(patience):
			tb.Errorf("Run has not returned %v after its context ended", patience)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.broken != nil {
			tb.Error(r.broken)
		}
		if tb.Failed() {
			for _, e := range r.errs[max(0, len(r.errs)-20):] {
				tb.Logf("told: %v", e)
			}
		}
	})
	return r
}

func (r *reader) take(_ context.Context, b *kafka.Batch) error {
	r.mu.Lock()
	if r.applying[b.Partition] {
		r.broken = fmt.Errorf("partition %d is applied twice at the same time", b.Partition)
	}
	r.applying[b.Partition] = true
	position := int64(0)
	if last, ok := r.last[b.Partition]; ok {
		position = last.Next
	}
	apply := r.apply
	r.mu.Unlock()
	var err error
	if apply != nil {
		err = apply(b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range b.Records {
		if rec.Offset < position {
			r.broken = fmt.Errorf("partition %d: offset %d comes at position %d", b.Partition, rec.Offset, position)
		}
		position = rec.Offset + 1
		c := record{offset: rec.Offset, timestamp: rec.Timestamp, key: string(rec.Key)}
		if rec.Value != nil {
			v := string(rec.Value)
			c.value = &v
		}
		for _, h := range rec.Headers {
			c.headers += fmt.Sprintf("%s=%s;", h.Key, h.Value)
		}
		r.records[b.Partition] = append(r.records[b.Partition], c)
	}
	if b.Next < position {
		r.broken = fmt.Errorf("partition %d: the position after the batch is %d, below %d", b.Partition, b.Next, position)
	}
	last := *b
	last.Records = nil
	r.last[b.Partition] = last
	r.applying[b.Partition] = false
	return err
}

// atEnd reports whether the partition was read to a stable end that is at least end.
func (r *reader) atEnd(partition int32, end int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.last[partition]
	return ok && last.Last && last.Next >= end && last.Next == last.LastStable
}

func (r *reader) next(partition int32) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[partition].Next
}

func (r *reader) got(partition int32) []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]record(nil), r.records[partition]...)
}

func (r *reader) values(partition int32) []string {
	var vs []string
	for _, rec := range r.got(partition) {
		if rec.value == nil {
			vs = append(vs, "<nil>")
			continue
		}
		vs = append(vs, *rec.value)
	}
	return vs
}

func (r *reader) told(match func(kafka.FetchError) bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.errs {
		if match(e) {
			return true
		}
	}
	return false
}

func (r *reader) toldOf(target error) bool {
	return r.told(func(e kafka.FetchError) bool { return errors.Is(e, target) })
}

// result waits for Run to return.
func (r *reader) result(tb testing.TB) error {
	tb.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(patience):
		tb.Fatalf("Run has not returned within %v", patience)
		return nil
	}
}
