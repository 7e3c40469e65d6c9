package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

// idOf is the id of topic as the broker has it now.
func idOf(t *testing.T, c *kfake.Cluster) position.TopicID {
	t.Helper()
	info := c.TopicInfo(topic)
	if info == nil {
		t.Fatal("the topic is not there")
	}
	return position.TopicID(info.TopicID)
}

func recreate(t *testing.T, c *kfake.Cluster, partitions int32) position.TopicID {
	t.Helper()
	if err := errors.Join(c.DeleteTopic(topic), c.CreateTopic(topic, partitions, nil)); err != nil {
		t.Fatal(err)
	}
	return idOf(t, c)
}

// TestAcknowledgementsNameTheIncarnation has the topic created anew between two writes without a fault that would tell,
// in each of the ways that are noticed. An acknowledgement must never pair the old topic's id with the new one's offset.
func TestAcknowledgementsNameTheIncarnation(t *testing.T) {
	hourly := func(c *kfake.Cluster) kafka.ProducerConfig {
		k := configFor(c.ListenAddrs())
		k.RefreshInterval = time.Hour
		return kafka.ProducerConfig{Kafka: k}
	}
	// never fails unless the outcome is an error that says so, or the new id.
	judge := func(t *testing.T, o produced, id position.TopicID) {
		t.Helper()
		switch {
		case o.err == nil && o.at.TopicID != id:
			t.Errorf("%+v: the topic is %s", o.at, id)
		case o.err != nil && !errors.Is(o.err, kafka.ErrUnknownOutcome):
			t.Errorf("got %v", o.err)
		}
	}
	t.Run("the log goes back", func(t *testing.T) {
		c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
		p := newProducer(t, hourly(c))
		old := idOf(t, c)
		for range 10 {
			if o := produce(t, p, []byte("k"), []byte("old")); o.err != nil || o.at.TopicID != old {
				t.Fatalf("%+v", o)
			}
		}
		id := recreate(t, c, 1)
		judge(t, produce(t, p, []byte("k"), []byte("new")), id)
		for range 3 {
			if o := produce(t, p, []byte("k"), []byte("new")); o.err != nil || o.at.TopicID != id {
				t.Errorf("%+v", o)
			}
		}
	})
	t.Run("before the first write", func(t *testing.T) {
		c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
		p := newProducer(t, hourly(c))
		eventually(t, "the partitions", func() bool { _, ok := p.PartitionOf(topic, []byte("k")); return ok })
		id := recreate(t, c, 1)
		judge(t, produce(t, p, []byte("k"), []byte("new")), id)
		if o := produce(t, p, []byte("k"), []byte("new")); o.err != nil || o.at.TopicID != id {
			t.Errorf("%+v", o)
		}
	})
	t.Run("while it was idle", func(t *testing.T) {
		c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
		config := kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())}
		config.Kafka.RefreshInterval = 20 * time.Millisecond
		p := newProducer(t, config)
		if o := produce(t, p, []byte("k"), []byte("old")); o.err != nil {
			t.Fatal(o.err)
		}
		last := time.Now()
		id := recreate(t, c, 1)
		w := newWriter(t, c.ListenAddrs())
		for i := range 10 { // beyond the old one's end
			write(t, w, 0, "k", fmt.Sprint(i))
		}
		eventually(t, "the look-up to be old", func() bool { return time.Since(last) > 2*config.Kafka.RefreshInterval })
		if o := produce(t, p, []byte("k"), []byte("new")); o.err != nil || o.at.TopicID != id || o.at.Offset != 10 {
			t.Errorf("%+v, want id %s", o, id)
		}
	})
	t.Run("during a retry", func(t *testing.T) {
		c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
		p := newProducer(t, hourly(c))
		if o := produce(t, p, []byte("k"), []byte("old")); o.err != nil {
			t.Fatal(o.err)
		}
		ids := make(chan position.TopicID, 1)
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.SleepControl(func() { ids <- recreate(t, c, 1) })
			return nil, errors.New("connection is lost"), true
		})
		judge(t, produce(t, p, []byte("k"), []byte("new")), <-ids)
		if o := produce(t, p, []byte("k"), []byte("new")); o.err != nil || o.at.TopicID != idOf(t, c) {
			t.Errorf("%+v", o)
		}
	})
}

// TestTopicThatIsGone writes to a topic that was written to before and was deleted since: that is known soon, and for
// certain.
func TestTopicThatIsGone(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs()), Timeout: time.Minute})
	for i := range 10 {
		if o := produce(t, p, fmt.Append(nil, i), []byte("v")); o.err != nil {
			t.Fatal(o.err)
		}
	}
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var waits []<-chan produced
	for i := range 10 {
		waits = append(waits, produceLater(p, fmt.Append(nil, i), []byte("v")))
	}
	for _, w := range waits {
		if o := <-w; !errors.Is(o.err, kafka.ErrUnknownTopic) || errors.Is(o.err, kafka.ErrUnknownOutcome) {
			t.Errorf("got %+v", o)
		}
	}
	d := time.Since(began)
	if d < 2*time.Second || d > 4*time.Second {
		t.Errorf("known after %v", d)
	}
	t.Logf("known after %v", d.Round(time.Millisecond))
	if err := c.CreateTopic(topic, 1, nil); err != nil {
		t.Fatal(err)
	}
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil || o.at.TopicID != idOf(t, c) {
		t.Errorf("after it was created: %+v", o)
	}
}

