package store

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// heldKey is what is to be held of the key k.
type heldKey struct {
	value        string
	offset, held int64
}

func checkHeld(t *testing.T, s *Store, want *heldKey) {
	t.Helper()
	value, ok, err := s.Get(nil, []byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	meta, _, err := s.Meta([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	if want == nil {
		if ok || s.Stats().Held != 0 {
			t.Fatalf("there is %q, and %d keys are held", value, s.Stats().Held)
		}
		return
	}
	held := int64(0)
	if want.held > 0 {
		held = 1
	}
	if string(value) != want.value || meta.Offset != want.offset || meta.Held != want.held || s.Stats().Held != held {
		t.Fatalf("%q, %+v, %d keys held; want %+v", value, meta, s.Stats().Held, *want)
	}
}

func hold(offset int64) Mutation { return Mutation{Key: []byte("k"), Offset: offset, Hold: true} }
func put(offset int64) Mutation {
	return Mutation{Key: []byte("k"), Offset: offset, Value: fmt.Appendf(nil, "v%d", offset)}
}
func del(offset int64) Mutation { return Mutation{Key: []byte("k"), Offset: offset, Tombstone: true} }

// TestHold applies records of one key, all in one batch and one by one, in commits and in a load, and reopens.
func TestHold(t *testing.T) {
	for _, c := range []struct {
		name    string
		records []Mutation
		want    *heldKey
	}{
		{"a refused record leaves the value", []Mutation{put(1), hold(3)}, &heldKey{"v1", 1, 3}},
		{"the newest refused record is told", []Mutation{put(1), hold(3), hold(5)}, &heldKey{"v1", 1, 5}},
		{"nothing to hold", []Mutation{hold(3)}, nil},
		{"nothing to hold after a tombstone", []Mutation{put(1), del(2), hold(3)}, nil},
		{"a value ends it", []Mutation{put(1), hold(3), put(4)}, &heldKey{"v4", 4, 0}},
		{"a tombstone ends it", []Mutation{put(1), hold(3), del(4)}, nil},
		{"and again", []Mutation{put(1), hold(3), put(4), hold(9)}, &heldKey{"v4", 4, 9}},
	} {
		for variant := range 4 {
			t.Run(fmt.Sprint(c.name, variant), func(t *testing.T) {
				fs := vfs.NewMem()
				o := Options{Dir: "/g", fs: fs, Load: variant&1 != 0}
				s := mustOpen(t, o)
				if variant&2 != 0 {
					mustApply(t, s, &Batch{Next: 100, Mutations: c.records})
				} else {
					for _, m := range c.records {
						mustApply(t, s, &Batch{Next: m.Offset + 1, Mutations: []Mutation{m}})
					}
				}
				checkHeld(t, s, c.want)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = mustOpen(t, Options{Dir: "/g", fs: fs})
				checkHeld(t, s, c.want)
				for _, m := range c.records { // a replay changes nothing
					mustApply(t, s, &Batch{Next: m.Offset + 1, Mutations: []Mutation{m}})
				}
				checkHeld(t, s, c.want)
			})
		}
	}
}

// TestHoldNotTold: watchers are not told of a refused record.
func TestHoldNotTold(t *testing.T) {
	s := mustOpen(t, Options{})
	var kinds []ChangeKind
	if err := s.Apply(&Batch{Next: 9, Mutations: []Mutation{put(1), hold(3), del(4), hold(5)}}, func(c Change) { kinds = append(kinds, c.Kind) }); err != nil {
		t.Fatal(err)
	}
	if want := []ChangeKind{Created, Superseded, Deleted, Superseded}; fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Fatalf("told %v, want %v", kinds, want)
	}
}

// TestHeldAndWhatTheLogLost: the log may have let go of the record that is held, since the refused one is newer; it is the refused one that
// a verification has to meet.
func TestHeldAndWhatTheLogLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		met   []Mutation
		later []Mutation // applied while the log is read again
		want  *heldKey
	}{
		{"both are there", []Mutation{put(1), put(3)}, nil, &heldKey{"v1", 1, 3}},
		{"the held one is compacted away", []Mutation{put(3)}, nil, &heldKey{"v1", 1, 3}},
		{"neither is there", nil, nil, nil},
		{"refused again meanwhile", nil, []Mutation{hold(20)}, &heldKey{"v1", 1, 20}},
		{"a value came meanwhile", nil, []Mutation{put(20)}, &heldKey{"v20", 20, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustOpen(t, Options{})
			mustApply(t, s, &Batch{Next: 10, Mutations: []Mutation{put(1), hold(3)}})
			v, err := s.Verify()
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Met(&Batch{Mutations: c.met}); err != nil {
				t.Fatal(err)
			}
			if len(c.later) > 0 {
				mustApply(t, s, &Batch{Next: 21, Mutations: c.later})
			}
			if _, err := v.Finish(map[int32]int64{0: 10}, nil); err != nil {
				t.Fatal(err)
			}
			checkHeld(t, s, c.want)
		})
	}
}

