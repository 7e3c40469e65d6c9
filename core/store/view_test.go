package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func mustView(t testing.TB, s *Store) *View {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v, err := s.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Release)
	return v
}

// numbered is a batch that gives n keys of a partition the same number, which is its position.
func numbered(partition int32, number int64, keys int) *Batch {
	b := &Batch{Partition: partition, Next: number * int64(keys)}
	for i := range keys {
		b.Mutations = append(b.Mutations, Mutation{
			Key: fmt.Appendf(nil, "p%d-key%d", partition, i), Value: strconv.AppendInt(nil, number, 10), Offset: (number-1)*int64(keys) + int64(i), Timestamp: number,
		})
	}
	return b
}

// TestAViewIsOneState has two appliers change many keys at a time, of which each batch leaves all of its partition with one number. What a View reads in
// any way is one number a partition, and the position that was published with it.
func TestAViewIsOneState(t *testing.T) {
	for _, mode := range []string{"dir", "memory"} {
		t.Run(mode, func(t *testing.T) {
			o := Options{ViewTime: time.Minute}
			if mode == "dir" {
				o = Options{Dir: t.TempDir(), FlushInterval: 20 * time.Millisecond, tune: smallEngine, ViewTime: time.Minute}
			}
			s := mustOpen(t, o)
			const keys, partitions, batches = 8, 2, 150
			var positions [partitions]atomic.Int64
			var wg sync.WaitGroup
			var applying atomic.Int32
			applying.Store(partitions)
			apply := func(p int32, number int64) {
				if err := s.ApplyAnd(t.Context(), numbered(p, number, keys), nil, func() { positions[p].Store(number) }); err != nil {
					t.Error(err)
				}
			}
			for p := range int32(partitions) {
				apply(p, 1)
				wg.Go(func() {
					defer applying.Add(-1)
					for number := int64(2); number <= batches; number++ {
						apply(p, number)
					}
				})
			}
			var views atomic.Int64
			for range 3 {
				wg.Go(func() {
					for applying.Load() > 0 {
						views.Add(1)
						checkOneState(t, s, keys, func(p int) int64 { return positions[p].Load() })
						if t.Failed() {
							return
						}
					}
				})
			}
			wg.Wait()
			if views.Load() < 20 {
				t.Errorf("%d views during %d batches", views.Load(), partitions*batches)
			}
		})
	}
}

