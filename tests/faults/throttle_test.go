package faults

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

// quota answers a part of the fetches with nothing but a time to stay away for, as brokers do whose quota is used up (KIP-219).
type quota struct {
	mu     sync.Mutex
	until  time.Time
	asked  int
	early  int // requests that came before the time was over
	served int
}

// throttles makes every second fetch one that the quota holds back.
func (q *quota) throttles(c *kfake.Cluster, d time.Duration) {
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		q.mu.Lock()
		defer q.mu.Unlock()
		now := time.Now()
		if now.Before(q.until) {
			q.early++
		}
		if q.asked++; q.asked%2 == 0 {
			q.served++
			return nil, nil, false
		}
		q.until = now.Add(d)
		res := req.ResponseKind().(*kmsg.FetchResponse)
		res.ThrottleMillis = int32(d / time.Millisecond)
		return res, nil, true
	})
}

// TestThrottledFetches: an empty body is no corrupt response but a broker's quota. The time is waited for, nothing is a fault, and everything is read.
func TestThrottledFetches(t *testing.T) {
	const d = 60 * time.Millisecond
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	w := newWriter(t, c.ListenAddrs())
	var want []string
	for i := range 5 {
		v := fmt.Sprint(i)
		want = append(want, v)
		for p := range int32(3) {
			write(t, w, p, "k", v)
		}
	}
	var q quota
	q.throttles(c, d)
	var mu sync.Mutex
	var told []time.Duration
	r := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, _ *reader) {
		fc.MaxPartitionBytes = 1
		fc.OnThrottle = func(_ int32, d time.Duration) { mu.Lock(); told = append(told, d); mu.Unlock() }
	})
	eventually(t, "all records", func() bool { return r.atEnd(0, 5) && r.atEnd(1, 5) && r.atEnd(2, 5) })
	for p := range int32(3) {
		if got := r.values(p); !slices.Equal(got, want) {
			t.Errorf("partition %d: %q", p, got)
		}
	}
	if r.told(func(kafka.FetchError) bool { return true }) {
		t.Error("a quota is told of as a fault")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.early > 0 {
		t.Errorf("%d of %d requests came before the time was over", q.early, q.asked)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) < q.served || slices.ContainsFunc(told, func(x time.Duration) bool { return x != d }) {
		t.Errorf("told of %v, %d fetches were served", told, q.served)
	}
}

// TestThrottledLookAtTheLog: what is asked after an election is asked again too.
func TestThrottledLookAtTheLog(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	for i := range 10 {
		write(t, w, 0, "k", fmt.Sprint(i))
	}
	ts := newTrails()
	readAll(t, c.ListenAddrs(), ts, 10)
	elect(t, c)
	var q quota
	q.throttles(c, 60*time.Millisecond)
	r := read(t, c.ListenAddrs(), ts.after(10))
	eventually(t, "the end", func() bool { return r.atEnd(0, 10) })
	if r.told(func(kafka.FetchError) bool { return true }) {
		t.Error("a quota is told of as a fault")
	}
}
