package cache

import (
	"context"
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
	a := newApplier(topic, topic.current, newFreshness(topic.log, nil, func() {}), func(context.Context) error { return nil })
	w := &watcher{wake: make(chan struct{}, 1)}
	topic.tracker.now = func() time.Time { // after the commit, and before the position is published
		topic.watchers.add(w)
		return time.Now()
	}
	if err := a.apply(t.Context(), fetched(0, "k", `"v"`, time.Now())); err != nil {
		t.Fatal(err)
	}
	events := w.take()
	if len(events) != 1 || events[0].Kind != EventFlush {
		t.Fatalf("told %+v, want one flush", events)
	}
	topic.tracker.now = time.Now
	if err := a.apply(t.Context(), fetched(1, "k", `"w"`, time.Now())); err != nil {
		t.Fatal(err)
	}
	if events := w.take(); len(events) != 1 || events[0].Kind != EventSet || string(events[0].Old) != `"v"` {
		t.Fatalf("told %+v, want one set", events)
	}
}

// A tombstone is remembered while an open transaction may hide an older value of another partition.
func TestTombstonesAreRememberedWhileATransactionIsOpen(t *testing.T) {
	topic, st := served(t)
	st.SetPartitions([]int32{0, 1})
	f := newFreshness(topic.log, nil, func() {})
	a := newApplier(topic, topic.current, f, func(context.Context) error { return nil })
	now := time.Now()
	offset := [2]int64{}
	apply := func(partition int32, after time.Duration, hidden int64, tombstone bool) {
		t.Helper()
		b := fetched(offset[partition], "k", `1`, now.Add(after))
		b.Partition = partition
		if b.HighWatermark += hidden; tombstone {
			b.Records[0].Value = nil
		} else {
			b.Records[0].Key = []byte("other")
		}
		offset[partition]++
		if err := a.apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	apply(1, 0, 0, true)
	for _, after := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute} { // both are at their stable ends all the time
		apply(0, after, 1, false)
		apply(1, after, 0, false)
	}
	if n := st.Stats().Tombstones; n != 1 {
		t.Fatalf("%d tombstones are remembered while a transaction is open", n)
	}
	for range 2 {
		apply(0, 4*time.Minute, 0, false)
		apply(1, 4*time.Minute, 0, false)
	}
	if n := st.Stats().Tombstones; n != 0 {
		t.Fatalf("%d tombstones are remembered after the transaction's end", n)
	}
}

func TestFreshnessStaysWhereTombstonesMayHaveBeenMissed(t *testing.T) {
	topic, st := served(t)
	suspected := 0
	f := newFreshness(topic.log, nil, func() { suspected++ })
	f.keeps(retention(time.Hour + 10*time.Minute))
	a := newApplier(topic, topic.current, f, func(context.Context) error { return nil })
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
	f := newFreshness(topic.log, []store.Checkpoint{{Partition: 0, FreshAt: now.Add(-time.Second), Keeps: time.Second}}, func() {})
	f.keeps(retention(time.Second)) // less than the margin
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
	f.verified([]int32{0}, now.Add(time.Minute))
	f.keeps(forever)
	if f.reached(0, now.Add(20*time.Second)); len(f.suspected()) != 1 {
		t.Fatal("an absence in which compaction was switched off does not count")
	}
	f.verified([]int32{0}, now.Add(time.Minute))
	if f.reached(0, now.Add(time.Hour)); len(f.suspected()) != 0 {
		t.Fatal("a topic that is not compacted is verified")
	}
}

