package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestRefillBeforeARemoval: what lies below the log's start is removed though the account, which says whether there is any, is not complete yet.
func TestRefillBeforeARemoval(t *testing.T) {
	o := testOptions(t)
	s := mustOpen(t, o)
	mutations := func(from, to int) (m []Mutation) {
		for i := from; i < to; i++ {
			m = append(m, Mutation{Key: countedKey(i), Value: countedValue(i, 1), Offset: int64(i)})
		}
		return m
	}
	mustApply(t, s, &Batch{Mutations: mutations(0, 10), Next: 10})
	if n, err := s.RemoveBelow(0, 50, nil); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	mustApply(t, s, &Batch{Mutations: mutations(10, 20), Next: 20}) // what was read before the log's start moved
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	goOn := make(chan struct{})
	o.Refill, o.filling = true, func() { <-goOn }
	s = mustOpen(t, o)
	type removal struct {
		n   int
		err error
	}
	removed := make(chan removal, 1)
	go func() {
		n, err := s.RemoveBelow(0, 50, nil)
		removed <- removal{n, err}
	}()
	goOn <- struct{}{}
	close(goOn)
	if r := <-removed; r.n != 10 || r.err != nil {
		t.Errorf("removed %d, %v, want 10", r.n, r.err)
	}
	if n := s.Len(); n != 0 {
		t.Errorf("%d entries", n)
	}
	checkAccount(t, s)
}

