package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

func mustComplete(t *testing.T, g Generation) {
	t.Helper()
	if err := g.Complete(); err != nil {
		t.Fatal(err)
	}
}

func withRules(rules string) Identity {
	id := identityA
	id.Rules = rules
	return id
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestPreviousIsServedUntilComplete: the generation of the rules before stays, is opened to be read and is open while the new one
// is begun, found again after a restart, and removed at the end.
func TestPreviousIsServedUntilComplete(t *testing.T) {
	dir := t.TempDir()
	old := mustPrepare(t, dir, withRules("r1"))
	fill(t, old)
	mustComplete(t, old)
	served := mustOpen(t, Options{Dir: old.Dir, ReadOnly: true})

	g := mustPrepare(t, dir, withRules("r2"))
	if g.Reason != ReasonRules || g.Previous != old.Dir || g.PreviousRules != "r1" || g.Unfinished != "" {
		t.Fatalf("%+v", g)
	}
	fill(t, g)
	again := mustPrepare(t, dir, withRules("r2"))
	if again.Dir != g.Dir || again.Reason != "" || again.Unfinished != ReasonRules || again.Previous != old.Dir || again.PreviousRules != "r1" {
		t.Fatalf("after a restart: %+v", again)
	}
	if v, ok, err := served.Get(nil, []byte("k")); string(v) != old.Dir || !ok || err != nil {
		t.Fatalf("%q, %v, %v", v, ok, err)
	}
	for range 2 {
		if err := again.Supersede(); err != nil {
			t.Fatal(err)
		}
	}
	if c := mustChoose(t, dir, withRules("r2")); c.Dir != g.Dir || c.Unfinished != ReasonRules || c.Previous != "" || !exists(old.Dir) {
		t.Fatalf("once it is about to be served: %+v", c)
	}
	if c := mustChoose(t, dir, withRules("r3")); c.Reason != ReasonRules || c.Previous != "" {
		t.Fatalf("what it took the place of would be served before one of yet other rules, or itself: %+v", c)
	}
	if c := mustChoose(t, dir, withRules("r1")); c.Dir != old.Dir || c.Unfinished == "" || c.Previous != "" {
		t.Fatalf("what it took the place of, once its rules are back, would be served as it is: %+v", c)
	}
	if err := again.Complete(); !errors.Is(err, ErrInUse) {
		t.Fatalf("complete while the previous is open: %v", err)
	}
	if c := mustChoose(t, dir, withRules("r2")); c.Unfinished != "" || c.Previous != "" {
		t.Fatalf("it is complete nevertheless: %+v", c)
	}
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustComplete(t, again)
	}
	if exists(old.Dir) {
		t.Errorf("%s is still there", old.Dir)
	}
	if err := again.Supersede(); err != nil || exists(old.Dir) {
		t.Errorf("superseded once more, when it is gone: %v", err)
	}
	if c := mustChoose(t, dir, withRules("r2")); c.Dir != g.Dir || c.Reason != "" || c.Unfinished != "" || len(c.Replaces) > 0 {
		t.Errorf("%+v", c)
	}
}

