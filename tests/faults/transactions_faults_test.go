package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/yolean/kafka-cache/core/kafka"
)

// TestATransactionThatFailsIsNotInTheLog has each request answered with an error for as long as the transaction lasts, and looks whether the next one is written, and
// nothing of the first.
func TestATransactionThatFailsIsNotInTheLog(t *testing.T) {
	type outcome struct {
		key  kmsg.Key
		err  *kerr.Error
		want error
	}
	var cases []outcome
	for _, e := range []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress} {
		cases = append(cases, outcome{kmsg.InitProducerID, e, kafka.ErrUnavailable}, outcome{kmsg.AddPartitionsToTxn, e, kafka.ErrUnavailable})
	}
	for _, e := range []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.InvalidProducerIDMapping} {
		cases = append(cases, outcome{kmsg.AddPartitionsToTxn, e, kafka.ErrUnavailable}, outcome{kmsg.Produce, e, kafka.ErrUnavailable}, outcome{kmsg.EndTxn, e, kafka.ErrUnavailable})
	}
	cases = append(cases,
		outcome{kmsg.InitProducerID, kerr.TransactionalIDAuthorizationFailed, kafka.ErrNotAuthorized},
		outcome{kmsg.AddPartitionsToTxn, kerr.TransactionalIDAuthorizationFailed, kafka.ErrNotAuthorized},
		outcome{kmsg.AddPartitionsToTxn, kerr.TopicAuthorizationFailed, kafka.ErrNotAuthorized},
		outcome{kmsg.Produce, kerr.TopicAuthorizationFailed, kafka.ErrNotAuthorized},
		outcome{kmsg.Produce, kerr.NotEnoughReplicas, kafka.ErrNotEnoughReplicas},
		outcome{kmsg.Produce, kerr.NotEnoughReplicasAfterAppend, kafka.ErrUnavailable},
		outcome{kmsg.Produce, kerr.RequestTimedOut, kafka.ErrUnavailable},
		outcome{kmsg.Produce, kerr.NotLeaderForPartition, kafka.ErrUnavailable},
		outcome{kmsg.Produce, kerr.OutOfOrderSequenceNumber, kafka.ErrUnavailable},
		outcome{kmsg.Produce, kerr.UnknownProducerID, kafka.ErrUnavailable},
		outcome{kmsg.Produce, kerr.MessageTooLarge, kafka.ErrTooLarge},
		outcome{kmsg.Produce, kerr.InvalidRecord, kafka.ErrRefused},
	)
	for _, tc := range cases {
		t.Run(fmt.Sprintf("%s/%s", tc.key.Name(), tc.err.Message), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
			x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers, cfg.TransactionTimeout = 1, time.Second })
			fault := kfake.Fault{Keys: []kmsg.Key{tc.key}, Err: tc.err, Count: -1}
			if tc.key == kmsg.Produce {
				fault.Topic, fault.Partitions = topic, []int32{1} // the other partition's records are appended
			}
			f := c.Fault(fault)
			_, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "not"), inPartition(1, "not")})
			if !errors.Is(err, tc.want) || errors.Is(err, kafka.ErrUnknownOutcome) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if f.Hits() == 0 {
				t.Error("no request was answered so")
			}
			f.Remove()
			for range 3 {
				if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "after"), inPartition(1, "after")}); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
			if got := values(seen(t, c, topic)); len(got) != 6 || got[0] != "after" || got[5] != "after" {
				t.Errorf("in the log: %v", got)
			}
		})
	}
}

