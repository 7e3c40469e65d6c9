package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/store"
)

// TestFilesThatOutliveTheCache: a data directory on a file system in memory is gone on from as one on disk is, also after a crash.
func TestFilesThatOutliveTheCache(t *testing.T) {
	b := startBroker(t)
	b.create("t", 2)
	for i := range int32(100) {
		b.produce("t", i%2, fmt.Appendf(nil, "k%d", i), []byte("1"))
	}
	files := vfs.NewCrashableMem()
	cfg := b.config(cache.TopicConfig{Name: "t"})
	cfg.DataDir, cfg.FS = filepath.Join(t.TempDir(), "not made"), files
	c, topic := ready(t, cfg)
	if s := topic.Status(); s.Applied != 100 {
		t.Fatalf("%+v", s)
	}
	// Once it is durable, which it becomes behind what is served, a crash does not lose it.
	eventually(t, "the load is durable", func() bool { return topic.Status().Durable })
	crashed := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	b.produce("t", 1, []byte("late"), []byte("2"))
	for name, files := range map[string]vfs.FS{"closed": files, "crashed": crashed} {
		cfg.FS = files
		c, topic := ready(t, cfg)
		if s := topic.Status(); topic.Len() != 101 || s.Applied != 1 || len(s.Rebuilds) != 0 || value(t, topic, "late") != "2" {
			t.Errorf("%s: %d keys, %+v", name, topic.Len(), s)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(cfg.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the system's files have the directory too: %v", err)
	}
	cfg.FS = vfs.NewMem()
	c, topic = ready(t, cfg)
	if s := topic.Status(); s.Applied != 101 {
		t.Errorf("other files: %+v", s)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEncryptedFiles: what is on disk under a file system that encrypts shows neither keys nor values, and is gone on from.
func TestEncryptedFiles(t *testing.T) {
	const secretKey, secretValue = "ann@example.net", "the secret of her success"
	b := startBroker(t)
	b.create("t", 1)
	for i := range 500 {
		b.produce("t", 0, fmt.Appendf(nil, "%s %d", secretKey, i), fmt.Appendf(nil, "%q", fmt.Sprint(secretValue, i)))
	}
	for _, hidden := range []bool{false, true} {
		cfg := b.config(cache.TopicConfig{Name: "t"})
		cfg.DataDir = t.TempDir()
		if hidden {
			files, err := encrypt(vfs.Default, bytes.Repeat([]byte{7}, 32))
			if err != nil {
				t.Fatal(err)
			}
			cfg.FS = files
		}
		c, topic := ready(t, cfg)
		at := topic.Status().Applied
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		b.produce("t", 0, []byte("another"), []byte(`"late"`))
		c, topic = ready(t, cfg)
		if s := topic.Status(); s.Applied != 1 || topic.Len() != 501 || value(t, topic, secretKey+" 7") != `"`+secretValue+`7"` {
			t.Errorf("hidden=%v: %d keys after a restart, %d records at first, then %+v", hidden, topic.Len(), at, s)
		}
		n := 0
		for _, err := range topic.Stream(t.Context(), cache.Bounds[[]byte]{Reverse: true}) { // which reads Pebble
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != 501 {
			t.Errorf("hidden=%v: %d entries in order", hidden, n)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		files, shown := 0, map[string]bool{}
		err := filepath.WalkDir(cfg.DataDir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			files++
			for _, secret := range []string{secretKey, secretValue, "clusterId"} {
				shown[secret] = shown[secret] || bytes.Contains(content, []byte(secret))
			}
			return err
		})
		if err != nil || files < 3 {
			t.Fatalf("%d files, %v", files, err)
		}
		for _, secret := range []string{secretKey, secretValue, "clusterId"} {
			if shown[secret] == hidden {
				t.Errorf("hidden=%v: %q is in the files: %v", hidden, secret, shown[secret])
			}
		}
	}
}

// TestPebbleOptionsOfACache: they reach the stores of all topics, and what must not be changed is an error of the configuration.
func TestPebbleOptionsOfACache(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("b", 1)
	for i := range 200 {
		b.produce([]string{"a", "b"}[i%2], 0, fmt.Appendf(nil, "k%d", i), []byte("1"))
	}
	blocks := pebble.NewCache(1 << 20)
	defer blocks.Unref()
	cfg := b.config(cache.TopicConfig{Name: "a"}, cache.TopicConfig{Name: "b"})
	cfg.DataDir = t.TempDir()
	cfg.PebbleOptions = func(p *store.PebbleOptions) { p.Cache = blocks }
	c, _ := ready(t, cfg)
	if err := c.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := func() int64 { m := blocks.Metrics(); return m.Hits + m.Misses }
	before := asked()
	for _, topic := range c.Topics() {
		n := 0
		if err := topic.Range(t.Context(), nil, nil, func(cache.Entry) bool { n++; return true }); err != nil || n != 100 {
			t.Fatalf("%d entries, %v", n, err)
		}
		if now := asked(); now <= before {
			t.Errorf("topic %s read %d entries, and asked the cache of blocks for nothing", topic.Name(), n)
		} else {
			before = now
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	for what, change := range map[string]func(*cache.Config){
		"DisableWAL must not be changed": func(c *cache.Config) {
			c.PebbleOptions = func(p *store.PebbleOptions) { p.DisableWAL = false }
		},
		"L0StopWritesThreshold": func(c *cache.Config) {
			c.PebbleOptions = func(p *store.PebbleOptions) { p.L0StopWritesThreshold = 1 }
		},
		"FS is what a directory lies on": func(c *cache.Config) { c.DataDir, c.FS = "", vfs.NewMem() },
		"not a directory": func(c *cache.Config) {
			files := vfs.NewMem()
			f, err := files.Create("/file", vfs.WriteCategoryUnspecified)
			if err = errors.Join(err, f.Close()); err != nil {
				t.Error(err)
			}
			c.DataDir, c.FS = "/file/data", files
		},
	} {
		cfg := cfg
		change(&cfg)
		if _, err := cache.New(cfg); !errors.Is(err, cache.ErrConfig) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
