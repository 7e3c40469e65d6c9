package store

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestFailedManifest: what Pebble would end the process for fails the store alone: it goes on answering reads, changes nothing on
// disk any more, says so to whoever applies or flushes, and the directory opens again in the same process.
func TestFailedManifest(t *testing.T) {
	for name, c := range map[string]struct {
		load bool
		hits func(op errorfs.Op) bool
	}{
		"written by a flush": {false, func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite
		}},
		"synced by a flush": {false, func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData)
		}},
		"written for a run": {true, func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite
		}},
		"another that cannot be made": {false, func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpCreate
		}},
		"the mark of another": {false, func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "marker.manifest.") && op.Kind == errorfs.OpCreate
		}},
		"a directory that cannot be synced": {false, func(op errorfs.Op) bool {
			return strings.HasSuffix(op.Path, engineDir) && op.Kind == errorfs.OpFileSync
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var on atomic.Bool
			var changed atomic.Int64
			mem := vfs.NewMem()
			o := Options{Dir: "/generation", FlushInterval: time.Hour, Load: c.load, pause: time.Millisecond,
				fs: errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && !strings.HasSuffix(op.Path, "LOCK") {
						changed.Add(1)
					}
					if c.hits(op) && on.CompareAndSwap(true, false) {
						return errors.New("a fault of the disk")
					}
					return nil
				})),
				tune: func(p *pebble.Options) {
					quietEngine(p)
					p.MaxManifestFileSize = 1 // a new one for each change
				}}
			s := mustOpen(t, o)
			put := func(s *Store, offset int64) error {
				return s.Apply(&Batch{Mutations: []Mutation{{Key: fmt.Append(nil, offset), Value: []byte("v"), Offset: offset}}, Next: offset + 1}, nil)
			}
			for offset := range int64(3) {
				if err := errors.Join(put(s, offset), s.Flush()); err != nil {
					t.Fatal(err)
				}
			}
			on.Store(true)
			next := int64(3)
			for on.Load() { // a flush may find the manifest large enough or not
				if next == 100 {
					t.Fatal("nothing failed")
				}
				if err := put(s, next); err == nil {
					next++
				}
				if err := s.Flush(); err != nil && !errors.Is(err, ErrFailed) {
					t.Fatalf("flush: %v", err)
				}
			}
			for deadline := time.Now().Add(20 * time.Second); !errors.Is(s.opts.health.failing(), ErrFailed); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the store has not failed") // a compaction may be what failed
				}
			}
			s.dirty.Store(true)
			for range 2 {
				if err := s.Flush(); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "a fault of the disk") {
					t.Fatalf("flush: %v", err)
				}
			}
			if _, err := Open(o); !errors.Is(err, ErrInUse) {
				t.Errorf("opened beside: %v", err)
			}
			before := changed.Load()
			if err := put(s, next); !errors.Is(err, ErrFailed) {
				t.Errorf("apply: %v", err)
			}
			if v, ok, err := s.Get(nil, []byte("3")); string(v) != "v" || !ok || err != nil {
				t.Errorf("get: %q, %v, %v", v, ok, err)
			}
			if err := s.Close(); !errors.Is(err, ErrFailed) {
				t.Errorf("close: %v", err)
			}
			if n := changed.Load() - before; n != 0 {
				t.Errorf("%d changes behind the fence", n)
			}
			s = mustOpen(t, o)
			if c := s.Checkpoint(); len(c) != 1 || c[0].Next < 3 || c[0].Next > next || s.Len() != c[0].Next {
				t.Fatalf("opened to %+v with %d entries", c, s.Len())
			}
			for offset := range next + 1 {
				if err := put(s, offset); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(s.Flush(), s.Close()); err != nil {
				t.Fatal(err)
			}
			if s = mustOpen(t, o); s.Len() != next+1 {
				t.Errorf("%d entries", s.Len())
			}
		})
	}
}

// TestFailedOpen: a disk that takes no writes while a store is opened is told, holds nobody, and the next Open succeeds.
func TestFailedOpen(t *testing.T) {
	for name, c := range map[string]struct {
		there bool
		hits  func(op errorfs.Op) bool
	}{
		"new, the manifest":  {false, func(op errorfs.Op) bool { return strings.Contains(op.Path, "MANIFEST") }},
		"new, everything":    {false, func(errorfs.Op) bool { return true }},
		"there, its options": {true, func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".dbtmp") }},
		"there, a directory": {true, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileSync && strings.HasSuffix(op.Path, engineDir)
		}},
		"there, all but locks": {true, isChange},
	} {
		t.Run(name, func(t *testing.T) {
			var on atomic.Bool
			o := Options{Dir: "/generation", tune: quietEngine, fs: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && on.Load() && c.hits(op) {
					return errors.New("a fault of the disk")
				}
				return nil
			}))}
			if c.there {
				s := mustOpen(t, o)
				mustApply(t, s, &Batch{Mutations: []Mutation{{Key: []byte("k"), Value: []byte("v")}}, Next: 1})
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			on.Store(true)
			if _, err := Open(o); err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "a fault of the disk") {
				t.Fatalf("open: %v", err)
			}
			on.Store(false)
			if s := mustOpen(t, o); s.Len() == 1 != c.there {
				t.Errorf("%d entries", s.Len())
			}
		})
	}
}

// TestFullDiskHoldsNobody: with as much applied as there may be, and none of it writable, Apply, Flush and Close answer.
func TestFullDiskHoldsNobody(t *testing.T) {
	full := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errors.New("no space is left")
		}
		return nil
	})}
	s, err := Open(Options{Dir: "/generation", FlushInterval: time.Hour, fs: errorfs.Wrap(vfs.NewMem(), &full), pause: time.Millisecond, patience: 50 * time.Millisecond, tune: smallEngine})
	if err != nil {
		t.Fatal(err)
	}
	full.On()
	value := make([]byte, 10<<10)
	for offset := int64(0); ; offset++ {
		err := s.Apply(&Batch{Mutations: []Mutation{{Key: fmt.Append(nil, offset), Value: value, Offset: offset}}, Next: offset + 1}, nil)
		if err != nil {
			if !strings.Contains(err.Error(), "no space is left") {
				t.Fatal(err)
			}
			break
		}
		if offset*int64(len(value)) > 64<<20 {
			t.Fatal("it takes all that there is")
		}
	}
	for range 20 {
		if err := s.Flush(); err == nil {
			t.Fatal("flushed to a full disk")
		}
	}
	if size := s.Stats().Pebble.MemTable.Size; size > 8<<20 {
		t.Errorf("%d bytes of memtables", size)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "no space is left") {
		t.Fatalf("close: %v", err)
	}
}
