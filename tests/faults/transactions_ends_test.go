package faults

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

// hold keeps requests from being answered; release lets them go on.
func hold(c *kfake.Cluster, key kmsg.Key) (held <-chan struct{}, release func()) {
	h, r := make(chan struct{}), make(chan struct{})
	var once, told sync.Once
	c.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		told.Do(func() { close(h) })
		c.SleepControl(func() { <-r })
		return nil, nil, false
	})
	return h, func() { once.Do(func() { close(r) }) }
}

// TestACrashBetweenProduceAndEndTxn: the process that comes after it ends its transaction, and with it what held readers back.
func TestACrashBetweenProduceAndEndTxn(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	crashed := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.TransactionTimeout = time.Minute; cfg.Timeout = time.Minute })
	c.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if strings.Contains(req.(*kmsg.EndTxnRequest).TransactionalID, "me-") {
			return nil, errors.New("it has crashed"), true
		}
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(context.Background())
	outcome := make(chan error, 1)
	go func() {
		_, err := crashed.Write(ctx, []kafka.TopicRecord{inPartition(0, "crashed"), inPartition(1, "crashed")})
		outcome <- err
	}()
	eventually(t, "the records are written", func() bool {
		return c.PartitionInfo(topic, 0).HighWatermark == 1 && c.PartitionInfo(topic, 1).HighWatermark == 1
	})
	successor := newTransactions(t, c, nil)
	if err := successor.Recover(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := values(seen(t, c, topic)); len(got) != 0 { // and nothing is open
		t.Errorf("in the log: %v", got)
	}
	cancel()
	if err := <-outcome; !errors.Is(err, kafka.ErrUnknownOutcome) {
		t.Errorf("the crashed one: %v", err)
	}
}

// TestTwoProcessesWithOneIdentity: each fences the other once at most, and what they write is written.
func TestTwoProcessesWithOneIdentity(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	var inits atomic.Int64
	c.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		inits.Add(1)
		return nil, nil, false
	})
	a, b := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 1 }), newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 1 })
	for n := range 10 {
		for _, x := range []*kafka.Transactions{a, b} {
			if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "v"), inPartition(1, "v")}); err != nil {
				t.Errorf("%d: %v", n, err)
			}
		}
	}
	if got := seen(t, c, topic); len(got) != 40 {
		t.Errorf("%d records", len(got))
	}
	if n := inits.Load(); n > 4 {
		t.Errorf("producer ids were asked for %d times", n)
	}
}

// TestCloseLeavesNoTransactionOpen: one that waits for a broker is given up, and ended.
func TestCloseLeavesNoTransactionOpen(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.TransactionTimeout, cfg.Timeout = time.Minute, time.Minute })
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
	outcome := make(chan error, 1)
	go func() {
		_, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "a"), inPartition(1, "a")})
		outcome <- err
	}()
	eventually(t, "one partition's record is written", func() bool { return f.Hits() > 0 && c.PartitionInfo(topic, 0).HighWatermark == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := x.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-outcome; !errors.Is(err, kafka.ErrClosed) || errors.Is(err, kafka.ErrUnknownOutcome) {
		t.Errorf("the write: %v", err)
	}
	if got := seen(t, c, topic); len(got) != 0 {
		t.Errorf("in the log: %v", values(got))
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "b")}); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCloseWaitsForTransactions(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	x := newTransactions(t, c, nil)
	held, release := hold(c, kmsg.EndTxn)
	outcome := make(chan error, 1)
	go func() {
		_, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "a"), inPartition(1, "a")})
		outcome <- err
	}()
	<-held
	closed := make(chan error, 1)
	go func() { closed <- x.Close(context.Background()) }()
	eventually(t, "Close has begun", func() bool {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := x.Write(ended, []kafka.TopicRecord{inPartition(0, "b")})
		return errors.Is(err, kafka.ErrClosed)
	})
	release()
	if err := <-outcome; err != nil {
		t.Errorf("the write: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if got := seen(t, c, topic); len(got) != 2 {
		t.Errorf("in the log: %v", values(got))
	}
}

// TestAllProducersAreBusy: who waits for one waits no longer than it may.
func TestAllProducersAreBusy(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 1 })
	held, release := hold(c, kmsg.AddPartitionsToTxn)
	outcome := make(chan error, 1)
	go func() {
		_, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "a")})
		outcome <- err
	}()
	<-held
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := x.Write(ctx, []kafka.TopicRecord{inPartition(0, "b")}); !errors.Is(err, kafka.ErrUnavailable) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v", err)
	}
	release()
	if err := <-outcome; err != nil {
		t.Error(err)
	}
	if got := values(seen(t, c, topic)); strings.Join(got, "") != "a" {
		t.Errorf("in the log: %v", got)
	}
}
