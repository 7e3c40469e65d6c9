package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const temporarySuffix = ".tmp"

// Prepare makes the generation's directory, writes and syncs what says whose it is, and removes what it replaces, except what
// stays until Complete. After a crash at any moment the next ChooseGeneration and Prepare complete it. [ErrInUse] where a Store has
// a directory open that is not to stay; then nothing has been changed. Previous may be open.
func (g Generation) Prepare() error {
	for _, dir := range g.Replaces {
		if dir == g.Previous {
			continue
		}
		if err := unused(g.fs, dir); err != nil {
			return fmt.Errorf("prepare generation: %w", err)
		}
	}
	if g.Reason != "" {
		if err := g.describe(); err != nil {
			return fmt.Errorf("prepare generation: %w", err)
		}
	}
	for _, dir := range g.Replaces {
		if dir == g.Previous || slices.Contains(g.older, dir) {
			continue
		}
		if err := removeGeneration(g.fs, dir); err != nil {
			return fmt.Errorf("remove replaced generation: %w", err)
		}
	}
	return nil
}

// Complete says durably that the generation has reached the log's end, so that it may be served while a later one is built, and
// removes all that it replaces. It may be called again. Previous must be closed: otherwise it is [ErrInUse], the generation is
// complete nevertheless, and what is left is removed by the next Complete or Prepare. A crash at any moment leaves a generation
// that is resumed, complete or not.
func (g Generation) Complete() error {
	if err := g.markComplete(); err != nil {
		return err
	}
	var errs []error
	for _, dir := range g.Replaces {
		err := unused(g.fs, dir)
		if err == nil {
			err = removeGeneration(g.fs, dir)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remove replaced generation: %w", err))
		}
	}
	return errors.Join(errs...)
}

// markComplete is the first part of Complete.
func (g Generation) markComplete() error {
	return g.redescribe(g.Dir, func(d *description) { d.Complete, d.Previous = true, "" })
}

// Supersede says durably that Previous is not to be served again, whatever happens: it is to be called before anything of this generation is served. It
// need not be complete, and is not by this. Previous may be open. Where it has none, or Complete has removed it, there is nothing to do.
func (g Generation) Supersede() error {
	if g.Previous == "" {
		return nil
	}
	// What is not complete is served by nobody, neither until this generation is complete nor until one is that is begun after a crash.
	err := g.redescribe(g.Previous, func(d *description) { d.Complete = false })
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// redescribe changes the generation.json in dir.
func (g Generation) redescribe(dir string, change func(*description)) error {
	path := g.fs.PathJoin(dir, generationFile)
	b, err := readFile(g.fs, path)
	if err != nil {
		return fmt.Errorf("describe generation: %w", err)
	}
	var d description
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("describe generation: %s: %w", path, err)
	}
	before := d
	if change(&d); d == before {
		return nil
	}
	if err := g.writeDescription(dir, d); err != nil {
		return fmt.Errorf("describe generation: %w", err)
	}
	return nil
}

// describe makes the directory with its generation.json.
func (g Generation) describe() error {
	// The generation, the topic, the layout and the data directory may all be new, or be what an attempt left that did not
	// come to syncing them; what is above them is new where it is not there yet.
	above := g.fs.PathDir
	dataDir := above(above(above(g.Dir)))
	top := above(dataDir)
	for above(top) != top {
		if _, err := g.fs.Stat(top); err == nil {
			break
		}
		top = above(top)
	}
	if err := g.fs.MkdirAll(g.Dir, 0o755); err != nil {
		return err
	}
	d := description{
		Format:    generationFormat,
		ClusterID: g.identity.ClusterID,
		Topic:     g.identity.Topic,
		TopicID:   g.identity.TopicID,
		Rules:     g.identity.Rules,
		Reason:    g.Reason,
	}
	if g.Previous != "" {
		d.Previous = g.fs.PathBase(g.Previous)
	}
	if err := g.writeDescription(g.Dir, d); err != nil {
		return err
	}
	for dir := g.Dir; dir != top; {
		dir = above(dir)
		err := syncDir(g.fs, dir)
		if dir == top && errors.Is(err, os.ErrPermission) {
			return nil // it may be somebody else's, who made the data directory in it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeDescription puts generation.json in dir, in place of the one that is there, if one is.
func (g Generation) writeDescription(dir string, d description) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	path := g.fs.PathJoin(dir, generationFile)
	if err := writeSynced(g.fs, path+temporarySuffix, append(b, '\n')); err != nil {
		return err
	}
	if err := g.fs.Rename(path+temporarySuffix, path); err != nil {
		return err
	}
	return syncDir(g.fs, dir)
}

func writeSynced(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeGeneration removes a directory under a name that is never resumed, so that what a crash leaves of it is no
// generation. One that is not there is removed.
func removeGeneration(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if !strings.HasSuffix(dir, removedSuffix) {
		if err := fs.Rename(dir, dir+removedSuffix); err != nil {
			return err
		}
		if err := syncDir(fs, fs.PathDir(dir)); err != nil {
			return err
		}
		dir += removedSuffix
	}
	return fs.RemoveAll(dir)
}

// unused reports ErrInUse where a Store has the generation in dir open.
func unused(fs vfs.FS, dir string) error {
	db := fs.PathJoin(dir, engineDir)
	if _, err := fs.Stat(db); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockEngine(fs, db)
	if err != nil {
		return err
	}
	return lock.Close()
}