// checkOneState reads a View in every way.
func checkOneState(t *testing.T, s *Store, keys int, position func(p int) int64) {
	v, err := s.View(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer v.Release()
	var want [2]string
	for p := range want {
		want[p] = strconv.FormatInt(position(p), 10)
	}
	check := func(how string, key, value []byte) {
		if p := key[1] - '0'; string(value) != want[p] {
			t.Errorf("%s of %s: %s at position %s", how, key, value, want[p])
		}
	}
	for i := range keys {
		for p := range want {
			key := fmt.Appendf(nil, "p%d-key%d", p, i)
			value, ok, err := v.Get(nil, key)
			if !ok || err != nil {
				t.Errorf("get: %v, %v", ok, err)
			}
			check("get", key, value)
			m, ok, err := v.Meta(key)
			if !ok || err != nil {
				t.Errorf("meta: %v, %v", ok, err)
			}
			check("meta", key, strconv.AppendInt(nil, m.Timestamp, 10))
		}
	}
	if err := v.Range(nil, nil, func(e Entry) bool {
		check("range", e.Key, e.Value)
		check("metadata of a range", e.Key, strconv.AppendInt(nil, e.Timestamp, 10))
		return true
	}); err != nil {
		t.Errorf("range: %v", err)
	}
	if n, err := v.Len(); n != int64(2*keys) || err != nil {
		t.Errorf("len: %d, %v", n, err)
	}
}

// TestAViewIsBetweenRemovals: what one commit of RemoveBelow takes out is gone for a View, or there.
func TestAViewIsBetweenRemovals(t *testing.T) {
	s := mustOpen(t, Options{ViewTime: time.Minute})
	const keys = 100
	var next int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			b := &Batch{}
			for i := range keys {
				b.Mutations = append(b.Mutations, Mutation{Key: countedKey(i), Value: []byte("x"), Offset: next})
				next++
			}
			b.Next = next
			if err := s.Apply(b, nil); err != nil {
				t.Error(err)
				return
			}
			if n, err := s.RemoveBelow(0, next, nil); n != keys || err != nil {
				t.Errorf("removed %d, %v", n, err)
				return
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		v := mustView(t, s)
		n, err := v.Len()
		found := 0
		for i := range keys {
			if _, ok, err := v.ValueLen(countedKey(i)); err != nil {
				t.Fatal(err)
			} else if ok {
				found++
			}
		}
		v.Release()
		if err != nil || n != 0 && n != keys || int64(found) != n {
			t.Fatalf("%d keys, %d of them found, %v", n, found, err)
		}
	}
}

// TestALateViewHoldsNothingUp: the change goes on when the View's time is up, and nothing of it is seen.
func TestALateViewHoldsNothingUp(t *testing.T) {
	s := mustOpen(t, Options{ViewTime: 20 * time.Millisecond})
	mustApply(t, s, numbered(0, 1, 3))
	late := mustView(t, s)
	inRange := 0
	err := late.Range(nil, nil, func(e Entry) bool { // which is slow, so that the change overtakes it
		if inRange++; inRange == 2 {
			mustApply(t, s, numbered(0, 2, 3))
		}
		if string(e.Value) != "1" {
			t.Errorf("%s = %s", e.Key, e.Value)
		}
		return true
	})
	if !errors.Is(err, ErrViewExpired) || inRange != 2 {
		t.Errorf("range: %v after %d entries", err, inRange)
	}
	for how, err := range map[string]error{
		"check": late.Check(),
		"get":   second(late.Get(nil, []byte("p0-key0"))),
		"len":   second(late.Len()),
		"scan":  second(late.Scan(0, 10, func([]byte) {})),
	} {
		if !errors.Is(err, ErrViewExpired) {
			t.Errorf("%s: %v", how, err)
		}
	}
	// Releasing it does not count for those that came later.
	other := mustView(t, s)
	late.Release()
	applied := make(chan struct{})
	go func() {
		mustApply(t, s, numbered(0, 3, 3))
		close(applied)
	}()
	if v, ok, err := other.Get(nil, []byte("p0-key0")); err == nil && (!ok || string(v) != "2") {
		t.Errorf("%s, %v", v, ok)
	}
	<-applied
	if err := other.Check(); !errors.Is(err, ErrViewExpired) {
		t.Errorf("check: %v", err)
	}
}

// second is the last result of a call with two or three.
func second(results ...any) error {
	err, _ := results[len(results)-1].(error)
	return err
}

// TestChangesWaitForViewsThatAreInTime: nothing changes while a View is held, and everything does once it is released.
func TestChangesWaitForViewsThatAreInTime(t *testing.T) {
	s := mustOpen(t, Options{ViewTime: time.Hour})
	mustApply(t, s, numbered(0, 1, 3))
	a, b := mustView(t, s), mustView(t, s)
	applied := make(chan struct{})
	go func() {
		mustApply(t, s, numbered(0, 2, 3))
		close(applied)
	}()
	waits := func() bool {
		s.moments.mu.Lock()
		defer s.moments.mu.Unlock()
		return s.moments.changing
	}
	for !waits() {
		time.Sleep(time.Millisecond)
	}
	a.Release()
	if v, ok, err := b.Get(nil, []byte("p0-key1")); string(v) != "1" || !ok || err != nil {
		t.Errorf("%s, %v, %v", v, ok, err)
	}
	select {
	case <-applied:
		t.Error("applied while a View is held")
	default:
	}
	// Who comes while a change waits is let in after it, before the next.
	later := make(chan string, 1)
	go func() {
		v, err := s.View(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		defer v.Release()
		value, _, _ := v.Get(nil, []byte("p0-key1"))
		later <- string(value)
	}()
	turn := func() int {
		s.moments.mu.Lock()
		defer s.moments.mu.Unlock()
		if s.moments.next == nil {
			return 0
		}
		return s.moments.next.waiting
	}
	for turn() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.View(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a View whose context has ended: %v", err)
	}
	if n := turn(); n != 1 {
		t.Errorf("%d wait", n)
	}
	b.Release()
	<-applied
	if v := <-later; v != "2" {
		t.Errorf("then %s is read", v)
	}
	mustApply(t, s, numbered(0, 3, 3)) // which would wait for a View that was counted and is not there
	s.Change(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.View(ctx); err == nil {
			t.Error("a View within a change")
		}
	})
}

func TestAViewLooksAtSoManyKeys(t *testing.T) {
	s := mustOpen(t, Options{ViewKeys: 10})
	mustApply(t, s, numbered(0, 1, 20))
	for how, read := range map[string]func(v *View) error{
		"get": func(v *View) (err error) {
			for range 11 {
				if _, _, e := v.Get(nil, []byte("x")); e != nil {
					err = e
				}
			}
			return err
		},
		"scan":  func(v *View) error { return second(v.Scan(0, 1000, func([]byte) {})) },
		"range": func(v *View) error { return v.Range(nil, nil, func(Entry) bool { return true }) },
	} {
		v := mustView(t, s)
		if err := read(v); !errors.Is(err, ErrViewTooLarge) {
			t.Errorf("%s: %v", how, err)
		}
		v.Release()
	}
	v := mustView(t, s)
	for range 10 {
		if value, ok, err := v.Get(nil, []byte("p0-key3")); !ok || err != nil || !bytes.Equal(value, []byte("1")) {
			t.Errorf("%s, %v, %v", value, ok, err)
		}
	}
	if n, err := v.Len(); n != 20 || err != nil {
		t.Errorf("len: %d, %v", n, err)
	}
}

// TestAViewOfAClosedStore answers ErrClosed, and Close does not wait for it.
func TestAViewOfAClosedStore(t *testing.T) {
	s := mustOpen(t, Options{ViewTime: time.Hour})
	mustApply(t, s, numbered(0, 1, 3))
	v := mustView(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Get(nil, []byte("p0-key0")); !errors.Is(err, ErrClosed) {
		t.Errorf("get: %v", err)
	}
	if n, err := v.Len(); n != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("len: %d, %v", n, err)
	}
	if _, err := s.View(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("view: %v", err)
	}
}

// BenchmarkView is what a read of two keys at one moment costs, next to a Get.
func BenchmarkView(b *testing.B) {
	s := mustOpen(b, Options{})
	benchLoad(b, s, 100_000, 4000)
	keys := [][]byte{benchKey(nil, 1), benchKey(nil, 2)}
	read := func(tb testing.TB, dst []byte) {
		v, err := s.View(context.Background())
		if err != nil {
			tb.Fatal(err)
		}
		for _, key := range keys {
			if _, ok, err := v.Get(dst, key); !ok || err != nil {
				tb.Fatal(ok, err)
			}
		}
		v.Release()
	}
	b.Run("serial", func(b *testing.B) {
		dst := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			read(b, dst)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			dst := make([]byte, 0, 1024)
			for pb.Next() {
				read(b, dst)
			}
		})
	})
}

// BenchmarkChange is what each Apply pays for Views while none is held.
func BenchmarkChange(b *testing.B) {
	m := newMoments(DefaultViewTime)
	for b.Loop() {
		m.change()
		m.changed()
	}
}
