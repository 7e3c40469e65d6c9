package cache

import (
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// served is a topic that answers from an empty store, without a session.
func served(t *testing.T) (*Topic, *store.Store) {
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
		if err := st.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
		if err := c.client.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	topic := c.topics[0]
	topic.tracker.reset(topicA)
	topic.tracker.begin(ends(0), nil, true)
	topic.store.Store(st)
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
	topic, st := served(t)
	a := newApplier(topic, st, 0, func() error { return nil })
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
	a := newApplier(topic, st, time.Hour, func() error { return nil })
	freshAt := func() time.Time { return st.Checkpoint()[0].FreshAt }
	start := time.Now()
	for i, after := range []time.Duration{0, 59 * time.Minute, 118 * time.Minute} {
		if err := a.apply(t.Context(), fetched(int64(i), "k", `1`, start.Add(after))); err != nil {
			t.Fatal(err)
		}
	}
	if want := start.Add(118 * time.Minute); !freshAt().Equal(want) {
		t.Fatalf("fresh at %v, want %v", freshAt(), want)
	}
	for i, after := range []time.Duration{179 * time.Minute, 180 * time.Minute} { // 61 minutes later
		if err := a.apply(t.Context(), fetched(int64(3+i), "k", `1`, start.Add(after))); err != nil {
			t.Fatal(err)
		}
	}
	if want := start.Add(118 * time.Minute); !freshAt().Equal(want) {
		t.Fatalf("fresh at %v after a gap longer than tombstones are kept, want %v", freshAt(), want)
	}
	settings := kafka.TopicSettings{Authorized: true, CleanupPolicy: "compact", DeleteRetention: 69 * time.Minute}
	log := map[int32]kafka.Ends{0: {HighWatermark: 5}}
	if got := outdated(st.Checkpoint(), log, settings, start.Add(181*time.Minute)); got != rebuildExpired {
		t.Fatalf("the next session resumes (%q)", got)
	}
}

func TestOutdated(t *testing.T) {
	now := time.Now()
	compacted := kafka.TopicSettings{Authorized: true, CleanupPolicy: "compact,delete", DeleteRetention: time.Hour}
	for name, c := range map[string]struct {
		point    store.Checkpoint
		settings kafka.TopicSettings
		want     string
	}{
		"fresh":                     {store.Checkpoint{Next: 5, FreshAt: now.Add(-48 * time.Minute)}, compacted, ""},
		"at the margin":             {store.Checkpoint{Next: 5, FreshAt: now.Add(-54 * time.Minute)}, compacted, rebuildExpired},
		"never fresh":               {store.Checkpoint{Next: 5}, compacted, rebuildExpired},
		"no tombstone is kept":      {store.Checkpoint{Next: 5, FreshAt: now}, kafka.TopicSettings{Authorized: true, CleanupPolicy: "compact"}, rebuildExpired},
		"not compacted":             {store.Checkpoint{Next: 5}, kafka.TopicSettings{Authorized: true, CleanupPolicy: "delete"}, ""},
		"settings are not readable": {store.Checkpoint{Next: 5}, kafka.TopicSettings{}, ""},
		"below the log":             {store.Checkpoint{Next: 2, FreshAt: now}, compacted, rebuildLogStart},
		"above the log":             {store.Checkpoint{Next: 11, FreshAt: now}, compacted, rebuildTruncated},
		"unknown partition":         {store.Checkpoint{Partition: 1, Next: 5, FreshAt: now}, compacted, rebuildTruncated},
	} {
		log := map[int32]kafka.Ends{0: {LogStart: 3, LastStable: 10, HighWatermark: 10}}
		if got := outdated([]store.Checkpoint{c.point}, log, c.settings, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
