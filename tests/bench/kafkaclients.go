package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicSettings are those of a topic that a cache reads, but nothing is ever
// compacted, so that every candidate reads the same log.
var topicSettings = map[string]*string{
	"cleanup.policy":            kadm.StringPtr("compact"),
	"min.compaction.lag.ms":     kadm.StringPtr("9223372036854775807"),
	"max.compaction.lag.ms":     kadm.StringPtr("9223372036854775807"),
	"min.cleanable.dirty.ratio": kadm.StringPtr("1"),
}

// fillTopic creates a topic of one partition and writes version 0 of the entries
// to it. It returns the bytes that they take in the log.
func fillTopic(ctx context.Context, bootstrap []string, topic string, entries, batchBytes int) (int64, error) {
	return fillPartitions(ctx, bootstrap, topic, 1, batchBytes, func(write func(partition int32, entry uint64)) {
		for i := range uint64(entries) {
			write(0, i)
		}
	})
}

// fillPartitions creates a topic and writes version 0 of the entries that each
// names, in order. It returns the bytes that they take in the log. More options
// of the producer replace those that are set here.
func fillPartitions(ctx context.Context, bootstrap []string, topic string, partitions int32, batchBytes int, each func(write func(partition int32, entry uint64)), more ...kgo.Opt) (int64, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap...),
		kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerBatchMaxBytes(int32(batchBytes)),
		kgo.ProducerLinger(100 * time.Millisecond),
		kgo.MaxBufferedRecords(50_000),
	}, more...)...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, partitions, 1, topicSettings, topic); err != nil {
		return 0, fmt.Errorf("create topic %s: %w", topic, err)
	}
	failed := make(chan error, 1)
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	each(func(partition int32, entry uint64) {
		if len(failed) > 0 {
			return
		}
		b := make([]byte, 0, keySize+valueSize)
		b = appendKey(b, entry)
		b = appendValue(b, entry, 0)
		client.Produce(ctx, &kgo.Record{Partition: partition, Key: b[:keySize:keySize], Value: b[keySize:]}, done)
	})
	if err := client.Flush(ctx); err != nil {
		return 0, fmt.Errorf("fill topic %s: %w", topic, err)
	}
	select {
	case err := <-failed:
		return 0, fmt.Errorf("fill topic %s: %w", topic, err)
	default:
	}
	var set kadm.TopicsSet
	for p := range partitions {
		set.Add(topic, p)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return 0, fmt.Errorf("describe log directories: %w", err)
	}
	size := int64(0)
	dirs.Each(func(d kadm.DescribedLogDir) { size += d.Size() })
	return size, nil
}

// createTopic creates an empty topic of one partition.
func createTopic(ctx context.Context, bootstrap []string, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, topicSettings, topic); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// deleteTopic deletes a topic whose room others need.
func deleteTopic(ctx context.Context, bootstrap []string, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	return nil
}

// setTopic changes a setting of a topic.
func setTopic(ctx context.Context, bootstrap []string, topic, name, value string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		return err
	}
	defer client.Close()
	responses, err := kadm.NewClient(client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	for _, r := range responses {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		return fmt.Errorf("set %s of topic %s: %w", name, topic, err)
	}
	return nil
}

// topicRead reads a topic from its start until it has seen a number of records.
type topicRead struct {
	Bootstrap []string
	Topic     string
	Records   int
}

type topicReadResult struct {
	Records int
	CPU     time.Duration // of the whole process
	Peak    int64         // bytes
}

// consumeTopic is the floor of a load: it fetches, decompresses and counts, and keeps nothing.
func consumeTopic(ctx context.Context, o topicRead) (topicReadResult, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(o.Bootstrap...),
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return topicReadResult{}, err
	}
	defer client.Close()
	r := topicReadResult{}
	for r.Records < o.Records {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return r, err
		}
		r.Records += fetches.NumRecords()
	}
	if r.CPU, err = cpuTime(os.Getpid()); err != nil {
		return r, err
	}
	m, err := memoryOf(os.Getpid())
	r.Peak = m.peak
	return r, err
}

// plainProducer is what a SET is compared with: idempotent, acks=all, nothing compressed or held back.
func plainProducer(addr, topic string) (*kgo.Client, error) {
	return kgo.NewClient(
		kgo.SeedBrokers(addr),
		kgo.DefaultProduceTopic(topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
}

// runProduceLoad is a plain idempotent producer with acks=all that waits for each of its records.
func runProduceLoad(ctx context.Context, o writeLoad) (writeResult, error) {
	client, err := plainProducer(o.Addr, o.Topic)
	if err != nil {
		return writeResult{}, err
	}
	defer client.Close()
	write := func(key, value []byte) error {
		return client.ProduceSync(ctx, &kgo.Record{Key: key, Value: value}).FirstErr()
	}
	return timeWrites(o, write, func([]byte, []byte) error { return nil })
}