// TestATransactionGetsOverFaults answers each request with an error once or twice, after which the transaction goes on, or begins again.
func TestATransactionGetsOverFaults(t *testing.T) {
	for key, errs := range map[kmsg.Key][]*kerr.Error{
		kmsg.FindCoordinator:    {kerr.CoordinatorNotAvailable},
		kmsg.InitProducerID:     {kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress},
		kmsg.AddPartitionsToTxn: {kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.ProducerFenced, kerr.InvalidTxnState},
		kmsg.Produce:            {kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.CorruptMessage},
		kmsg.EndTxn:             {kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.InvalidTxnState, kerr.ProducerFenced},
	} {
		for _, e := range errs {
			t.Run(fmt.Sprintf("%s/%s", key.Name(), e.Message), func(t *testing.T) {
				t.Parallel()
				c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
				x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 1 })
				want := 0
				for n := range 3 {
					f := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: e, Count: 1 + n%2})
					at, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, fmt.Sprint(n)), inPartition(1, fmt.Sprint(n)), inPartition(1, fmt.Sprint(n))})
					if err != nil {
						t.Fatal(err)
					}
					if at[0].Offset < 0 || at[2].Offset != at[1].Offset+1 {
						t.Errorf("at %+v", at)
					}
					if n == 0 && f.Hits() == 0 {
						t.Error("no request was answered so")
					}
					f.Remove()
					want += 3
				}
				got := values(seen(t, c, topic))
				if len(got) != want || strings.Join(got, "") != "000111222" {
					t.Errorf("in the log: %v", got)
				}
			})
		}
	}
}

// TestLeadersAndCoordinatorsMove while transactions are written.
func TestLeadersAndCoordinatorsMove(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, topic))
	x := newTransactions(t, c, nil)
	var moving sync.WaitGroup
	stop := make(chan struct{})
	moving.Go(func() {
		for i := 0; ; i++ {
			c.ShufflePartitionLeaders()
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	want := 0
	for n := range 30 {
		var records []kafka.TopicRecord
		for p := range int32(6) {
			records = append(records, inPartition(p, fmt.Sprint(n)))
		}
		if _, err := x.Write(context.Background(), records); err != nil {
			t.Errorf("transaction %d: %v", n, err)
			continue
		}
		want += 6
	}
	close(stop)
	moving.Wait()
	if got := seen(t, c, topic); len(got) != want {
		t.Errorf("%d records, want %d", len(got), want)
	}
}

// loseAnswers has the first requests of a kind done, and their answers lost with the connection. Those that follow are lost themselves while silent is set.
func loseAnswers(tb testing.TB, c *kfake.Cluster, key kmsg.Key, count int64, silent *atomic.Bool) (lost *atomic.Int64) {
	tb.Helper()
	direct := newWriter(tb, c.ListenAddrs(), kgo.MaxVersions(kversion.V2_8_0()))
	lost = new(atomic.Int64)
	var passing atomic.Bool
	c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		switch {
		case passing.Load():
			return nil, nil, false
		case lost.Load() >= count && silent.Load():
			return nil, errors.New("the request is lost"), true
		case lost.Load() >= count:
			return nil, nil, false
		}
		lost.Add(1)
		passing.Store(true)
		c.SleepControl(func() {
			if _, err := direct.Request(context.Background(), req); err != nil {
				tb.Error(err)
			}
		})
		passing.Store(false)
		return nil, errors.New("the answer is lost"), true
	})
	return lost
}

func TestLostAnswersToTheCommit(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers, cfg.Timeout = 1, 2*time.Second })
	lost := loseAnswers(t, c, kmsg.EndTxn, 3, new(atomic.Bool))
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "a"), inPartition(1, "a")}); err != nil || lost.Load() != 3 {
		t.Errorf("after %d lost answers: %v", lost.Load(), err)
	}
	if got := values(seen(t, c, topic)); strings.Join(got, " ") != "a a" {
		t.Errorf("in the log: %v", got)
	}
}

