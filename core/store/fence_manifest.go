package store

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// isManifest says that a file is one of those in which Pebble keeps which tables there are, or the mark that says which of them holds.
func isManifest(base string) bool {
	return strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.manifest.")
}

// manifestFile is a manifest, or its mark, behind a fence. A fault of it shuts the fence, and Pebble is not told, like that of a directory: Pebble ends the process
// where it cannot write its manifest, and is not made to go on from there. What it keeps of level 0 in the tables' metadata is that of the new version by then,
// and belongs to no version that it has: the next compaction would look beyond the end of its intervals. As it is it goes over to the new version in memory, where that is whole; on disk there is
// the old one with all of its tables, or the new one, as after a crash.
type manifestFile struct {
	vfs.File
	fence *fence
	name  string
}

// createManifest makes such a file with create. Where that fails, what is given has no place on the disk.
func (f *fence) createManifest(name string, create func() (vfs.File, error)) (vfs.File, error) {
	file, err := create()
	if err != nil {
		f.fail(fmt.Errorf("create %s: %w", name, err))
		if file, err = vfs.NewMem().Create("lost", vfs.WriteCategoryUnspecified); err != nil {
			return nil, err
		}
		file = &fencedFile{file, f}
	}
	return &manifestFile{file, f, name}, nil
}

func (m *manifestFile) keep(what string, err error) error {
	if err != nil {
		m.fence.fail(fmt.Errorf("%s %s: %w", what, m.name, err))
	}
	return nil
}

func (m *manifestFile) Write(b []byte) (int, error) {
	_, err := m.File.Write(b)
	return len(b), m.keep("write", err)
}

func (m *manifestFile) WriteAt(b []byte, at int64) (int, error) {
	_, err := m.File.WriteAt(b, at)
	return len(b), m.keep("write", err)
}

func (m *manifestFile) Preallocate(offset, length int64) error {
	return m.keep("write", m.File.Preallocate(offset, length))
}

func (m *manifestFile) Sync() error { return m.keep("sync", m.File.Sync()) }

func (m *manifestFile) SyncData() error { return m.keep("sync", m.File.SyncData()) }

func (m *manifestFile) SyncTo(length int64) (full bool, err error) {
	full, err = m.File.SyncTo(length)
	return full, m.keep("sync", err)
}

func (m *manifestFile) Close() error { return m.keep("close", m.File.Close()) }
