package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	if v := os.Getenv("FAULTS_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s = n
	}
	t.Logf("FAULTS_SEED=%d", s)
	return s
}

// TestAcknowledgedIsSeen writes through rounds of leader moves, killed connections, aborted transactions and time-outs
// after the append. Every acknowledged record must be read, once, where its acknowledgement said; none that was said to be
// surely not written may be; and within a partition the order of the calls must hold.
func TestAcknowledgedIsSeen(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 0))
	const partitions, rounds = 6, 30
	c, gates := gatedCluster(t, 3, kfake.SeedTopics(partitions, topic))
	r := read(t, c.ListenAddrs(), nil)
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	tx := newWriter(t, c.ListenAddrs(), kgo.TransactionalID("tx"))

	type outcome struct {
		value string
		n     int
		at    kafka.Produced
		err   error
	}
	var mu sync.Mutex
	var outcomes []outcome
	var writing sync.WaitGroup
	n := 0
	for range rounds {
		for range 10 + rng.IntN(20) {
			value := fmt.Sprintf("v%d", n)
			o := outcome{value: value, n: n}
			n++
			writing.Add(1)
			p.Produce(topic, kafka.ProduceRecord{Key: fmt.Appendf(nil, "k%d", rng.IntN(50)), Value: []byte(value)}, func(at kafka.Produced, err error) {
				o.at, o.err = at, err
				mu.Lock()
				outcomes = append(outcomes, o)
				mu.Unlock()
				writing.Done()
			})
		}
		switch rng.IntN(6) {
		case 0:
			c.ShufflePartitionLeaders()
		case 1:
			if err := c.MoveTopicPartition(topic, int32(rng.IntN(partitions)), int32(rng.IntN(3))); err != nil {
				t.Fatal(err)
			}
		case 2:
			gates[rng.IntN(3)].kill()
		case 3:
			if err := tx.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				tx.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: int32(rng.IntN(partitions)), Key: []byte("k"), Value: []byte("aborted")}, nil)
			}
			if err := tx.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := tx.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
		case 4:
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.RequestTimedOut, Count: 1 + rng.IntN(3)})
		case 5:
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{int32(rng.IntN(partitions))}, Err: kerr.NotLeaderForPartition, Count: 2})
		}
	}
	writing.Wait()
	for q := range int32(partitions) {
		end := c.PartitionInfo(topic, q).HighWatermark
		eventually(t, fmt.Sprintf("the end of partition %d, %d", q, end), func() bool { return r.atEnd(q, end) })
	}
	type place struct {
		partition int32
		offset    int64
	}
	seen := map[string]place{}
	lastN := map[string]int{} // by key
	for q := range int32(partitions) {
		for _, rec := range r.got(q) {
			if _, twice := seen[*rec.value]; twice {
				t.Errorf("%s is in the log twice", *rec.value)
			}
			seen[*rec.value] = place{q, rec.offset}
			var i int
			if _, err := fmt.Sscanf(*rec.value, "v%d", &i); err != nil {
				t.Errorf("read %q", *rec.value)
				continue
			}
			if i < lastN[rec.key] {
				t.Errorf("key %s: v%d comes after v%d", rec.key, i, lastN[rec.key])
			}
			lastN[rec.key] = i
		}
	}
	acknowledged, unknown := 0, 0
	for _, o := range outcomes {
		at, ok := seen[o.value]
		switch {
		case o.err == nil:
			acknowledged++
			if !ok || at.partition != o.at.Partition || o.at.Offset >= 0 && at.offset != o.at.Offset {
				t.Errorf("%s was acknowledged at %+v, and read at %+v (%v)", o.value, o.at, at, ok)
			}
		case errors.Is(o.err, kafka.ErrUnknownOutcome):
			unknown++
		case ok:
			t.Errorf("%s is in the log though its error was %v", o.value, o.err)
		}
	}
	t.Logf("%d written, %d acknowledged, %d unknown, %d read", n, acknowledged, unknown, len(seen))
	if len(outcomes) != n || acknowledged < n/2 {
		t.Errorf("%d outcomes of %d, %d acknowledged", len(outcomes), n, acknowledged)
	}
}

