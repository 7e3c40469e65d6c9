package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "A6", Name: "the last record has a null key", Run: func(ctx context.Context, r *Run) error {
			topic := r.Topic(1, map[string]string{"cleanup.policy": "delete"})
			return passedOver(ctx, r, Spec{Topic: topic}, "kafka_cache_keyless_records_total",
				func(s TopicStatus) uint64 { return s.KeylessRecords }, &kgo.Record{Topic: topic, Value: []byte("keyless")}, false)
		}},
		Scenario{ID: "A6", Name: "the last record is a tombstone with a null key", Run: func(ctx context.Context, r *Run) error {
			topic := r.Topic(1, map[string]string{"cleanup.policy": "delete"})
			return passedOver(ctx, r, Spec{Topic: topic}, "kafka_cache_keyless_records_total",
				func(s TopicStatus) uint64 { return s.KeylessRecords }, &kgo.Record{Topic: topic}, false)
		}},
		Scenario{ID: "A6", Name: "the last record's value cannot be decoded", Needs: []Capability{Rules}, Run: func(ctx context.Context, r *Run) error {
			topic := r.Topic(1, nil)
			return passedOver(ctx, r, Spec{Topic: topic, ValueEncoding: "utf-8"}, "kafka_cache_invalid_records_total",
				func(s TopicStatus) uint64 { return s.InvalidRecords }, record(topic, "a", "\xff\xfe"), true)
		}},
		Scenario{ID: "A6", Name: "the last record's key cannot be decoded", Needs: []Capability{Rules}, Run: func(ctx context.Context, r *Run) error {
			topic := r.Topic(1, nil)
			return passedOver(ctx, r, Spec{Topic: topic}, "kafka_cache_invalid_records_total",
				func(s TopicStatus) uint64 { return s.InvalidRecords }, record(topic, "\xff\xfe", "1"), false)
		}},
	)
}

// passedOver: a record without an effect, or which deletes a, is the last when an instance starts, and again when it
// runs. The position moves past it, a wait for it returns, and it is counted.
func passedOver(ctx context.Context, r *Run, spec Spec, metric string, counted func(TopicStatus) uint64, last *kgo.Record, deletes bool) error {
	r.Produce(record(spec.Topic, "a", "1"), record(spec.Topic, "b", "2"))
	want := map[string]string{"a": "1", "b": "2"}
	if deletes {
		delete(want, "a") // what cannot be decoded has replaced what was there
	}
	again := *last
	r.Produce(last)
	i := r.Start(ctx, spec)
	r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "when ready")
	r.AtEnd(ctx, i, spec.Topic)
	r.Produce(&again)
	if w, ok := i.(Waiter); ok {
		done, err := w.Wait(ctx, r.token(ctx, spec.Topic, again.Partition, again.Offset+1), 10*time.Second)
		if err != nil || !done {
			r.Errorf("waiting for the record at offset %d: %v, %v", again.Offset, done, err)
		}
	}
	r.AtEnd(ctx, i, spec.Topic)
	r.Says(ctx, i, 5*time.Second, "that two records were passed over", func(s TopicStatus) bool { return counted(s) == 2 })
	r.Measures(ctx, i, 5*time.Second, func(v float64, _ bool) bool { return v == 2 }, metric)
	r.loggedSoon(ctx, i, "record not used")
	r.Produce(record(spec.Topic, "a", "3"))
	want["a"] = "3"
	r.Has(ctx, i, want, 10*time.Second)
	r.Sawf("the position is past it, and the next record is there")
	return nil
}

// token is kafka-cache's for a next offset of the topic as it is now, as its documentation describes tokens.
func (r *Run) token(ctx context.Context, topic string, partition int32, next int64) string {
	details, err := r.Cluster.Admin(r).ListTopics(ctx, topic)
	if err != nil {
		r.Fatalf("look up %s: %v", topic, err)
	}
	id := details[topic].ID
	return fmt.Sprintf("1:%s:%d.%d", base64.RawURLEncoding.EncodeToString(id[:]), partition, next)
}
