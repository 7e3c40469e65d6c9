package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// committed are the values that a reader of committed records gets from the topics; it waits until nothing is open in them.
func committed(t *testing.T, c *kafkatest.Cluster, topics ...string) (values []string) {
	t.Helper()
	for _, name := range topics {
		var ends []int64
		eventually(t, "no transaction is open in "+name, func() bool {
			ends = ends[:0]
			for _, e := range c.Ends(t, name) {
				if e.LastStable != e.HighWatermark {
					return false
				}
				ends = append(ends, e.LastStable)
			}
			return true
		})
		r := read(t, c.Bootstrap, onTopic(name))
		for p, end := range ends {
			eventually(t, fmt.Sprintf("partition %d of %s is read to %d", p, name, end), func() bool { return r.atEnd(int32(p), end) })
			values = append(values, r.values(int32(p))...)
		}
		r.stop()
	}
	slices.Sort(values)
	return values
}

func realTransactions(t *testing.T, c *kafkatest.Cluster, id string) *kafka.Transactions {
	t.Helper()
	x, err := kafka.NewTransactions(kafka.TransactionsConfig{Kafka: kafka.Config{Bootstrap: c.Bootstrap}, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := x.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return x
}

// TestRealTransactions writes several at the same time, one after the other on each producer, to two topics, of which one refuses large records: all
// of a transaction is there, or nothing.
func TestRealTransactions(t *testing.T) {
	c := kafkatest.Shared(t)
	a, b := c.NewTopic(t, 3, nil), c.NewTopic(t, 1, map[string]string{"max.message.bytes": "10000"})
	x := realTransactions(t, c, a)
	if err := x.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	const workers, each = 6, 15
	var mu sync.Mutex
	var want []string
	var took []time.Duration
	var writing sync.WaitGroup
	for w := range workers {
		writing.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d.%d", w, n)
				records := []kafka.TopicRecord{set(b, "k", id)}
				for i := range 5 {
					records = append(records, set(a, fmt.Sprintf("k%d", i), id))
				}
				large := n%5 == 4
				if large {
					records = append(records, set(b, "k", strings.Repeat("x", 20_000)))
				}
				began := time.Now()
				at, err := x.Write(context.Background(), records[1:], records[:1])
				mu.Lock()
				switch {
				case large && !errors.Is(err, kafka.ErrTooLarge):
				case !large && err != nil:
					t.Errorf("%s: %v", id, err)
				case !large:
					took = append(took, time.Since(began))
					for _, r := range records {
						want = append(want, string(r.Value))
					}
					if at[0].Offset < 0 || at[5].Offset < 0 {
						t.Errorf("%s: at %+v", id, at)
					}
				}
				if large && err == nil { // the large one stands in the first step
					t.Errorf("%s: no error", id)
				}
				mu.Unlock()
			}
		})
	}
	writing.Wait()
	slices.Sort(want)
	if got := committed(t, c, a, b); !slices.Equal(got, want) {
		t.Errorf("%d records are in the log, want %d", len(got), len(want))
	}
	slices.Sort(took)
	t.Logf("%d transactions of %d at the same time: p50 %v, max %v", len(took), workers, took[len(took)/2], took[len(took)-1])
}

// rival is a producer that is not ours with a transactional id.
func rival(t *testing.T, c *kafkatest.Cluster, id string) *kgo.Client {
	t.Helper()
	w, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap...), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestRealPredecessorsTransactionIsEnded: the one that it crashed in would hold readers back for ten minutes.
func TestRealPredecessorsTransactionIsEnded(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 1, nil)
	crashed := rival(t, c, name+"-2")
	if err := crashed.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := crashed.ProduceSync(context.Background(), &kgo.Record{Topic: name, Key: []byte("k"), Value: []byte("crashed")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if e := c.Ends(t, name)[0]; e.LastStable != 0 || e.HighWatermark != 1 {
		t.Fatalf("ends %+v", e)
	}
	x := realTransactions(t, c, name)
	if err := x.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := committed(t, c, name); len(got) != 0 {
		t.Errorf("in the log: %v", got)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(name, "k", "a"), set(name, "k", "b")}); err != nil {
		t.Error(err)
	}
	if got := committed(t, c, name); strings.Join(got, "") != "ab" {
		t.Errorf("in the log: %v", got)
	}
}

// TestRealTwoProcessesWithOneIdentity: who is fenced goes on under another id, and does not fence back.
func TestRealTwoProcessesWithOneIdentity(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 1, nil)
	x := realTransactions(t, c, name)
	write := func(n int) {
		t.Helper()
		for range n {
			if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(name, "k", "ours"), set(name, "l", "ours")}); err != nil {
				t.Error(err)
			}
		}
	}
	write(8)
	theirs := rival(t, c, name+"-1")
	if err := theirs.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := theirs.ProduceSync(context.Background(), &kgo.Record{Topic: name, Key: []byte("k"), Value: []byte("theirs")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	write(8)
	if err := theirs.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Errorf("the other one was fenced: %v", err)
	}
	if got := committed(t, c, name); len(got) != 33 {
		t.Errorf("%d records are in the log", len(got))
	}
}