// TestStoppedLeaderIsLeftOnceItIsReplaced stops a broker like a SIGSTOP does: it accepts connections and answers nothing.
func TestStoppedLeaderIsLeftOnceItIsReplaced(t *testing.T) {
	c, gates := gatedCluster(t, 3, kfake.SeedTopics(3, topic))
	for q := range int32(3) {
		if err := c.MoveTopicPartition(topic, q, q); err != nil {
			t.Fatal(err)
		}
	}
	r := read(t, c.ListenAddrs(), nil)
	w := newWriter(t, c.ListenAddrs())
	for q := range int32(3) {
		write(t, w, q, "k", "before")
	}
	eventually(t, "all partitions", func() bool { return r.atEnd(0, 1) && r.atEnd(1, 1) && r.atEnd(2, 1) })

	gates[1].stop()
	write(t, w, 0, "k", "meanwhile") // the others go on
	within(t, 2500*time.Millisecond, "a partition of another leader", func() bool { return r.atEnd(0, 2) })
	eventually(t, "that the stopped broker is told of", func() bool {
		return r.told(func(e kafka.FetchError) bool { return e.Leader == 1 })
	})
	if err := c.MoveTopicPartition(topic, 1, 2); err != nil {
		t.Fatal(err)
	}
	replaced := time.Now()
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())}) // which must not hang on the stopped one either
	if o := produce(t, p, keyFor(1, 3), []byte("after")); o.err != nil || o.at.Partition != 1 {
		t.Fatalf("%+v", o)
	}
	within(t, 5*time.Second, "the partition from its new leader", func() bool { return r.atEnd(1, 2) })
	t.Logf("read from the new leader %v after the replacement", time.Since(replaced).Round(time.Millisecond))
}

// TestReplacedAtOnce moves the partition right when its leader stops: what is in flight is given up before its time-out.
func TestReplacedAtOnce(t *testing.T) {
	c, gates := gatedCluster(t, 3, kfake.SeedTopics(1, topic))
	if err := c.MoveTopicPartition(topic, 0, 1); err != nil {
		t.Fatal(err)
	}
	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the partition", func() bool { return r.atEnd(0, 0) })
	gates[1].stop()
	if err := c.MoveTopicPartition(topic, 0, 2); err != nil {
		t.Fatal(err)
	}
	replaced := time.Now()
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
		t.Fatal(o.err)
	}
	within(t, 5*time.Second, "the record", func() bool { return r.atEnd(0, 1) })
	t.Logf("read from the new leader %v after the replacement", time.Since(replaced).Round(time.Millisecond))
}

// TestAllBrokersGone stops every broker for longer than the time-outs, and lets them go on.
func TestAllBrokersGone(t *testing.T) {
	c, gates := gatedCluster(t, 2, kfake.SeedTopics(2, topic))
	for q := range int32(2) {
		if err := c.MoveTopicPartition(topic, q, q); err != nil {
			t.Fatal(err)
		}
	}
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka.ReadTimeout = 500 * time.Millisecond })
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	if o := produce(t, p, keyFor(0, 2), []byte("before")); o.err != nil {
		t.Fatal(o.err)
	}
	eventually(t, "both partitions", func() bool { return r.atEnd(0, 1) && r.atEnd(1, 0) })
	for _, g := range gates {
		g.stop()
	}
	eventually(t, "errors of both leaders, and of metadata", func() bool {
		return r.told(func(e kafka.FetchError) bool { return e.Leader == 0 }) &&
			r.told(func(e kafka.FetchError) bool { return e.Leader == 1 }) &&
			r.told(func(e kafka.FetchError) bool { return e.Leader == -1 && errors.Is(e, kafka.ErrUnavailable) })
	})
	for _, g := range gates {
		g.resume()
	}
	resumed := time.Now()
	if o := produce(t, p, keyFor(1, 2), []byte("after")); o.err != nil {
		t.Fatal(o.err)
	}
	within(t, 5*time.Second, "the record", func() bool { return r.atEnd(1, 1) })
	t.Logf("read %v after the brokers went on", time.Since(resumed).Round(time.Millisecond))
}

