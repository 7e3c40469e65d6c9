package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestRemoveBelowLooksAgain at what came of offsets that it had been told of before.
func TestRemoveBelowLooksAgain(t *testing.T) {
	o := testOptions(t)
	s := mustOpen(t, o)
	s.SetPartitions([]int32{0, 1})
	put := func(offset int64, key string, tombstone bool) {
		mustApply(t, s, &Batch{Next: offset + 1, Mutations: []Mutation{{Key: []byte(key), Value: []byte("v"), Offset: offset, Tombstone: tombstone}}})
	}
	remove := func(below int64, want int) {
		t.Helper()
		n, err := s.RemoveBelow(0, below, nil)
		if n != want || err != nil {
			t.Fatalf("%d removed, %v, want %d", n, err, want)
		}
	}
	const block = 1 << blockBits
	put(1, "a", false)
	put(2, "gone", true)
	put(block+1, "b", false)
	remove(1, 0)
	remove(block, 1)
	checkTombstones(t, s, 0)
	remove(block, 0)
	remove(3*block, 1)
	put(block+5, "late", false)
	put(2*block, "later", false)
	if s.Len() != 2 {
		t.Fatal(s.Len())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	if c := s.Checkpoint(); len(c) != 1 || c[0].LogStart != 3*block || c[0].Next != 2*block+1 {
		t.Fatalf("%+v", c)
	}
	remove(3*block, 2)
	if s.Len() != 0 {
		t.Fatal(s.Len())
	}
	for _, l := range s.account.byPartition {
		if l.below(1<<40) || l.unswept || l.values != 0 {
			t.Fatalf("without a claim: %+v", l)
		}
	}
}

// TestNothingToRemoveCostsNothing: where no claim lies below, no slot is looked at and a load goes on.
func TestNothingToRemoveCostsNothing(t *testing.T) {
	o := testOptions(t)
	o.Load = true
	s := mustOpen(t, o)
	const block = 1 << blockBits
	mustApply(t, s, &Batch{Next: 5*block + 1, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("v"), Offset: 5 * block}}})
	if sweep, err := s.beginSweep(0, 5*block); sweep || err != nil {
		t.Fatal(sweep, err)
	}
	if n, err := s.RemoveBelow(0, 5*block, nil); n != 0 || err != nil || !s.isLoading.Load() {
		t.Fatal(n, err, s.isLoading.Load())
	}
	if c := s.Checkpoint(); c[0].LogStart != 5*block {
		t.Fatal(c)
	}
	if n, err := s.RemoveBelow(0, 5*block+1, nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

// TestRemovalsWhileApplying removes, verifies, reads and closes while several partitions are applied: what is left is what the
// log has.
func TestRemovalsWhileApplying(t *testing.T) {
	const partitions, batches, keys = 3, 60, 200
	s := mustOpen(t, Options{Dir: t.TempDir(), tune: smallEngine})
	s.SetPartitions([]int32{0, 1, 2})
	key := func(i int64) []byte { return fmt.Appendf(nil, "key %d", i%keys) }
	batch := func(p int32, n int64) *Batch {
		b := &Batch{Partition: p, Next: (n + 1) * 50}
		for i := n * 50; i < b.Next; i++ {
			b.Mutations = append(b.Mutations, Mutation{Key: key(i * int64(p+1)), Value: fmt.Appendf(nil, "%d/%d", p, i), Offset: i, Timestamp: i, Tombstone: i%7 == 0})
		}
		return b
	}
	var wg, readers sync.WaitGroup
	stop := make(chan struct{})
	for p := range int32(partitions) {
		wg.Go(func() {
			for n := range int64(batches) {
				if err := s.Apply(batch(p, n), nil); err != nil {
					t.Error(err)
				}
				if n%20 == 10 {
					if _, err := s.RemoveBelow(p, (n-5)*50, func(r Removal) {
						if v, ok, err := s.Get(nil, r.Key); err != nil || ok != (r.Value != nil) || ok && string(v) != string(r.Value) {
							t.Errorf("%q is %q, %v, told %+v", r.Key, v, err, r)
						}
					}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			v, err := s.Verify()
			if err != nil {
				t.Error(err)
				return
			}
			upTo := map[int32]int64{}
			for _, c := range s.Checkpoint() {
				upTo[c.Partition] = c.Next
				for n := range c.Next / 50 {
					if err := v.Met(batch(c.Partition, n)); err != nil {
						t.Error(err)
					}
				}
			}
			if n, err := v.Finish(upTo, nil); n != 0 || err != nil {
				t.Errorf("a verification removed %d of what the log has, %v", n, err)
			}
		}
	})
	readers.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Claims(key(i)); err != nil {
				t.Error(err)
			}
			if _, _, err := s.Get(nil, key(i)); err != nil {
				t.Error(err)
			}
			if i%50 == 0 {
				if err := s.SplitKeys(nil, func([]byte, []Claim) bool { return true }); err != nil {
					t.Error(err)
				}
				s.Digest(1)
			}
		}
	})
	wg.Wait()
	close(stop)
	readers.Wait()
	m := newModel()
	for p := range int32(partitions) {
		m.next[p] = 0
	}
	for p := range int32(partitions) {
		for n := range int64(batches) {
			m.apply(batch(p, n))
		}
		if _, err := s.RemoveBelow(p, 55*50, nil); err != nil {
			t.Fatal(err)
		}
	}
	m.remove(func(_ string, c modelClaim) bool { return c.meta.Offset < 55*50 })
	checkClaims(t, s, m)
	if got := contents(t, s); len(got) != len(m.entries) {
		t.Fatalf("%d entries, want %d", len(got), len(m.entries))
	}
}

// TestCloseDuringAVerification: everything is unmapped, and what goes on answers ErrClosed.
func TestCloseDuringAVerification(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	b := &Batch{Next: 5000}
	for i := range b.Next {
		b.Mutations = append(b.Mutations, Mutation{Key: fmt.Append(nil, i), Value: []byte("v"), Offset: i})
	}
	mustApply(t, s, b)
	v, err := s.Verify()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	begun := make(chan struct{})
	wg.Go(func() {
		close(begun)
		for {
			if err := v.Met(b); err != nil {
				if !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				return
			}
		}
	})
	<-begun
	removing := make(chan struct{})
	wg.Go(func() {
		closed := false
		_, err := s.RemoveBelow(0, 5000, func(Removal) {
			if !closed {
				closed = true
				close(removing)
				<-s.gate.closed
			}
		})
		if err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	<-removing
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if _, err := v.Finish(map[int32]int64{0: 5000}, nil); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	v.Cancel()
	if _, err := s.Verify(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, err := s.RemoveBelow(0, 1, nil); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}
