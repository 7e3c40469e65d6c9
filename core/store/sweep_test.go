package store

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var sweepAll = flag.Bool("sweep", false, "crash at, and fail, every change of the file system rather than some")

// workload is a fixed series of what callers do with a store, of which each step leaves one state. Doing it again from the start
// changes nothing that it has brought about, so that it is also what a caller does after a restart.
type workload struct {
	batches []*Batch
	steps   []func(*Store) error
	flushes []bool // of a step: it has made all before it durable
	keys    map[string]bool
	states  []string
}

// newWorkload has a load in runs, of keys in several partitions too, commits with keys in several partitions, removals of both kinds, and flushes.
func newWorkload(t *testing.T, r *rand.Rand) *workload {
	w := &workload{keys: map[string]bool{}}
	next := map[int32]int64{}
	loaded, _ := loadBatches(r, 16, true)
	for i, b := range loaded {
		w.apply(b)
		if i == 9 {
			w.add(true, (*Store).Flush)
		}
	}
	w.add(true, (*Store).EndLoad)
	for _, b := range loaded {
		next[b.Partition] = b.Next
	}
	g := &generator{Rand: r, keys: 60, next: next, values: func(r *rand.Rand) int { return r.IntN(1500) }}
	for i := range 40 {
		b := g.batch(r.IntN(20))
		b.Start = int64(b.Partition)
		if r.IntN(3) == 0 {
			b.Trail = fmt.Appendf(nil, "trail of %d up to %d", b.Partition, b.Next)
		}
		w.apply(b)
		switch i {
		case 8, 20, 33:
			w.add(true, (*Store).Flush)
		case 12:
			logStart := next[1] / 2
			w.add(false, func(s *Store) error { return s.removeClaimsBelow(1, logStart) })
			w.add(false, func(s *Store) error { return s.recordLogStart(1, logStart) })
		case 26:
			w.verify(slices.Clone(w.batches), map[int32]int64{0: next[0], 2: next[2]})
		}
	}
	w.add(true, (*Store).Flush)

	// The states are those of a store that nothing happens to.
	s := mustOpen(t, Options{})
	s.SetPartitions([]int32{0, 1, 2})
	w.states = append(w.states, w.state(t, s))
	for i, step := range w.steps {
		if err := step(s); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		w.states = append(w.states, w.state(t, s))
	}
	return w
}

func (w *workload) add(flushes bool, step func(*Store) error) {
	w.steps, w.flushes = append(w.steps, step), append(w.flushes, flushes)
}

func (w *workload) apply(b *Batch) {
	w.batches = append(w.batches, b)
	for i := range b.Mutations {
		w.keys[string(b.Mutations[i].Key)] = true
	}
	w.add(false, func(s *Store) error { return s.Apply(b, nil) })
}

// removeClaimsBelow is RemoveBelow without the commit that keeps the log's start, which leaves a state between.
func (s *Store) removeClaimsBelow(partition int32, logStart int64) error {
	_, err := s.removeWhere(func(x *slot) bool { return true }, func(_ *holding, c *claim) bool {
		return c.Partition == partition && c.Offset < logStart
	}, nil)
	return err
}

// verify finds every other batch in the log.
func (w *workload) verify(batches []*Batch, upTo map[int32]int64) {
	w.add(false, func(s *Store) error {
		v, err := s.Verify()
		if err != nil {
			return err
		}
		for i, b := range batches {
			if i%2 == 0 {
				if err := v.Met(b); err != nil {
					v.Cancel()
					return err
				}
			}
		}
		_, err = v.Finish(upTo, nil)
		if err != nil {
			v.Cancel()
		}
		return err
	})
}

// state is all that a store tells, but for when it was fresh.
func (w *workload) state(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for _, c := range s.Checkpoint() {
		fmt.Fprintf(&b, "partition %d: %d, epoch %d, start %d, log start %d, trail %q\n", c.Partition, c.Next, c.LeaderEpoch, c.Start, c.LogStart, c.Trail)
	}
	n := 0
	if err := s.Range(nil, nil, func(e Entry) bool {
		fmt.Fprintf(&b, "%q: %x of %d:%d at %d from %q, %d headers\n", e.Key, e.Value, e.Partition, e.Offset, e.Timestamp, e.Source, len(e.Headers))
		v, ok, err := s.Get(nil, e.Key)
		if !ok || err != nil || string(v) != string(e.Value) {
			t.Fatalf("%q by key: %d bytes, %v, %v, in order %d bytes", e.Key, len(v), ok, err, len(e.Value))
		}
		n++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if int64(n) != s.Len() {
		t.Fatalf("%d entries in order, %d by key", n, s.Len())
	}
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range w.keys {
			if !yield(k) {
				return
			}
		}
	}) {
		claims, err := s.Claims([]byte(k))
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) > 0 {
			fmt.Fprintf(&b, "%q: %+v\n", k, claims)
		}
	}
	return b.String()
}

