package integration

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestLoadAndTail reads what was there before the start and what comes later,
// from two partitions, written by the Java client and by a Go client.
func TestLoadAndTail(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	want := map[string]string{}
	var before []kafkatest.ConsoleRecord
	for i := range 300 {
		key, value := fmt.Sprintf("key-%d", i%100), fmt.Sprintf("before %d", i)
		before = append(before, kafkatest.ConsoleRecord{Key: kafkatest.Text(key), Value: kafkatest.Text(value)})
		want[key] = value
	}
	c.ConsoleProduce(t, topic, before...)
	d := serve(t, c, topic)
	d.WaitReady()
	client := d.Client(0)
	wantContents(t, client, want) // ready means: all of it, at once

	var after []*kgo.Record
	for i := range 150 {
		key, value := fmt.Sprintf("key-%d", i), fmt.Sprintf("after %d", i)
		after = append(after, record(topic, key, value))
		want[key] = value
	}
	after = append(after, tombstone(topic, "key-0"), tombstone(topic, "never-there"))
	delete(want, "key-0")
	c.Produce(t, after...)
	awaitEnd(t, c, d, topic)
	wantContents(t, client, want)

	s := d.Status()
	if len(s.Topics) != 1 || len(s.Topics[0].Partitions) != 2 || s.Topics[0].Name != topic || s.State != "Ready" || s.Topics[0].Keys != int64(len(want)) {
		t.Errorf("status %+v", s)
	}
	if applied := d.Metric("kafka_cache_applied_records_total", "topic="+topic); applied != 300+152 {
		t.Errorf("%v records applied, want %d", applied, 300+152)
	}
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// TestEmptyValueIsNoTombstone tells an empty value, a tombstone and a missing key apart.
func TestEmptyValueIsNoTombstone(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, map[string]string{"cleanup.policy": "compact"})
	c.Produce(t, record(topic, "empty", "x"), record(topic, "deleted", "x"), record(topic, "empty", ""), tombstone(topic, "deleted"))
	d := serve(t, c, topic)
	d.WaitReady()
	client := d.Client(0)
	wantGet(t, client, "empty", "")
	wantMissing(t, client, "deleted")
	wantContents(t, client, map[string]string{"empty": ""})
}

// TestEveryRecordThatTheConsoleConsumerPrints holds what GET answers to what Kafka's
// own console consumer prints of a topic that Kafka's own producer has filled.
func TestEveryRecordThatTheConsoleConsumerPrints(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 3, map[string]string{"cleanup.policy": "delete"})
	rnd := random(t)
	var written []kafkatest.ConsoleRecord
	for i := range 2000 {
		r := kafkatest.ConsoleRecord{Key: kafkatest.Text(fmt.Sprintf("ключ-%d", rnd.IntN(400)))}
		if rnd.IntN(10) > 0 {
			r.Value = kafkatest.Text(fmt.Sprintf(`{"n": %d, "text": "ünïcode %x"}`, i, rnd.Uint64()))
		}
		if rnd.IntN(4) == 0 {
			r.Headers = []kafkatest.ConsoleHeader{{Key: "trace", Value: strconv.Itoa(i)}}
		}
		if rnd.IntN(50) == 0 {
			r.Key = nil
		}
		written = append(written, r)
	}
	c.ConsoleProduce(t, topic, written...)
	d := serve(t, c, topic, "--value-encoding", "json")
	d.WaitReady()
	client := d.Client(0)

	last := map[string]kafkatest.ConsoleRecord{}
	keyless := 0
	for _, r := range c.ConsoleConsume(t, topic, len(written)) {
		if r.Key == nil {
			keyless++
			continue
		}
		last[*r.Key] = r
	}
	want := map[string]string{}
	for key, r := range last {
		if r.Value == nil {
			wantMissing(t, client, key)
			continue
		}
		want[key] = *r.Value
		wantGet(t, client, key, *r.Value)
		meta, err := client.Do(t.Context(), "KAFKA.META", key).Result()
		if err != nil {
			t.Fatalf("KAFKA.META %s: %v", key, err)
		}
		got := metaOf(t, meta)
		if got.partition != int64(r.Partition) || got.offset != r.Offset || len(got.headers) != len(r.Headers) {
			t.Errorf("KAFKA.META %s: %+v, and the console consumer printed %+v", key, got, r)
		}
		for _, h := range r.Headers {
			if got.headers[h.Key] != h.Value {
				t.Errorf("KAFKA.META %s: header %s is %q, want %q", key, h.Key, got.headers[h.Key], h.Value)
			}
		}
	}
	wantContents(t, client, want)
	if n := d.Metric("kafka_cache_keyless_records_total", "topic="+topic); n != float64(keyless) || keyless == 0 {
		t.Errorf("%v keyless records counted, the console consumer printed %d", n, keyless)
	}
}
