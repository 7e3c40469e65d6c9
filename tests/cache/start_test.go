package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
)

func TestStartsAtAnOffsetOrATime(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	at := make([]time.Time, 10)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range at {
		at[i] = base.Add(time.Duration(i) * time.Minute)
		r := &kgo.Record{Topic: "a", Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "%d", i), Timestamp: at[i]}
		if err := b.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for start, first := range map[string]int{
		"earliest":  0,
		"":          0,
		"offset:0":  0,
		"offset:4":  4,
		"offset:10": 10, // the end
		"timestamp:" + at[3].UTC().Format(time.RFC3339):                         3,
		"timestamp:" + at[3].Add(time.Second).UTC().Format(time.RFC3339):        4,
		"timestamp:" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339):     10,
		"timestamp:" + base.Add(-24*time.Hour).UTC().Format(time.RFC3339):       0,
		"-" + time.Since(at[6].Add(30*time.Second)).Round(time.Second).String(): 7,
		"-1ms": 10,
	} {
		t.Run(start, func(t *testing.T) {
			cfg := b.config(cache.TopicConfig{Name: "a", Start: start})
			cfg.DataDir = t.TempDir()
			c, topic := ready(t, cfg)
			if topic.Len() != int64(10-first) {
				t.Fatalf("%d keys, want %d: %+v", topic.Len(), 10-first, topic.Status())
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			c, topic = ready(t, cfg) // goes on from where it was
			if n := topic.Status().Rebuilds; topic.Len() != int64(10-first) || len(n) != 0 {
				t.Fatalf("%d keys after a restart, want %d; rebuilds %v", topic.Len(), 10-first, n)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnotherStartBeginsAnew(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	for i := range 10 {
		b.produce("a", 0, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "%d", i))
	}
	cfg := b.config(cache.TopicConfig{Name: "a", Start: "offset:7"})
	cfg.DataDir = t.TempDir()
	c, topic := ready(t, cfg)
	if topic.Len() != 3 {
		t.Fatalf("%d keys", topic.Len())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Topics[0].Start = "offset:2"
	_, topic = ready(t, cfg)
	eventually(t, "the new start is served", func() bool { return topic.Len() == 8 && topic.State() == cache.Ready })
	if n := topic.Status().Rebuilds["rules"]; n != 1 {
		t.Fatalf("%d rebuilds", n)
	}
}

func TestStartOutsideTheLogIsRefused(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	for i := range 10 {
		b.produce("a", 0, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "%d", i))
	}
	if _, err := b.admin.DeleteRecords(t.Context(), kadm.Offsets{"a": {0: {Topic: "a", Partition: 0, At: 4}}}); err != nil {
		t.Fatal(err)
	}
	for _, start := range []string{"offset:3", "offset:11"} {
		c, err := cache.New(b.config(cache.TopicConfig{Name: "a", Start: start}))
		if err != nil {
			t.Fatal(err)
		}
		err = c.Run(t.Context())
		if !errors.Is(err, cache.ErrConfig) || !strings.Contains(err.Error(), "4 to 10") {
			t.Errorf("%s: %v", start, err)
		}
	}
	for _, start := range []string{"latest", "offset:", "offset:-1", "offset:1x", "timestamp:yesterday", "timestamp:2026-01-01", "-", "-5", "-0s", "24h"} {
		_, err := cache.New(b.config(cache.TopicConfig{Name: "a", Start: start}))
		if !errors.Is(err, cache.ErrConfig) || !strings.Contains(err.Error(), start) {
			t.Errorf("%s: %v", start, err)
		}
	}
}
