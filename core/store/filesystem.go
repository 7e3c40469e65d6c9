package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system as Pebble uses one: the system's files, [vfs.NewMem], or one that wraps another.
type FS = vfs.FS

// fileSystem is fs, or the system's where that is nil.
func fileSystem(fs FS) vfs.FS {
	if fs == nil {
		return vfs.Default
	}
	return fs
}

// CheckDataDir is [CheckDataDirOn] of the system's files, where the question is asked without making a file where that is possible.
func CheckDataDir(dataDir string) error { return CheckDataDirOn(nil, dataDir) }

// CheckDataDirOn reports why dataDir on fs cannot be used: it is not a directory, or neither it nor, where it does not exist yet,
// its nearest existing parent can be written to. What is there is not touched; in a fs that is not nil a file is made and removed
// there.
func CheckDataDirOn(fs FS, dataDir string) error {
	files := fileSystem(fs)
	dir := files.PathJoin(dataDir) // which cleans it
	for {
		info, err := files.Stat(dir)
		if above := files.PathDir(dir); errors.Is(err, os.ErrNotExist) && above != dir {
			dir = above
			continue
		}
		if err != nil {
			return fmt.Errorf("store: data directory %s: %w", dataDir, err)
		}
		if !info.IsDir() {
			return fmt.Errorf("store: data directory %s: %s is not a directory", dataDir, dir)
		}
		break
	}
	var err error
	if fs == nil {
		err = writable(dir)
	} else {
		err = probe(fs, dir)
	}
	if err != nil {
		return fmt.Errorf("store: data directory %s: %s cannot be written to: %w", dataDir, dir, err)
	}
	return nil
}

// probe makes a file in dir, and removes it.
func probe(fs FS, dir string) error {
	path := fs.PathJoin(dir, ".kafka-cache-"+rand.Text())
	if err := writeSynced(fs, path, []byte("probe")); err != nil {
		return errors.Join(err, remove(fs, path))
	}
	return fs.Remove(path)
}

// remove removes a file that may not be there.
func remove(fs vfs.FS, path string) error {
	if err := fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