// TestRefillOfClaims applies to split keys while the refill is among their claims: each is counted once, and what is noted are the keys that were changed.
func TestRefillOfClaims(t *testing.T) {
	const keys = 400
	o := testOptions(t)
	s := mustOpen(t, o)
	s.SetPartitions([]int32{0, 1})
	for p := range int32(2) {
		b := &Batch{Partition: p, Next: keys}
		for i := range keys {
			b.Mutations = append(b.Mutations, Mutation{Key: countedKey(i), Value: countedValue(i, uint64(p)), Offset: int64(i), Timestamp: int64(p)})
		}
		mustApply(t, s, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	goOn := make(chan struct{})
	passing := make(chan struct{}, 2*keys)
	o.Refill, o.filling = true, func() {
		passing <- struct{}{}
		<-goOn
	}
	s = mustOpen(t, o)
	s.SetPartitions([]int32{0, 1})
	for range keys + keys/2 { // all entries, and half of the claims
		goOn <- struct{}{}
	}
	for range keys + keys/2 + 1 {
		<-passing
	}
	next := int64(keys)
	for i := 0; i < keys; i += 40 {
		mustApply(t, s, &Batch{Mutations: []Mutation{{Key: countedKey(i), Value: countedValue(i, 2), Offset: next, Timestamp: 2}}, Next: next + 1})
		next++
		if partition, split, ok := s.Claimed(countedKey(i)); partition != 0 || !split || !ok {
			t.Errorf("key %d: of partition %d, split: %v, %v", i, partition, split, ok)
		}
	}
	if partition, split, ok := s.Claimed(countedKey(1)); partition != 1 || !split || !ok {
		t.Errorf("a key that was not changed: of partition %d, split: %v, %v", partition, split, ok)
	}
	noted := 0
	for i := range s.index.shards {
		sh := &s.index.shards[i]
		sh.mu.RLock()
		noted += len(sh.noted)
		sh.mu.RUnlock()
	}
	if noted != keys/40 {
		t.Errorf("%d keys are noted, want %d", noted, keys/40)
	}
	close(goOn)
	if err := s.WaitResident(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkAccount(t, s)
	if st := s.Stats(); st.SplitKeys != keys {
		t.Errorf("%d keys are split, want %d", st.SplitKeys, keys)
	}
}

// storeCounted leaves a store with so many keys, each with its first value.
func storeCounted(t *testing.T, o Options, keys int) {
	t.Helper()
	s := mustOpen(t, o)
	b := &Batch{Next: int64(keys)}
	for i := range keys {
		b.Mutations = append(b.Mutations, Mutation{Key: countedKey(i), Value: countedValue(i, 1), Offset: int64(i)})
	}
	mustApply(t, s, b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRefillOfAFailingDisk: a directory that cannot be read ends the store for good, so that it is opened again, though reads of what is there go on.
func TestRefillOfAFailingDisk(t *testing.T) {
	var failing atomic.Bool
	files := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead && strings.HasSuffix(op.Path, ".sst") {
			return errors.New("input/output error")
		}
		return nil
	}))
	o := Options{Dir: "/generation", fs: files}
	const keys = 2000
	storeCounted(t, o, keys)
	goOn := make(chan struct{})
	o.Refill, o.filling = true, func() { <-goOn }
	s := mustOpen(t, o)
	goOn <- struct{}{}
	failing.Store(true)
	close(goOn)
	if err := s.WaitResident(t.Context()); !errors.Is(err, ErrFailed) {
		t.Errorf("resident: %v", err)
	}
	if err := s.Apply(&Batch{Mutations: []Mutation{{Key: []byte("k"), Offset: keys}}, Next: keys + 1}, nil); !errors.Is(err, ErrFailed) {
		t.Errorf("apply: %v", err)
	}
	failing.Store(false)
	if v, ok, err := s.Get(nil, countedKey(keys-1)); !ok || err != nil {
		t.Errorf("%q, %v, %v", v, ok, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.filling = nil
	s = mustOpen(t, o)
	if n := s.Len(); n != keys {
		t.Errorf("%d entries once it is opened again", n)
	}
}

// TestRefillWaitsEnd: an Apply and who waits by itself end with their context, and a View that cannot count says so.
func TestRefillWaitsEnd(t *testing.T) {
	o, goOn := refilled(t, 50)
	o.pullMost = 10
	s := mustOpen(t, o)
	defer close(goOn)
	long := []byte(strings.Repeat("k", 10*pulledBytes)) // counts for ten
	mustApply(t, s, &Batch{Mutations: []Mutation{{Key: long, Value: []byte("v"), Offset: 50}}, Next: 51})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() {
		ended <- s.ApplyAnd(ctx, &Batch{Mutations: []Mutation{{Key: countedKey(20), Value: []byte("v"), Offset: 51}}, Next: 52}, nil, nil)
	}()
	go func() { ended <- s.WaitResident(ctx) }()
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case goOn <- struct{}{}:
	}
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	}
	if c := s.Checkpoint(); fmt.Sprint(c[0].Next) != "51" {
		t.Errorf("%+v", c)
	}
}

// TestCrashDuringARefill: a crash while a refill is under way loses nothing that was flushed, nor does another one, nor a close.
func TestCrashDuringARefill(t *testing.T) {
	const keys = 300
	files := vfs.NewCrashableMem()
	o := Options{Dir: "/generation", fs: files}
	storeCounted(t, o, keys)
	want := map[int]uint64{}
	check := func(s *Store) {
		t.Helper()
		for i := range keys + 3 {
			v, ok, err := s.Get(nil, countedKey(i))
			count, changed := want[i]
			if !changed && i < keys {
				count = 1
			}
			if err != nil || ok != (count > 0) || ok && checkCounted(t, i, v) != count {
				t.Fatalf("key %d: %q, %v, %v, want count %d", i, v, ok, err, count)
			}
		}
	}
	for round := range 3 {
		goOn := make(chan struct{})
		o.fs, o.Refill, o.filling = files, true, func() { <-goOn }
		s := mustOpen(t, o)
		check(s)
		next := int64(keys + 3*round)
		mustApply(t, s, &Batch{Mutations: []Mutation{
			{Key: countedKey(3 * round), Tombstone: true, Offset: next},
			{Key: countedKey(3*round + 1), Value: countedValue(3*round+1, 2), Offset: next + 1},
			{Key: countedKey(keys + round), Value: countedValue(keys+round, 1), Offset: next + 2},
		}, Next: next + 3})
		want[3*round], want[3*round+1], want[keys+round] = 0, 2, 1
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if round < 2 {
			files = files.CrashClone(vfs.CrashCloneCfg{})
		}
		close(goOn)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o.fs, o.filling = files, nil
	s := mustOpen(t, o)
	check(s)
	if n := s.Len(); n != keys {
		t.Errorf("%d entries", n)
	}
	checkAccount(t, s)
}
