package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// quickCompaction has the cleaner pass within half a second of an append that rolls the segment.
var quickCompaction = map[string]string{
	"cleanup.policy": "compact", "segment.ms": "100", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01",
	"max.compaction.lag.ms": "200", "delete.retention.ms": "0",
}

// TestEmptyBatchesThatCompactionLeaves: the cleaner keeps the last batch of an
// idempotent producer with no records in it. A response may hold nothing but such
// batches, and a reader that waits for a record never gets past them.
func TestEmptyBatchesThatCompactionLeaves(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, quickCompaction)
	values, tombstones := c.Client(t), c.Client(t) // two idempotent producers, whose state lives on while they do
	fillers := c.Client(t, kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	produce := func(client *kgo.Client, records ...*kgo.Record) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		produce(values, record(topic, fmt.Sprintf("k%d", i), "value"))
	}
	for i := range 10 {
		produce(tombstones, tombstone(topic, fmt.Sprintf("k%d", i)))
	}
	// It does not fit into a response of 1 MiB behind the empty batches.
	filler := strings.Repeat("f", 1<<20-200)
	deadline := time.Now().Add(time.Minute)
	for n := 0; ; n++ {
		produce(fillers, record(topic, "filler", filler)) // rolls the segment, so that what is before it can be cleaned
		if batches := firstBatches(t, c, topic); allEmpty(batches) {
			t.Logf("after %d rolls the log begins with batches of %s", n, describe(batches))
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("compaction has left no empty batch: %s", describe(firstBatches(t, c, topic)))
		}
	}

	d := serve(t, c, topic)
	d.WaitReady()
	client := d.Client(0)
	wantContents(t, client, map[string]string{"filler": filler})
	awaitEnd(t, c, d, topic)
	c.Produce(t, record(topic, "later", "x"))
	awaitGet(t, d, client, "later", "x")
}

// firstBatches fetches from the log's start what fits in a little.
func firstBatches(t *testing.T, c *kafkatest.Cluster, topic string) []kmsg.RecordBatch {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	details, err := c.Admin(t).ListTopics(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.FetchOffset = c.Ends(t, topic)[0].Start
	partition.PartitionMaxBytes = 4096
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = topic, details[topic].ID
	ft.Partitions = append(ft.Partitions, partition)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MaxWaitMillis, req.Topics = 4096, 100, append(req.Topics, ft)
	res, err := req.RequestWith(ctx, c.Client(t).Broker(int(details[topic].Partitions[0].Leader)))
	if err != nil {
		t.Fatal(err)
	}
	raw := res.Topics[0].Partitions[0].RecordBatches
	var batches []kmsg.RecordBatch
	for len(raw) >= 12 {
		size := 12 + int(uint32(raw[8])<<24|uint32(raw[9])<<16|uint32(raw[10])<<8|uint32(raw[11]))
		if len(raw) < size {
			break // cut off
		}
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw[:size]); err != nil {
			t.Fatal(err)
		}
		batches, raw = append(batches, b), raw[size:]
	}
	return batches
}

// allEmpty tells whether there are batches and none has a record.
func allEmpty(batches []kmsg.RecordBatch) bool {
	return len(batches) > 0 && !slices.ContainsFunc(batches, func(b kmsg.RecordBatch) bool { return b.NumRecords > 0 })
}

func describe(batches []kmsg.RecordBatch) string {
	var parts []string
	for _, b := range batches {
		parts = append(parts, fmt.Sprintf("%d records at %d..%d", b.NumRecords, b.FirstOffset, b.FirstOffset+int64(b.LastOffsetDelta)))
	}
	return strings.Join(parts, ", ")
}
