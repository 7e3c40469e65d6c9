package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// refilled is a directory with so many keys of one partition, each with the value of its offset, and options that open it with a refill that waits for goOn before each
// entry.
func refilled(t *testing.T, keys int) (o Options, goOn chan struct{}) {
	t.Helper()
	o = testOptions(t)
	s := mustOpen(t, o)
	b := &Batch{Next: int64(keys)}
	for i := range keys {
		b.Mutations = append(b.Mutations, Mutation{
			Key: countedKey(i), Value: countedValue(i, 1), Offset: int64(i), Timestamp: int64(i),
			Headers: []Header{{Key: []byte("h"), Value: fmt.Append(nil, i)}},
		})
	}
	mustApply(t, s, b)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	goOn = make(chan struct{})
	o.Refill, o.Load, o.filling = true, true, func() { <-goOn }
	return o, goOn
}

// TestRefill: everything that is read by key while nothing of it is resident, and while records change it, is what the log has, and so it is when all is resident and after
// it was opened again. What needs all keys waits.
func TestRefill(t *testing.T) {
	const keys = 300
	for _, loading := range []bool{true, false} {
		t.Run(fmt.Sprintf("load %v", loading), func(t *testing.T) {
			o, goOn := refilled(t, keys)
			o.Load = loading
			s := mustOpen(t, o)
			if loading {
				if err := s.FinishLoad(); err != nil {
					t.Fatal(err)
				}
			}
			if n, all := s.Resident(); n != 0 || all {
				t.Fatalf("%d entries are resident, all: %v", n, all)
			}
			want := map[string]uint64{}
			for i := range keys {
				want[string(countedKey(i))] = 1
			}
			check := func() {
				t.Helper()
				v, err := s.View(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer v.Release()
				for i := range keys + 20 {
					k := countedKey(i)
					count, there := want[string(k)]
					prefix := []byte("before")
					got, ok, err := s.Get(prefix, k)
					if ok != there || err != nil || string(got[:6]) != "before" || !ok && len(got) > 6 {
						t.Fatalf("%s: %q, %v, %v", k, got, ok, err)
					}
					viewed, inView, err := v.Get(nil, k)
					if inView != there || err != nil {
						t.Fatalf("%s in a view: %v, %v", k, inView, err)
					}
					n, sized, err := s.ValueLen(k)
					if sized != there || err != nil || n != len(got)-6 {
						t.Fatalf("%s: %d bytes, %v, %v", k, n, sized, err)
					}
					_, partition, offset, versioned, err := s.GetVersion(nil, k)
					m, described, err2 := s.Meta(k)
					if versioned != there || described != there || err != nil || err2 != nil || partition != m.Partition || offset != m.Offset {
						t.Fatalf("%s: %v at %d:%d, %v, %v and %+v, %v", k, versioned, partition, offset, err, described, m, err2)
					}
					if _, split, claimed := s.Claimed(k); claimed != there || split {
						t.Fatalf("%s: %v, %v", k, split, claimed)
					}
					if !there {
						continue
					}
					if c := checkCounted(t, i, got[6:]); c != count || string(viewed) != string(got[6:]) {
						t.Fatalf("%s has count %d, want %d", k, c, count)
					}
					if len(m.Headers) != 1 || string(m.Headers[0].Value) != fmt.Sprint(offset) {
						t.Fatalf("%s at %d: %+v", k, offset, m.Headers)
					}
				}
			}
			check()
			next := int64(keys)
			change := func(i int, count uint64) {
				t.Helper()
				k := countedKey(i)
				m := Mutation{Key: k, Offset: next, Tombstone: count == 0, Headers: []Header{{Key: []byte("h"), Value: fmt.Append(nil, next)}}}
				if count > 0 {
					m.Value, want[string(k)] = countedValue(i, count), count
				} else {
					delete(want, string(k))
				}
				var told []Change
				if err := s.Apply(&Batch{Mutations: []Mutation{m}, Next: next + 1}, func(c Change) {
					c.Old, c.Value = append([]byte{}, c.Old...), append([]byte{}, c.Value...)
					told = append(told, c)
				}); err != nil {
					t.Fatal(err)
				}
				next++
				kind := Updated
				switch {
				case count == 0:
					kind = Deleted
				case i >= keys:
					kind = Created
				}
				if len(told) != 1 || told[0].Kind != kind {
					t.Fatalf("%s: told %+v", k, told)
				}
				if kind != Created {
					checkCounted(t, i, told[0].Old)
				}
			}
			for i := 0; i < keys; i += 7 {
				change(i, 0)
			}
			for i := 1; i < keys; i += 7 {
				change(i, 2)
			}
			change(keys+3, 5)
			check()
			waiting := make(chan int64)
			go func() { waiting <- s.Len() }()
			scanned := make(chan int, 1)
			go func() {
				n := 0
				if _, err := s.Scan(0, 1<<20, func([]byte) { n++ }); err != nil {
					n = -1
				}
				scanned <- n
			}()
			select {
			case n := <-waiting:
				t.Fatalf("%d entries, while they are not resident", n)
			case n := <-scanned:
				t.Fatalf("%d keys scanned, while they are not resident", n)
			case goOn <- struct{}{}:
			}
			close(goOn)
			if n := <-waiting; n != int64(len(want)) {
				t.Fatalf("%d entries, want %d", n, len(want))
			}
			if n := <-scanned; n != len(want) {
				t.Fatalf("%d keys scanned, want %d", n, len(want))
			}
			if err := s.WaitResident(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n, all := s.Resident(); n != int64(len(want)) || !all {
				t.Fatalf("%d entries are resident, all: %v", n, all)
			}
			check()
			checkAccount(t, s)
			checkTables(t, s.index)
			checkGarbage(t, s.index)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			o.Refill, o.filling = false, nil
			s = mustOpen(t, o)
			check()
			checkAccount(t, s)
		})
	}
}

// TestRefillGoesForward reads keys while they are filled in and overwritten at the same time: no reader sees a key's count go back, or a key that is missing.
func TestRefillGoesForward(t *testing.T) {
	const keys = 200
	for range underRace(10, 4) {
		o, goOn := refilled(t, keys)
		close(goOn)
		o.filling = func() { time.Sleep(20 * time.Microsecond) }
		s := mustOpen(t, o)
		if err := s.FinishLoad(); err != nil {
			t.Fatal(err)
		}
		var over atomic.Bool
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				seen := make([]uint64, keys)
				for !over.Load() {
					i := rand.IntN(keys)
					v, ok, err := s.Get(nil, countedKey(i))
					if !ok || err != nil {
						t.Errorf("key %d: %v, %v", i, ok, err)
						return
					}
					if c := checkCounted(t, i, v); c < seen[i] {
						t.Errorf("key %d went from %d back to %d", i, seen[i], c)
						return
					} else {
						seen[i] = c
					}
				}
			})
		}
		next := int64(keys)
		for count := uint64(2); ; count++ {
			for i := 0; i < keys; i += 1 + rand.IntN(5) {
				mustApply(t, s, &Batch{Mutations: []Mutation{{Key: countedKey(i), Value: countedValue(i, count), Offset: next}}, Next: next + 1})
				next++
			}
			if _, all := s.Resident(); all && count > 5 {
				break
			}
		}
		over.Store(true)
		wg.Wait()
		checkAccount(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefillBound: an Apply past as many keys as may be pulled in waits until all are resident.
func TestRefillBound(t *testing.T) {
	o, goOn := refilled(t, 50)
	o.pullMost = 10
	s := mustOpen(t, o)
	for i := range int64(10) {
		mustApply(t, s, &Batch{Mutations: []Mutation{{Key: countedKey(int(i)), Value: []byte("v"), Offset: 50 + i}}, Next: 51 + i})
	}
	applied := make(chan error)
	go func() {
		applied <- s.Apply(&Batch{Mutations: []Mutation{{Key: countedKey(20), Value: []byte("v"), Offset: 60}}, Next: 61}, nil)
	}()
	select {
	case err := <-applied:
		t.Fatalf("it did not wait: %v", err)
	case goOn <- struct{}{}:
	}
	close(goOn)
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if n := s.Len(); n != 50 {
		t.Errorf("%d entries", n)
	}
}

// TestRefillOfDamage: a directory that is damaged is found when it is come to, by the refill, applies and whoever needs all keys.
func TestRefillOfDamage(t *testing.T) {
	o, goOn := refilled(t, 2000)
	close(goOn)
	tables, err := filepath.Glob(filepath.Join(o.Dir, engineDir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	for _, path := range tables {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 64 {
			b[len(b)/3+i] ^= 0xff
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(o)
	if errors.Is(err, ErrCorrupt) {
		return // the positions were hit
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WaitResident(t.Context()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("resident: %v", err)
	}
	if err := s.Apply(&Batch{Mutations: []Mutation{{Key: []byte("k"), Offset: 2000}}, Next: 2001}, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("apply: %v", err)
	}
	if _, err := s.Scan(0, 10, func([]byte) {}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("scan: %v", err)
	}
	v, err := s.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := v.Len(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%d entries in a view: %v", n, err)
	}
	v.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseDuringARefill ends it, and who waits for it.
func TestCloseDuringARefill(t *testing.T) {
	o, goOn := refilled(t, 5000)
	s := mustOpen(t, o)
	waited := make(chan error)
	go func() { waited <- s.WaitResident(context.Background()) }()
	goOn <- struct{}{}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.gate.closed
	close(goOn)
	if err := errors.Join(<-closed); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, ErrClosed) && err != nil {
		t.Errorf("resident: %v", err)
	}
}