// TestNoAnswerToTheCommitIsUnknown: all or none of it is in the log in the end, and nothing stays open.
func TestNoAnswerToTheCommitIsUnknown(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		t.Run(fmt.Sprintf("arrives=%v", arrives), func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
			x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers, cfg.Timeout = 1, 700*time.Millisecond })
			var silent atomic.Bool
			silent.Store(true)
			if arrives {
				loseAnswers(t, c, kmsg.EndTxn, 1, &silent)
			} else {
				loseAnswers(t, c, kmsg.EndTxn, 0, &silent)
			}
			_, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "a"), inPartition(1, "a")})
			if !errors.Is(err, kafka.ErrUnknownOutcome) {
				t.Errorf("got %v", err)
			}
			silent.Store(false)
			want := map[bool]string{true: "a a", false: ""}[arrives]
			if got := values(seen(t, c, topic)); strings.Join(got, " ") != want {
				t.Errorf("in the log: %v", got)
			}
			if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(0, "b"), inPartition(1, "b")}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestManyTransactionsUnderFaults: more at the same time than there are producers, while requests are answered with errors at random. What is answered as
// written is there whole and once, what is answered as not written is not, and what is unknown is there whole or not at all.
func TestManyTransactionsUnderFaults(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(3, topic), kfake.SeedTopics(1, other))
	x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 3 })
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	coordinating := []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.ProducerFenced}
	errs := map[kmsg.Key][]*kerr.Error{
		kmsg.FindCoordinator:    {kerr.CoordinatorNotAvailable},
		kmsg.InitProducerID:     coordinating,
		kmsg.AddPartitionsToTxn: append(coordinating, kerr.InvalidTxnState, kerr.TopicAuthorizationFailed),
		kmsg.EndTxn:             append(coordinating, kerr.InvalidTxnState),
		kmsg.Metadata:           {kerr.LeaderNotAvailable},
		kmsg.Produce: {kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend,
			kerr.UnknownServerError, kerr.InvalidTxnState, kerr.InvalidRecord},
	}
	var keys []kmsg.Key
	for key := range errs {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	stop := make(chan struct{})
	var faulting sync.WaitGroup
	faulting.Go(func() {
		for {
			key := keys[r.IntN(len(keys))]
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: errs[key][r.IntN(len(errs[key]))], Count: 1 + r.IntN(2)})
			if r.IntN(5) == 0 {
				c.ShufflePartitionLeaders()
			}
			done := false
			select {
			case <-stop:
				done = true
			case <-time.After(time.Duration(1+r.IntN(5)) * time.Millisecond):
			}
			f.Remove()
			if done {
				return
			}
		}
	})
	type result struct {
		err error
		n   int
	}
	const workers, each = 6, 40
	results := make([]map[string]result, workers)
	var writing sync.WaitGroup
	for w := range workers {
		writing.Go(func() {
			results[w] = map[string]result{}
			for n := range each {
				id := fmt.Sprintf("%d.%d", w, n)
				records := []kafka.TopicRecord{set(other, "k", id)}
				for p := range int32(3) {
					records = append(records, inPartition(p, id))
				}
				_, err := x.Write(context.Background(), records)
				results[w][id] = result{err, len(records)}
			}
		})
	}
	writing.Wait()
	close(stop)
	faulting.Wait()
	count := map[string]int{}
	for _, rec := range seen(t, c, topic, other) {
		count[string(rec.Value)]++
	}
	written, failed := 0, map[string]int{}
	for _, all := range results {
		for id, res := range all {
			n := count[id]
			if res.err != nil {
				failed[res.err.Error()]++
			}
			switch {
			case res.err == nil:
				written++
				if n != res.n {
					t.Errorf("%s: %d of %d records of a transaction that was acknowledged", id, n, res.n)
				}
			case errors.Is(res.err, kafka.ErrUnknownOutcome):
				if n != 0 && n != res.n {
					t.Errorf("%s: %d of %d records of a transaction that may be written", id, n, res.n)
				}
			case n != 0:
				t.Errorf("%s: %d records of a transaction of which it was said: %v", id, n, res.err)
			}
		}
	}
	t.Logf("%d of %d were written; the others: %v", written, workers*each, failed)
	if written < workers*each/3 {
		t.Errorf("only %d of %d were written", written, workers*each)
	}
}
