package store

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestLoadSettlesManyKeys: a load whose keys are in three partitions, more of them than one commit settles, comes to what commits come to; and so does
// one that a crash ended while they were settled.
func TestLoadSettlesManyKeys(t *testing.T) {
	const keys, partitions, size = 3 * commitKeys, 3, 500
	r := newRand(t)
	var batches []*Batch
	next := make([]int64, partitions)
	for range 2 { // twice over, so that claims that are aside are written over as well
		for p := range int32(partitions) {
			order := r.Perm(keys)
			for from := 0; from < keys; from += size {
				b := &Batch{Partition: p}
				for _, k := range order[from:min(from+size, keys)] {
					m := Mutation{Key: fmt.Appendf(nil, "key %d", k), Offset: next[p], Timestamp: r.Int64N(1000), Tombstone: r.IntN(5) == 0}
					if !m.Tombstone {
						m.Value = fmt.Appendf(nil, "%d of %d", next[p], p)
						m.Headers = []Header{{Key: []byte("h"), Value: m.Value}}
					}
					b.Mutations = append(b.Mutations, m)
					next[p]++
				}
				b.Next = next[p]
				batches = append(batches, b)
			}
		}
	}
	apply := func(s *Store) {
		t.Helper()
		for _, b := range batches {
			mustApply(t, s, b)
		}
	}
	commits := mustOpen(t, Options{})
	commits.SetPartitions([]int32{0, 1, 2})
	apply(commits)
	want := contents(t, commits)

	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/generation", 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: "/generation", FlushInterval: time.Hour, fs: fs, tune: smallEngine, runBytes: 64 << 10, Load: true}
	s := mustOpen(t, o)
	s.SetPartitions([]int32{0, 1, 2})
	apply(s)
	if !s.isLoading.Load() || s.Stats().SplitKeys != keys {
		t.Fatalf("the load goes on: %v, with %d split keys", s.isLoading.Load(), s.Stats().SplitKeys)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.EndLoad() }()
	var crashed []*vfs.MemFS
	for done := false; !done; {
		crashed = append(crashed, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r}))
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Millisecond): // between crashes
		}
	}
	check := func(s *Store, what string) {
		t.Helper()
		if got := contents(t, s); !maps.Equal(got, want) {
			t.Fatalf("%s: other contents, %d entries, want %d", what, len(got), len(want))
		}
		checkAccount(t, s)
		if st, w := s.Stats(), commits.Stats(); st.SplitKeys != w.SplitKeys || st.SplitDeleted != w.SplitDeleted || st.Tombstones != w.Tombstones {
			t.Fatalf("%s: %d split keys, %d deleted, %d tombstones, want %d, %d, %d", what, st.SplitKeys, st.SplitDeleted, st.Tombstones, w.SplitKeys, w.SplitDeleted, w.Tombstones)
		}
	}
	check(s, "the load")
	for i := 0; i < len(crashed); i += 1 + len(crashed)/8 {
		o.fs = crashed[i]
		s := mustOpen(t, o)
		s.SetPartitions([]int32{0, 1, 2})
		apply(s)
		check(s, fmt.Sprintf("crash %d of %d", i, len(crashed)))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d crashes", len(crashed))
}

// TestUnsettledLoadIsNotRead: nobody reads what a load has not settled.
func TestUnsettledLoadIsNotRead(t *testing.T) {
	o := testOptions(t)
	o.Load = true
	s := mustOpen(t, o)
	s.SetPartitions([]int32{0, 1})
	for p, timestamp := range []int64{10, 30} {
		mustApply(t, s, &Batch{Partition: int32(p), Next: 1, Mutations: []Mutation{{Key: []byte("k"), Value: fmt.Append(nil, timestamp), Timestamp: timestamp}}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: o.Dir, ReadOnly: true}); err == nil {
		t.Error("it is opened to be read")
	}
	o.Load = false
	s = mustOpen(t, o)
	if v, _, err := s.Get(nil, []byte("k")); string(v) != "30" || err != nil {
		t.Errorf("opened without a load: %q, %v", v, err)
	}
}
