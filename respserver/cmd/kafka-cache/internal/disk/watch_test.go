package disk

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWatch(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	w, err := NewWatch(Config{Dir: t.TempDir(), Limit: 1000, Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	var used, free int64
	var fails error
	w.used = func(string) (int64, error) { return used, fails }
	w.free = func(string) (int64, error) { return free, nil }
	for i, s := range []struct {
		used, free, limit int64
		fails             error
		near              string
		warnings          int
	}{
		{used: 100, free: 5000, limit: 1000, near: "0"},
		{used: 901, free: 5000, limit: 1000, near: "1", warnings: 1},
		{used: 870, free: 5000, limit: 1000, near: "1", warnings: 1},
		{used: 800, free: 5000, limit: 1000, near: "0", warnings: 1},
		{used: 800, free: 50, limit: 850, near: "1", warnings: 2}, // somebody else fills the file system
		{used: 100, free: 0, limit: 100, near: "1", warnings: 2},
		{used: 0, free: 0, limit: 0, near: "1", warnings: 2},
		{used: 1, free: 5000, fails: errors.New("no answer"), limit: 0, near: "1", warnings: 3}, // the numbers are those from before
		{used: 1, free: 5000, fails: errors.New("no answer"), limit: 0, near: "1", warnings: 3},
		{used: 1, free: 5000, limit: 1000, near: "0", warnings: 3},
	} {
		used, free, fails = s.used, s.free, s.fails
		w.look()
		if got := w.limitBytes.Load(); got != s.limit || strings.Count(log.String(), "level=WARN") != s.warnings {
			t.Errorf("step %d: limit %d, want %d with %d warnings; the log has\n%s", i, got, s.limit, s.warnings, log.String())
		}
		want := "# HELP kafka_cache_disk_near_limit 1 while --data-dir takes more than nine tenths of its limit.\n# TYPE kafka_cache_disk_near_limit gauge\nkafka_cache_disk_near_limit " + s.near + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kafka_cache_disk_near_limit"); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestRealFileSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if used, err := usedBytes(dir); used != 0 || err != nil {
		t.Errorf("a directory that is not there takes %d, %v", used, err)
	}
	if free, err := freeBytes(filepath.Join(dir, "below")); free <= 0 || err != nil {
		t.Errorf("where it will be %d are free, %v", free, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	for _, name := range []string{"x", "a/y"} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("k"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "sparse")) // what is not written takes nothing
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	used, err := usedBytes(dir)
	if err != nil || used < 2*size || used > 4*size {
		t.Errorf("two files of %d take %d, %v", size, used, err)
	}
	if gone(fs.ErrPermission) == nil || gone(&fs.PathError{Err: fs.ErrNotExist}) != nil {
		t.Error("what is forgiven is not a missing file alone")
	}
}
