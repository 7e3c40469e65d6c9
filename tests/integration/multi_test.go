package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestMultiIsOneTransaction: what Kafka's console consumer prints has both topics' records of an EXEC, and none of one that could not be written.
func TestMultiIsOneTransaction(t *testing.T) {
	c := kafkatest.Shared(t)
	a, b := c.NewTopic(t, 3, nil), c.NewTopic(t, 1, map[string]string{"max.message.bytes": "100000"})
	d := serve(t, c, a, "--topic", b, "--read-only=false", "--value-encoding", "utf-8")
	d.WaitReady()
	client := d.Client(0)
	ctx := t.Context()
	exec := func(value, last string) error {
		_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for i := range 6 {
				p.Set(ctx, fmt.Sprintf("k%d", i), value, 0)
			}
			p.Do(ctx, "SELECT", 1)
			p.Set(ctx, "k", last, 0)
			p.Do(ctx, "SELECT", 0)
			return nil
		})
		return err
	}
	if err := exec("both", "both"); err != nil {
		t.Fatal(err)
	}
	// The broker takes less than what the instance has read of the topic's settings.
	c.SetTopicConfig(t, b, map[string]string{"max.message.bytes": "1000"})
	if err := exec("none", strings.Repeat("x", 50_000)); err == nil || !strings.HasPrefix(err.Error(), "ERR nothing was written: ") {
		t.Errorf("a record that is refused: %v", err)
	}
	wantGet(t, client, "k0", "both")
	if err := exec("after", "after"); err != nil {
		t.Fatal(err)
	}
	var values []string
	for topic, n := range map[string]int{a: 12, b: 2} {
		for _, r := range c.ConsoleConsume(t, topic, n) {
			values = append(values, *r.Value)
		}
	}
	slices.Sort(values)
	if got := slices.Compact(slices.Clone(values)); len(values) != 14 || !slices.Equal(got, []string{"after", "both"}) {
		t.Errorf("in the log: %v", values)
	}
}