// TestPrevious goes through what may lie in a topic's directory.
func TestPrevious(t *testing.T) {
	recreated := withRules("r1")
	recreated.TopicID[0]++
	for name, c := range map[string]struct {
		make     func(t *testing.T, dir string)
		id       Identity
		reason   string
		number   string
		previous string
	}{
		"not complete": {func(t *testing.T, dir string) {
			fill(t, mustPrepare(t, dir, withRules("r1")))
		}, withRules("r2"), ReasonRules, "000002", ""},
		"another topic": {func(t *testing.T, dir string) {
			mustComplete(t, mustPrepare(t, dir, withRules("r1")))
		}, recreated, ReasonRecreated, "000002", ""},
		"the newest complete one, over one that is not": {func(t *testing.T, dir string) {
			mustComplete(t, mustPrepare(t, dir, withRules("r1")))
			mustPrepare(t, dir, withRules("r2"))
		}, withRules("r3"), ReasonRules, "000003", "000001"},
		"back to the rules of the complete one": {func(t *testing.T, dir string) {
			mustComplete(t, mustPrepare(t, dir, withRules("r1")))
			mustPrepare(t, dir, withRules("r2"))
		}, withRules("r1"), "", "000001", ""},
		"anew": {func(t *testing.T, dir string) {
			g := mustPrepare(t, dir, withRules("r1"))
			mustComplete(t, g)
			if err := mustChoose(t, dir, withRules("r1")).Anew("log-start").Prepare(); err != nil {
				t.Fatal(err)
			}
		}, withRules("r1"), "", "000002", "000001"},
		"anew of one that is no older state": {func(t *testing.T, dir string) {
			mustComplete(t, mustPrepare(t, dir, withRules("r1")))
			g := mustChoose(t, dir, withRules("r1")).Anew("truncated")
			g.Previous = ""
			if err := g.describe(); err != nil { // and a crash before anything is removed
				t.Fatal(err)
			}
		}, withRules("r1"), "", "000002", ""},
		"anew of one that is not complete": {func(t *testing.T, dir string) {
			mustComplete(t, mustPrepare(t, dir, withRules("r1")))
			mustPrepare(t, dir, withRules("r2"))
			g := mustChoose(t, dir, withRules("r2"))
			if err := g.Anew("log-start").Prepare(); err != nil {
				t.Fatal(err)
			}
		}, withRules("r2"), "", "000003", "000001"},
		"nothing of its own": {func(*testing.T, string) {}, withRules("r1"), ReasonNew, "000001", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, dir)
			g := mustPrepare(t, dir, c.id)
			previous := ""
			if g.Previous != "" {
				previous = filepath.Base(g.Previous)
			}
			if g.Reason != c.reason || filepath.Base(g.Dir) != c.number || previous != c.previous {
				t.Fatalf("%+v", g)
			}
			mustComplete(t, g)
			entries, err := os.ReadDir(filepath.Dir(g.Dir))
			if err != nil || len(entries) != 1 || entries[0].Name() != c.number {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

// TestOlderFormatIsReplaced: it is not read, and it stays until the new one is complete.
func TestOlderFormatIsReplaced(t *testing.T) {
	for reason, topicID := range map[string]position.TopicID{ReasonFormat: identityA.TopicID, ReasonRecreated: {9}} {
		dir := t.TempDir()
		old := filepath.Join(dir, "v1", identityA.Topic, "000004")
		text, err := json.Marshal(map[string]any{"format": 1, "clusterId": identityA.ClusterID, "topic": identityA.Topic, "topicId": topicID, "rules": "r1"})
		if err := errors.Join(err, os.MkdirAll(filepath.Join(old, engineDir), 0o755), os.WriteFile(filepath.Join(old, generationFile), text, 0o644)); err != nil {
			t.Fatal(err)
		}
		g := mustPrepare(t, dir, identityA)
		if g.Reason != reason || filepath.Base(g.Dir) != "000005" || g.Previous != "" || !slices.Equal(g.Replaces, []string{old}) {
			t.Fatalf("%s: %+v", reason, g)
		}
		if exists(old) != (reason == ReasonFormat) {
			t.Errorf("%s: prepared, and the older one is there: %v", reason, exists(old))
		}
		g = mustPrepare(t, dir, identityA)
		if g.Unfinished != reason || exists(old) != (reason == ReasonFormat) {
			t.Errorf("%s: prepared again, and the older one is there: %v, %+v", reason, exists(old), g)
		}
		mustComplete(t, g)
		if exists(old) {
			t.Errorf("%s: it stays", reason)
		}
		other := identityA
		other.ClusterID = "elsewhere"
		if _, err := ChooseGeneration(dir, other); !errors.Is(err, ErrOtherCluster) {
			t.Error(err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	g := mustPrepare(t, dir, identityA)
	if _, err := Open(Options{Dir: g.Dir, ReadOnly: true}); !errors.Is(err, ErrCorrupt) || exists(filepath.Join(g.Dir, engineDir)) {
		t.Errorf("without a store: %v", err)
	}
	fill(t, g)
	before := tree(t, filepath.Join(g.Dir, engineDir))
	s := mustOpen(t, Options{Dir: g.Dir, ReadOnly: true, FlushInterval: time.Millisecond})
	if err := s.Apply(&Batch{Next: 9}, nil); !errors.Is(err, ErrReadOnly) {
		t.Errorf("apply: %v", err)
	}
	if err := errors.Join(s.Flush(), s.EndLoad()); err != nil {
		t.Error(err)
	}
	if _, ok, err := s.Meta([]byte("k")); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if v, ok, err := s.Get(nil, []byte("k")); string(v) != g.Dir || !ok || err != nil {
		t.Errorf("%q, %v, %v", v, ok, err)
	}
	if c := s.Checkpoint(); len(c) != 1 || c[0].Next != 1 {
		t.Errorf("%+v", c)
	}
	if _, err := Open(Options{Dir: g.Dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if after := tree(t, filepath.Join(g.Dir, engineDir)); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("the directory was changed")
	}
	for _, o := range []Options{{ReadOnly: true}, {Dir: g.Dir, ReadOnly: true, Load: true}} {
		if _, err := Open(o); err == nil {
			t.Errorf("opened %+v", o)
		}
	}
}
