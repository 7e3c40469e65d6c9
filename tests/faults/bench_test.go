package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// BenchmarkFetch reads records of 36 B keys and 200 B values that an in-process broker holds in memory, lz4 in batches of
// about 16 KiB, and counts the records only. The broker shares the processors. One operation is one record.
func BenchmarkFetch(b *testing.B) {
	for _, partitions := range []int{1, 4} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			const records = 500_000
			c := startCluster(b, kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), topic))
			fill(b, c.ListenAddrs(), topic, partitions, records)
			measure(b, c.ListenAddrs(), topic, records)
		})
	}
}

// BenchmarkRealFetch is BenchmarkFetch on a real Kafka, whose process shares the processors.
func BenchmarkRealFetch(b *testing.B) {
	for _, partitions := range []int{1, 4} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			const records = 1_000_000
			c := kafkatest.Shared(b)
			name := c.NewTopic(b, partitions, nil)
			fill(b, c.Bootstrap, name, partitions, records)
			measure(b, c.Bootstrap, name, records)
		})
	}
}

func measure(b *testing.B, addrs []string, name string, records int) {
	b.Helper()
	var before, after runtime.MemStats
	var elapsed time.Duration
	read := 0
	b.ResetTimer()
	runtime.ReadMemStats(&before)
	for read < b.N || read == 0 {
		began := time.Now()
		drain(b, addrs, name, records)
		elapsed += time.Since(began)
		read += records
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(read)/elapsed.Seconds(), "records/s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(read), "allocs/record")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(read), "B/record")
	b.ReportMetric(0, "ns/op")
}

func fill(b *testing.B, addrs []string, name string, partitions, records int) {
	b.Helper()
	w := newWriter(b, addrs, kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(16<<10), kgo.MaxBufferedRecords(50_000),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	rng := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 200)
	for i := range records {
		for j := range value {
			value[j] = "abcdefgh\"{}:,0123"[rng.IntN(17)]
		}
		w.Produce(context.Background(), &kgo.Record{
			Topic: name, Partition: int32(i % partitions), Key: fmt.Appendf(nil, "%036d", i), Value: append([]byte(nil), value...),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := w.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func drain(b *testing.B, addrs []string, name string, records int) {
	b.Helper()
	config := configFor(addrs)
	info, err := newClient(b, config).DescribeTopic(context.Background(), name)
	if err != nil {
		b.Fatal(err)
	}
	f, err := kafka.NewFetcher(kafka.FetcherConfig{Kafka: config, Topic: name, ID: info.ID, Start: func(int32) int64 { return -1 }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	if err := f.Run(ctx, func(_ context.Context, batch *kafka.Batch) error {
		if n += len(batch.Records); n == records {
			cancel()
		}
		return nil
	}); ctx.Err() == nil {
		b.Fatal(err)
	}
	if n != records {
		b.Fatalf("%d records of %d", n, records)
	}
}

// BenchmarkProduce writes records of 36 B keys and 200 B values with a number of callers that each wait for their
// acknowledgement. The broker shares the processors.
func BenchmarkProduce(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := startCluster(b, kfake.NumBrokers(1), kfake.SeedTopics(4, topic))
			p := newProducer(b, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
			value := make([]byte, 200)
			if o := produce(b, p, []byte("k"), value); o.err != nil {
				b.Fatal(o.err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var working sync.WaitGroup
			for range callers {
				working.Go(func() {
					done := make(chan error, 1)
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						p.Produce(topic, kafka.ProduceRecord{Key: fmt.Appendf(nil, "%036d", i), Value: value}, func(_ kafka.Produced, err error) { done <- err })
						if err := <-done; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			working.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkVisible is the time from a call of Produce until the record is applied.
func BenchmarkVisible(b *testing.B) {
	c := startCluster(b, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	seen := make(chan int64, 16)
	read(b, c.ListenAddrs(), func(_ *kafka.FetcherConfig, r *reader) {
		r.apply = func(batch *kafka.Batch) error {
			for _, rec := range batch.Records {
				seen <- rec.Offset
			}
			return nil
		}
	})
	p := newProducer(b, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	b.ResetTimer()
	for i := range b.N {
		p.Produce(topic, kafka.ProduceRecord{Key: []byte("k"), Value: []byte("v")}, func(_ kafka.Produced, err error) {
			if err != nil {
				b.Error(err)
			}
		})
		if o := <-seen; o != int64(i) {
			b.Fatalf("offset %d, want %d", o, i)
		}
	}
}
