package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestRealUncleanElection has a follower that missed the last records become the leader, and the log grow past them again.
func TestRealUncleanElection(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three brokers")
	}
	c := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	ctx := context.Background()
	name := kafkatest.RandomName(t)
	yes := "true"
	one := "1"
	if _, err := c.Admin(t).CreateTopic(ctx, 1, 2, map[string]*string{"unclean.leader.election.enable": &yes, "min.insync.replicas": &one}, name); err != nil {
		t.Fatal(err)
	}
	state := func() (d kadm.PartitionDetail, ok bool) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		topics, err := c.Admin(t).ListTopics(ctx, name)
		if err != nil || topics[name].Err != nil {
			return d, false
		}
		d, ok = topics[name].Partitions[0]
		return d, ok
	}
	broker := func(id int32) *kafkatest.Broker {
		for _, b := range c.Brokers {
			if int32(b.ID) == id {
				return b
			}
		}
		t.Fatalf("no broker %d", id)
		return nil
	}
	var first kadm.PartitionDetail
	eventually(t, "two replicas in sync", func() bool {
		d, ok := state()
		first = d
		return ok && len(d.ISR) == 2 && d.Leader >= 0
	})
	follower := first.Replicas[0]
	if follower == first.Leader {
		follower = first.Replicas[1]
	}
	put := func(prefix string, n int) {
		t.Helper()
		w := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer w.Close()
		for i := range n {
			if err := w.ProduceSync(ctx, &kgo.Record{Topic: name, Key: []byte("k"), Value: fmt.Append(nil, prefix, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("both ", 5)
	broker(follower).Kill()
	eventuallySlow(t, time.Minute, "the follower to be out of sync", func() bool { d, ok := state(); return ok && slices.Equal(d.ISR, []int32{first.Leader}) })
	put("lost ", 5)

	config := configFor(c.Bootstrap)
	running, stopped := newTrails(), newTrails()
	start := func(ts *trails, next int64) *reader {
		return read(t, c.Bootstrap, func(fc *kafka.FetcherConfig, r *reader) {
			ts.after(next)(fc, r)
			fc.Kafka, fc.Topic = config, name
		})
	}
	r := start(running, -1)
	s := start(stopped, -1)
	eventually(t, "the end", func() bool { return r.atEnd(0, 10) && s.atEnd(0, 10) })
	s.stop()
	s.result(t)

	broker(first.Leader).Kill()
	if err := broker(follower).Start(); err != nil {
		t.Fatal(err)
	}
	eventuallySlow(t, time.Minute, "the unclean election", func() bool { d, ok := state(); return ok && d.Leader == follower })
	elected := time.Now()
	put("other ", 20)
	var diverged *kafka.DivergedError
	var out *kafka.OutOfRangeError
	switch err := r.result(t); {
	case errors.As(err, &diverged) && diverged.Offset == 9:
	case errors.As(err, &out) && out.Position == 10 && out.End < 10: // it looked before the log had grown again
	default:
		t.Errorf("while running: Run returned %v", err)
	}
	t.Logf("noticed within %v of the election", time.Since(elected).Round(time.Millisecond))
	for _, v := range r.values(0) {
		if strings.HasPrefix(v, "other") {
			t.Errorf("read %q of the other log", v)
		}
	}
	diverged = nil
	if err := start(stopped, 10).result(t); !errors.As(err, &diverged) || diverged.Offset != 9 {
		t.Errorf("while stopped: Run returned %v", err)
	}
	t.Log(diverged)
	// What both logs have is no contradiction, and a token of the lost records is one.
	fresh := newTrails()
	whole := start(fresh, -1)
	eventually(t, "the end", func() bool { return whole.atEnd(0, 25) })
	trail, before := fresh.get(0), stopped.get(0)
	epoch := before.Epochs[len(before.Epochs)-1].Epoch
	if !trail.Contradicts(10, epoch) || trail.Contradicts(5, epoch) && len(before.Epochs) == 1 || before.Contradicts(5, before.Epochs[0].Epoch) {
		t.Errorf("before %+v, after %+v", before.Epochs, trail.Epochs)
	}
}

// TestRealQuicklyRecreated has a topic deleted and created again as fast as the cluster can, with more records than before,
// while it is read and written.
func TestRealQuicklyRecreated(t *testing.T) {
	c := kafkatest.Shared(t)
	name := c.NewTopic(t, 1, nil)
	ctx := context.Background()
	admin := c.Admin(t)
	put := func(prefix string, n int) {
		t.Helper()
		w := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer w.Close()
		var rs []*kgo.Record
		for i := range n {
			rs = append(rs, &kgo.Record{Topic: name, Key: []byte("k"), Value: fmt.Append(nil, prefix, i)})
		}
		if err := w.ProduceSync(ctx, rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put("round 0 ", 10)
	config := configFor(c.Bootstrap)
	config.RefreshInterval = 5 * time.Second
	p := newProducer(t, kafka.ProducerConfig{Kafka: config})
	for round := range 5 {
		r := read(t, c.Bootstrap, func(fc *kafka.FetcherConfig, _ *reader) { fc.Kafka, fc.Topic = config, name })
		eventually(t, "the end", func() bool { return r.atEnd(0, 10) })
		send := func(value string) produced {
			done := make(chan produced, 1)
			p.Produce(name, kafka.ProduceRecord{Key: []byte("k"), Value: []byte(value)}, func(at kafka.Produced, err error) { done <- produced{at, err} })
			return <-done
		}
		if o := send("ours"); o.err != nil {
			t.Fatal(o.err)
		}
		if _, err := admin.DeleteTopic(ctx, name); err != nil {
			t.Fatal(err)
		}
		for {
			_, err := admin.CreateTopic(ctx, 1, 1, nil, name)
			if err == nil {
				break
			}
			if !errors.Is(err, kerr.TopicAlreadyExists) {
				t.Fatal(err)
			}
		}
		created := time.Now()
		ours, next := fmt.Sprint("after ", round), fmt.Sprint("round ", round+1, " ")
		o := send(ours)
		put(next, 40)
		info, err := newClient(t, config).DescribeTopic(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if o.err == nil && o.at.TopicID != info.ID {
			t.Errorf("acknowledged under the old id: %+v", o)
		}
		if err := r.result(t); !errors.Is(err, kafka.ErrTopicRecreated) {
			t.Errorf("Run returned %v", err)
		}
		t.Logf("noticed within %v; the write meanwhile: %v", time.Since(created).Round(time.Millisecond), o.err)
		for _, v := range r.values(0) {
			if v == ours || strings.HasPrefix(v, next) {
				t.Errorf("read %q of the new topic", v)
			}
		}
		// Whatever became of ours, its token's id is the topic's that has it.
		whole := read(t, c.Bootstrap, onTopic(name))
		eventually(t, "the end", func() bool { return whole.atEnd(0, 40) })
		if o.err == nil {
			if got := whole.got(0)[o.at.Offset]; got.value == nil || *got.value != ours {
				t.Errorf("offset %d has %+v", o.at.Offset, got)
			}
		}
		whole.stop()
	}
	var none position.TopicID
	if o := produceTo(p, name); o.err != nil || o.at.TopicID == none {
		t.Errorf("%+v", o)
	}
}

func produceTo(p *kafka.Producer, name string) produced {
	done := make(chan produced, 1)
	p.Produce(name, kafka.ProduceRecord{Key: []byte("k"), Value: []byte("v")}, func(at kafka.Produced, err error) { done <- produced{at, err} })
	return <-done
}
