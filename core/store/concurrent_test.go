package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// countedValue is a value that says which write of which key it is, of a length that the count decides.
func countedValue(key int, count uint64) []byte {
	n := 16 + int((count*2654435761+uint64(key))%400)
	if count%97 == 0 {
		n += 60 << 10
	}
	v := make([]byte, n)
	binary.BigEndian.PutUint64(v, uint64(key))
	binary.BigEndian.PutUint64(v[8:], count)
	for i := 16; i < n; i++ {
		v[i] = byte(count)
	}
	return v
}

func checkCounted(t *testing.T, key int, v []byte) uint64 {
	if len(v) < 16 {
		t.Errorf("key %d: %d bytes", key, len(v))
		return 0
	}
	count := binary.BigEndian.Uint64(v[8:])
	if !bytes.Equal(v, countedValue(key, count)) {
		t.Errorf("key %d: the value of write %d is torn", key, count)
	}
	return count
}

func countedKey(key int) []byte { return fmt.Appendf(nil, "key-%04d", key) }

// TestConcurrentReaders reads in every way while keys are written, deleted and come and go so that tables grow and shrink
// and chunks are collected: a value is whole, and after a newer one no older one is seen. The key 0 is there throughout.
func TestConcurrentReaders(t *testing.T) {
	for _, mode := range []string{"dir", "memory"} {
		t.Run(mode, func(t *testing.T) {
			r := newRand(t)
			o := Options{}
			if mode == "dir" {
				o = Options{Dir: t.TempDir(), FlushInterval: 20 * time.Millisecond, tune: smallEngine}
			}
			s := mustOpen(t, o)
			const keys = 2000
			var counts [keys]uint64
			next := int64(0)
			write := func(n int) {
				b := &Batch{}
				for range n {
					k := r.IntN(keys)
					if r.IntN(4) > 0 {
						k = r.IntN(60)
					}
					counts[k]++
					m := Mutation{Key: countedKey(k), Offset: next, Tombstone: k != 0 && r.IntN(8) == 0}
					if !m.Tombstone {
						m.Value = countedValue(k, counts[k])
					}
					b.Mutations = append(b.Mutations, m)
					next++
				}
				b.Next = next
				var observe func(Change)
				if r.IntN(2) == 0 {
					observe = func(c Change) {
						if c.Kind == 0 || c.Kind == Superseded {
							t.Errorf("change %v", c.Kind)
						}
					}
				}
				if err := s.Apply(b, observe); err != nil {
					t.Error(err)
				}
			}
			first := &Batch{Mutations: []Mutation{{Key: countedKey(0), Value: countedValue(0, 0)}}, Next: 1}
			next = 1
			mustApply(t, s, first)

			var wg sync.WaitGroup
			var stop atomic.Bool
			var rounds [4]atomic.Int64
			reader := func(i int, read func(r *rand.Rand)) {
				seed := r.Uint64()
				wg.Go(func() {
					own := rand.New(rand.NewPCG(seed, 2))
					for !stop.Load() {
						read(own)
						rounds[i].Add(1)
					}
				})
			}
			var seenBy [keys]uint64
			var dst []byte
			reader(0, func(r *rand.Rand) {
				k := r.IntN(60)
				v, ok, err := s.Get(dst[:0], countedKey(k))
				dst = v
				if err != nil || !ok && k == 0 {
					t.Errorf("get %d: %v, %v", k, ok, err)
				}
				if ok {
					count := checkCounted(t, k, v)
					if count < seenBy[k] {
						t.Errorf("key %d: write %d is seen after %d", k, count, seenBy[k])
					}
					seenBy[k] = count
				}
			})
			reader(1, func(r *rand.Rand) {
				met, cursor := false, uint64(0)
				for {
					next, err := s.Scan(cursor, 1+r.IntN(50), func(key []byte) { met = met || string(key) == "key-0000" })
					if err != nil {
						t.Error(err)
					}
					if next == 0 {
						break
					}
					cursor = next
				}
				if !met {
					t.Error("scan missed a key that was there throughout")
				}
				s.RandomKey(nil)
				s.Stats()
			})
			reader(2, func(r *rand.Rand) {
				var last []byte
				err := s.Range(nil, nil, func(e Entry) bool {
					if bytes.Compare(e.Key, last) <= 0 {
						t.Errorf("%q after %q", e.Key, last)
					}
					last = append(last[:0], e.Key...)
					var k int
					if _, err := fmt.Sscanf(string(e.Key), "key-%d", &k); err != nil {
						t.Error(err)
					}
					count := checkCounted(t, k, e.Value)
					// What Range tells is not newer than what Get answers.
					if v, ok, err := s.Get(nil, e.Key); err != nil {
						t.Error(err)
					} else if ok && checkCounted(t, k, v) < count {
						t.Errorf("key %d: Get is behind Range", k)
					}
					return true
				})
				if err != nil {
					t.Error(err)
				}
			})
			offsets := map[int]int64{}
			reader(3, func(r *rand.Rand) {
				k := r.IntN(60)
				m, ok, err := s.Meta(countedKey(k))
				if err != nil || !ok && k == 0 {
					t.Errorf("meta of %d: %v, %v", k, ok, err)
				}
				if ok {
					if m.Offset < offsets[k] {
						t.Errorf("key %d: offset %d is seen after %d", k, m.Offset, offsets[k])
					}
					offsets[k] = m.Offset
				}
			})
			done := func() bool {
				for i := range rounds {
					if rounds[i].Load() < 5 {
						return false
					}
				}
				return true
			}
			for i := 0; i < 150 || !done(); i++ {
				write(1 + r.IntN(100))
			}
			stop.Store(true)
			wg.Wait()
			checkGarbage(t, s.index)
		})
	}
}

