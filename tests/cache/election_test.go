package cache_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/cache"
)

// uninformed has a broker that was just elected do what real ones do until their followers have fetched: its fetches show a high watermark that is below what is
// acknowledged, and questions for the end are refused (KIP-207).
type uninformed struct {
	node           int32
	end            int64
	on             atomic.Bool
	fetches, asked atomic.Int32
}

func (u *uninformed) control(c *kfake.Cluster) {
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if !u.on.Load() || c.CurrentNode() != u.node || req.Topics[0].Partitions[0].FetchOffset < u.end { // what is below the mark is told
			return nil, nil, false
		}
		u.fetches.Add(1)
		c.SleepControl(func() { time.Sleep(5 * time.Millisecond) }) // as a long poll: an answer at once would be asked for again at once
		res := req.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range req.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = p.Partition, u.end, u.end, 0
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
	c.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		const latest = -1
		if !u.on.Load() || c.CurrentNode() != u.node || req.Topics[0].Partitions[0].Timestamp != latest {
			return nil, nil, false
		}
		u.asked.Add(1)
		res := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = req.Topics[0].Topic
		for _, p := range req.Topics[0].Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.OffsetNotAvailable.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		res.Topics = append(res.Topics, rt)
		return res, nil, true
	})
}

// TestAgeAfterAnElection: what a leader says that does not know yet what was acknowledged does not make this instance younger. Whoever asks with KAFKA.FRESH is refused
// rather than shown what was overwritten.
func TestAgeAfterAnElection(t *testing.T) {
	b := startBroker(t, kfake.NumBrokers(2))
	b.create("events", 1)
	if err := b.cluster.MoveTopicPartition("events", 0, 0); err != nil {
		t.Fatal(err)
	}
	b.produce("events", 0, []byte("k"), []byte(`"old"`))
	elected := &uninformed{node: 1, end: 1}
	elected.control(b.cluster)
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "events"}))
	const young = 400 * time.Millisecond
	isYoung := func() bool {
		age, _, known := topic.Age()
		return known && age < young
	}
	eventually(t, "it is young under the first leader", isYoung)

	elected.on.Store(true)
	if err := b.cluster.MoveTopicPartition("events", 0, 1); err != nil {
		t.Fatal(err)
	}
	b.produce("events", 0, []byte("k"), []byte(`"new"`))
	acknowledged := time.Now()
	eventually(t, "the new leader has answered, and twice as much time has passed as young is", func() bool {
		before := time.Now()
		age, _, known := topic.Age()
		if v := value(t, topic, "k"); v == `"old"` && known && age < before.Sub(acknowledged) {
			t.Fatalf("it is %v old, %v after what it lacks was acknowledged", age, before.Sub(acknowledged))
		}
		return elected.fetches.Load() >= 20 && elected.asked.Load() >= 2 && time.Since(acknowledged) > 2*young
	})
	if v := value(t, topic, "k"); v != `"old"` {
		t.Fatalf("it reads %s, which no leader has told it", v)
	}
	elected.on.Store(false)
	eventually(t, "it reads what was acknowledged, and is young again", func() bool { return value(t, topic, "k") == `"new"` && isYoung() })
}