// Of an absence the shortest time for which tombstones were kept counts, also where it was known before it and not after.
func TestFreshnessCountsTheShortestRetention(t *testing.T) {
	topic, _ := served(t)
	now := time.Now()
	for name, c := range map[string]struct {
		before, after time.Duration
		away          time.Duration
		suspect       bool
	}{
		"as it was":                    {time.Hour, time.Hour, 40 * time.Minute, false},
		"as it was, and for too long":  {time.Hour, time.Hour, 55 * time.Minute, true},
		"lowered":                      {time.Hour, 10 * time.Minute, 9 * time.Minute, true},
		"raised":                       {10 * time.Minute, time.Hour, 9 * time.Minute, true},
		"raised, and back soon enough": {10 * time.Minute, time.Hour, 8 * time.Minute, false},
		"compaction switched off":      {time.Hour, time.Duration(forever), 55 * time.Minute, true},
		"compaction switched on":       {time.Duration(forever), time.Hour, 55 * time.Minute, true},
		"never compacted":              {time.Duration(forever), time.Duration(forever), 1000 * time.Hour, false},
	} {
		f := newFreshness(topic.log, []store.Checkpoint{{Partition: 3, FreshAt: now.Add(-c.away), Keeps: c.before}}, func() {})
		f.keeps(retention(c.after))
		if f.reached(3, now); (len(f.suspected()) == 1) != c.suspect {
			t.Errorf("%s: suspects %v", name, f.suspected())
		}
		if got := retention(c.after).covers([]store.Checkpoint{{FreshAt: now.Add(-c.away), Keeps: c.before}}, now); got == c.suspect {
			t.Errorf("%s: it covers the absence: %v", name, got)
		}
		// And in one process.
		f = newFreshness(topic.log, nil, func() {})
		f.keeps(retention(c.before))
		f.found([]int32{3})
		f.reached(3, now)
		f.verified([]int32{3}, now)
		f.keeps(retention(c.after))
		if f.reached(3, now.Add(c.away)); (len(f.suspected()) == 1) != c.suspect {
			t.Errorf("%s, in one process: suspects %v", name, f.suspected())
		}
	}
}

// What the clock says of an absence that it was set back in is too little. The process's own clock knows better; where the absence was between two
// processes, a checkpoint of later than now says that much.
func TestFreshnessWhereTheClockWasSetBack(t *testing.T) {
	topic, st := served(t)
	now := time.Now()
	if !missed(now.Add(2*time.Hour), now, time.Hour) || missed(now.Add(2*time.Minute), now, time.Hour) || missed(now, now, time.Hour) {
		t.Fatal("the process's own clock does not count")
	}
	later := now.Add(time.Hour).Round(0) // as it is read from disk
	f := newFreshness(topic.log, []store.Checkpoint{{Partition: 0, FreshAt: later, Keeps: 24 * time.Hour}}, func() {})
	f.keeps(retention(24 * time.Hour))
	if f.reached(0, now); len(f.suspected()) != 1 {
		t.Fatal("a partition that was at its end in an hour is not verified")
	}
	// What is stored from then on is what the clock says now.
	f.verified([]int32{0}, now)
	if err := st.Apply(&store.Batch{FreshAt: later, Next: 1}, nil); err != nil {
		t.Fatal(err)
	}
	f = newFreshness(topic.log, st.Checkpoint(), func() {})
	b := &store.Batch{FreshAt: f.reached(0, now), Next: 1}
	if b.FreshAt = now; !f.due(b) {
		t.Fatal("the outdated freshness is left")
	}
	if err := st.Apply(b, nil); err != nil {
		t.Fatal(err)
	}
	if got := st.Checkpoint()[0].FreshAt; !got.Equal(now) {
		t.Fatalf("fresh at %v, not at %v", got, now)
	}
}

// Of a partition that is found late nothing was missed before.
func TestFreshnessOfANewPartition(t *testing.T) {
	topic, _ := served(t)
	f := newFreshness(topic.log, nil, func() {})
	f.keeps(retention(10 * time.Second)) // 4 s are allowed
	f.found([]int32{0})
	f.began = f.began.Add(-time.Hour)
	f.reached(0, time.Now())
	f.found([]int32{0, 1})
	if f.reached(1, time.Now()); len(f.suspected()) != 0 {
		t.Fatal("a partition that was found a moment ago is verified")
	}
	f.found([]int32{0, 1, 2})
	if f.reached(2, time.Now().Add(5*time.Second)); len(f.suspected()) != 1 {
		t.Fatal("a new partition whose reading took longer than tombstones are kept is not verified")
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
	hour := retention(time.Hour)
	for name, c := range map[string]struct {
		point store.Checkpoint
		of    retention
		want  bool
	}{
		"fresh":                {store.Checkpoint{FreshAt: now.Add(-48 * time.Minute), Keeps: time.Hour}, hour, true},
		"at the margin":        {store.Checkpoint{FreshAt: now.Add(-54 * time.Minute), Keeps: time.Hour}, hour, false},
		"never fresh":          {store.Checkpoint{}, hour, false},
		"no tombstone is kept": {store.Checkpoint{FreshAt: now, Keeps: time.Hour}, 0, false},
		"not compacted":        {store.Checkpoint{Keeps: store.KeepsForever}, forever, true},
	} {
		if got := c.of.covers([]store.Checkpoint{c.point}, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
