package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

func TestTimedOutAfterTheAppendIsWrittenOnce(t *testing.T) {
	for _, e := range []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend} {
		t.Run(e.Message, func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
			p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e, Count: 3})
			for i := range 5 {
				o := produce(t, p, []byte("k"), []byte("v"))
				if o.err != nil || o.at.Offset != int64(i) {
					t.Errorf("%+v", o)
				}
			}
			if end := c.PartitionInfo(topic, 0).HighWatermark; end != 5 {
				t.Errorf("the log ends at %d", end)
			}
		})
	}
}

func TestDuplicateSequenceNumberIsAnUnknownOffset(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.DuplicateSequenceNumber})
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil || o.at.Offset != -1 {
		t.Errorf("%+v", o)
	}
}

// TestOutcomes has a broker answer with one error for as long as the record's time lasts.
func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		err  *kerr.Error
		want error
		sure bool // not in the log
	}{
		{kerr.NotEnoughReplicas, kafka.ErrNotEnoughReplicas, true},
		{kerr.TopicAuthorizationFailed, kafka.ErrNotAuthorized, true},
		{kerr.MessageTooLarge, kafka.ErrTooLarge, true},
		{kerr.RecordListTooLarge, kafka.ErrTooLarge, true},
		{kerr.InvalidRecord, kafka.ErrRefused, true},
		{kerr.PolicyViolation, kafka.ErrRefused, true},
		{kerr.NotLeaderForPartition, kafka.ErrUnknownOutcome, false},
		{kerr.RequestTimedOut, kafka.ErrUnknownOutcome, false},
		{kerr.NotEnoughReplicasAfterAppend, kafka.ErrUnknownOutcome, false},
		{kerr.UnknownServerError, kafka.ErrUnknownOutcome, false},
	} {
		t.Run(tc.err.Message, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
			p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs()), Timeout: 400 * time.Millisecond})
			f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: tc.err, Count: -1})
			o := produce(t, p, []byte("k"), []byte("v"))
			for try := 1; try < 5 && tc.sure && errors.Is(o.err, kafka.ErrUnknownOutcome); try++ {
				o = produce(t, p, []byte("k"), []byte("v")) // the time was over while an attempt was under way, which is rare unless the machine is busy
			}
			if !errors.Is(o.err, tc.want) || tc.sure == errors.Is(o.err, kafka.ErrUnknownOutcome) {
				t.Errorf("got %v, want %v", o.err, tc.want)
			}
			for _, other := range []error{kafka.ErrUnavailable, kafka.ErrTooLarge, kafka.ErrNotEnoughReplicas, kafka.ErrNotAuthorized, kafka.ErrUnknownTopic} {
				if other != tc.want && errors.Is(o.err, other) {
					t.Errorf("%v is also %v", o.err, other)
				}
			}
			f.Remove()
			// What comes after is written, and in order, whatever became of the first.
			for range 3 {
				if o := produce(t, p, []byte("k"), []byte("after")); o.err != nil {
					t.Errorf("afterwards: %v", o.err)
				}
			}
		})
	}
}

func TestUnknownThenRefusedIsUnknown(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs()), Timeout: time.Second})
	c.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.RequestTimedOut}, // appended all the same
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1},
	)
	o := produce(t, p, []byte("k"), []byte("v"))
	if !errors.Is(o.err, kafka.ErrUnknownOutcome) || errors.Is(o.err, kafka.ErrNotEnoughReplicas) {
		t.Errorf("got %v", o.err)
	}
	if end := c.PartitionInfo(topic, 0).HighWatermark; end != 1 {
		t.Errorf("the log ends at %d", end)
	}
}

// TestLostSequencesAreBegunAgain has a broker that no longer knows the producer: the attempt wrote nothing.
func TestLostSequencesAreBegunAgain(t *testing.T) {
	for _, e := range []*kerr.Error{
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.CorruptMessage,
	} {
		t.Run(e.Message, func(t *testing.T) {
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
			p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
			for i := range 3 {
				c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e})
				for j := range 2 {
					if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil || o.at.Offset != int64(2*i+j) {
						t.Errorf("%+v", o)
					}
				}
			}
			// After an attempt that may have been written it is not known what the answer means.
			c.Fault(
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.RequestTimedOut},
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e},
			)
			o := produce(t, p, []byte("k"), []byte("v"))
			if e == kerr.CorruptMessage { // says nothing of the first attempt either way, and is retried
				if o.err != nil || o.at.Offset != 6 {
					t.Errorf("%+v", o)
				}
			} else if !errors.Is(o.err, kafka.ErrUnknownOutcome) {
				t.Errorf("%+v", o)
			}
			if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil || o.at.Offset != 7 {
				t.Errorf("afterwards: %+v", o)
			}
		})
	}
}

// TestKafkaDownAtConstruction makes the producer before there is a broker.
func TestKafkaDownAtConstruction(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	ln.Close()
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor([]string{addr.String()}), Timeout: 300 * time.Millisecond})
	o := produce(t, p, []byte("k"), []byte("v"))
	if !errors.Is(o.err, kafka.ErrUnavailable) || errors.Is(o.err, kafka.ErrUnknownOutcome) {
		t.Errorf("with no broker: %v", o.err)
	}
	startCluster(t, kfake.Ports(addr.Port), kfake.SeedTopics(1, topic))
	eventually(t, "a record written", func() bool { return produce(t, p, []byte("k"), []byte("v")).err == nil })
}

