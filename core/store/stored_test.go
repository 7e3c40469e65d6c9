package store

import (
	"errors"
	"testing"
)

// TestStoredGeneration: the newest generation of a topic is found without its topic id or cluster, where it is complete and of the same rules. Nothing else
// is taken in its place.
func TestStoredGeneration(t *testing.T) {
	dir := t.TempDir()
	none := func(what, topic, rules string) {
		t.Helper()
		if g, err := StoredGeneration(nil, dir, topic, rules); !errors.Is(err, ErrNothingStored) {
			t.Errorf("%s: %+v, %v", what, g, err)
		}
	}
	none("an empty directory", identityA.Topic, "r1")
	first := mustPrepare(t, dir, withRules("r1"))
	none("not complete", identityA.Topic, "r1")
	mustComplete(t, first)
	g, err := StoredGeneration(nil, dir, identityA.Topic, "r1")
	if err != nil || g.Dir != first.Dir || g.Reason != "" || len(g.Replaces) > 0 || g.Previous != "" || g.Identity() != withRules("r1") {
		t.Errorf("%+v, %v", g, err)
	}
	if err := g.Prepare(); err != nil || !exists(first.Dir) {
		t.Errorf("prepared: %v", err)
	}
	none("other rules", identityA.Topic, "r2")
	none("another topic", "other", "r1")
	if _, err := StoredGeneration(nil, dir, "..", "r1"); !errors.Is(err, ErrTopicName) {
		t.Errorf("a topic named ..: %v", err)
	}
	second := mustPrepare(t, dir, withRules("r2"))
	none("a newer one by other rules was begun", identityA.Topic, "r1")
	none("it is not complete", identityA.Topic, "r2")
	mustComplete(t, second)
	if g, err := StoredGeneration(nil, dir, identityA.Topic, "r2"); err != nil || g.Dir != second.Dir {
		t.Errorf("%+v, %v", g, err)
	}
}
