package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// loadBatches are batches of two partitions with overwrites and deletes, and the states that the first so many of them come to, where the partitions
// share no key.
func loadBatches(r *rand.Rand, n int, share bool) (batches []*Batch, states []map[string]string) {
	state := map[string]string{}
	states = append(states, map[string]string{})
	next := map[int32]int64{}
	for range n {
		b := &Batch{Partition: int32(r.IntN(2)), LeaderEpoch: 3}
		at := next[b.Partition]
		for range r.IntN(40) {
			m := Mutation{Key: fmt.Appendf(nil, "%d-key %d", b.Partition, r.IntN(300)), Offset: at, Timestamp: at}
			if share {
				m.Key = m.Key[2:]
			}
			if r.IntN(4) == 0 {
				m.Tombstone = true
				delete(state, string(m.Key))
			} else {
				m.Value = bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(300))
				m.Headers = []Header{{Key: []byte("h"), Value: m.Value[:len(m.Value)/2]}}
				if r.IntN(200) == 0 {
					m.Value = bytes.Repeat([]byte("large"), 20_000) // more than a run
				}
				state[string(m.Key)] = string(m.Value)
			}
			b.Mutations = append(b.Mutations, m)
			at += 1 + r.Int64N(3)
		}
		b.Next = at + r.Int64N(2)
		next[b.Partition] = b.Next
		batches = append(batches, b)
		copied := make(map[string]string, len(state))
		for k, v := range state {
			copied[k] = v
		}
		states = append(states, copied)
	}
	return batches, states
}

func checkState(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for cursor := uint64(0); ; {
		var keys [][]byte
		next, err := s.Scan(cursor, 100, func(k []byte) { keys = append(keys, bytes.Clone(k)) })
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			v, ok, err := s.Get(nil, k)
			if err != nil || !ok {
				t.Fatalf("%q was scanned and is not there: %v", k, err)
			}
			got[string(k)] = string(v)
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Fatalf("%q is %.20q…, want %.20q…", k, got[k], v)
		}
	}
}

// checkLoadedRange holds what Pebble has against what the index has.
func checkLoadedRange(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	n := 0
	if err := s.Range(nil, nil, func(e Entry) bool {
		if v, ok := want[string(e.Key)]; !ok || v != string(e.Value) {
			t.Fatalf("range has %q, %v", e.Key, ok)
		}
		if h := e.Headers; len(h) != 1 || string(h[0].Key) != "h" {
			t.Fatalf("headers of %q: %v", e.Key, h)
		}
		n++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(want) {
		t.Fatalf("range has %d entries, want %d", n, len(want))
	}
}

// TestLoadCrash crashes a store at random moments of a load and of what follows it: it opens to what the first so many
// batches made.
func TestLoadCrash(t *testing.T) {
	r := newRand(t)
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			if err := fs.MkdirAll("/generation", 0o755); err != nil {
				t.Fatal(err)
			}
			root, err := fs.OpenDir("/")
			if err != nil {
				t.Fatal(err)
			}
			if err := root.Sync(); err != nil {
				t.Fatal(err)
			}
			o := Options{Dir: "/generation", FlushInterval: time.Hour, fs: fs, tune: smallEngine, Load: true, runBytes: 16 << 10, image: randomImage(r)}
			s := mustOpen(t, o)
			batches, states := loadBatches(r, 200, false)
			durable, end := 0, 100+r.IntN(60)
			for i, b := range batches {
				mustApply(t, s, b)
				if i == end {
					if !s.isLoading.Load() {
						t.Fatal("the load ended by itself")
					}
					if err := s.EndLoad(); err != nil {
						t.Fatal(err)
					}
					durable = i + 1
				}
				switch r.IntN(25) {
				case 0:
					if err := s.Flush(); err != nil {
						t.Fatal(err)
					}
					durable = i + 1
				case 1, 2:
					crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
					checkLoadCrash(t, o, crashed, batches, states, durable)
				}
			}
			checkState(t, s, states[len(batches)])
			checkLoadedRange(t, s, states[len(batches)])
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkLoadCrash(t, o, fs.CrashClone(vfs.CrashCloneCfg{}), batches, states, len(batches))
		})
	}
}