// TestCloseUnderLoad closes while every method is being called: each finishes or answers ErrClosed.
func TestCloseUnderLoad(t *testing.T) {
	for _, mode := range []string{"dir", "memory"} {
		t.Run(mode, func(t *testing.T) {
			o := Options{}
			if mode == "dir" {
				o = Options{Dir: t.TempDir(), FlushInterval: time.Millisecond, tune: smallEngine}
			}
			s := mustOpen(t, o)
			mustApply(t, s, benchBatch(0, 5000))
			var wg, begun sync.WaitGroup
			until := func(call func(i int) error) {
				begun.Add(1)
				wg.Go(func() {
					for i := 0; ; i++ {
						err := call(i)
						if i == 0 {
							begun.Done()
						}
						if errors.Is(err, ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			until(func(i int) error { _, _, err := s.Get(nil, benchKey(nil, uint64(i%5000))); return err })
			until(func(i int) error { _, _, err := s.ValueLen(benchKey(nil, uint64(i%5000))); return err })
			until(func(i int) error { _, _, err := s.Meta(benchKey(nil, uint64(i%5000))); return err })
			until(func(int) error { _, err := s.Scan(0, 1000, func([]byte) {}); return err })
			until(func(int) error { _, err := s.Scan(1<<60, 1, func([]byte) {}); return err })
			until(func(int) error { return s.Range(nil, nil, func(Entry) bool { return true }) })
			until(func(int) error { return s.Flush() })
			until(func(i int) error { return s.Apply(benchBatch(5000+i*20, 20), func(Change) {}) })
			until(func(i int) error {
				if _, ok := s.RandomKey(nil); !ok {
					return ErrClosed
				}
				s.Len()
				s.Stats()
				s.Checkpoint()
				return nil
			})
			begun.Wait()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Get(nil, benchKey(nil, 0)); !errors.Is(err, ErrClosed) {
				t.Errorf("get after close: %v", err)
			}
			if err := s.Close(); !errors.Is(err, ErrClosed) {
				t.Errorf("close after close: %v", err)
			}
			wg.Wait()
		})
	}
}

// TestSlowRange: a callback that does not return holds up neither Apply nor Get; Close waits for it and no longer.
func TestSlowRange(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	mustApply(t, s, benchBatch(0, 100))
	inside, leave, result := make(chan struct{}), make(chan struct{}), make(chan error)
	calls := 0
	go func() {
		result <- s.Range(nil, nil, func(Entry) bool {
			if calls++; calls == 1 {
				close(inside)
				<-leave
			}
			return true
		})
	}()
	<-inside
	mustApply(t, s, benchBatch(100, 100))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.gate.closed
	if err := s.Flush(); !errors.Is(err, ErrClosed) {
		t.Errorf("flush while closing: %v", err)
	}
	close(leave)
	if err := <-result; !errors.Is(err, ErrClosed) || calls != 1 {
		t.Errorf("range: %v after %d calls", err, calls)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestObserverReads: an observer may read the store, and sees all of the batch.
func TestObserverReads(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	b := &Batch{Mutations: []Mutation{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Value: []byte("2"), Offset: 1}}, Next: 2}
	calls := 0
	err := s.Apply(b, func(c Change) {
		calls++
		for _, key := range []string{"a", "b"} {
			if _, ok, err := s.Meta([]byte(key)); !ok || err != nil {
				t.Errorf("meta of %s during change %d: %v, %v", key, c.Index, ok, err)
			}
		}
		n := 0
		if err := s.Range(nil, nil, func(Entry) bool { n++; return true }); err != nil || n != 2 {
			t.Errorf("range during change %d: %d, %v", c.Index, n, err)
		}
	})
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
