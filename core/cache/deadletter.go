package cache

import (
	"context"
	"strconv"
	"sync"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
)

// Headers that a copy in a dead-letter topic has behind the record's own.
const (
	DeadLetterHeaderTopic     = "kafka-cache-topic"
	DeadLetterHeaderPartition = "kafka-cache-partition"
	DeadLetterHeaderOffset    = "kafka-cache-offset"
	DeadLetterHeaderRule      = "kafka-cache-rule"
	DeadLetterHeaderReason    = "kafka-cache-reason"
	DeadLetterHeaderInstance  = "kafka-cache-instance"
)

// deadLettersInFlight bounds the copies that Kafka has not acknowledged: past it the tail waits for some of them.
const deadLettersInFlight = 256

// deadLetters copies refused records to another topic.
type deadLetters struct {
	topic string
	once  sync.Once
	slots chan struct{}
}

// bury copies refused records, with their keys and values as they are in the log and with headers that say where that was. It waits for room only.
func (t *Topic) buryDeadLetters(ctx context.Context, partition int32, all []refusal) error {
	d := &t.deadLetters
	if d.topic == "" {
		return nil
	}
	d.once.Do(func() { d.slots = make(chan struct{}, deadLettersInFlight) })
	for i := range all {
		f := &all[i]
		if t.cameBack(f.record) {
			t.metrics.deadLetters.WithLabelValues("failed").Inc()
			if suppressed, ok := t.metrics.complaints.allow(deadLetterComplaint); ok {
				t.log.Warn("a refused record is a copy of one that was refused here, and is not copied again", "deadLetterTopic", d.topic, "partition", partition,
					"offset", f.record.Offset, "unlogged", suppressed)
			}
			continue
		}
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		path, reason := policy.Explain(f.err)
		if path != "" {
			reason = "at " + path + ": " + reason
		}
		headers := append([]kafka.Header{}, f.record.Headers...)
		for _, h := range [...][2]string{
			{DeadLetterHeaderTopic, t.name}, {DeadLetterHeaderPartition, strconv.Itoa(int(partition))},
			{DeadLetterHeaderOffset, strconv.FormatInt(f.record.Offset, 10)}, {DeadLetterHeaderRule, f.rule},
			{DeadLetterHeaderReason, reason}, {DeadLetterHeaderInstance, t.cache.cfg.Identity},
		} {
			headers = append(headers, kafka.Header{Key: []byte(h[0]), Value: []byte(h[1])})
		}
		offset := f.record.Offset
		t.cache.producer.Produce(d.topic, kafka.ProduceRecord{Key: f.record.Key, Value: f.record.Value, Headers: headers}, func(_ kafka.Produced, err error) {
			<-d.slots
			if err == nil {
				t.metrics.deadLetters.WithLabelValues("written").Inc()
				return
			}
			t.metrics.deadLetters.WithLabelValues("failed").Inc()
			if suppressed, ok := t.metrics.complaints.allow(deadLetterComplaint); ok {
				t.log.Warn("copy a refused record to the dead-letter topic", "deadLetterTopic", d.topic, "partition", partition, "offset", offset, "error", err, "unlogged", suppressed)
			}
		})
	}
	return nil
}

// cameBack reports whether a record is a copy of one of this topic that was refused: the topic that it was copied to, or a further one, has this one for its
// dead letters. Copying it again would have no end.
func (t *Topic) cameBack(r *kafka.Record) bool {
	for _, h := range r.Headers {
		if string(h.Key) == DeadLetterHeaderTopic && string(h.Value) == t.name {
			return true
		}
	}
	return false
}

// deadLetterComplaint is the key under which failed copies are limited in the log, see endsComplaint.
const deadLetterComplaint = -1<<30 - 1
