package store

import (
	"fmt"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence is the file system that one Pebble instance writes through. Once it is shut nothing can be changed through it any more, so
// that what is left of an instance which must not go on cannot touch the directory, and another may open it in the same process.
type fence struct {
	vfs.FS
	fail func(error) // told of what Pebble cannot go on after; without any of the fence's locks

	mu   sync.RWMutex // shared by operations that change something
	shut error        // why it is shut, nil: it is not
}

// close shuts the fence once the changes that are under way have ended. The first reason stays.
func (f *fence) close(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut == nil {
		f.shut = why
	}
}

// change does what changes something, if it still may.
func (f *fence) change(do func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.shut != nil {
		return f.shut
	}
	return do()
}

// open opens a file that can be written or synced.
func (f *fence) open(do func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.change(func() (err error) {
		file, err = do()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &fencedFile{file, f}, nil
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	create := func() (vfs.File, error) { return f.open(func() (vfs.File, error) { return f.FS.Create(name, c) }) }
	if isManifest(f.FS.PathBase(name)) {
		return f.createManifest(name, create)
	}
	return create()
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f *fence) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedDir{dir, f}, nil
}

func (f *fence) Link(from, to string) error {
	return f.change(func() error { return f.FS.Link(from, to) })
}

func (f *fence) Remove(name string) error {
	return f.change(func() error { return f.FS.Remove(name) })
}

func (f *fence) RemoveAll(name string) error {
	return f.change(func() error { return f.FS.RemoveAll(name) })
}

func (f *fence) Rename(from, to string) error {
	return f.change(func() error { return f.FS.Rename(from, to) })
}

func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(dir, perm) })
}

func (f *fence) Unwrap() vfs.FS { return f.FS }

// fencedFile is a file behind a fence.
type fencedFile struct {
	vfs.File
	fence *fence
}

func (f *fencedFile) Write(b []byte) (n int, err error) {
	err = f.fence.change(func() (err error) {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *fencedFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fence.change(func() (err error) {
		n, err = f.File.WriteAt(b, at)
		return err
	})
	return n, err
}

func (f *fencedFile) Preallocate(offset, length int64) error {
	return f.fence.change(func() error { return f.File.Preallocate(offset, length) })
}

// fencedDir is a directory behind a fence.
type fencedDir struct {
	vfs.File
	fence *fence
}

// Sync shuts the fence where it does not succeed, and does not tell Pebble, which would end the process: what Pebble takes for
// durable from here on it can tell nobody, since whoever flushes asks whether the store has failed.
func (d *fencedDir) Sync() error {
	if err := d.fence.change(d.File.Sync); err != nil {
		d.fence.fail(fmt.Errorf("sync directory: %w", err))
	}
	return nil
}

func (f *fencedFile) Sync() error { return f.fence.change(f.File.Sync) }

func (f *fencedFile) SyncData() error { return f.fence.change(f.File.SyncData) }

func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fence.change(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}
