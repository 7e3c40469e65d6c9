package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestDamagedDirectory: a table that is missing, cut off or changed is told as ErrCorrupt, and the process lives on.
func TestDamagedDirectory(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"cut off": func(path string) error { return os.Truncate(path, 100) },
		"changed": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i := range 64 {
				b[200+i] ^= 0xff
			}
			return os.WriteFile(path, b, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRand(t)
			o := testOptions(t)
			s := mustOpen(t, o)
			batches, _ := loadBatches(r, 60, true)
			for _, b := range batches {
				mustApply(t, s, b)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			tables, err := filepath.Glob(filepath.Join(o.Dir, engineDir, "*.sst"))
			if err != nil || len(tables) == 0 {
				t.Fatal(tables, err)
			}
			for _, path := range tables {
				if err := damage(path); err != nil {
					t.Fatal(err)
				}
			}
			if s, err := Open(o); !errors.Is(err, ErrCorrupt) {
				if err == nil {
					err = s.Close()
				}
				t.Fatalf("opened a damaged directory: %v", err)
			}
		})
	}
}

// TestDiskThatCannotBeWritten: it is said, nobody is held, and it goes on once there is room.
func TestDiskThatCannotBeWritten(t *testing.T) {
	r := newRand(t)
	full := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errors.New("no space is left")
		}
		return nil
	})}
	o := Options{Dir: "/generation", FlushInterval: time.Hour, fs: errorfs.Wrap(vfs.NewMem(), &full), tune: smallEngine}
	s := mustOpen(t, o)
	batches, states := loadBatches(r, 100, false)
	for _, b := range batches[:50] {
		mustApply(t, s, b)
	}
	full.On()
	if err := s.Flush(); err == nil || !strings.Contains(err.Error(), "no space is left") {
		t.Fatalf("flush: %v", err)
	}
	if err := s.Apply(batches[50], nil); err == nil || !strings.Contains(err.Error(), "no space is left") {
		t.Fatalf("apply: %v", err)
	}
	full.Off()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := s.Apply(batches[50], nil)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // between attempts: Pebble tries again by itself
	}
	for _, b := range batches[51:] {
		mustApply(t, s, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	checkState(t, s, states[len(batches)])
}

// TestCloseOfAFullDisk ends though what was applied cannot be made durable, and says so.
func TestCloseOfAFullDisk(t *testing.T) {
	r := newRand(t)
	full := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errors.New("no space is left")
		}
		return nil
	})}
	s, err := Open(Options{Dir: "/generation", FlushInterval: time.Hour, fs: errorfs.Wrap(vfs.NewMem(), &full), tune: smallEngine})
	if err != nil {
		t.Fatal(err)
	}
	batches, _ := loadBatches(r, 20, true)
	for _, b := range batches {
		mustApply(t, s, b)
	}
	full.On()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "no space is left") {
		t.Fatalf("close: %v", err)
	}
}
