package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// randomImage are sizes so small that a load meets its bounds, or meets none.
func randomImage(r *rand.Rand) imageSizes {
	z := imageSizes{table: 1 + r.IntN(20<<10), refs: 1 + r.IntN(200), runs: 1 + r.IntN(3), pause: time.Millisecond}
	if r.IntN(2) == 0 {
		z.applied = 1 + r.IntN(300<<10)
	}
	return z
}

// residentBatches are batches of one partition whose keys are hard to sort, and what they come to.
func residentBatches(r *rand.Rand, n, from int, next int64, state map[string]string) (batches []*Batch) {
	for range n {
		b := &Batch{LeaderEpoch: 3}
		for range 1 + r.IntN(30) {
			m := Mutation{Key: bytes.Repeat([]byte{0}, r.IntN(4)), Offset: next, Timestamp: 1_700_000_000_000 + r.Int64N(1000) - 500}
			m.Key = append(m.Key, "a common beginning"[:r.IntN(19)]...)
			m.Key = append(m.Key, bytes.Repeat([]byte{0}, r.IntN(20))...)
			m.Key = fmt.Appendf(m.Key, "%d", from+r.IntN(30))
			if r.IntN(4) == 0 {
				m.Tombstone = true
				delete(state, string(m.Key))
			} else {
				m.Value = bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(300))
				for range r.IntN(3) {
					m.Headers = append(m.Headers, Header{Key: []byte("h"), Value: m.Value[:len(m.Value)/2]})
				}
				state[string(m.Key)] = fmt.Sprintf("%q at %d:%d, %d headers", m.Value, m.Offset, m.Timestamp, len(m.Headers))
			}
			b.Mutations = append(b.Mutations, m)
			next += 1 + r.Int64N(3)*r.Int64N(1000)
		}
		b.Next = next
		batches = append(batches, b)
	}
	return batches
}

// checkResident holds index and Pebble to a state, in order.
func checkResident(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	order := slices.Sorted(maps.Keys(want))
	n := 0
	if err := s.Range(nil, nil, func(e Entry) bool {
		if n >= len(order) || string(e.Key) != order[n] {
			t.Fatalf("entry %d is %q", n, e.Key)
		}
		if got := fmt.Sprintf("%q at %d:%d, %d headers", e.Value, e.Offset, e.Timestamp, len(e.Headers)); got != want[order[n]] {
			t.Fatalf("%q is %s, want %s", e.Key, got, want[order[n]])
		}
		v, ok, err := s.Get(nil, e.Key)
		if !ok || err != nil || !bytes.Equal(v, e.Value) {
			t.Fatalf("%q by key: %q, %v, %v", e.Key, v, ok, err)
		}
		n++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(want) || s.Len() != int64(n) {
		t.Fatalf("%d entries in order, %d by key, want %d", n, s.Len(), len(want))
	}
}

// TestResidentLoad: a load stays in the index until it is finished, is read while it is persisted, and is durable then, with what was applied meanwhile.
func TestResidentLoad(t *testing.T) {
	r := newRand(t)
	for round := range underRace(20, 5) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			o := testOptions(t)
			o.Load, o.tune, o.runBytes, o.image = true, smallEngine, 16<<10, randomImage(r)
			o.image.applied = 0
			if r.IntN(4) == 0 {
				o.Dir = ""
			}
			s := mustOpen(t, o)
			state := map[string]string{}
			for _, b := range residentBatches(r, 60, 0, 0, state) {
				mustApply(t, s, b)
			}
			if s.loading.resident == nil {
				t.Fatal("it is not resident")
			}
			next := s.Checkpoint()[0].Next
			if durable, err := s.Durable(); durable || err != nil {
				t.Fatal(durable, err)
			}
			if err := s.FinishLoad(); err != nil {
				t.Fatal(err)
			}
			for _, b := range residentBatches(r, r.IntN(60), r.IntN(40), next, state) {
				var observe func(Change)
				if r.IntN(2) == 0 {
					observe = func(Change) {}
				}
				if err := s.Apply(b, observe); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.WaitDurable(t.Context()); err != nil {
				t.Fatal(err)
			}
			if durable, err := s.Durable(); durable == s.inMemory() || err != nil {
				t.Fatal(durable, err)
			}
			checkResident(t, s, state)
			checkGarbage(t, s.index)
			checkAccount(t, s)
			if s.inMemory() {
				return
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, o)
			checkResident(t, s, state)
			checkAccount(t, s)
		})
	}
}

