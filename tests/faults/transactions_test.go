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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/yolean/kafka-cache/core/kafka"
)

const other = "others"

func newTransactions(tb testing.TB, c *kfake.Cluster, change func(*kafka.TransactionsConfig)) *kafka.Transactions {
	tb.Helper()
	cfg := kafka.TransactionsConfig{Kafka: configFor(c.ListenAddrs()), ID: "me"}
	if change != nil {
		change(&cfg)
	}
	x, err := kafka.NewTransactions(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		x.Close(ctx)
	})
	return x
}

// set is a record of a topic.
func set(topic, key, value string) kafka.TopicRecord {
	return kafka.TopicRecord{Topic: topic, ProduceRecord: kafka.ProduceRecord{Key: []byte(key), Value: []byte(value)}}
}

// inPartition is a record of a partition of topic.
func inPartition(p int32, value string) kafka.TopicRecord {
	r := set(topic, fmt.Sprintf("key-of-%d", p), value)
	r.ToPartition, r.Partition = true, p
	return r
}

// seen are the records that a reader of committed records gets from the topics, up to their ends as they are now: the stable end has come to the high
// watermark everywhere, or it is an error.
func seen(tb testing.TB, c *kfake.Cluster, topics ...string) []*kgo.Record {
	tb.Helper()
	w := newWriter(tb, c.ListenAddrs())
	adm := kadm.NewClient(w)
	var left map[string]map[int32]int64
	eventually(tb, "no transaction is open", func() bool {
		committed, err := adm.ListCommittedOffsets(context.Background(), topics...)
		if err != nil {
			tb.Fatal(err)
		}
		ends, err := adm.ListEndOffsets(context.Background(), topics...)
		if err != nil {
			tb.Fatal(err)
		}
		left = map[string]map[int32]int64{}
		same := true
		ends.Each(func(o kadm.ListedOffset) {
			at, _ := committed.Lookup(o.Topic, o.Partition)
			same = same && at.Offset == o.Offset
			if o.Offset > 0 {
				if left[o.Topic] == nil {
					left[o.Topic] = map[int32]int64{}
				}
				left[o.Topic][o.Partition] = o.Offset
			}
		})
		return same
	})
	from := map[string]map[int32]kgo.Offset{}
	for name, parts := range left {
		from[name] = map[int32]kgo.Offset{}
		for p := range parts {
			from[name][p] = kgo.NewOffset().At(0)
		}
	}
	if len(from) == 0 {
		return nil
	}
	r, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []*kgo.Record
	done := func(t string, p int32, next int64) {
		if next >= left[t][p] {
			delete(left[t], p)
		}
		if len(left[t]) == 0 {
			delete(left, t)
		}
	}
	// The last of a partition may be an aborted record, but then its marker follows, which is kept.
	for len(left) > 0 {
		fetches := r.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			tb.Fatalf("read: %v, left %v", err, left)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			if !rec.Attrs.IsControl() {
				all = append(all, rec)
			}
			done(rec.Topic, rec.Partition, rec.Offset+1)
		})
	}
	return all
}

func values(records []*kgo.Record) []string {
	var vs []string
	for _, r := range records {
		vs = append(vs, string(r.Value))
	}
	slices.Sort(vs)
	return vs
}