func checkLoadCrash(t *testing.T, o Options, fs *vfs.MemFS, batches []*Batch, states []map[string]string, durable int) {
	t.Helper()
	o.fs = fs
	s := mustOpen(t, o)
	survived := 0
	positions := map[int32]int64{}
	for _, c := range s.Checkpoint() {
		positions[c.Partition] = c.Next
	}
	at := map[int32]int64{}
	found := len(positions) == 0
	for i, b := range batches {
		at[b.Partition] = b.Next
		if at[0] == positions[0] && at[1] == positions[1] {
			survived, found = i+1, true // a later state with the same positions has the same entries
		}
	}
	if !found || survived < durable {
		t.Fatalf("after a crash: the first %d batches, found %v, of which %d were durable; positions %v", survived, found, durable, positions)
	}
	checkState(t, s, states[survived])
	for _, b := range batches {
		mustApply(t, s, b)
	}
	checkState(t, s, states[len(batches)])
	checkLoadedRange(t, s, states[len(batches)])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLoadInMemory holds a load without a directory to the same contents.
func TestLoadInMemory(t *testing.T) {
	r := newRand(t)
	s := mustOpen(t, Options{Load: true, runBytes: 16 << 10})
	batches, states := loadBatches(r, 100, false)
	for _, b := range batches {
		mustApply(t, s, b)
	}
	checkState(t, s, states[len(batches)])
	if !s.isLoading.Load() {
		t.Fatal("the load ended by itself")
	}
	checkLoadedRange(t, s, states[len(batches)])
	if s.isLoading.Load() {
		t.Fatal("the load goes on though Pebble was read")
	}
}

// TestLoadSettlesSplitKeys: whose entry stays is decided by timestamps, once the load ends, which it does by itself where Pebble is read.
func TestLoadSettlesSplitKeys(t *testing.T) {
	for _, o := range []Options{{Dir: t.TempDir(), Load: true}, {Load: true}} {
		s := mustOpen(t, o)
		s.SetPartitions([]int32{0, 1, 2})
		for i, timestamp := range []int64{10, 30, 20} {
			mustApply(t, s, &Batch{Partition: int32(i), Next: 1, Mutations: []Mutation{{Key: []byte("k"), Value: fmt.Append(nil, timestamp), Timestamp: timestamp}}})
		}
		if !s.isLoading.Load() || s.Stats().SplitKeys != 1 {
			t.Fatalf("the load goes on: %v; %d split keys", s.isLoading.Load(), s.Stats().SplitKeys)
		}
		if m, ok, err := s.Meta([]byte("k")); m.Partition != 1 || !ok || err != nil {
			t.Errorf("it is of %+v, %v, %v", m, ok, err)
		}
		if v, ok, err := s.Get(nil, []byte("k")); string(v) != "30" || !ok || err != nil {
			t.Errorf("the entry is %q, %v, %v", v, ok, err)
		}
		if s.isLoading.Load() {
			t.Error("the load goes on though Pebble was read")
		}
	}
}

// TestLoadGoesOnAfterAFailingWrite: an error is told, nothing is lost, and the next attempt succeeds.
func TestLoadGoesOnAfterAFailingWrite(t *testing.T) {
	r := newRand(t)
	failing := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if (strings.HasSuffix(op.Path, runFile) || strings.Contains(op.Path, imagePrefix)) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errors.New("no space is left")
		}
		return nil
	})}
	fs := vfs.NewMem()
	o := Options{Dir: "/generation", FlushInterval: time.Hour, fs: errorfs.Wrap(fs, &failing), Load: true, runBytes: 16 << 10, image: imageSizes{applied: 100 << 10, runs: 1, pause: time.Millisecond}}
	s := mustOpen(t, o)
	batches, states := loadBatches(r, 120, false)
	failures := 0
	for i, b := range batches {
		if i == 30 {
			failing.On()
		}
		err := s.Apply(b, nil)
		for err != nil {
			failures++
			if !strings.Contains(err.Error(), "no space is left") {
				t.Fatal(err)
			}
			if failures == 5 {
				failing.Off()
			}
			err = s.Apply(b, nil)
		}
	}
	if failures < 5 {
		t.Fatalf("%d failures", failures)
	}
	checkState(t, s, states[len(batches)])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	checkState(t, s, states[len(batches)])
	checkLoadedRange(t, s, states[len(batches)])
}
