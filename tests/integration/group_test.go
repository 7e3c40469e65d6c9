package integration

import (
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestGroupLagAsTheStockToolPrintsIt looks at an instance the way operators do: with
// kafka-consumer-groups. A marker at the end is no lag, and a clean exit leaves no group.
func TestGroupLagAsTheStockToolPrintsIt(t *testing.T) {
	t.Parallel()
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	a := &kgo.Record{Topic: topic, Partition: 0, Key: []byte("a"), Value: []byte("1")}
	b := &kgo.Record{Topic: topic, Partition: 1, Key: []byte("b"), Value: []byte("1")}
	c.ProduceTo(t, a, a, b)
	transaction(t, c, kgo.TryCommit, record(topic, "c", "1"), record(topic, "d", "1"), record(topic, "e", "1"))
	awaitStable(t, c, topic)

	group := "namespace." + kafkatest.RandomName(t)
	d := serve(t, c, topic, "--identity", group)
	d.WaitReady()
	if s := d.Status(); s.Identity != group {
		t.Errorf("identity %q", s.Identity)
	}
	awaitCommitted(t, c, d, topic, group)
	var want []kafkatest.GroupOffset
	for p, e := range c.Ends(t, topic) {
		want = append(want, kafkatest.GroupOffset{Topic: topic, Partition: int32(p), Current: e.HighWatermark, End: e.HighWatermark})
	}
	if got := sorted(c.DescribeGroup(t, group)); !reflect.DeepEqual(got, want) {
		t.Errorf("the tool prints %+v, want %+v", got, want)
	}

	// What the instance does not read is what the tool calls its lag.
	open := begin(t, c, record(topic, "open", "1"))
	var lag int64
	for _, g := range c.DescribeGroup(t, group) {
		lag += g.Lag
	}
	if lag != 1 {
		t.Errorf("a lag of %d with one record in an open transaction", lag)
	}
	if err := open.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	awaitStable(t, c, topic)
	awaitEnd(t, c, d, topic)
	awaitCommitted(t, c, d, topic, group)

	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if groups := c.ListGroups(t); slices.Contains(groups, group) {
		t.Errorf("the group is still there after a clean exit: %v", groups)
	}
}

// awaitCommitted waits until the group's offsets are the topic's ends.
func awaitCommitted(t *testing.T, c *kafkatest.Cluster, d *daemontest.Daemon, topic, group string) {
	t.Helper()
	ends := c.Ends(t, topic)
	d.Await("the group's offsets are the ends", func() bool {
		offsets, err := c.Admin(t).FetchOffsets(t.Context(), group)
		if err != nil {
			return false
		}
		for p, e := range ends {
			if o, ok := offsets.Lookup(topic, int32(p)); !ok || o.At != e.HighWatermark {
				return false
			}
		}
		return true
	})
}

func sorted(offsets []kafkatest.GroupOffset) []kafkatest.GroupOffset {
	slices.SortFunc(offsets, func(a, b kafkatest.GroupOffset) int { return int(a.Partition - b.Partition) })
	return offsets
}
