package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

const other = "others"

func newTransactions(tb testing.TB, c *kfake.Cluster, change func(*kafka.TransactionsConfig)) *kafka.Transactions {
	tb.Helper()
	cfg := kafka.TransactionsConfig{Kafka: configFor(c.ListenAddrs()), ID: "me"}
	if change != nil {
		change(&cfg)
	}
	x, err := kafka.NewTransactions(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		x.Close(ctx)
	})
	return x
}

// set is a record of a topic.
func set(topic, key, value string) kafka.TopicRecord {
	return kafka.TopicRecord{Topic: topic, ProduceRecord: kafka.ProduceRecord{Key: []byte(key), Value: []byte(value)}}
}

// inPartition is a record of a partition of topic.
func inPartition(p int32, value string) kafka.TopicRecord {
	r := set(topic, fmt.Sprintf("key-of-%d", p), value)
	r.ToPartition, r.Partition = true, p
	return r
}

// seen are the records that a reader of committed records gets from the topics, up to their ends as they are now: the stable end has come to the high
// watermark everywhere, or it is an error.
func seen(tb testing.TB, c *kfake.Cluster, topics ...string) []*kgo.Record {
	tb.Helper()
	w := newWriter(tb, c.ListenAddrs())
	adm := kadm.NewClient(w)
	var left map[string]map[int32]int64
	eventually(tb, "no transaction is open", func() bool {
		committed, err := adm.ListCommittedOffsets(context.Background(), topics...)
		if err != nil {
			tb.Fatal(err)
		}
		ends, err := adm.ListEndOffsets(context.Background(), topics...)
		if err != nil {
			tb.Fatal(err)
		}
		left = map[string]map[int32]int64{}
		same := true
		ends.Each(func(o kadm.ListedOffset) {
			at, _ := committed.Lookup(o.Topic, o.Partition)
			same = same && at.Offset == o.Offset
			if o.Offset > 0 {
				if left[o.Topic] == nil {
					left[o.Topic] = map[int32]int64{}
				}
				left[o.Topic][o.Partition] = o.Offset
			}
		})
		return same
	})
	from := map[string]map[int32]kgo.Offset{}
	for name, parts := range left {
		from[name] = map[int32]kgo.Offset{}
		for p := range parts {
			from[name][p] = kgo.NewOffset().At(0)
		}
	}
	if len(from) == 0 {
		return nil
	}
	r, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []*kgo.Record
	done := func(t string, p int32, next int64) {
		if next >= left[t][p] {
			delete(left[t], p)
		}
		if len(left[t]) == 0 {
			delete(left, t)
		}
	}
	// The last of a partition may be an aborted record, but then its marker follows, which is kept.
	for len(left) > 0 {
		fetches := r.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			tb.Fatalf("read: %v, left %v", err, left)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			if !rec.Attrs.IsControl() {
				all = append(all, rec)
			}
			done(rec.Topic, rec.Partition, rec.Offset+1)
		})
	}
	return all
}

func values(records []*kgo.Record) []string {
	var vs []string
	for _, r := range records {
		vs = append(vs, string(r.Value))
	}
	slices.Sort(vs)
	return vs
}