// TestUnknownForAMoment has brokers say for a moment that they do not know the topic, as one that has just started does.
func TestUnknownForAMoment(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, topic))
	p := newProducer(t, kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs())})
	r := read(t, c.ListenAddrs(), nil)
	if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
		t.Fatal(o.err)
	}
	eventually(t, "the record", func() bool { return r.atEnd(0, 1) })
	var faults []*kfake.FaultHandle
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.Fetch} {
		faults = append(faults, c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: topic, Err: kerr.UnknownTopicOrPartition, Count: 3}))
	}
	o := produce(t, p, []byte("k"), []byte("after"))
	if o.err != nil || o.at.Offset != 1 {
		t.Errorf("%+v", o)
	}
	eventually(t, "the record", func() bool { return r.atEnd(0, 2) })
	if n := faults[0].Hits() + faults[2].Hits(); n < 4 {
		t.Errorf("%d faults", n)
	}
}

// TestUnsentIsUnavailable has no broker, or no leader, answer: what was never sent is known to be so after three seconds,
// and only what was sent stays in doubt.
func TestUnsentIsUnavailable(t *testing.T) {
	unsent := func(t *testing.T, o produced, began time.Time) {
		t.Helper()
		d := time.Since(began)
		if !errors.Is(o.err, kafka.ErrUnavailable) || errors.Is(o.err, kafka.ErrUnknownOutcome) || d < 2900*time.Millisecond || d > 5*time.Second {
			t.Errorf("after %v: %v", d, o.err)
		}
	}
	patient := func(c *kfake.Cluster) kafka.ProducerConfig {
		return kafka.ProducerConfig{Kafka: configFor(c.ListenAddrs()), Timeout: 15 * time.Second}
	}
	t.Run("stopped before the first look-up", func(t *testing.T) {
		t.Parallel()
		c, gates := gatedCluster(t, 2, kfake.SeedTopics(1, topic))
		p := newProducer(t, patient(c))
		gates[0].stop()
		gates[1].stop()
		began := time.Now()
		unsent(t, produce(t, p, []byte("k"), []byte("v")), began)
		gates[0].resume()
		gates[1].resume()
		eventually(t, "a record written", func() bool { return produce(t, p, []byte("k"), []byte("v")).err == nil })
	})
	t.Run("a stopped leader", func(t *testing.T) {
		t.Parallel()
		c, gates := gatedCluster(t, 1, kfake.SeedTopics(1, topic))
		p := newProducer(t, patient(c))
		if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
			t.Fatal(o.err)
		}
		gates[0].stop()
		began := time.Now()
		first := produceLater(p, []byte("k"), []byte("sent"))
		var rest []<-chan produced
		eventually(t, "it to be under way", func() bool { return time.Since(began) > 50*time.Millisecond })
		for range 5 {
			rest = append(rest, produceLater(p, []byte("k"), []byte("not sent")))
		}
		for _, w := range rest {
			unsent(t, <-w, began)
		}
		select {
		case o := <-first:
			t.Errorf("the one that was sent: %+v", o)
		default:
		}
		gates[0].resume()
		if o := <-first; o.err != nil || o.at.Offset != 1 {
			t.Errorf("once the broker goes on: %+v", o)
		}
	})
	t.Run("closed ports", func(t *testing.T) {
		t.Parallel()
		c, gates := gatedCluster(t, 1, kfake.SeedTopics(1, topic))
		p := newProducer(t, patient(c))
		if o := produce(t, p, []byte("k"), []byte("v")); o.err != nil {
			t.Fatal(o.err)
		}
		gates[0].kill()
		c.Close()
		// The connection that there was is seen to be closed, so nothing is sent over it.
		began := time.Now()
		unsent(t, produce(t, p, []byte("k"), []byte("v")), began)
		began = time.Now()
		unsent(t, produce(t, p, []byte("k"), []byte("v")), began)
	})
	t.Run("no leader", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(2, topic))
		p := newProducer(t, patient(c))
		f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Partitions: []int32{0}, Err: kerr.LeaderNotAvailable, Count: -1})
		began := time.Now()
		first := produceLater(p, keyFor(0, 2), []byte("v"))
		if o := produce(t, p, keyFor(1, 2), []byte("v")); o.err != nil {
			t.Errorf("a partition with a leader: %v", o.err)
		}
		unsent(t, <-first, began)
		f.Remove()
		if o := produce(t, p, keyFor(0, 2), []byte("v")); o.err != nil {
			t.Errorf("once there is a leader: %v", o.err)
		}
	})
}