func TestProduceTimeoutWithAStoppedBroker(t *testing.T) {
	c, gates := gatedCluster(t, 1, kfake.SeedTopics(1, topic))
	k := configFor(c.ListenAddrs())
	p := newProducer(t, kafka.ProducerConfig{Kafka: k, Timeout: 500 * time.Millisecond})
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
		t.Fatal(o.err)
	}
	gates[0].stop()
	began := time.Now()
	first := produceLater(p, []byte("k"), []byte("sent"))
	o := <-first
	if !errors.Is(o.err, kafka.ErrUnknownOutcome) {
		t.Errorf("sent to a stopped broker: %v", o.err)
	}
	// While the first is in flight the next one waits, and is surely not sent.
	o = produce(t, p, []byte("k"), []byte("not sent"))
	if !errors.Is(o.err, kafka.ErrUnavailable) || errors.Is(o.err, kafka.ErrUnknownOutcome) {
		t.Errorf("never sent: %v", o.err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("two time-outs of 500ms took %v", d)
	}
	gates[0].resume()
	eventually(t, "a record written", func() bool { return produce(t, p, []byte("k"), []byte("v")).err == nil })
	select {
	case o := <-first:
		t.Errorf("a second outcome: %+v", o)
	default:
	}
}

func TestUnknownTopic(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	began := time.Now()
	if o := produce(t, p, []byte("k"), []byte("v")); !errors.Is(o.err, kafka.ErrUnknownTopic) || errors.Is(o.err, kafka.ErrUnknownOutcome) {
		t.Errorf("got %v", o.err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
	if c.TopicInfo(topic) != nil {
		t.Error("producing created the topic")
	}
	if err := c.CreateTopic(topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
		t.Errorf("after it was created: %v", o.err)
	}
}

func TestTooLargeForTheTopic(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1))
	if err := c.CreateTopic(topic, 1, map[string]string{"max.message.bytes": "10000"}); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	// Small ones that together are too large for one batch, and one that is too large by itself.
	var waits []<-chan produced
	for i := range 40 {
		size := 900
		if i == 17 {
			size = 20_000
		}
		waits = append(waits, produceLater(p, []byte("k"), make([]byte, size)))
	}
	for i, w := range waits {
		if o := <-w; errors.Is(o.err, kafka.ErrTooLarge) != (i == 17) || (o.err != nil) != (i == 17) {
			t.Errorf("record %d: %v", i, o.err)
		}
	}
	if o := produce(t, p, []byte("k"), make([]byte, 65<<20)); !errors.Is(o.err, kafka.ErrTooLarge) {
		t.Errorf("65 MiB: %v", o.err)
	}
}

func TestBufferIsBounded(t *testing.T) {
	c, gates := gatedCluster(t, 1, kfake.SeedTopics(1, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs()), Timeout: time.Second})
	gates[0].stop()
	var refused, other atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(1)
		p.Produce(topic, kafka.ProduceRecord{Key: []byte("k"), Value: make([]byte, 1<<20)}, func(_ kafka.Produced, err error) {
			defer wg.Done()
			if errors.Is(err, kafka.ErrUnavailable) {
				refused.Add(1)
			} else {
				other.Add(1)
			}
		})
	}
	if n := refused.Load(); n < 30 {
		t.Errorf("%d of 100 MiB were refused at once", n)
	}
	wg.Wait()
	gates[0].resume()
	eventually(t, "a record written", func() bool { return produce(t, p, []byte("k"), []byte("v")).err == nil })
}

func TestCloseWritesWhatWaits(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	var waits []<-chan produced
	for i := range 200 {
		waits = append(waits, produceLater(p, fmt.Append(nil, i), []byte("v")))
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	for _, w := range waits {
		select {
		case o := <-w:
			if o.err != nil {
				t.Error(o.err)
			}
		default:
			t.Fatal("Close returned before an outcome")
		}
	}
	if o := produce(t, p, []byte("k"), []byte("v")); !errors.Is(o.err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", o.err)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	c, gates := gatedCluster(t, 1, kfake.SeedTopics(1, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
		t.Fatal(o.err)
	}
	gates[0].stop()
	sent := produceLater(p, []byte("k"), []byte("sent"))
	// The first is on its way once its request has left; then what follows waits behind it.
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("Close took %v", d)
	}
	if o := <-sent; !errors.Is(o.err, kafka.ErrUnknownOutcome) || !errors.Is(o.err, kafka.ErrClosed) {
		t.Errorf("sent: %v", o.err)
	}
}

// TestProduceToARecreatedTopic has the topic come back with fewer partitions.
func TestProduceToARecreatedTopic(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(6, topic))
	config := configFor(c.ListenAddrs())
	config.RefreshInterval = time.Hour // only the faults tell
	p := newProducer(t, kafka.ProducerConfig{Kafka: config, Timeout: 3 * time.Second})
	for i := range 20 {
		if o := produce(t, p, fmt.Append(nil, i), []byte("old")); o.err != nil {
			t.Fatal(o.err)
		}
	}
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic(topic, 2, nil); err != nil {
		t.Fatal(err)
	}
	var waits []<-chan produced
	for i := range 20 {
		waits = append(waits, produceLater(p, fmt.Append(nil, i), []byte("new")))
	}
	for _, w := range waits {
		// Those of partitions that are gone were refused there, or are in doubt; none may be said to be elsewhere.
		if o := <-w; o.err == nil && o.at.Partition > 1 {
			t.Errorf("written to %+v", o.at)
		}
	}
	for i := range 20 {
		if o := produce(t, p, fmt.Append(nil, i), []byte("newer")); o.err != nil || o.at.Partition > 1 {
			t.Errorf("afterwards: %+v", o)
		}
	}
}
