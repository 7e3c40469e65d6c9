package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// projected is what a view of a store's entries has to hold: value and origin of each key.
func projected(t *testing.T, s *Store) map[string]string {
	t.Helper()
	type candidate struct {
		value []byte
		Meta
	}
	all := map[string][]candidate{}
	if err := s.Range(nil, nil, func(e Entry) bool {
		own, others, err := ParseYield(e.Value, nil)
		if err != nil {
			t.Fatal(err)
		}
		gives := map[string][]byte{}
		if own != nil {
			gives[string(e.Key)] = own
		}
		for _, o := range others {
			gives[string(o.Key)] = o.Value
		}
		for k, v := range gives {
			m := cloneMeta(Meta{Partition: e.Partition, Offset: e.Offset, Timestamp: e.Timestamp, Headers: slices.Clone(e.Headers)})
			if k != string(e.Key) {
				m.Source = bytes.Clone(e.Key)
			}
			all[k] = append(all[k], candidate{bytes.Clone(v), m})
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for k, cs := range all {
		newest := map[int32]candidate{}
		for _, c := range cs {
			if n, ok := newest[c.Partition]; !ok || c.Offset > n.Offset {
				newest[c.Partition] = c
			}
		}
		var best candidate
		first := true
		for _, c := range newest {
			if first || c.Timestamp > best.Timestamp || c.Timestamp == best.Timestamp && c.Partition > best.Partition {
				best, first = c, false
			}
		}
		want[k] = fmt.Sprintf("%q %+v", best.value, best.Meta)
	}
	return want
}

// yieldLogs are random logs whose values are yields over few keys, some of them record keys too.
func yieldLogs(r *rand.Rand, partitions, records int) [][]Mutation {
	logs := randomLogs(r, partitions, records, false)
	for p := range logs {
		for i := range logs[p] {
			m := &logs[p][i]
			m.Source = nil
			if m.Tombstone {
				continue
			}
			if m.Hold = r.IntN(8) == 0; m.Hold {
				m.Value = nil
				continue
			}
			m.Value = randomYield(r, m.Offset)
		}
	}
	return logs
}

func randomYield(r *rand.Rand, n int64) []byte {
	var own []byte
	if r.IntN(3) > 0 {
		own = fmt.Appendf([]byte{}, "own %d", r.IntN(3))
	}
	var others []YieldTo
	for range r.IntN(4) {
		k := fmt.Appendf(nil, "derived-%d", r.IntN(40))
		if r.IntN(5) == 0 {
			k = fmt.Appendf(nil, "key-%d", r.IntN(60))
		}
		others = append(others, YieldTo{k, fmt.Appendf(nil, "%d of %d", r.IntN(3), n)})
	}
	return AppendYield(nil, own, others)
}

func TestProjectionIsOfTheEntries(t *testing.T) {
	r := newRand(t)
	for range underRace(30, 6) {
		projectionRound(t, r)
	}
}

// projectionRound follows random changes, retention, a verification and a restart, and holds the view, and what it told of, to the entries.
func projectionRound(t *testing.T, r *rand.Rand) {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/generation", 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{FlushInterval: time.Hour, tune: smallEngine, runBytes: 16 << 10, Load: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		o.Dir, o.fs = "/generation", fs
	}
	logs := yieldLogs(r, 1+r.IntN(3), 120)
	at := make([]int, len(logs))
	s := mustOpen(t, o)
	var ids []int32
	for p := range logs {
		ids = append(ids, int32(p))
	}
	s.SetPartitions(ids)
	step := func() {
		p := r.IntN(len(logs))
		if at[p] == len(logs[p]) {
			return
		}
		n := min(1+r.IntN(20), len(logs[p])-at[p])
		part := logs[p][at[p] : at[p]+n]
		at[p] += n
		var observe func(Change)
		if r.IntN(2) == 0 {
			observe = func(Change) {}
		}
		if err := s.Apply(&Batch{Partition: int32(p), Mutations: part, Next: part[n-1].Offset + 1}, observe); err != nil {
			t.Fatal(err)
		}
	}
	for range r.IntN(10) {
		step()
	}
	told := map[string]string{}
	project := func() *Store {
		v, err := s.Project(func(c Projected) {
			if old, had := told[string(c.Key)]; old != string(c.Old) || had != (c.Old != nil) {
				t.Errorf("told of %q that it was %q, and before that it was %q, %v", c.Key, c.Old, old, had)
			}
			switch c.Kind {
			case Created, Updated:
				told[string(c.Key)] = string(c.Value)
			case Deleted:
				delete(told, string(c.Key))
			default:
				t.Errorf("told of %q: %v", c.Key, c.Kind)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		clear(told)
		if err := v.Range(nil, nil, func(e Entry) bool { told[string(e.Key)] = string(e.Value); return true }); err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := project()
	check := func(when string) {
		t.Helper()
		want, got := projected(t, s), contents(t, v)
		if !maps.Equal(got, want) {
			for _, k := range slices.Sorted(maps.Keys(want)) {
				if got[k] != want[k] {
					t.Errorf("%s: %s is %s, want %s", when, k, got[k], want[k])
				}
			}
			t.Fatalf("%s: %d keys, want %d", when, len(got), len(want))
		}
		for k := range told {
			if _, ok := want[k]; !ok {
				t.Fatalf("%s: watchers still have %q", when, k)
			}
		}
		for k := range want {
			value, ok, err := v.Get(nil, []byte(k))
			if told[k] != string(value) || !ok || err != nil {
				t.Fatalf("%s: watchers have %q of %q, readers %q, %v, %v", when, told[k], k, value, ok, err)
			}
		}
		if st := v.Stats(); st.Tombstones > 0 || st.SplitDeleted > 0 {
			t.Fatalf("%s: a view remembers tombstones: %+v", when, st)
		}
	}
	check("at first")
	for range 12 {
		step()
		check("applied")
	}
	p := r.IntN(len(logs))
	if _, err := s.RemoveBelow(int32(p), logs[p][r.IntN(len(logs[p]))].Offset, nil); err != nil {
		t.Fatal(err)
	}
	check("retention")
	verification, err := s.Verify()
	if err != nil {
		t.Fatal(err)
	}
	upTo := map[int32]int64{}
	for p, log := range logs {
		if at[p] == 0 {
			continue
		}
		upTo[int32(p)] = log[at[p]-1].Offset + 1
		met := &Batch{Partition: int32(p)}
		for _, m := range log[:at[p]] {
			if r.IntN(4) > 0 {
				met.Mutations = append(met.Mutations, m)
			}
		}
		if err := verification.Met(met); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := verification.Finish(upTo, nil); err != nil {
		t.Fatal(err)
	}
	check("verified")
	if o.Dir != "" {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.Get(nil, []byte("k")); err == nil {
			t.Fatal("a view outlives its store")
		}
		s = mustOpen(t, o)
		s.SetPartitions(ids)
		v = project()
		check("reopened")
	}
	for range 40 {
		step()
	}
	check("at the end")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestProjectRefuses(t *testing.T) {
	s := mustOpen(t, Options{})
	defer s.Close()
	mustApply(t, s, &Batch{Next: 1, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("no yield")}}})
	if _, err := s.Project(nil); err == nil {
		t.Fatal("made a view of what is no yield")
	}
	mustApply(t, s, &Batch{Next: 2, Mutations: []Mutation{{Key: []byte("k"), Value: AppendYield(nil, []byte{}, nil), Offset: 1}}})
	v, err := s.Project(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := v.Get(nil, []byte("k")); len(got) != 0 || !ok || err != nil {
		t.Fatalf("an empty own value is %q, %v, %v", got, ok, err)
	}
	if _, err := s.Project(nil); err == nil {
		t.Fatal("made a second view")
	}
}

// TestProjectionTellsWhatLedToAChange: a value that comes to count again is of one record, and came to it by another.
func TestProjectionTellsWhatLedToAChange(t *testing.T) {
	s := mustOpen(t, Options{})
	defer s.Close()
	s.SetPartitions([]int32{0, 1})
	var told []string
	if _, err := s.Project(func(c Projected) {
		told = append(told, fmt.Sprintf("%s=%s of %d/%d by %d/%d", c.Key, c.Value, c.Partition, c.Offset, c.ByPartition, c.ByOffset))
	}); err != nil {
		t.Fatal(err)
	}
	yields := func(v string) []byte { return AppendYield(nil, nil, []YieldTo{{[]byte("k"), []byte(v)}}) }
	mustApply(t, s, &Batch{Partition: 0, Next: 6, Mutations: []Mutation{{Key: []byte("a"), Value: yields("older"), Offset: 5, Timestamp: 1}}})
	mustApply(t, s, &Batch{Partition: 1, Next: 8, Mutations: []Mutation{{Key: []byte("b"), Value: yields("newer"), Offset: 7, Timestamp: 2}}})
	mustApply(t, s, &Batch{Partition: 1, Next: 9, Mutations: []Mutation{{Key: []byte("b"), Tombstone: true, Offset: 8, Timestamp: 3}}})
	if _, err := s.RemoveBelow(0, 6, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"k=older of 0/5 by 0/5", "k=newer of 1/7 by 1/7", "k=older of 0/5 by 1/8", "k= of 0/5 by -1/-1"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestProjectionAfterARemovalThatFails: what a removal did not come to commit stays in the projection, also once something else is applied.
func TestProjectionAfterARemovalThatFails(t *testing.T) {
	s := mustOpen(t, Options{})
	var log []Mutation
	for i := range 50 {
		log = append(log, Mutation{Key: fmt.Appendf(nil, "k%d", i), Offset: int64(i), Value: AppendYield(nil, []byte("v"), nil)})
	}
	log = append(log, Mutation{Key: []byte("k25"), Offset: 50, Hold: true})
	mustApply(t, s, &Batch{Mutations: log, Next: 51})
	v, err := s.Project(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Delete(appendEntryKey(nil, []byte("k25")), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveBelow(0, 50, nil); err == nil {
		t.Fatal("removed a key that cannot be read")
	}
	mustApply(t, s, &Batch{Mutations: []Mutation{{Key: []byte("more"), Offset: 51, Value: AppendYield(nil, []byte("v"), nil)}}, Next: 52})
	if s.Len() != 52-1 || v.Len() != s.Len() {
		t.Fatalf("%d keys in the projection, %d records", v.Len(), s.Len())
	}
}

func FuzzParseYield(f *testing.F) {
	f.Add(AppendYield(nil, []byte("own"), []YieldTo{{[]byte("k"), []byte("v")}, {[]byte("l"), nil}}))
	f.Add([]byte{1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		own, others, err := ParseYield(b, nil)
		if err != nil {
			return
		}
		if again := AppendYield(nil, own, others); !bytes.Equal(again, b) {
			t.Fatalf("%x is read as %q and %q, which is written as %x", b, own, others, again)
		}
	})
}
