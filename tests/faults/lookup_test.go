package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

func TestOffsetsAt(t *testing.T) {
	c, gates := gatedCluster(t, 2, kfake.SeedTopics(2, topic))
	at := time.UnixMilli(1_700_000_000_000)
	w := newWriter(t, c.ListenAddrs(), kgo.RecordDeliveryTimeout(0)) // it counts from the timestamp
	for i := range 5 {
		r := w.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: 0, Key: []byte("k"), Timestamp: at.Add(time.Duration(i) * time.Second)})
		if err := r.FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	client := newClient(t, configFor(c.ListenAddrs()))
	for _, tc := range []struct {
		at   time.Time
		want int64
	}{
		{time.Unix(-5, 0), 0}, {at.Add(-time.Hour), 0}, {at, 0}, {at.Add(time.Nanosecond), 1}, {at.Add(2 * time.Second), 2},
		{at.Add(3500 * time.Millisecond), 4}, {at.Add(4 * time.Second), 4}, {at.Add(4*time.Second + 1), -1}, {at.Add(time.Hour), -1},
	} {
		got, err := client.OffsetsAt(context.Background(), topic, []int32{0, 1}, tc.at)
		if want := map[int32]int64{0: tc.want, 1: -1}; err != nil || !maps.Equal(got, want) {
			t.Errorf("at %v: %v, %v; want %v", tc.at, got, err, want)
		}
	}
	if _, err := client.OffsetsAt(context.Background(), topic, []int32{0, 7}, at); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a partition that is not there: %v", err)
	}
	if _, err := client.OffsetsAt(context.Background(), "absent", []int32{0}, at); !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
	for _, p := range []int32{0, 1} {
		if err := c.MoveTopicPartition(topic, p, p); err != nil {
			t.Fatal(err)
		}
	}
	gates[1].stop()
	got, err := client.OffsetsAt(context.Background(), topic, []int32{0, 1}, at)
	if !errors.Is(err, kafka.ErrUnavailable) || !maps.Equal(got, map[int32]int64{0: 0}) {
		t.Errorf("without a leader: %v, %v", got, err)
	}
}