// faultyFS counts what changes its files, and calls at for each such operation before it.
func faultyFS(fs vfs.FS, at func(n int64) error) vfs.FS {
	var n atomic.Int64
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		return at(n.Add(1))
	}))
}

func crashableGeneration(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/generation", 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := fs.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	return fs
}

// TestResidentLoadCrash crashes a store before every operation on its files while a load is persisted and more is applied: what is left is a state that the log
// had, nothing at all before the first positions, and reading on makes it whole.
func TestResidentLoadCrash(t *testing.T) {
	r := newRand(t)
	fs := crashableGeneration(t)
	var crashed []*vfs.MemFS
	var armed atomic.Bool
	rng := rand.New(rand.NewPCG(r.Uint64(), 2))
	record := make(chan struct{}, 1) // one crash at a time
	o := Options{Dir: "/generation", FlushInterval: time.Hour, tune: smallEngine, Load: true, runBytes: 4 << 10, image: imageSizes{table: 4 << 10, refs: 40, runs: 2}}
	o.fs = faultyFS(fs, func(int64) error {
		if armed.Load() {
			record <- struct{}{}
			crashed = append(crashed, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
			<-record
		}
		return nil
	})
	s := mustOpen(t, o)
	batches, states := loadBatches(r, 120, false)
	resident := 0 // crashes while it was
	armed.Store(true)
	for i, b := range batches {
		mustApply(t, s, b)
		if i == 80 {
			record <- struct{}{}
			resident = len(crashed)
			<-record
			if err := s.FinishLoad(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.WaitDurable(t.Context()); err != nil {
		t.Fatal(err)
	}
	armed.Store(false)
	checkState(t, s, states[len(batches)])
	checkLoadedRange(t, s, states[len(batches)])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	crashed = append(crashed, fs.CrashClone(vfs.CrashCloneCfg{}))
	empty := 0
	for i, c := range crashed {
		if i < len(crashed)-1 && r.IntN(underRace(2, 10)) > 0 {
			continue
		}
		probe := o
		probe.fs = c.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		if _, err := probe.fs.Stat("/generation/db"); err == nil {
			p := mustOpen(t, probe)
			if i < resident && len(p.Checkpoint()) > 0 {
				t.Fatalf("crash %d, before it was finished: it has positions", i)
			}
			if len(p.Checkpoint()) == 0 {
				empty++
				if p.Len() != 0 {
					t.Fatalf("crash %d: %d entries without positions", i, p.Len())
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
		durable := 0
		if i == len(crashed)-1 {
			durable = len(batches)
		}
		checkLoadCrash(t, o, c, batches, states, durable)
	}
	if empty == 0 {
		t.Fatalf("%d of %d crashes left nothing", empty, len(crashed))
	}
	t.Logf("%d crashes, %d of them left nothing", len(crashed), empty)
}

// TestResidentLoadFaults has one operation after the other fail while a load is persisted: it is tried again, and comes to the same; a fault that Pebble does not go on after
// is told, and what is left opens.
func TestResidentLoadFaults(t *testing.T) {
	r := newRand(t)
	batches, states := loadBatches(r, 60, false)
	injected := errors.New("the disk is full")
	failed, total := 0, int64(0)
	for at := int64(1); at == 1 || at <= total; at += 1 + r.Int64N(int64(underRace(3, 40))) {
		fs := crashableGeneration(t)
		var armed atomic.Bool
		var n atomic.Int64
		o := Options{Dir: "/generation", FlushInterval: time.Hour, tune: quietEngine, Load: true, runBytes: 4 << 10, pause: time.Millisecond, patience: 3 * time.Millisecond,
			image: imageSizes{table: 4 << 10, refs: 40, runs: 2, pause: time.Millisecond}}
		o.fs = faultyFS(fs, func(int64) error {
			if armed.Load() && n.Add(1) == at {
				return injected
			}
			return nil
		})
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		for i, b := range batches {
			for {
				err := s.Apply(b, nil)
				if errors.Is(err, ErrFailed) || err == nil {
					break
				}
			}
			if i == 40 {
				for err := s.FinishLoad(); err != nil && !errors.Is(err, ErrFailed); err = s.FinishLoad() {
					if !errors.Is(err, injected) {
						t.Fatal(err)
					}
				}
			}
		}
		for {
			if durable, err := s.Durable(); durable || errors.Is(err, ErrFailed) {
				break
			}
			<-time.After(100 * time.Microsecond) // between looks
		}
		total = max(total, n.Load())
		if durable, _ := s.Durable(); durable && s.opts.health.failing() == nil {
			checkState(t, s, states[len(batches)])
			checkLoadedRange(t, s, states[len(batches)])
		} else {
			failed++
		}
		if err := s.Close(); err != nil && !errors.Is(err, ErrFailed) && !errors.Is(err, injected) {
			t.Fatal(err)
		}
		checkLoadCrash(t, o, fs.CrashClone(vfs.CrashCloneCfg{}), batches, states, 0)
	}
	if total == 0 || failed == int(total) {
		t.Fatalf("%d operations, %d failures", total, failed)
	}
	t.Logf("%d operations, %d of the faults were for good", total, failed)
}

// TestResidentLoadMeetsAnotherPartition: a key that another partition has is decided at once where the store is read, by timestamps.
func TestResidentLoadMeetsAnotherPartition(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), FlushInterval: time.Hour, Load: true})
	s.SetPartitions([]int32{0, 1})
	mustApply(t, s, &Batch{Next: 2, Mutations: []Mutation{{Key: []byte("old"), Value: []byte("0"), Timestamp: 10}, {Key: []byte("new"), Value: []byte("0"), Timestamp: 30, Offset: 1}}})
	if err := s.FinishLoad(); err != nil {
		t.Fatal(err)
	}
	mustApply(t, s, &Batch{Partition: 1, Next: 2, Mutations: []Mutation{{Key: []byte("old"), Value: []byte("1"), Timestamp: 20}, {Key: []byte("new"), Value: []byte("1"), Timestamp: 20, Offset: 1}}})
	for key, want := range map[string]string{"old": "1", "new": "0"} {
		if v, ok, err := s.Get(nil, []byte(key)); string(v) != want || !ok || err != nil {
			t.Errorf("%s is %q, %v, %v", key, v, ok, err)
		}
	}
}

// TestResidentLoadWithSources leaves the index where the timeline cannot say what Pebble is to hold.
func TestResidentLoadWithSources(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), FlushInterval: time.Hour, Load: true})
	mustApply(t, s, &Batch{Next: 1, Mutations: []Mutation{{Key: []byte("own"), Value: []byte("0")}}})
	mustApply(t, s, &Batch{Next: 2, Mutations: []Mutation{{Key: []byte("yielded"), Value: []byte("1"), Source: []byte("by"), Offset: 1}}})
	if s.loading.resident != nil {
		t.Fatal("it is resident")
	}
	if err := s.EndLoad(); err != nil {
		t.Fatal(err)
	}
	if m, ok, err := s.Meta([]byte("yielded")); string(m.Source) != "by" || !ok || err != nil {
		t.Errorf("%+v, %v, %v", m, ok, err)
	}
	if _, ok, err := s.Meta([]byte("own")); !ok || err != nil {
		t.Error(ok, err)
	}
}