// TestHeldBelowTheLogStart: what lies below the log's start leaves, also where what it is held over does not, as a fresh instance never saw it.
func TestHeldBelowTheLogStart(t *testing.T) {
	s := mustOpen(t, Options{})
	mustApply(t, s, &Batch{Next: 10, Mutations: []Mutation{put(1), hold(3)}})
	if n, err := s.RemoveBelow(0, 2, nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	checkHeld(t, s, nil)
}

// TestHoldOfOnePartition: what another partition says of the key is not held.
func TestHoldOfOnePartition(t *testing.T) {
	s := mustOpen(t, Options{})
	s.SetPartitions([]int32{0, 1})
	mustApply(t, s, &Batch{Partition: 0, Next: 10, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("v1"), Offset: 1, Timestamp: 5}}})
	mustApply(t, s, &Batch{Partition: 1, Next: 10, Mutations: []Mutation{hold(3)}})
	checkHeld(t, s, &heldKey{"v1", 1, 0})
	mustApply(t, s, &Batch{Partition: 1, Next: 12, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("older"), Offset: 11, Timestamp: 4}}})
	mustApply(t, s, &Batch{Partition: 1, Next: 14, Mutations: []Mutation{hold(13)}})
	checkHeld(t, s, &heldKey{"v1", 1, 0})
	if _, err := s.RemoveBelow(0, 5, nil); err != nil { // promotes what is held aside
		t.Fatal(err)
	}
	checkHeld(t, s, &heldKey{"older", 11, 13})
}

// TestHoldOfASplitKey: a load in which claims are set aside, and then one of them is held, comes to what commits come to.
func TestHoldOfASplitKey(t *testing.T) {
	at := func(m Mutation, timestamp int64) Mutation { m.Timestamp = timestamp; return m }
	for name, second := range map[string][]Mutation{
		"held in the batch that splits the key": {at(put(1), 5), at(hold(2), 9)},
		"held alone":                            {at(hold(2), 9)},
		"held, then replaced":                   {at(put(1), 5), at(hold(2), 9), at(put(3), 6)},
	} {
		var want string
		for _, load := range []bool{false, true} {
			s := mustOpen(t, Options{Dir: "/g", fs: vfs.NewMem(), Load: load})
			s.SetPartitions([]int32{0, 1})
			mustApply(t, s, &Batch{Partition: 0, Next: 2, Mutations: []Mutation{at(put(1), 4)}})
			for _, m := range second {
				mustApply(t, s, &Batch{Partition: 1, Next: m.Offset + 1, Mutations: []Mutation{m}})
			}
			mustApply(t, s, &Batch{Partition: 0, Next: 9, Mutations: []Mutation{at(hold(7), 7)}})
			got := fmt.Sprintf("%v, %+v", contents(t, s), s.Stats().Held)
			if !load {
				want = got
			} else if got != want {
				t.Errorf("%s: in a load %s, in commits %s", name, got, want)
			}
		}
	}
}
