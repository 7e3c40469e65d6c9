// Package heldfiles is a file system on which a restart can be looked at while what is stored is still being read in.
package heldfiles

import (
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Files are those of another file system. Reads of what lies in the middle half of a table wait while they are held, or fail: a store can be opened, and keys be read that come first or
// last in their order, but not all of them. All methods may be called at the same time.
type Files struct {
	vfs.FS
	base vfs.FS

	mu     sync.Mutex
	held   chan struct{} // closed by Release; nil: not held
	fails  error
	waited int
}

// New is what lies on base.
func New(base vfs.FS) *Files {
	f := &Files{base: base}
	f.FS = errorfs.Wrap(base, errorfs.InjectorFunc(f.read))
	return f
}

// InMemory is New on an empty file system in memory.
func InMemory() *Files { return New(vfs.NewMem()) }

// Hold has reads wait until Release.
func (f *Files) Hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held, f.waited = make(chan struct{}), 0
}

// Fail has reads fail until Release, those that wait too.
func (f *Files) Fail(err error) { f.let(err) }

// Release lets all reads go on.
func (f *Files) Release() { f.let(nil) }

func (f *Files) let(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
	if f.held != nil {
		close(f.held)
		f.held = nil
	}
}

// Waiting reports whether a read waits, or has waited since Hold.
func (f *Files) Waiting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waited > 0
}

func (f *Files) read(op errorfs.Op) error {
	if op.Kind != errorfs.OpFileReadAt || !strings.HasSuffix(op.Path, ".sst") {
		return nil
	}
	f.mu.Lock()
	held, fails := f.held, f.fails
	f.mu.Unlock()
	if held == nil && fails == nil {
		return nil
	}
	info, err := f.base.Stat(op.Path)
	if err != nil || op.Offset < info.Size()/4 || op.Offset > info.Size()/4*3 {
		return nil // a file that is gone is still read by who has it open
	}
	if held != nil {
		f.mu.Lock()
		f.waited++
		f.mu.Unlock()
		<-held
		f.mu.Lock()
		fails = f.fails
		f.mu.Unlock()
	}
	return fails
}
