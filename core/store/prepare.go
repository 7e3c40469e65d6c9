package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const temporarySuffix = ".tmp"

// Prepare makes the generation's directory, writes and syncs what says whose it is, and removes what it replaces. After a
// crash at any moment the next ChooseGeneration and Prepare complete it. [ErrInUse] where a Store has a directory open
// that is to be removed; then nothing has been changed.
func (g Generation) Prepare() error {
	for _, dir := range g.Replaces {
		if err := unused(dir); err != nil {
			return fmt.Errorf("prepare generation: %w", err)
		}
	}
	if g.Reason != "" {
		if err := g.describe(); err != nil {
			return fmt.Errorf("prepare generation: %w", err)
		}
	}
	for _, dir := range g.Replaces {
		if err := removeGeneration(dir); err != nil {
			return fmt.Errorf("remove replaced generation: %w", err)
		}
	}
	return nil
}

// describe makes the directory with its generation.json.
func (g Generation) describe() error {
	if err := os.MkdirAll(g.Dir, 0o755); err != nil {
		return err
	}
	d := description{
		Format:    generationFormat,
		ClusterID: g.identity.ClusterID,
		Topic:     g.identity.Topic,
		TopicID:   g.identity.TopicID,
		Rules:     g.identity.Rules,
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(g.Dir, generationFile)
	if err := writeSynced(path+temporarySuffix, append(b, '\n')); err != nil {
		return err
	}
	if err := os.Rename(path+temporarySuffix, path); err != nil {
		return err
	}
	// The generation, the topic, the layout and the data directory may all be new.
	dir := g.Dir
	for range 4 {
		if err := syncDir(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeGeneration removes a directory under a name that is never resumed, so that what a crash leaves of it is no
// generation.
func removeGeneration(dir string) error {
	if !strings.HasSuffix(dir, removedSuffix) {
		if err := os.Rename(dir, dir+removedSuffix); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		dir += removedSuffix
	}
	return os.RemoveAll(dir)
}

// CheckDataDir reports why dataDir cannot be used: it is not a directory, or neither it nor, where it does not exist yet,
// its nearest existing parent can be written to. What is there is not touched.
func CheckDataDir(dataDir string) error {
	dir := filepath.Clean(dataDir)
	for {
		info, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir {
			dir = filepath.Dir(dir)
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
	if err := writable(dir); err != nil {
		return fmt.Errorf("store: data directory %s: %s cannot be written to: %w", dataDir, dir, err)
	}
	return nil
}
