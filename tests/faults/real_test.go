package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// What follows needs a real Kafka: kfake does not leave empty batches behind, has no message.max.bytes of a broker's own
// kind, and elects no leaders.

func onTopic(name string) func(*kafka.FetcherConfig, *reader) {
	return func(fc *kafka.FetcherConfig, _ *reader) { fc.Topic = name }
}

// TestRealEmptyBatches has the log hold batches without records at its end and before a batch that does not fit behind
// them: compaction keeps the last batch of an idempotent producer.
func TestRealEmptyBatches(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 1, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "100", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01",
		"max.compaction.lag.ms": "200", "delete.retention.ms": "0",
	})
	values, tombstones, filler := c.Client(t), c.Client(t), c.Client(t, kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	produceTo := func(w *kgo.Client, key string, value []byte) {
		t.Helper()
		if err := w.ProduceSync(context.Background(), &kgo.Record{Topic: name, Key: []byte(key), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		produceTo(values, fmt.Sprint("k", i), []byte("v"))
	}
	for i := range 10 {
		produceTo(tombstones, fmt.Sprint("k", i), nil)
	}
	large := []byte(strings.Repeat("f", 1<<20-200))
	// A reader that starts now sees all of it; the log is compacted once one that starts later sees only fillers.
	eventuallySlow(t, time.Minute, "compaction", func() bool {
		produceTo(filler, "filler", large)
		r := readOnce(t, c.Bootstrap, name, c.Ends(t, name)[0].LastStable, 64<<10)
		for _, rec := range r {
			if rec.key != "filler" {
				return false
			}
		}
		return true
	})
	end := c.Ends(t, name)[0].LastStable
	for _, limit := range []int32{1, 4 << 10, 1 << 20} {
		got := readOnce(t, c.Bootstrap, name, end, limit)
		if len(got) == 0 || got[len(got)-1].key != "filler" || got[len(got)-1].offset != end-1 {
			t.Errorf("with a limit of %d: %d records", limit, len(got))
		}
	}
}

func eventuallySlow(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	within(t, d, what, cond)
}

// readOnce reads one partition from its start to an end.
func readOnce(t *testing.T, addrs []string, name string, end int64, limit int32) []record {
	t.Helper()
	r := read(t, addrs, func(fc *kafka.FetcherConfig, _ *reader) {
		fc.Topic, fc.MaxPartitionBytes, fc.MaxBytes = name, limit, max(limit, 1<<10)
	})
	eventually(t, fmt.Sprintf("offset %d", end), func() bool { return r.next(0) >= end })
	r.stop()
	if err := r.result(t); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return r.got(0)
}

// TestRealLargeBatchComesThrough has batches larger than every limit in partitions beside others that have records too.
func TestRealLargeBatchComesThrough(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 8, map[string]string{"max.message.bytes": "4000000"})
	w := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(4_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for i := range 40 {
		for p := range int32(8) {
			size := 3000
			if i == 20 && p >= 5 {
				size = 3_000_000
			}
			if err := w.ProduceSync(context.Background(), &kgo.Record{Topic: name, Partition: p, Key: []byte("k"), Value: make([]byte, size)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := read(t, c.Bootstrap, func(fc *kafka.FetcherConfig, _ *reader) {
		fc.Topic, fc.MaxBytes, fc.MaxPartitionBytes = name, 16<<10, 4<<10
	})
	for p := range int32(8) {
		eventually(t, fmt.Sprintf("the end of partition %d", p), func() bool { return r.atEnd(p, 40) })
		if n := len(r.got(p)); n != 40 {
			t.Errorf("partition %d: %d records", p, n)
		}
	}
}

// TestRealTransactionsAndGroups reads to the end over markers, and commits the position so that Kafka's own tool shows no
// lag but what there is.
func TestRealTransactionsAndGroups(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 2, nil)
	tx := c.Client(t, kgo.TransactionalID(kafkatest.RandomName(t)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := context.Background()
	for i, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range int32(2) {
			if err := tx.ProduceSync(ctx, &kgo.Record{Topic: name, Partition: p, Key: []byte("k"), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	r := read(t, c.Bootstrap, onTopic(name))
	ends := c.Ends(t, name)
	client := newClient(t, configFor(c.Bootstrap))
	ours, err := client.Ends(ctx, name, []int32{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		eventually(t, "the end, past an abort marker", func() bool { return r.atEnd(p, ends[p].HighWatermark) })
		if got := r.values(p); len(got) != 2 || got[0] != "0" || got[1] != "2" {
			t.Errorf("partition %d: read %q", p, got)
		}
		if o := ours[p]; o.HighWatermark != ends[p].HighWatermark || o.LastStable != ends[p].LastStable || o.LogStart != ends[p].Start {
			t.Errorf("partition %d: ends %+v, want %+v", p, o, ends[p])
		}
	}
	group := "prod." + kafkatest.RandomName(t)
	if err := client.CommitGroup(ctx, group, name, map[int32]int64{0: r.next(0), 1: r.next(1) - 3}, "ready"); err != nil {
		t.Fatal(err)
	}
	rows := c.DescribeGroup(t, group)
	if len(rows) != 2 {
		t.Fatalf("%+v", rows)
	}
	for _, row := range rows {
		if want := int64(row.Partition) * 3; row.Lag != want || row.Topic != name {
			t.Errorf("%+v, want lag %d", row, want)
		}
	}
	if err := client.DeleteGroup(ctx, group); err != nil {
		t.Error(err)
	}
	if rows := c.DescribeGroup(t, group); rows != nil {
		t.Errorf("after it was deleted: %+v", rows)
	}
	s, err := client.TopicSettings(ctx, name)
	if err != nil || !s.Authorized || s.CleanupPolicy != "delete" || s.DeleteRetention != 24*time.Hour || s.MaxMessageBytes < 1_000_000 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestRealRefusals has a real broker refuse one record of a batch: the others are written.
func TestRealRefusals(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 1, map[string]string{"cleanup.policy": "compact", "max.message.bytes": "20000"})
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.Bootstrap)})
	type one struct {
		want error
		got  chan error
	}
	var all []one
	send := func(key []byte, size int, want error) {
		o := one{want, make(chan error, 1)}
		p.Produce(name, kafka.ProduceRecord{Key: key, Value: make([]byte, size)}, func(_ kafka.Produced, err error) { o.got <- err })
		all = append(all, o)
	}
	for i := range 60 {
		switch {
		case i%20 == 7:
			send(nil, 10, kafka.ErrRefused) // a compacted topic takes no record without a key
		case i%20 == 13:
			send([]byte("k"), 30_000, kafka.ErrTooLarge)
		default:
			send([]byte("k"), 1000, nil)
		}
	}
	for i, o := range all {
		if err := <-o.got; !errors.Is(err, o.want) {
			t.Errorf("record %d: %v, want %v", i, err, o.want)
		}
	}
	if end := c.Ends(t, name)[0].HighWatermark; end != 54 {
		t.Errorf("the log ends at %d", end)
	}
}

// TestRealStoppedLeader stops one of three brokers with SIGSTOP and waits for what is written to its successor.
func TestRealStoppedLeader(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three brokers")
	}
	c := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	name := c.NewTopic(t, 3, map[string]string{"min.insync.replicas": "2"})
	config := configFor(c.Bootstrap)
	config.RefreshInterval = kafka.DefaultRefreshInterval
	config.MaxWait = kafka.DefaultMaxWait
	client := newClient(t, config)
	info, err := client.DescribeTopic(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, c.Bootstrap, func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka, fc.Topic = config, name })
	p := newProducer(t, kafka.ProducerConfig{Kafka: config, Timeout: time.Minute})
	send := func(value string) chan produced {
		done := make(chan produced, 1)
		p.Produce(name, kafka.ProduceRecord{Key: keyFor(0, 3), Value: []byte(value)}, func(at kafka.Produced, err error) { done <- produced{at, err} })
		return done
	}
	if o := <-send("before"); o.err != nil || o.at.Partition != 0 {
		t.Fatalf("%+v", o)
	}
	eventually(t, "the record", func() bool { return len(r.got(0)) == 1 })

	old := info.Partitions[0].Leader
	stopped := -1
	for i, b := range c.Brokers {
		if int32(b.ID) == old {
			stopped = i
		}
	}
	if stopped < 0 {
		t.Fatalf("no broker %d", old)
	}
	c.Brokers[stopped].Pause()
	defer c.Brokers[stopped].Resume()
	later := send("during")
	// What other leaders have is read on meanwhile.
	other := info.Partitions[1]
	if other.Leader == old {
		other = info.Partitions[2]
	}
	w := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := w.ProduceSync(context.Background(), &kgo.Record{Topic: name, Partition: other.ID, Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "the record of another leader", func() bool { return len(r.got(other.ID)) == 1 })
	var replaced time.Time
	eventuallySlow(t, time.Minute, "a new leader", func() bool {
		info, err := client.DescribeTopic(context.Background(), name)
		if err == nil && info.Partitions[0].Leader != old && info.Partitions[0].LeaderAddr != "" {
			replaced = time.Now()
			return true
		}
		return false
	})
	within(t, 5*time.Second, "the record from the new leader", func() bool { return len(r.got(0)) == 2 })
	t.Logf("written to, and read from, the new leader %v after the replacement", time.Since(replaced).Round(time.Millisecond))
	if o := <-later; o.err != nil {
		t.Error(o.err)
	}
	c.Brokers[stopped].Resume()
	if o := <-send("after"); o.err != nil {
		t.Error(o.err)
	}
	eventually(t, "the last record", func() bool { return len(r.got(0)) == 3 })
}
