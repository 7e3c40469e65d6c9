package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestOldestSupportedKafka goes the main way once on the oldest Kafka that is supported; all tests do with
// KAFKATEST_VERSION.
func TestOldestSupportedKafka(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Version: kafkatest.Versions()[0]})
	topic := c.NewTopic(t, 2, nil)
	want := map[string]string{}
	var theirs []kafkatest.ConsoleRecord
	for i := range 100 {
		key, value := fmt.Sprintf("key-%d", i), fmt.Sprintf("value %d", i)
		theirs = append(theirs, kafkatest.ConsoleRecord{Key: kafkatest.Text(key), Value: kafkatest.Text(value)})
		want[key] = value
	}
	c.ConsoleProduce(t, topic, theirs...)
	transaction(t, c, kgo.TryCommit, record(topic, "committed", "1"))
	transaction(t, c, kgo.TryAbort, record(topic, "key-1", "aborted"))
	awaitStable(t, c, topic)
	want["committed"] = "1"

	group, dir := kafkatest.RandomName(t), t.TempDir()
	d := serve(t, c, topic, "--read-only=false", "--identity", group, "--data-dir", dir)
	d.WaitReady()
	client := d.Client(0)
	wantContents(t, client, want)
	if err := client.Set(t.Context(), "ours", "2", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Del(t.Context(), "key-2", "none").Result(); err != nil || n != 1 {
		t.Errorf("DEL: %d, %v", n, err)
	}
	want["ours"] = "2"
	delete(want, "key-2")
	wantContents(t, client, want)
	sameContents(t, "the log", logContents(t, c, topic), want)
	awaitCommitted(t, c, d, topic, group)
	for _, g := range c.DescribeGroup(t, group) {
		if g.Lag != 0 {
			t.Errorf("lag %+v", g)
		}
	}
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if groups := c.ListGroups(t); slices.Contains(groups, group) {
		t.Errorf("the group is still there after a clean exit: %v", groups)
	}

	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records read again", n)
	}
}
