package store

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCheckpointsSurvive holds every part of a checkpoint to what was applied, after commits and after a load in runs.
func TestCheckpointsSurvive(t *testing.T) {
	for name, load := range map[string]bool{"commits": false, "load": true} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Load = load
			s := mustOpen(t, o)
			for _, b := range []*Batch{
				{Partition: 3, Next: 7, LeaderEpoch: 2, Start: 5, LogStart: 4, Trail: []byte("first")},
				{Partition: 3, Next: 9, LeaderEpoch: 2, Start: 8, Trail: []byte("second"),
					Mutations: []Mutation{{Key: []byte("k"), Value: []byte("v"), Offset: 8}}},
				{Partition: 3, Next: 9, LeaderEpoch: 3, LogStart: 2}, // neither moves back
				{Partition: 1, Next: 1, LeaderEpoch: -1, Trail: []byte{}},
				{Partition: 0, Next: 0, LeaderEpoch: -1},
				{Partition: 4, Next: 1, LeaderEpoch: -1, FreshAt: time.Unix(1000, 5), Keeps: 90 * time.Second},
				{Partition: 5, Next: 1, LeaderEpoch: -1, FreshAt: time.Unix(2000, 0), Keeps: 90 * time.Second},
				{Partition: 5, Next: 2, LeaderEpoch: -1, Keeps: time.Second}, // of no freshness
				{Partition: 5, Next: 2, LeaderEpoch: -1, FreshAt: time.Unix(1000, 0), Keeps: KeepsForever},
			} {
				mustApply(t, s, b)
			}
			want := []Checkpoint{
				{Partition: 0, LeaderEpoch: -1},
				{Partition: 1, Next: 1, LeaderEpoch: -1, Trail: []byte{}},
				{Partition: 3, Next: 9, LeaderEpoch: 3, Start: 5, LogStart: 4, Trail: []byte("second")},
				{Partition: 4, Next: 1, LeaderEpoch: -1, FreshAt: time.Unix(1000, 5), Keeps: 90 * time.Second},
				{Partition: 5, Next: 2, LeaderEpoch: -1, FreshAt: time.Unix(1000, 0), Keeps: KeepsForever},
			}
			checkCheckpoints(t, s, want)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, o)
			checkCheckpoints(t, s, want)
			mustApply(t, s, &Batch{Partition: 3, Next: 9, LeaderEpoch: 3, LogStart: 6}) // and nothing else
			want[2].LogStart = 6
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkCheckpoints(t, mustOpen(t, o), want)
		})
	}
}

func checkCheckpoints(t *testing.T, s *Store, want []Checkpoint) {
	t.Helper()
	got := s.Checkpoint()
	if len(got) != len(want) {
		t.Fatalf("checkpoints %+v, want %+v", got, want)
	}
	for i, c := range got {
		if w := want[i]; !c.equal(w) || (c.Trail == nil) != (w.Trail == nil) {
			t.Errorf("checkpoint %+v, want %+v", c, w)
		}
	}
}

// TestTrailIsTheStoresOwn: what the caller does with the bytes afterwards is nothing to the store.
func TestTrailIsTheStoresOwn(t *testing.T) {
	s := mustOpen(t, Options{})
	trail := []byte("trail")
	mustApply(t, s, &Batch{Next: 1, Trail: trail})
	clear(trail)
	if c := s.Checkpoint(); !bytes.Equal(c[0].Trail, []byte("trail")) {
		t.Errorf("%q", c[0].Trail)
	}
}

func TestTrailWithoutAPositionIsCorrupt(t *testing.T) {
	o := Options{Dir: "/generation", fs: vfs.NewMem()}
	s := mustOpen(t, o)
	mustApply(t, s, &Batch{Next: 1})
	if err := s.db.Set(trailKey(5), []byte("trail"), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opened: %v", err)
	}
}