func TestATransactionIsInTheLog(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(4, topic), kfake.SeedTopics(1, other))
	x := newTransactions(t, c, nil)
	var written []kafka.TopicRecord
	var at []kafka.Produced
	for n := range 5 {
		var records []kafka.TopicRecord
		for i := range 20 {
			r := set(topic, fmt.Sprintf("k%d", i), fmt.Sprintf("%d-%d", n, i))
			switch i {
			case 7:
				r.Value = nil
			case 8:
				r.Value = []byte{}
			case 9:
				r.Headers = []kafka.Header{{Key: []byte("h"), Value: []byte("v")}}
			case 10:
				r.Topic = other
			case 11:
				r.ToPartition, r.Partition = true, 3
			case 12:
				r.Timestamp = 1234567890123
			}
			records = append(records, r)
		}
		got, err := x.Write(context.Background(), records[:15], records[15:])
		if err != nil || len(got) != len(records) {
			t.Fatalf("%d results, %v", len(got), err)
		}
		written, at = append(written, records...), append(at, got...)
	}
	read := map[string]*kgo.Record{}
	for _, r := range seen(t, c, topic, other) {
		read[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = r
	}
	if len(read) != len(written) {
		t.Errorf("%d records are in the log, %d were written", len(read), len(written))
	}
	murmur2 := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for i, w := range written {
		r := read[fmt.Sprintf("%s/%d/%d", w.Topic, at[i].Partition, at[i].Offset)]
		if r == nil {
			t.Errorf("%s is not at %+v", w.Key, at[i])
			continue
		}
		if string(r.Key) != string(w.Key) || string(r.Value) != string(w.Value) || (r.Value == nil) != (w.Value == nil) || len(r.Headers) != len(w.Headers) ||
			at[i].Timestamp != r.Timestamp.UnixMilli() || w.Timestamp != 0 && at[i].Timestamp != w.Timestamp {
			t.Errorf("%+v was written, and %+v is in the log at %+v", w, r, at[i])
		}
		if w.Topic == topic && !w.ToPartition && murmur2.Partition(&kgo.Record{Key: w.Key}, 4) != int(r.Partition) {
			t.Errorf("key %s is in partition %d", w.Key, r.Partition)
		}
		if info, err := newClient(t, configFor(c.ListenAddrs())).DescribeTopic(context.Background(), w.Topic); err != nil || info.ID != at[i].TopicID {
			t.Errorf("topic id %v, %v", at[i].TopicID, err)
		}
	}
	// Order within a partition is the order of the call.
	for key, last := "k0", int64(-1); last < 0; {
		for i, w := range written {
			if string(w.Key) == key {
				if at[i].Offset <= last {
					t.Errorf("%s comes at %d after %d", w.Value, at[i].Offset, last)
				}
				last = at[i].Offset
			}
		}
	}
	if got, err := x.Write(context.Background()); err != nil || got != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(9, "x")}); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a partition that is not there: %v", err)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set("nowhere", "k", "v")}); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// TestLargeTransactions are cut into batches, as small as the topic asks for.
func TestLargeTransactions(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic), kfake.SeedTopics(1, other))
	adm := kadm.NewClient(newWriter(t, c.ListenAddrs()))
	small := "20000"
	if _, err := adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, other); err != nil {
		t.Fatal(err)
	}
	x := newTransactions(t, c, nil)
	var records []kafka.TopicRecord
	for i := range 300 {
		records = append(records, inPartition(int32(i%2), fmt.Sprintf("%d %s", i, strings.Repeat("x", 20_000))))
		records = append(records, set(other, "k", fmt.Sprintf("%d %s", i, strings.Repeat("y", 1000))))
	}
	at, err := x.Write(context.Background(), records)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]string{}
	for _, r := range seen(t, c, topic, other) {
		read[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = string(r.Value)
	}
	for i, r := range records {
		if got := read[fmt.Sprintf("%s/%d/%d", r.Topic, at[i].Partition, at[i].Offset)]; got != string(r.Value) {
			t.Errorf("record %d at %+v is %.20q", i, at[i], got)
		}
	}
	if len(read) != len(records) {
		t.Errorf("%d records are in the log, %d were written", len(read), len(records))
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(other, "k", strings.Repeat("z", 50_000)), set(topic, "k", "v")}); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("a record over max.message.bytes: %v", err)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", strings.Repeat("z", 65<<20))}); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("more than can be held: %v", err)
	}
}

// TestATopicThatIsCreatedAnewMeanwhile is not written to: the records were meant for the old one.
func TestATopicThatIsCreatedAnewMeanwhile(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic), kfake.SeedTopics(1, other))
	x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 1 })
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", "a"), set(other, "k", "a")}); err != nil {
		t.Fatal(err)
	}
	c.ControlKey(int16(kmsg.AddPartitionsToTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { recreate(t, c, 1) })
		return nil, nil, false
	})
	_, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", "b"), set(other, "k", "b")})
	if !errors.Is(err, kafka.ErrUnavailable) || !errors.Is(err, kafka.ErrTopicRecreated) {
		t.Errorf("got %v", err)
	}
	if got := values(seen(t, c, topic, other)); strings.Join(got, "") != "a" {
		t.Errorf("in the log: %v", got)
	}
}

func TestTransactionsConfig(t *testing.T) {
	for _, change := range []func(*kafka.TransactionsConfig){
		func(c *kafka.TransactionsConfig) { c.Kafka.Bootstrap = nil },
		func(c *kafka.TransactionsConfig) { c.Producers = -1 },
		func(c *kafka.TransactionsConfig) { c.TransactionTimeout = time.Microsecond },
		func(c *kafka.TransactionsConfig) { c.Timeout = -time.Second },
	} {
		cfg := kafka.TransactionsConfig{Kafka: configFor([]string{"127.0.0.1:1"})}
		change(&cfg)
		if _, err := kafka.NewTransactions(cfg); !errors.Is(err, kafka.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