func TestATransactionIsInTheLog(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(4, topic), kfake.SeedTopics(1, other))
	x := newTransactions(t, c, nil)
	var written []kafka.TopicRecord
	var at []kafka.Produced
	for n := range 5 {
		var records []kafka.TopicRecord
		for i := range 20 {
			r := set(topic, fmt.Sprintf("k%d", i), fmt.Sprintf("%d-%d", n, i))
			switch i {
			case 7:
				r.Value = nil
			case 8:
				r.Value = []byte{}
			case 9:
				r.Headers = []kafka.Header{{Key: []byte("h"), Value: []byte("v")}}
			case 10:
				r.Topic = other
			case 11:
				r.ToPartition, r.Partition = true, 3
			case 12:
				r.Timestamp = 1234567890123
			}
			records = append(records, r)
		}
		got, err := x.Write(context.Background(), records[:15], records[15:])
		if err != nil || len(got) != len(records) {
			t.Fatalf("%d results, %v", len(got), err)
		}
		written, at = append(written, records...), append(at, got...)
	}
	read := map[string]*kgo.Record{}
	for _, r := range seen(t, c, topic, other) {
		read[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = r
	}
	if len(read) != len(written) {
		t.Errorf("%d records are in the log, %d were written", len(read), len(written))
	}
	murmur2 := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for i, w := range written {
		r := read[fmt.Sprintf("%s/%d/%d", w.Topic, at[i].Partition, at[i].Offset)]
		if r == nil {
			t.Errorf("%s is not at %+v", w.Key, at[i])
			continue
		}
		if string(r.Key) != string(w.Key) || string(r.Value) != string(w.Value) || (r.Value == nil) != (w.Value == nil) || len(r.Headers) != len(w.Headers) ||
			at[i].Timestamp != r.Timestamp.UnixMilli() || w.Timestamp != 0 && at[i].Timestamp != w.Timestamp {
			t.Errorf("%+v was written, and %+v is in the log at %+v", w, r, at[i])
		}
		if w.Topic == topic && !w.ToPartition && murmur2.Partition(&kgo.Record{Key: w.Key}, 4) != int(r.Partition) {
			t.Errorf("key %s is in partition %d", w.Key, r.Partition)
		}
		if info, err := newClient(t, configFor(c.ListenAddrs())).DescribeTopic(context.Background(), w.Topic); err != nil || info.ID != at[i].TopicID {
			t.Errorf("topic id %v, %v", at[i].TopicID, err)
		}
	}
	// Order within a partition is the order of the call.
	for key, last := "k0", int64(-1); last < 0; {
		for i, w := range written {
			if string(w.Key) == key {
				if at[i].Offset <= last {
					t.Errorf("%s comes at %d after %d", w.Value, at[i].Offset, last)
				}
				last = at[i].Offset
			}
		}
	}
	if got, err := x.Write(context.Background()); err != nil || got != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{inPartition(9, "x")}); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a partition that is not there: %v", err)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set("nowhere", "k", "v")}); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

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

// TestLargeTransactions are cut into batches, as small as the topic asks for.
func TestLargeTransactions(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(2, topic), kfake.SeedTopics(1, other))
	adm := kadm.NewClient(newWriter(t, c.ListenAddrs()))
	small := "20000"
	if _, err := adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, other); err != nil {
		t.Fatal(err)
	}
	x := newTransactions(t, c, nil)
	var records []kafka.TopicRecord
	for i := range 300 {
		records = append(records, inPartition(int32(i%2), fmt.Sprintf("%d %s", i, strings.Repeat("x", 20_000))))
		records = append(records, set(other, "k", fmt.Sprintf("%d %s", i, strings.Repeat("y", 1000))))
	}
	at, err := x.Write(context.Background(), records)
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]string{}
	for _, r := range seen(t, c, topic, other) {
		read[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = string(r.Value)
	}
	for i, r := range records {
		if got := read[fmt.Sprintf("%s/%d/%d", r.Topic, at[i].Partition, at[i].Offset)]; got != string(r.Value) {
			t.Errorf("record %d at %+v is %.20q", i, at[i], got)
		}
	}
	if len(read) != len(records) {
		t.Errorf("%d records are in the log, %d were written", len(read), len(records))
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(other, "k", strings.Repeat("z", 50_000)), set(topic, "k", "v")}); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("a record over max.message.bytes: %v", err)
	}
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", strings.Repeat("z", 65<<20))}); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("more than can be held: %v", err)
	}
}

// TestATopicThatIsCreatedAnewMeanwhile is not written to: the records were meant for the old one.
func TestATopicThatIsCreatedAnewMeanwhile(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic), kfake.SeedTopics(1, other))
	x := newTransactions(t, c, func(cfg *kafka.TransactionsConfig) { cfg.Producers = 1 })
	if _, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", "a"), set(other, "k", "a")}); err != nil {
		t.Fatal(err)
	}
	c.ControlKey(int16(kmsg.AddPartitionsToTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { recreate(t, c, 1) })
		return nil, nil, false
	})
	_, err := x.Write(context.Background(), []kafka.TopicRecord{set(topic, "k", "b"), set(other, "k", "b")})
	if !errors.Is(err, kafka.ErrUnavailable) || !errors.Is(err, kafka.ErrTopicRecreated) {
		t.Errorf("got %v", err)
	}
	if got := values(seen(t, c, topic, other)); strings.Join(got, "") != "a" {
		t.Errorf("in the log: %v", got)
	}
}

func TestTransactionsConfig(t *testing.T) {
	for _, change := range []func(*kafka.TransactionsConfig){
		func(c *kafka.TransactionsConfig) { c.Kafka.Bootstrap = nil },
		func(c *kafka.TransactionsConfig) { c.Producers = -1 },
		func(c *kafka.TransactionsConfig) { c.TransactionTimeout = time.Microsecond },
		func(c *kafka.TransactionsConfig) { c.Timeout = -time.Second },
	} {
		cfg := kafka.TransactionsConfig{Kafka: configFor([]string{"127.0.0.1:1"})}
		change(&cfg)
		if _, err := kafka.NewTransactions(cfg); !errors.Is(err, kafka.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