// TestSlowApplyHoldsOnlyItsLeaderUp has one partition's apply block: memory stays bounded since no more than one response
// is decoded ahead, and the other leader's partition goes on.
func TestSlowApplyHoldsOnlyItsLeaderUp(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
	for q := range int32(2) {
		if err := c.MoveTopicPartition(topic, q, q); err != nil {
			t.Fatal(err)
		}
	}
	fetches := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Count: -1, Observe: true})
	w := newWriter(t, c.ListenAddrs())
	for i := range 50 {
		write(t, w, 0, "k", fmt.Sprint(i))
	}
	release := make(chan struct{})
	entered := make(chan struct{}, 1000)
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, r *reader) {
		fc.MaxPartitionBytes = 100
		r.apply = func(b *kafka.Batch) error {
			if b.Partition == 0 {
				entered <- struct{}{}
				<-release
			}
			return nil
		}
	})
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	<-entered
	for i := range 20 {
		write(t, w, 1, "k", fmt.Sprint(i))
		eventually(t, "the other leader's partition", func() bool { return r.atEnd(1, int64(i+1)) })
	}
	if n := fetches.Hits(); n > 2 {
		t.Errorf("%d fetches of the partition whose first batch is being applied", n)
	}
	close(release)
	eventually(t, "the end", func() bool { return r.atEnd(0, 50) })
}

// TestMovedPartitionIsNotAppliedTwice has a partition move while its old leader's batch is still being applied.
func TestMovedPartitionIsNotAppliedTwice(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, topic))
	if err := c.MoveTopicPartition(topic, 0, 0); err != nil {
		t.Fatal(err)
	}
	w := newWriter(t, c.ListenAddrs(), kgo.MetadataMinAge(10*time.Millisecond))
	write(t, w, 0, "k", "0")
	release := make(chan struct{})
	entered := make(chan struct{}, 1000)
	r := read(t, c.ListenAddrs(), func(_ *kafka.FetcherConfig, r *reader) {
		r.apply = func(b *kafka.Batch) error {
			if len(b.Records) > 0 {
				entered <- struct{}{}
				<-release
			}
			return nil
		}
	})
	<-entered
	if err := c.MoveTopicPartition(topic, 0, 1); err != nil {
		t.Fatal(err)
	}
	atNew := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Nodes: []int32{1}, Count: -1, Observe: true})
	write(t, w, 0, "k", "1")
	r.fetcher.Refresh()
	eventually(t, "that the old leader's loop has noticed", func() bool { return r.told(func(e kafka.FetchError) bool { return e.Leader == 0 }) })
	if n := atNew.Hits(); n != 0 {
		t.Errorf("%d fetches from the new leader while the old one's batch is applied", n)
	}
	close(release)
	eventually(t, "the end", func() bool { return r.atEnd(0, 2) })
}

// TestCorruptPartitionIsFoundAndTheOthersGoOn has one partition's records arrive with a bit changed: a checksum that does
// not match fails the whole response.
func TestCorruptPartitionIsFoundAndTheOthersGoOn(t *testing.T) {
	c, gates := gatedCluster(t, 1, kfake.SeedTopics(4, topic))
	w := newWriter(t, c.ListenAddrs(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for q := range int32(4) {
		write(t, w, q, "k", "good")
	}
	write(t, w, 2, "k", "the marker")
	write(t, w, 2, "k", "behind")
	gates[0].corrupt([]byte("the marker"))
	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the other partitions", func() bool { return r.atEnd(0, 1) && r.atEnd(1, 1) && r.atEnd(3, 1) })
	eventually(t, "that the partition is named", func() bool {
		return r.told(func(e kafka.FetchError) bool { return e.Partition == 2 && errors.Is(e, kafka.ErrCorrupt) })
	})
	for i := range 5 { // the others go on at once
		write(t, w, 0, "k", "more")
		within(t, 5*time.Second, "another record", func() bool { return r.atEnd(0, int64(i+2)) })
	}
	if r.told(func(e kafka.FetchError) bool { return e.Partition >= 0 && e.Partition != 2 }) {
		t.Errorf("told %v", r.errs)
	}
	if n := r.next(2); n > 1 {
		t.Errorf("position %d, past the corrupt record", n)
	}
	gates[0].corrupt(nil)
	eventually(t, "the partition that was corrupt", func() bool { return r.atEnd(2, 3) })
}
