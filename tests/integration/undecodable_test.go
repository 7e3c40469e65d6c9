package integration

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestRecordsThatCannotBeServed: a value that its encoding cannot decode makes its key
// read as missing, since what was there before is no longer in the log; a record
// without a key is passed over. Both are counted, and the position moves on.
func TestRecordsThatCannotBeServed(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, map[string]string{"cleanup.policy": "delete"})
	invalid := "\xff\xfe"
	d := serve(t, c, topic)
	d.WaitReady()
	client := d.Client(0)
	c.Produce(t,
		record(topic, "a", "valid"),
		record(topic, "b", "valid"),
		record(topic, "a", invalid),
		&kgo.Record{Topic: topic, Value: []byte("no key")},
		&kgo.Record{Topic: topic, Key: []byte{}, Value: []byte("an empty key")},
		record(topic, "c", invalid),
		record(topic, "d", "valid"),
		record(topic, "c", "valid again"),
	)
	awaitEnd(t, c, d, topic)
	want := map[string]string{"b": "valid", "c": "valid again", "d": "valid"}
	wantContents(t, client, want)
	wantMissing(t, client, "a")
	if n := d.Metric("kafka_cache_invalid_records_total", "topic="+topic, "rule=decode"); n != 2 {
		t.Errorf("%v undecodable records counted, want 2", n)
	}
	if n := d.Metric("kafka_cache_keyless_records_total", "topic="+topic); n != 2 {
		t.Errorf("%v keyless records counted, want 2", n)
	}

	// A load of the same log comes to the same.
	fresh := serve(t, c, topic, "--identity", "fresh."+topic)
	fresh.WaitReady()
	wantContents(t, fresh.Client(0), want)

	// And in an encoding that holds any bytes they are there.
	binary := serve(t, c, topic, "--identity", "binary."+topic, "--value-encoding", "binary")
	binary.WaitReady()
	want["a"] = invalid
	wantContents(t, binary.Client(0), want)
}
