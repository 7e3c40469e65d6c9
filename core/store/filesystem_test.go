package store

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/yolean/kafka-cache/core/position"
)

// TestGenerationOnAFileSystem: a generation is prepared, filled, completed and found again on a file system that is given, and nothing of it
// lies elsewhere.
func TestGenerationOnAFileSystem(t *testing.T) {
	fs := vfs.NewMem()
	dir := t.TempDir() // a path that the system has too
	id := Identity{ClusterID: "c", Topic: "users", TopicID: position.TopicID{1}, Rules: "r"}
	for round, wantReason := range []string{ReasonNew, ""} {
		if err := CheckDataDirOn(fs, dir); err != nil {
			t.Fatal(err)
		}
		g, err := ChooseGenerationOn(fs, dir, id)
		if err != nil || g.Reason != wantReason {
			t.Fatalf("round %d: reason %q, %v", round, g.Reason, err)
		}
		if err := g.Prepare(); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, Options{Dir: g.Dir, FS: fs, Load: round == 0})
		applyKeys(t, s, int64(round), []string{"a", "b"}[round])
		if keys := keysOf(t, s, RangeOptions{}); len(keys) != round+1 {
			t.Errorf("round %d: there is %v", round, keys)
		}
		if _, err := Open(Options{Dir: g.Dir, FS: fs}); !errors.Is(err, ErrInUse) {
			t.Errorf("opened twice: %v", err)
		}
		if err := errors.Join(s.Close(), g.Complete()); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := vfs.Default.List(dir); err != nil || len(names) > 0 {
		t.Errorf("in the system's files there is %v, %v", names, err)
	}
	if g, err := ChooseGeneration(dir, id); err != nil || g.Reason != ReasonNew {
		t.Errorf("the system's files have it too: %+v, %v", g, err)
	}
}

func TestCheckDataDirOn(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeSynced(fs, "/a/file", nil); err != nil {
		t.Fatal(err)
	}
	full := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			return errors.New("no space left")
		}
		return nil
	}))
	for _, c := range []struct {
		fs   FS
		dir  string
		want string // in the error; "" for none
	}{
		{fs, "/a/b", ""},
		{fs, "/a/b/c/d", ""},
		{fs, "/new", ""},
		{fs, "a/b/", ""},
		{fs, "/a/file", "/a/file is not a directory"},
		{full, "/a/b/c", "/a/b cannot be written to: no space left"},
	} {
		err := CheckDataDirOn(c.fs, c.dir)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.dir, err, c.want)
		}
	}
	for dir, want := range map[string][]string{"/": {"a"}, "/a": {"b", "file"}, "/a/b": nil} {
		names, err := fs.List(dir)
		slices.Sort(names)
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s has %v, %v", dir, names, err)
		}
	}
}

func TestFileSystemWithoutADirectory(t *testing.T) {
	for _, check := range []func(Options) error{CheckOptions, func(o Options) error { _, err := Open(o); return err }} {
		if err := check(Options{FS: vfs.NewMem()}); err == nil || !strings.Contains(err.Error(), "FS") {
			t.Errorf("%v", err)
		}
	}
}
