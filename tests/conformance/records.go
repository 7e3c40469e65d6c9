package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// record has the key and the value as text.
func record(topic, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
}

// tombstone deletes the key.
func tombstone(topic, key string) *kgo.Record { return &kgo.Record{Topic: topic, Key: []byte(key)} }

// homeKey is a key that begins with the prefix and goes to that one of so many partitions by the partitioner of Java's clients: for situations that are not about where
// keys lie, since not every subject looks elsewhere for one.
func homeKey(prefix string, partition, partitions int) string {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for n := 0; ; n++ {
		key := fmt.Sprint(prefix, n)
		if p.Partition(&kgo.Record{Key: []byte(key)}, partitions) == partition {
			return key
		}
	}
}

// records are n of them, prefix0 to prefix(n-1), all with the same value.
func records(topic, prefix string, n int, value string) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		all[i] = record(topic, fmt.Sprintf("%s%d", prefix, i), value)
	}
	return all
}

// Topic is a new topic. Its name starts with the scenario's.
func (r *Run) Topic(partitions int, config map[string]string) string {
	return r.Cluster.NewTopic(r, partitions, config)
}

// Produce writes records and waits for their acknowledgement.
func (r *Run) Produce(records ...*kgo.Record) { r.Cluster.Produce(r, records...) }

// Begin writes the records in a transaction that stays open.
func (r *Run) Begin(ctx context.Context, records ...*kgo.Record) *kgo.Client {
	client := r.Cluster.Client(r, kgo.TransactionalID(kafkatest.RandomName(r)), kgo.TransactionTimeout(time.Minute))
	if err := client.BeginTransaction(); err != nil {
		r.Fatalf("begin a transaction: %v", err)
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		r.Fatalf("produce in a transaction: %v", err)
	}
	return client
}

// End commits or aborts the transaction, and waits until the topic has its marker.
func (r *Run) End(ctx context.Context, client *kgo.Client, topic string, how kgo.TransactionEndTry) {
	if err := client.EndTransaction(ctx, how); err != nil {
		r.Fatalf("end a transaction: %v", err)
	}
	r.awaitStable(ctx, topic)
}

// awaitStable waits until no transaction of the topic is open.
func (r *Run) awaitStable(ctx context.Context, topic string) {
	r.Await(ctx, 20*time.Second, "no transaction is open", func(context.Context) error {
		for p, e := range r.Cluster.Ends(r, topic) {
			if e.LastStable != e.HighWatermark {
				return fmt.Errorf("partition %d is stable up to %d of %d", p, e.LastStable, e.HighWatermark)
			}
		}
		return nil
	})
}

// compacted is for a topic whose cleaner passes within a second of what rolls a segment, and which keeps tombstones for
// retention at least. With retention 0 they go as soon as two passes have seen them. The files of replaced segments stay for the minute that is Kafka's default: a
// broker that flushes one which is closed already takes its disk for broken, and ends.
func compacted(retention time.Duration) map[string]string {
	return map[string]string{
		"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "200",
		"delete.retention.ms": fmt.Sprint(retention.Milliseconds()),
	}
}

// with is a with b over it.
func with(a, b map[string]string) map[string]string {
	c := maps.Clone(a)
	maps.Copy(c, b)
	return c
}

// ReadLog reads the topic as it is now, read_committed: every record that can be read, with its tombstones. Where retention runs meanwhile,
// what it removes may be missing.
func (r *Run) ReadLog(ctx context.Context, topic string) []*kgo.Record {
	for deadline := time.Now().Add(20 * time.Second); ; {
		all, left := r.readLog(ctx, topic)
		switch {
		case len(left) == 0:
			return all
		case ctx.Err() != nil || time.Now().After(deadline):
			r.Fatalf("read the log of %s, which has the ends %v: nothing up to %v", topic, r.Cluster.Ends(r, topic), left)
		}
	}
}

