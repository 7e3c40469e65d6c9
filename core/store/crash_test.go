package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCrash takes the file system as crashes at random moments leave it, with any part of what was not synced, and opens a store
// on it: it holds what the first so many batches made, entries and positions alike, and at least what was flushed.
func TestCrash(t *testing.T) {
	r := newRand(t)
	rounds := 3
	if testing.Short() || raceEnabled {
		rounds = 1
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) { crashRound(t, r) })
	}
}

func crashRound(t *testing.T, r *rand.Rand) {
	fs := vfs.NewCrashableMem()
	o := Options{Dir: "/data/generation", FlushInterval: time.Hour, fs: fs, tune: smallEngine}
	if err := fs.MkdirAll("/data", 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := fs.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, o)
	g := &generator{Rand: r, keys: 200, next: map[int32]int64{}, values: func(r *rand.Rand) int { return r.IntN(2000) }}
	m := newModel()
	states := []*model{m.clone()}
	var batches []*Batch
	flushed := 0
	for range underRace(250, 80) {
		b := g.batch(r.IntN(50))
		batches = append(batches, b)
		m.apply(b)
		states = append(states, m.clone())
		mustApply(t, s, b)
		switch r.IntN(30) {
		case 0:
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			flushed = len(batches)
		case 1:
			if _, err := s.db.AsyncFlush(); err != nil {
				t.Fatal(err)
			}
		case 2, 3:
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
			checkCrashed(t, o, crashed, g, batches, states, flushed)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkCrashed(t, o, fs.CrashClone(vfs.CrashCloneCfg{}), g, batches, states, len(batches))
}

func checkCrashed(t *testing.T, o Options, fs *vfs.MemFS, g *generator, batches []*Batch, states []*model, flushed int) {
	t.Helper()
	o.fs = fs
	s := mustOpen(t, o)
	survived := -1
	for i, m := range states {
		same := len(s.checkpoints.byPartition) == len(m.next)
		for _, c := range s.Checkpoint() {
			same = same && m.next[c.Partition] == c.Next
		}
		if same {
			survived = i // a later state with the same positions has the same entries
		}
	}
	if survived < flushed {
		t.Fatalf("after a crash: the first %d batches (-1: no number of them) of %d, %d of which were flushed; positions %v", survived, len(batches), flushed, s.Checkpoint())
	}
	checkModel(t, s, states[survived], g)
	// What is read again brings it to where it was.
	for _, b := range batches {
		mustApply(t, s, b)
	}
	checkModel(t, s, states[len(states)-1], g)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutPositionsIsEmpty: entries alone say nothing of how far they are complete.
func TestWithoutPositionsIsEmpty(t *testing.T) {
	o := testOptions(t)
	s := mustOpen(t, o)
	mustApply(t, s, &Batch{Mutations: []Mutation{{Key: []byte("k"), Value: []byte("v")}}, Next: 1})
	if err := s.db.Delete(positionKey(0), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	s.dirty.Store(true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	n := 0
	if err := s.Range(nil, nil, func(Entry) bool { n++; return true }); err != nil || n != 0 || s.Len() != 0 {
		t.Errorf("%d entries in order, %d by key, %v", n, s.Len(), err)
	}
	mustApply(t, s, &Batch{Mutations: []Mutation{{Key: []byte("k"), Value: []byte("w")}}, Next: 1})
	if v, ok, err := s.Get(nil, []byte("k")); !ok || err != nil || !bytes.Equal(v, []byte("w")) {
		t.Errorf("%q, %v, %v", v, ok, err)
	}
}

// TestFlushTimer: what was applied survives a crash without Flush or Close once the interval has passed.
func TestFlushTimer(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := Options{Dir: "/generation", FlushInterval: 10 * time.Millisecond, fs: fs}
	s := mustOpen(t, o)
	mustApply(t, s, &Batch{Mutations: []Mutation{{Key: []byte("k"), Value: []byte("v")}}, Next: 1})
	deadline := time.Now().Add(20 * time.Second)
	for {
		o.fs, o.FlushInterval = fs.CrashClone(vfs.CrashCloneCfg{}), time.Hour
		c := mustOpen(t, o)
		n := c.Len()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was flushed on the timer")
		}
	}
}
