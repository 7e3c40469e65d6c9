package integration

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// transaction writes the records in one transaction of a producer of its own and ends it.
func transaction(t *testing.T, c *kafkatest.Cluster, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	client := begin(t, c, records...)
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatalf("end a transaction: %v", err)
	}
}

// awaitStable waits until no transaction is open any more. Before Kafka 4 the end of one is answered before
// its markers are in the log.
func awaitStable(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		open := slices.ContainsFunc(c.Ends(t, topic), func(e kafkatest.Ends) bool { return e.LastStable != e.HighWatermark })
		if !open {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a transaction stays open: ends %+v", c.Ends(t, topic))
		}
	}
}

// begin writes the records in a transaction and leaves it open.
func begin(t *testing.T, c *kafkatest.Cluster, records ...*kgo.Record) *kgo.Client {
	t.Helper()
	client := c.Client(t, kgo.TransactionalID(kafkatest.RandomName(t)), kgo.TransactionTimeout(30*time.Second))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce in a transaction: %v", err)
	}
	return client
}

// TestReadyWhateverIsLast starts on logs whose end is no record that is delivered,
// with nobody writing: ready comes from the end itself, at once.
func TestReadyWhateverIsLast(t *testing.T) {
	c := kafkatest.Shared(t)
	// A cache that waits for another record would wait for ever; 1 s is what is promised, and twice that allows for a busy machine.
	const limit = 2 * time.Second
	for _, test := range []struct {
		name   string
		config map[string]string
		write  func(t *testing.T, topic string)
		want   map[string]string
	}{
		{"nothing", nil, func(*testing.T, string) {}, map[string]string{}},
		{"commit marker", nil, func(t *testing.T, topic string) {
			transaction(t, c, kgo.TryCommit, record(topic, "a", "1"), record(topic, "b", "2"))
		}, map[string]string{"a": "1", "b": "2"}},
		{"aborted records and an abort marker", nil, func(t *testing.T, topic string) {
			transaction(t, c, kgo.TryCommit, record(topic, "a", "1"))
			transaction(t, c, kgo.TryAbort, record(topic, "a", "aborted"), record(topic, "x", "aborted"))
		}, map[string]string{"a": "1"}},
		{"nothing but what was aborted", nil, func(t *testing.T, topic string) {
			transaction(t, c, kgo.TryAbort, record(topic, "x", "aborted"))
		}, map[string]string{}},
		{"aborted between committed", nil, func(t *testing.T, topic string) {
			open := begin(t, c, record(topic, "x", "aborted"))
			transaction(t, c, kgo.TryCommit, record(topic, "a", "1"))
			c.Produce(t, record(topic, "b", "2"))
			if err := open.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
		}, map[string]string{"a": "1", "b": "2"}},
		{"a keyless record", map[string]string{"cleanup.policy": "delete"}, func(t *testing.T, topic string) {
			c.Produce(t, record(topic, "a", "1"))
			c.Produce(t, &kgo.Record{Topic: topic, Value: []byte("keyless")})
		}, map[string]string{"a": "1"}},
		{"a log that starts above 0", map[string]string{"cleanup.policy": "delete"}, func(t *testing.T, topic string) {
			c.Produce(t, record(topic, "a", "1"), record(topic, "b", "2"), record(topic, "c", "3"))
			c.DeleteRecords(t, topic, 0, 2)
		}, map[string]string{"c": "3"}},
		{"a log of which everything was deleted", map[string]string{"cleanup.policy": "delete"}, func(t *testing.T, topic string) {
			c.Produce(t, record(topic, "a", "1"))
			c.DeleteRecords(t, topic, 0, 1)
		}, map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			topic := c.NewTopic(t, 1, test.config)
			test.write(t, topic)
			awaitStable(t, c, topic)
			d := serve(t, c, topic)
			if took := d.WaitReady(); took > limit {
				t.Errorf("ready %v after the start", took)
			}
			client := d.Client(0)
			wantContents(t, client, test.want)
			awaitEnd(t, c, d, topic)
			// And the tail goes on from there.
			c.Produce(t, record(topic, "later", "x"))
			awaitGet(t, d, client, "later", "x")
		})
	}
}

// TestOpenTransactionAtTheEnd: what is in it and above it is not there, the instance is ready all
// the same, and everything appears when the transaction ends.
func TestOpenTransactionAtTheEnd(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	open := begin(t, c, record(topic, "a", "2"), record(topic, "b", "2"))
	c.Produce(t, record(topic, "above", "3"))
	d := serve(t, c, topic)
	d.WaitReady()
	client := d.Client(0)
	wantContents(t, client, map[string]string{"a": "1"})
	if err := open.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	awaitStable(t, c, topic)
	awaitEnd(t, c, d, topic)
	wantContents(t, client, map[string]string{"a": "2", "b": "2", "above": "3"})
}