// options are those of every store of a sweep.
func (w *workload) options(fs vfs.FS) Options {
	return Options{Dir: "/generation", FlushInterval: time.Hour, fs: fs, Load: true, runBytes: 8 << 10, image: imageSizes{table: 4 << 10, refs: 30, pause: time.Millisecond}, pause: time.Millisecond, patience: 3 * time.Millisecond,
		tune: func(p *pebble.Options) {
			quietEngine(p)
			p.MemTableSize = 32 << 10
			p.LBaseMaxBytes = 64 << 10
			p.TargetFileSizes[0] = 8 << 10
			p.MaxManifestFileSize = 4 << 10
		}}
}

func (w *workload) open(fs vfs.FS) (*Store, error) {
	s, err := Open(w.options(fs))
	if err == nil {
		s.SetPartitions([]int32{0, 1, 2})
	}
	return s, err
}

// run does the steps from the start and says how many are durable. progress, where it is not nil, is told.
func (w *workload) run(s *Store, progress func(durable int)) (durable int, err error) {
	for i, step := range w.steps {
		if err := step(s); err != nil {
			return durable, fmt.Errorf("step %d: %w", i, err)
		}
		if w.flushes[i] {
			durable = i + 1
			if progress != nil {
				progress(durable)
			}
		}
	}
	return durable, nil
}

