package cache_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/cache"
)

// A log that was truncated below the position, and has grown past it again before Kafka could next be asked, is not the
// one that the store was made from.
func TestTruncationIsRememberedThroughAnOutage(t *testing.T) {
	for name, dir := range map[string]string{"in memory": "", "data directory": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			b := startBroker(t)
			b.create("t", 1)
			for range 5 {
				b.produce("t", 0, []byte("k"), []byte("1"))
			}
			registry := prometheus.NewRegistry()
			cfg := b.config(cache.TopicConfig{Name: "t"})
			cfg.DataDir, cfg.Registerer = dir, registry
			_, topic := ready(t, cfg)
			log := truncate(b.cluster, 3)
			eventually(t, "the truncation is noticed", func() bool { return topic.State() == cache.Rebuilding })
			log.Store(away)
			eventually(t, "a store made anew", func() bool {
				return topic.Ready() && rebuilds(t, registry, "truncated") == 1
			})
			if got := value(t, topic, "k"); got != "1" {
				t.Errorf("k is %q", got)
			}
		})
	}
}

// rebuilds is how often a topic's store was made anew for the reason.
func rebuilds(t *testing.T, from prometheus.Gatherer, reason string) (n float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "kafka_cache_rebuilds_total" && l.GetName() == "reason" && l.GetValue() == reason {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// What a broker that truncate has changed does.
const (
	truncated int32 = iota // says that the log ends earlier
	away                   // does not tell where the topic is, three times
	back                   // is as it was
)

// truncate has the broker say that the log ends at end.
func truncate(c *kfake.Cluster, end int64) (phase *atomic.Int32) {
	phase = new(atomic.Int32)
	var refused atomic.Int32
	c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if phase.Load() != away {
			return nil, nil, false
		}
		if refused.Add(1) == 3 {
			phase.Store(back)
		}
		return nil, errors.New("out of reach"), true
	})
	c.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if phase.Load() != truncated {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range req.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.OffsetOutOfRange.Code
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
		if phase.Load() != truncated || req.Topics[0].Partitions[0].Timestamp != latest {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = req.Topics[0].Topic
		for _, p := range req.Topics[0].Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset = p.Partition, end
			rt.Partitions = append(rt.Partitions, rp)
		}
		res.Topics = append(res.Topics, rt)
		return res, nil, true
	})
	return phase
}
