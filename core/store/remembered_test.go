package store

import (
	"fmt"
	"testing"
	"time"
)

// clocked is a store whose clock the test moves.
func clocked(t *testing.T, o Options) (*Store, *time.Time) {
	t.Helper()
	now := time.Unix(1_000_000, 0)
	o.now = func() time.Time { return now }
	return mustOpen(t, o), &now
}

// fresh says that the partition is at an end that was asked for when tombstones of the time may be forgotten.
func fresh(t *testing.T, s *Store, partition int32, at time.Time) {
	t.Helper()
	a, _ := s.checkpoints.get(partition)
	mustApply(t, s, &Batch{Partition: partition, Next: a.Next, EndAt: at.Add(rememberedFor)})
}

func checkTombstones(t *testing.T, s *Store, want int64) {
	t.Helper()
	if st := s.Stats(); st.Tombstones != want {
		t.Fatalf("%d tombstones are remembered, want %d", st.Tombstones, want)
	}
}

// TestTombstonesAreForgotten half a minute after they were applied, once every partition has been at its end since, and not before.
func TestTombstonesAreForgotten(t *testing.T) {
	for _, o := range []Options{{}, testOptions(t)} {
		s, now := clocked(t, o)
		s.SetPartitions([]int32{0, 1, 2})
		var b Batch
		for i := range int64(5000) {
			b.Mutations = append(b.Mutations, Mutation{Key: fmt.Append(nil, i), Offset: i, Timestamp: 10, Tombstone: true})
		}
		b.Next = 5000
		applied := *now
		mustApply(t, s, &b)
		checkTombstones(t, s, 5000)
		if s.Len() != 0 {
			t.Fatal(s.Len())
		}
		*now = applied.Add(time.Minute)
		fresh(t, s, 0, applied.Add(time.Second))
		fresh(t, s, 1, applied.Add(time.Second))
		fresh(t, s, 2, applied) // asked for as they were applied: what came between may be older
		fresh(t, s, 2, applied)
		// Being at the stable end is not enough: an open transaction may hide what came before.
		a, _ := s.checkpoints.get(2)
		for range 2 {
			mustApply(t, s, &Batch{Partition: 2, Next: a.Next, FreshAt: applied.Add(time.Hour)})
		}
		checkTombstones(t, s, 5000)

		// An older value from another partition stays hidden, and hidden it is once the others are forgotten.
		mustApply(t, s, &Batch{Partition: 1, Next: 1, Mutations: []Mutation{{Key: []byte("7"), Value: []byte("old"), Timestamp: 9}}})
		fresh(t, s, 2, applied.Add(time.Second))
		fresh(t, s, 2, applied.Add(time.Second))
		checkTombstones(t, s, 0)
		if _, ok, err := s.Get(nil, []byte("7")); ok || err != nil {
			t.Fatal("a value came back that the log deletes:", ok, err)
		}
		if st := s.Stats(); st.SplitKeys != 1 || st.SplitDeleted != 1 || len(s.remembered.queue) != 0 {
			t.Fatalf("%d split, %d deleted, %d queued", st.SplitKeys, st.SplitDeleted, len(s.remembered.queue))
		}
		if o.Dir == "" {
			continue
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, _ = clocked(t, o)
		checkTombstones(t, s, 0)
		if p, split, ok := s.Claimed([]byte("7")); p != 0 || !split || !ok {
			t.Fatal(p, split, ok)
		}
	}
}

// TestRememberedOverARestart: what was applied before counts as applied when the store is opened.
func TestRememberedOverARestart(t *testing.T) {
	o := testOptions(t)
	s, _ := clocked(t, o)
	s.SetPartitions([]int32{0, 1})
	mustApply(t, s, &Batch{Next: 2, Mutations: []Mutation{
		{Key: []byte("k"), Value: []byte("v"), Timestamp: 1}, {Key: []byte("k"), Offset: 1, Timestamp: 10, Tombstone: true}}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, now := clocked(t, o)
	s.SetPartitions([]int32{0, 1})
	checkTombstones(t, s, 1)
	fresh(t, s, 0, now.Add(time.Second))
	mustApply(t, s, &Batch{Partition: 1, Next: 1, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("old"), Timestamp: 9}}})
	if _, ok, err := s.Get(nil, []byte("k")); ok || err != nil {
		t.Fatal("the value of before its tombstone is back:", ok, err)
	}
	// The tombstone of its own partition leaves nothing to hide; both are forgotten.
	mustApply(t, s, &Batch{Partition: 1, Next: 2, Mutations: []Mutation{{Key: []byte("k"), Offset: 1, Timestamp: 11, Tombstone: true}}})
	if st := s.Stats(); st.SplitDeleted != 1 {
		t.Fatalf("%+v", st)
	}
	for range 2 {
		fresh(t, s, 0, now.Add(time.Second))
		fresh(t, s, 1, now.Add(time.Second))
	}
	checkTombstones(t, s, 0)
	if c, err := s.Claims([]byte("k")); c != nil || err != nil {
		t.Fatal(c, err)
	}
	if _, _, ok := s.Claimed([]byte("k")); ok {
		t.Fatal("a forgotten key keeps its slot")
	}
}

// TestRepairedKeyIsOrdinaryAgain: a tombstone that loses to the value that is left hides nothing.
func TestRepairedKeyIsOrdinaryAgain(t *testing.T) {
	s, now := clocked(t, testOptions(t))
	s.SetPartitions([]int32{0, 1})
	put := func(partition int32, offset, timestamp int64, tombstone bool) {
		mustApply(t, s, &Batch{Partition: partition, Next: offset + 1, Mutations: []Mutation{
			{Key: []byte("k"), Value: fmt.Append(nil, partition), Offset: offset, Timestamp: timestamp, Tombstone: tombstone}}})
	}
	put(0, 0, 5, false)
	put(1, 0, 10, false)
	if n := s.Stats().SplitKeys; n != 1 {
		t.Fatal(n)
	}
	put(0, 1, 9, true)
	if n := s.Stats().SplitKeys; n != 1 {
		t.Fatal(n)
	}
	for range 2 {
		fresh(t, s, 0, now.Add(time.Second))
		fresh(t, s, 1, now.Add(time.Second))
	}
	st := s.Stats()
	if v, ok, err := s.Get(nil, []byte("k")); string(v) != "1" || !ok || err != nil || st.SplitKeys != 0 || st.Tombstones != 0 {
		t.Fatal(string(v), ok, err, st.SplitKeys, st.Tombstones)
	}
}

// TestOnePartitionRemembersNothing: an older value cannot come from elsewhere.
func TestOnePartitionRemembersNothing(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	s.SetPartitions([]int32{0})
	mustApply(t, s, &Batch{Next: 2, Mutations: []Mutation{{Key: []byte("k"), Tombstone: true}, {Key: []byte("l"), Offset: 1, Tombstone: true}}})
	checkTombstones(t, s, 0)
	if len(s.remembered.queue) != 0 {
		t.Fatal("something is queued")
	}
}

// TestQueueIsBounded: keys that are deleted over and over while a partition is not read cost what the keys cost.
func TestQueueIsBounded(t *testing.T) {
	s, now := clocked(t, Options{})
	s.SetPartitions([]int32{0, 1})
	b := &Batch{}
	const keys = 1000
	for round := range int64(300) {
		b.Mutations = b.Mutations[:0]
		for i := range int64(keys) {
			b.Mutations = append(b.Mutations, Mutation{Key: fmt.Append(nil, i), Offset: round*keys + i, Timestamp: round, Tombstone: true})
		}
		b.Next = (round + 1) * keys
		mustApply(t, s, b)
		if n := len(s.remembered.queue); n > trimFrom+keys {
			t.Fatalf("%d are queued", n)
		}
	}
	checkTombstones(t, s, keys)
	for range 10 {
		fresh(t, s, 0, now.Add(time.Second))
		fresh(t, s, 1, now.Add(time.Second))
	}
	checkTombstones(t, s, 0)
}