// check opens what a crash or a dead disk left, holds it to a state not before durable, and has the workload go on.
func (w *workload) check(t *testing.T, what string, fs vfs.FS, durable int) {
	t.Helper()
	s, err := w.open(fs)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got := w.state(t, s)
	if !slices.Contains(w.states[durable:], got) {
		at := slices.Index(w.states, got)
		t.Fatalf("%s: %d steps were durable; opened to the state of %d (-1: of none):\n%.1500s", what, durable, at, got)
	}
	if _, err := w.run(s, nil); err != nil {
		t.Fatalf("%s: going on: %v", what, err)
	}
	if w.state(t, s) != w.states[len(w.states)-1] {
		t.Fatalf("%s: another end than without it", what)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// sweepStep is how many changes of the file system lie between two that are tried.
func sweepStep(some int) int {
	switch {
	case *sweepAll:
		return 1
	case testing.Short() || raceEnabled:
		return 4 * some
	}
	return some
}

// crashableMem is a file system on which /generation can be made.
func crashableMem(t *testing.T) *vfs.MemFS {
	fs := vfs.NewCrashableMem()
	root, err := fs.OpenDir("/")
	if err == nil {
		err = errors.Join(fs.MkdirAll("/generation", 0o755), root.Sync(), root.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func isChange(op errorfs.Op) bool {
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && !strings.HasSuffix(op.Path, "LOCK")
}

// TestCrashAnywhere crashes before each change of the file system, with any part of what was not synced: the store opens to a
// state that was, not before what was durable, and comes to the same end.
func TestCrashAnywhere(t *testing.T) {
	r := newRand(t)
	w := newWorkload(t, r)
	mem := crashableMem(t)
	type crash struct {
		fs      *vfs.MemFS
		change  int
		durable int
	}
	var (
		mu      sync.Mutex
		crashes []crash
		changes int
		durable int
	)
	every := sweepStep(30)
	first := r.IntN(every)
	s, err := w.open(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !isChange(op) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if changes++; changes%every == first {
			crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(5) * 25, RNG: r}), changes, durable})
		}
		return nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.run(s, func(n int) {
		mu.Lock()
		defer mu.Unlock()
		durable = n
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, c := range crashes {
		s, err := w.open(c.fs)
		if errors.Is(err, ErrCorrupt) {
			refused++ // it says so, and is made anew from the log
			continue
		}
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatalf("crash before change %d: %v", c.change, err)
		}
		w.check(t, fmt.Sprintf("crash before change %d", c.change), c.fs, c.durable)
	}
	t.Logf("%d crashes over %d changes, %d of which left what Open refuses", len(crashes), changes, refused)
	if refused > 2+len(crashes)/10 {
		t.Errorf("%d of %d crashes left what cannot be opened", refused, len(crashes))
	}
}

// TestFailingWriteAnywhere has one change of the file system fail: whoever is told tries again, and opens the store again where it
// has failed, and comes to the same end.
func TestFailingWriteAnywhere(t *testing.T) {
	failed := failAnywhere(t, isChange, sweepStep(90))
	if *sweepAll && failed == 0 {
		t.Error("no manifest was among them")
	}
}

// TestFailingManifestAnywhere is that of what Pebble would end the process for.
func TestFailingManifestAnywhere(t *testing.T) {
	if failAnywhere(t, func(op errorfs.Op) bool { return isChange(op) && isManifest(path.Base(op.Path)) }, sweepStep(10)) == 0 {
		t.Error("no store has failed")
	}
}

// failAnywhere has every so many of the changes that hits names fail, one at a time. It says how often the store has failed for good.
func failAnywhere(t *testing.T, hits func(errorfs.Op) bool, every int) (failed int) {
	r := newRand(t)
	w := newWorkload(t, r)
	tried := 0
	for n := 1 + r.IntN(every); ; n += every {
		mem := crashableMem(t)
		var mu sync.Mutex
		changes, injected := 0, ""
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !hits(op) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if changes++; changes == n {
				injected = fmt.Sprint(op.Kind, " ", op.Path)
				return errors.New("a fault of the disk")
			}
			return nil
		}))
		var s *Store
		var err error
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // between attempts: Pebble tries again by itself
			if time.Now().After(deadline) {
				t.Fatalf("change %d (%s): no end: %v", n, injected, err)
			}
			if s == nil {
				if s, err = w.open(fs); err != nil {
					if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInUse) {
						t.Fatalf("change %d (%s): open: %v", n, injected, err)
					}
					s = nil
					continue
				}
			}
			if _, err = w.run(s, nil); err == nil {
				break
			}
			if errors.Is(err, ErrFailed) {
				failed++
				if err := s.Apply(&Batch{}, nil); !errors.Is(err, ErrFailed) {
					t.Fatalf("change %d (%s): apply to a failed store: %v", n, injected, err)
				}
				if err := s.Close(); !errors.Is(err, ErrFailed) && err != nil {
					t.Fatalf("change %d (%s): close: %v", n, injected, err)
				}
				s = nil
			}
		}
		if got := w.state(t, s); got != w.states[len(w.states)-1] {
			t.Fatalf("change %d (%s): another end than without it", n, injected)
		}
		err = s.Close()
		if err != nil && !errors.Is(err, ErrFailed) && !strings.Contains(err.Error(), "a fault of the disk") {
			t.Fatalf("change %d (%s): close: %v", n, injected, err)
		}
		if injected == "" {
			break
		}
		tried++
		durable := len(w.steps)
		w.check(t, fmt.Sprintf("change %d failed (%s), opened again", n, injected), mem, durable)
	}
	t.Logf("%d failing changes, of which the store failed and was opened again %d times", tried, failed)
	return failed
}

// TestDeadDiskAnywhere has all changes of the file system fail from one on: nobody is held, and what is left is a state that was.
func TestDeadDiskAnywhere(t *testing.T) {
	r := newRand(t)
	w := newWorkload(t, r)
	every := sweepStep(90)
	tried := 0
	for n := 1 + r.IntN(every); ; n += every {
		mem := crashableMem(t)
		var mu sync.Mutex
		changes, dead := 0, false
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !isChange(op) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if changes++; changes >= n {
				dead = true
				return errors.New("the disk is gone")
			}
			return nil
		}))
		durable := 0
		s, err := w.open(fs)
		if err == nil {
			durable, err = w.run(s, nil)
			if closed := s.Close(); err == nil {
				err = closed
			}
		}
		mu.Lock()
		ended := !dead
		mu.Unlock()
		if ended {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		tried++
		for _, percent := range []int{0, r.IntN(101), 100} {
			left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r})
			w.check(t, fmt.Sprintf("dead from change %d on, %d %% of the rest", n, percent), left, durable)
		}
	}
	t.Logf("%d dead disks", tried)
}