// TestTopicSettingsThatAreMissing has the broker know no setting but the cleanup policy, and then not even that.
func TestTopicSettingsThatAreMissing(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1))
	if err := c.CreateTopic(topic, 1, map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, configFor(c.ListenAddrs()))
	if got, err := client.TopicSettings(context.Background(), topic); err != nil || !got.LogAppendTime {
		t.Errorf("%+v, %v", got, err)
	}
	known := []kmsg.DescribeConfigsResponseResourceConfig{{Name: "cleanup.policy", Value: kmsg.StringPtr("compact")}}
	c.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		res := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		res.Resources = []kmsg.DescribeConfigsResponseResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, Configs: known}}
		return res, nil, true
	})
	if got, err := client.TopicSettings(context.Background(), topic); err != nil || got != (kafka.TopicSettings{Authorized: true, CleanupPolicy: "compact"}) {
		t.Errorf("%+v, %v", got, err)
	}
	known = nil
	if got, err := client.TopicSettings(context.Background(), topic); !errors.Is(err, kafka.ErrCorrupt) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestProduceToAPartitionAtATime(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(3, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	info, err := newClient(t, configFor(c.ListenAddrs())).DescribeTopic(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	send := func(r kafka.ProduceRecord) produced {
		t.Helper()
		done := make(chan produced, 1)
		p.Produce(topic, r, func(at kafka.Produced, err error) { done <- produced{at, err} })
		return <-done
	}
	eventually(t, "the partitions", func() bool { _, ok := p.PartitionOf(topic, []byte("k")); return ok })
	for want := range int32(3) {
		if got, ok := p.PartitionOf(topic, keyFor(want, 3)); !ok || got != want {
			t.Errorf("PartitionOf is %d, %v; want %d", got, ok, want)
		}
	}
	if _, ok := p.PartitionOf(topic, nil); ok {
		t.Error("no key has a partition")
	}
	// One batch has timestamps that go back: each must come through.
	stamps := []int64{1_700_000_000_500, 1, 1_700_000_000_000, 0, 9_000_000_000_000}
	done := make(chan produced, len(stamps))
	for i, s := range stamps {
		p.Produce(topic, kafka.ProduceRecord{Key: keyFor(0, 3), Value: fmt.Append(nil, i), ToPartition: true, Partition: 2, Timestamp: s},
			func(at kafka.Produced, err error) { done <- produced{at, err} })
	}
	for range stamps {
		if o := <-done; o.err != nil || o.at.Partition != 2 || o.at.TopicID != info.ID {
			t.Errorf("%+v", o)
		}
	}
	now := time.Now()
	r := read(t, c.ListenAddrs(), nil)
	eventually(t, "the records", func() bool { return r.atEnd(2, int64(len(stamps))) })
	for i, got := range r.got(2) {
		if got.timestamp != stamps[i] && (stamps[i] != 0 || now.Sub(time.UnixMilli(got.timestamp)).Abs() > time.Minute) {
			t.Errorf("record %d has timestamp %d, want %d", i, got.timestamp, stamps[i])
		}
	}
	if o := send(kafka.ProduceRecord{Key: []byte("k"), ToPartition: true, Partition: 7}); !errors.Is(o.err, kafka.ErrUnknownTopic) {
		t.Errorf("a partition that is not there: %+v", o)
	}
	for _, r := range []kafka.ProduceRecord{{ToPartition: true, Partition: -1}, {Timestamp: -1}, {Timestamp: 1 << 60}} {
		if o := send(r); !errors.Is(o.err, kafka.ErrRefused) {
			t.Errorf("%+v: %+v", r, o)
		}
	}
	// A partition that is added is written to at once, before the next look-up is due.
	if _, err := kadm.NewClient(newWriter(t, c.ListenAddrs())).UpdatePartitions(context.Background(), 8, topic); err != nil {
		t.Fatal(err)
	}
	if o := send(kafka.ProduceRecord{Key: []byte("k"), ToPartition: true, Partition: 7}); o.err != nil || o.at.Partition != 7 {
		t.Errorf("a new partition: %+v", o)
	}
}

// TestReadUntil reads some partitions, each to an end, while more is written behind it.
func TestReadUntil(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(5, topic))
	w := newWriter(t, c.ListenAddrs())
	for p := range int32(4) {
		var rs []*kgo.Record
		for i := range 20 {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: p, Key: []byte("k"), Value: fmt.Append(nil, i)})
		}
		if err := w.ProduceSync(context.Background(), rs...).FirstErr(); err != nil { // one batch
			t.Fatal(err)
		}
	}
	if err := c.DeleteRecords(topic, 2, 15); err != nil {
		t.Fatal(err)
	}
	until := map[int32]int64{0: 20, 1: 13, 2: 10, 4: 0}
	for name, limit := range map[string]int32{"whole": 1 << 20, "small": 1} {
		t.Run(name, func(t *testing.T) {
			r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, r *reader) {
				fc.Until, fc.MaxPartitionBytes = until, limit
				r.apply = func(b *kafka.Batch) error {
					if len(b.Records) > 0 && (!b.HasAnchor || b.Anchor.Offset != b.Records[len(b.Records)-1].Offset) {
						return fmt.Errorf("the anchor of %d records is %+v", len(b.Records), b.Anchor)
					}
					return nil
				}
			})
			if err := r.result(t); err != nil {
				t.Fatal(err)
			}
			for p, want := range map[int32]int{0: 20, 1: 13, 2: 0, 3: 0, 4: 0} {
				if got := len(r.got(p)); got != want {
					t.Errorf("partition %d: %d records, want %d", p, got, want)
				}
			}
			if r.next(0) != 20 || r.next(1) != 13 {
				t.Errorf("positions %d and %d", r.next(0), r.next(1))
			}
			slices.Sort(r.partitions)
			if !slices.Equal(r.partitions, []int32{0, 1, 2, 4}) {
				t.Errorf("partitions %v", r.partitions)
			}
		})
	}
	// Beyond the end it waits for the log.
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Until = map[int32]int64{0: 21, 4: 1} })
	eventually(t, "the end as it is", func() bool { return r.atEnd(0, 20) && r.atEnd(4, 0) })
	write(t, w, 0, "k", "20")
	write(t, w, 0, "k", "21")
	write(t, w, 4, "k", "0")
	if err := r.result(t); err != nil || len(r.got(0)) != 21 || len(r.got(4)) != 1 {
		t.Errorf("%v, %d and %d records", err, len(r.got(0)), len(r.got(4)))
	}
	none := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) { fc.Until = map[int32]int64{} })
	if err := none.result(t); err != nil || none.partitions != nil {
		t.Errorf("%v, %v", err, none.partitions)
	}
}
