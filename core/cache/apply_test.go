package cache

import (
	"errors"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// served is a topic that answers from an empty store, without a session.
func served(t testing.TB) (*Topic, *store.Store) {
	t.Helper()
	c, err := New(Config{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, Topics: []TopicConfig{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close the store: %v", err)
		}
		if err := c.client.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	topic := c.topics[0]
	topic.tracker.reset(topicA)
	topic.tracker.begin(ends(0), nil, true)
	topic.setCurrent(newGeneration(topicA, st, topic.tracker))
	topic.startServing()
	return topic, st
}

// fetched is a response that ends at the stable end, with one record.
func fetched(offset int64, key, value string, asked time.Time) *kafka.Batch {
	b := batch(0, offset+1)
	b.Records = []kafka.Record{{Offset: offset, Key: []byte(key), Value: []byte(value)}}
	b.Next, b.Last, b.AskedAt = offset+1, true, asked
	return b
}

func TestWatcherThatComesDuringACommitIsToldToFlush(t *testing.T) {
	topic, _ := served(t)
	a := newApplier(topic, topic.current, newFreshness(topic.log, nil, func() {}), func() error { return nil })
	w := &watcher{wake: make(chan struct{}, 1)}
	topic.tracker.now = func() time.Time { // after the commit, and before the position is published
		topic.watchers.add(w)
		return time.Now()
	}
	if err := a.apply(t.Context(), fetched(0, "k", `"v"`, time.Now())); err != nil {
		t.Fatal(err)
	}
	events, _ := w.take()
	if len(events) != 1 || events[0].Kind != EventFlush {
		t.Fatalf("told %+v, want one flush", events)
	}
	topic.tracker.now = time.Now
	if err := a.apply(t.Context(), fetched(1, "k", `"w"`, time.Now())); err != nil {
		t.Fatal(err)
	}
	if events, _ := w.take(); len(events) != 1 || events[0].Kind != EventSet || string(events[0].Old) != `"v"` {
		t.Fatalf("told %+v, want one set", events)
	}
}

func TestFreshnessStaysWhereTombstonesMayHaveBeenMissed(t *testing.T) {
	topic, st := served(t)
	suspected := 0
	f := newFreshness(topic.log, nil, func() { suspected++ })
	f.keeps(retention{deletes: time.Hour + 10*time.Minute, compacts: true})
	a := newApplier(topic, topic.current, f, func() error { return nil })
	freshAt := func() time.Time { return st.Checkpoint()[0].FreshAt }
	start := time.Now()
	offset := int64(0)
	apply := func(after time.Duration) {
		t.Helper()
		if err := a.apply(t.Context(), fetched(offset, "k", `1`, start.Add(after))); err != nil {
			t.Fatal(err)
		}
		offset++
	}
	for _, after := range []time.Duration{0, 59 * time.Minute, 118 * time.Minute} {
		apply(after)
	}
	if want := start.Add(118 * time.Minute); !freshAt().Equal(want) || suspected != 0 {
		t.Fatalf("fresh at %v, want %v; suspected %d times", freshAt(), want, suspected)
	}
	apply(181 * time.Minute) // 63 minutes later, where 58 are allowed
	apply(182 * time.Minute)
	if want := start.Add(118 * time.Minute); !freshAt().Equal(want) || suspected != 1 || len(f.suspected()) != 1 {
		t.Fatalf("fresh at %v after a gap longer than tombstones are kept, want %v; suspected %d times", freshAt(), want, suspected)
	}
	if left := f.verified([]int32{0}, start.Add(180*time.Minute)); !left {
		t.Fatal("a verification from before the gap counts")
	}
	if left := f.verified([]int32{0}, start.Add(183*time.Minute)); left {
		t.Fatal("still suspect once it was verified")
	}
	apply(184 * time.Minute)
	if want := start.Add(184 * time.Minute); !freshAt().Equal(want) {
		t.Fatalf("fresh at %v after a verification, want %v", freshAt(), want)
	}
}

func TestFreshnessOfShortRetention(t *testing.T) {
	topic, _ := served(t)
	now := time.Now()
	f := newFreshness(topic.log, []store.Checkpoint{{Partition: 0, FreshAt: now.Add(-time.Second)}}, func() {})
	f.keeps(retention{deletes: time.Second, compacts: true}) // less than the margin
	if f.reached(0, now); len(f.suspected()) != 1 {
		t.Fatal("a start is not verified though tombstones are kept for less than the margin")
	}
	f.verified([]int32{0}, now.Add(time.Second))
	if f.reached(0, now.Add(2*time.Second)); len(f.suspected()) != 0 {
		t.Fatal("a pause of the machine counts as an absence")
	}
	if f.reached(0, now.Add(10*time.Second)); len(f.suspected()) != 1 {
		t.Fatal("an absence of eight seconds does not count")
	}
	f.keeps(retention{deletes: time.Hour})
	f.verified([]int32{0}, now.Add(time.Minute))
	if f.reached(0, now.Add(time.Hour)); len(f.suspected()) != 0 {
		t.Fatal("a topic that is not compacted is verified")
	}
}

func TestOutside(t *testing.T) {
	for name, c := range map[string]struct {
		point store.Checkpoint
		want  string
	}{
		"within the log":    {store.Checkpoint{Next: 5}, ""},
		"at its start":      {store.Checkpoint{Next: 3}, ""},
		"at its end":        {store.Checkpoint{Next: 10}, ""},
		"below the log":     {store.Checkpoint{Next: 2}, rebuildLogStart},
		"above the log":     {store.Checkpoint{Next: 11}, rebuildTruncated},
		"unknown partition": {store.Checkpoint{Partition: 1, Next: 5}, rebuildTruncated},
	} {
		log := map[int32]kafka.Ends{0: {LogStart: 3, LastStable: 10, HighWatermark: 10}}
		if got := outside([]store.Checkpoint{c.point}, log); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRetentionCovers(t *testing.T) {
	now := time.Now()
	hour := retention{deletes: time.Hour, compacts: true}
	for name, c := range map[string]struct {
		point store.Checkpoint
		of    retention
		want  bool
	}{
		"fresh":                {store.Checkpoint{FreshAt: now.Add(-48 * time.Minute)}, hour, true},
		"at the margin":        {store.Checkpoint{FreshAt: now.Add(-54 * time.Minute)}, hour, false},
		"never fresh":          {store.Checkpoint{}, hour, false},
		"no tombstone is kept": {store.Checkpoint{FreshAt: now}, retention{compacts: true}, false},
		"not compacted":        {store.Checkpoint{}, retention{}, true},
	} {
		if got := c.of.covers([]store.Checkpoint{c.point}, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
