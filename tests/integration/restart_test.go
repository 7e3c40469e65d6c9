package integration

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestRestartReadsNothingAgain stops an instance and starts it on its data: only
// what came meanwhile is read.
func TestRestartReadsNothingAgain(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	want := map[string]string{}
	var records []*kgo.Record
	for i := range 3000 {
		key, value := fmt.Sprintf("key-%d", i%1000), fmt.Sprintf("%d", i)
		records = append(records, record(topic, key, value))
		want[key] = value
	}
	c.Produce(t, records...)
	dir := t.TempDir()
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 3000 {
		t.Fatalf("%v records applied, want 3000", n)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	c.Produce(t, record(topic, "key-1", "new"), tombstone(topic, "key-2"), record(topic, "key-new", "x"))
	want["key-1"], want["key-new"] = "new", "x"
	delete(want, "key-2")
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 3 {
		t.Errorf("%v records applied after the restart, want the 3 that are new", n)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records applied with nothing new", n)
	}
}

// TestRecreatedWhileStopped: the name is the same, the topic is another one, with
// more records than the position of the old one or with fewer.
func TestRecreatedWhileStopped(t *testing.T) {
	c := kafkatest.Shared(t)
	for _, test := range []struct {
		name string
		n    int
	}{{"fewer records", 2}, {"more records", 40}} {
		t.Run(test.name, func(t *testing.T) {
			topic := c.NewTopic(t, 1, nil)
			for i := range 20 {
				c.Produce(t, record(topic, fmt.Sprintf("old-%d", i), "old"))
			}
			dir := t.TempDir()
			d := serve(t, c, topic, "--data-dir", dir)
			d.WaitReady()
			id := d.Status().Topics[0].ID
			if code := d.Stop(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			c.DeleteTopic(t, topic)
			c.CreateTopic(t, topic, 1, nil)
			want := map[string]string{}
			for i := range test.n {
				key := fmt.Sprintf("new-%d", i)
				c.Produce(t, record(topic, key, "new"))
				want[key] = "new"
			}
			d = serve(t, c, topic, "--data-dir", dir)
			d.WaitReady()
			wantContents(t, d.Client(0), want)
			if now := d.Status().Topics[0].ID; now == id || now == "" {
				t.Errorf("topic id %q, which was %q", now, id)
			}
			if n := d.Metric("kafka_cache_rebuilds_total", "topic="+topic, "reason=recreated"); n != 1 {
				t.Errorf("%v rebuilds counted", n)
			}
		})
	}
}

// TestRecreatedWhileRunning: the same under a running instance.
func TestRecreatedWhileRunning(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "old", "old"), record(topic, "both", "old"))
	d := serve(t, c, topic, "--data-dir", t.TempDir())
	d.WaitReady()
	c.DeleteTopic(t, topic)
	c.CreateTopic(t, topic, 2, nil)
	want := map[string]string{"both": "new"}
	records := []*kgo.Record{record(topic, "both", "new")}
	for i := range 20 {
		key := fmt.Sprintf("new-%d", i)
		records = append(records, record(topic, key, "new"))
		want[key] = "new"
	}
	c.Produce(t, records...)
	client := d.Client(0)
	awaitGet(t, d, client, "new-19", "new")
	awaitEnd(t, c, d, topic)
	wantContents(t, client, want)
	if n := d.Metric("kafka_cache_rebuilds_total", "topic="+topic, "reason=recreated"); n != 1 {
		t.Errorf("%v rebuilds counted", n)
	}
}
