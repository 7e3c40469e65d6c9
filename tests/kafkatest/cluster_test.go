package kafkatest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTools holds each helper against another one on every version: what Java
// wrote is read with Go and with Java, and the group that Go commits is what the
// stock tool prints.
func TestTools(t *testing.T) {
	for _, version := range Versions() {
		t.Run(version, func(t *testing.T) {
			c := Shared(t)
			if version != c.Version || c.Brokers == nil {
				c = Start(t, Options{Version: version})
			}
			topic := c.NewTopic(t, 2, map[string]string{"cleanup.policy": "delete"})
			written := []ConsoleRecord{
				{Key: Text("a"), Value: Text("1"), Headers: []ConsoleHeader{{"h", "x"}, {"i", "y"}}},
				{Key: Text("å"), Value: Text(`{"n": 2}`)},
				{Key: Text("c"), Value: Text("")},
				{Key: Text("a")},
				{Value: Text("keyless")},
			}
			c.ConsoleProduce(t, topic, written...)
			read := c.ConsoleConsume(t, topic, len(written))
			partitions := map[string]int32{}
			for _, r := range read {
				if r.Key != nil {
					partitions[*r.Key] = r.Partition
				}
			}
			for _, w := range written {
				found := false
				for _, r := range read {
					r.Partition, r.Offset = 0, 0
					found = found || reflect.DeepEqual(r, w)
				}
				if !found {
					t.Errorf("%+v was written and not read", w)
				}
			}
			r := &kgo.Record{Topic: topic, Key: []byte("å"), Value: []byte("3")}
			c.Produce(t, r)
			if r.Partition != partitions["å"] {
				t.Errorf("Go writes to partition %d, Java to %d", r.Partition, partitions["å"])
			}
			to := &kgo.Record{Topic: topic, Key: []byte("å"), Value: []byte("4"), Partition: 1 - r.Partition}
			c.ProduceTo(t, to)
			ends := c.Ends(t, topic)
			if ends[to.Partition].HighWatermark != to.Offset+1 || ends[0].HighWatermark+ends[1].HighWatermark != 7 {
				t.Errorf("ends %+v after offset %d in partition %d", ends, to.Offset, to.Partition)
			}

			var offsets kadm.Offsets
			offsets.Add(kadm.Offset{Topic: topic, Partition: r.Partition, At: 1, LeaderEpoch: -1})
			if err := c.Admin(t).CommitAllOffsets(t.Context(), topic+".group", offsets); err != nil {
				t.Fatal(err)
			}
			end := ends[r.Partition].HighWatermark
			want := []GroupOffset{{Topic: topic, Partition: r.Partition, Current: 1, End: end, Lag: end - 1}}
			if got := c.DescribeGroup(t, topic+".group"); !reflect.DeepEqual(got, want) {
				t.Errorf("group %+v, want %+v", got, want)
			}
			if got := c.DescribeGroup(t, "no-such-group"); got != nil {
				t.Errorf("no such group: %+v", got)
			}

			c.DeleteRecords(t, topic, r.Partition, 1)
			c.AddPartitions(t, topic, 3)
			if ends := c.Ends(t, topic); len(ends) != 3 || ends[r.Partition].Start != 1 {
				t.Errorf("ends %+v after a deletion up to 1", ends)
			}
			c.DeleteTopic(t, topic)
		})
	}
}

// TestBrokerLifecycle loses leaders in each way that Broker offers, and writes
// with acks=all on.
func TestBrokerLifecycle(t *testing.T) {
	c := Start(t, Options{Brokers: 3})
	topic := c.NewTopic(t, 1, nil)
	client := c.Client(t, kgo.RequestTimeoutOverhead(time.Second), kgo.RecordDeliveryTimeout(60*time.Second))
	written := int64(0)
	write := func(when string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(when)}).FirstErr(); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		written++
	}
	leader := func() *Broker {
		t.Helper()
		topics, err := c.Admin(t).ListTopics(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return c.Brokers[topics[topic].Partitions[0].Leader-1]
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()

	write("before")
	for _, lose := range []struct {
		how        string
		away, back func(*Broker) error
	}{
		{"killed", func(b *Broker) error { b.Kill(); return nil }, func(b *Broker) error { return b.Start() }},
		{"paused", func(b *Broker) error { b.Pause(); return nil }, func(b *Broker) error { b.Resume(); return nil }},
		{"terminated", func(b *Broker) error { b.Term(); return nil }, func(b *Broker) error { return b.Start() }},
	} {
		b := leader()
		if err := lose.away(b); err != nil {
			t.Fatal(err)
		}
		write("leader " + lose.how)
		if err := lose.back(b); err != nil {
			t.Fatal(err)
		}
		if err := b.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Brokers[0].Start(); err == nil {
		t.Error("a running broker was started")
	}
	if ends := c.Ends(t, topic); ends[0].HighWatermark != written {
		t.Errorf("ends %+v after %d records", ends, written)
	}
}
