package faults

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/kafka"
)

// TestWhatIsProducedIsRead writes with our producer and with another one, and reads both.
func TestWhatIsProducedIsRead(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, topic))
	r := read(t, c.ListenAddrs(), nil)
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	w := newWriter(t, c.ListenAddrs(), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))

	type want struct {
		partition int32
		offset    int64
		key       string
		value     *string
	}
	var wants []want
	text := func(s string) *string { return &s }
	for i := range 40 {
		key := fmt.Sprintf("key-%d", i)
		ours := produce(t, p, []byte(key), []byte("ours"))
		if ours.err != nil {
			t.Fatal(ours.err)
		}
		wants = append(wants, want{ours.at.Partition, ours.at.Offset, key, text("ours")})
		res := w.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte("theirs")})
		theirs, err := res.First()
		if err != nil {
			t.Fatal(err)
		}
		if theirs.Partition != ours.at.Partition {
			t.Errorf("%s: partition %d here and %d elsewhere", key, ours.at.Partition, theirs.Partition)
		}
		wants = append(wants, want{theirs.Partition, theirs.Offset, key, text("theirs")})
	}
	for _, v := range [][]byte{nil, {}} {
		for _, k := range [][]byte{[]byte("k"), {}} {
			o := produce(t, p, k, v)
			if o.err != nil {
				t.Fatal(o.err)
			}
			x := want{o.at.Partition, o.at.Offset, string(k), nil}
			if v != nil {
				x.value = text("")
			}
			wants = append(wants, x)
		}
	}
	for _, x := range wants {
		eventually(t, fmt.Sprintf("%+v", x), func() bool {
			return slices.ContainsFunc(r.got(x.partition), func(got record) bool {
				return got.offset == x.offset && got.key == x.key && (got.value == nil) == (x.value == nil) && (got.value == nil || *got.value == *x.value)
			})
		})
	}
}

func TestHeadersTimestampsAndKeysSurvive(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	r := read(t, c.ListenAddrs(), nil)
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	before := time.Now().UnixMilli()
	done := make(chan produced, 1)
	key, value := []byte("k"), []byte("v")
	p.Produce(topic, kafka.ProduceRecord{Key: key, Value: value, Headers: []kafka.Header{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}, {Key: []byte("none")},
	}}, func(at kafka.Produced, err error) { done <- produced{at, err} })
	clear(key)
	clear(value)
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	eventually(t, "the record", func() bool { return len(r.got(0)) == 1 })
	rec := r.got(0)[0]
	if rec.key != "k" || *rec.value != "v" || rec.headers != "a=1;a=2;none=;" {
		t.Errorf("read %+v", rec)
	}
	if rec.timestamp != got.at.Timestamp || rec.timestamp < before || rec.timestamp > time.Now().UnixMilli() {
		t.Errorf("timestamp %d was produced and %d read, between %d and now", got.at.Timestamp, rec.timestamp, before)
	}
	// A record without a key is no record with an empty one.
	nokey := make(chan produced, 1)
	p.Produce(topic, kafka.ProduceRecord{Value: []byte("x")}, func(at kafka.Produced, err error) { nokey <- produced{at, err} })
	if o := <-nokey; o.err != nil {
		t.Fatal(o.err)
	}
	var raw *kgo.Record
	w := newWriter(t, c.ListenAddrs(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(1)}}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for raw == nil {
		fs := w.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(rec *kgo.Record) { raw = rec })
	}
	if raw.Key != nil || !bytes.Equal(raw.Value, []byte("x")) {
		t.Errorf("key %v value %q", raw.Key, raw.Value)
	}
}