// readLog gives up when nothing comes for a while, though there is something left by partition up to an offset.
func (r *Run) readLog(ctx context.Context, topic string) (all []*kgo.Record, left map[int32]int64) {
	left = map[int32]int64{}
	offsets := map[int32]kgo.Offset{}
	for p, e := range r.Cluster.Ends(r, topic) {
		if e.LastStable > e.Start {
			offsets[int32(p)] = kgo.NewOffset().AtStart()
			left[int32(p)] = e.LastStable
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	// Control records are read too, since one may be the last thing; what compaction has left empty is passed by the positions of the client.
	client := r.Cluster.Client(r, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond), kgo.ClientID(readerID))
	defer client.Close()
	for len(left) > 0 {
		polled, cancel := context.WithTimeout(ctx, 3*time.Second)
		fetches := client.PollFetches(polled)
		cancel()
		if err := fetches.Err(); err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			r.Fatalf("read the log of %s (ends left: %v): %v", topic, left, err)
		} else if err != nil {
			for p, e := range r.Cluster.Ends(r, topic) {
				if e.Start >= left[int32(p)] {
					delete(left, int32(p)) // retention has removed it meanwhile
				}
			}
			return all, left
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			if end, ok := left[rec.Partition]; ok && rec.Offset+1 >= end {
				delete(left, rec.Partition)
			}
			if !rec.Attrs.IsControl() {
				all = append(all, rec)
			}
		})
	}
	return all, nil
}

// readerID is the client id under which the scenarios read, so that a quota can spare them.
const readerID = "conformance-reader"

// Truth is what the log says: the last value of each key that has one.
func (r *Run) Truth(ctx context.Context, topic string) map[string]string {
	all := map[string]string{}
	for _, rec := range r.ReadLog(ctx, topic) {
		switch {
		case len(rec.Key) == 0:
		case rec.Value == nil:
			delete(all, string(rec.Key))
		default:
			all[string(rec.Key)] = string(rec.Value)
		}
	}
	return all
}

// CompactUntil writes a key that is of no interest, which rolls segments and makes the log cleanable, until done is true
// of what the log has. The key is compactionKey, in partition 0.
func (r *Run) CompactUntil(ctx context.Context, within time.Duration, topic, what string, done func(log []*kgo.Record) bool) {
	n := 0
	r.Await(ctx, within, what, func(context.Context) error {
		n++
		for p := range r.Cluster.Ends(r, topic) {
			r.Cluster.ProduceTo(r, &kgo.Record{Topic: topic, Partition: int32(p), Key: []byte(compactionKey + fmt.Sprint(p)), Value: fmt.Append(nil, n)})
		}
		if log := r.ReadLog(ctx, topic); !done(log) {
			return fmt.Errorf("the log has %d records", len(log))
		}
		return nil
	})
}

const compactionKey = "compaction-"

// without is done for CompactUntil where the log has neither a value nor a tombstone of the keys any more.
func without(keys ...string) func(log []*kgo.Record) bool {
	return func(log []*kgo.Record) bool {
		for _, rec := range log {
			for _, k := range keys {
				if string(rec.Key) == k {
					return false
				}
			}
		}
		return true
	}
}

// throttledSettings are of a broker whose quotas are exact within a second or two.
var throttledSettings = map[string]string{"quota.window.num": "2", "quota.window.size.seconds": "1"}

// Throttle lets every client but the scenarios' own reader fetch that many bytes a second; 0 ends it.
func (r *Run) Throttle(ctx context.Context, bytesPerSecond float64) {
	request := kmsg.NewPtrAlterClientQuotasRequest()
	entry := func(client *string, rate float64) {
		e := kmsg.NewAlterClientQuotasRequestEntry()
		entity := kmsg.NewAlterClientQuotasRequestEntryEntity()
		entity.Type, entity.Name = "client-id", client
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value, op.Remove = "consumer_byte_rate", rate, bytesPerSecond == 0
		e.Entity, e.Ops = append(e.Entity, entity), append(e.Ops, op)
		request.Entries = append(request.Entries, e)
	}
	reader := readerID
	entry(nil, bytesPerSecond)
	entry(&reader, 1e9)
	response, err := request.RequestWith(ctx, r.Cluster.Client(r))
	if err != nil {
		r.Fatalf("set a quota: %v", err)
	}
	for _, e := range response.Entries {
		if e.ErrorCode != 0 {
			r.Fatalf("set a quota: error %d", e.ErrorCode)
		}
	}
}

// bigRecords are n records of 1000 bytes that do not compress, with keys of their own.
func bigRecords(topic, prefix string, n int) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		all[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%s%d", prefix, i), Value: []byte(randomText(1000))}
	}
	return all
}

// produceSmall writes in batches that fit many times into what a throttled reader gets in a second: a batch over a whole
// second's quota is never handed out by the broker.
func (r *Run) produceSmall(ctx context.Context, records ...*kgo.Record) {
	client := r.Cluster.Client(r, kgo.ProducerBatchMaxBytes(32<<10))
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		r.Fatalf("produce: %v", err)
	}
}

// randomText does not compress to nothing.
func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rand.IntN(26))
	}
	return string(b)
}
