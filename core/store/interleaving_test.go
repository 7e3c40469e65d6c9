package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// logs are the records of each partition, over few keys, so that most keys are in several; some are of sources.
func randomLogs(r *rand.Rand, partitions, records int, sources bool) [][]Mutation {
	logs := make([][]Mutation, partitions)
	for p := range logs {
		offset := int64(r.IntN(5))
		for range records {
			m := Mutation{Key: fmt.Appendf(nil, "key-%d", r.IntN(60)), Offset: offset, Timestamp: int64(r.IntN(200)), Tombstone: r.IntN(3) == 0}
			if sources && r.IntN(4) == 0 {
				m.Source = fmt.Appendf(nil, "source %d", r.IntN(3))
			}
			if !m.Tombstone {
				m.Value = fmt.Appendf(nil, "value %d of %d", offset, p)
				m.Headers = []Header{{Key: []byte("h"), Value: m.Value}}
			}
			logs[p] = append(logs[p], m)
			offset += 1 + r.Int64N(3)
		}
	}
	return logs
}

// contents are all that readers see, and where it came from.
func contents(t *testing.T, s *Store) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := s.Range(nil, nil, func(e Entry) bool {
		v, ok, err := s.Get(nil, e.Key)
		if !ok || err != nil || !bytes.Equal(v, e.Value) {
			t.Fatalf("%q: the index has %q, %v, %v, Pebble %q", e.Key, v, ok, err, e.Value)
		}
		got[string(e.Key)] = fmt.Sprintf("%q %+v", e.Value, e.Meta)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if int64(len(got)) != s.Len() {
		t.Fatalf("%d entries in order, %d by key", len(got), s.Len())
	}
	return got
}

// TestWinnersAreOfTheLog applies the same partitions' logs in random interleavings, with crashes, reopening, loads, what retention
// removes and verifications at random moments: whatever the order, the same is left.
func TestWinnersAreOfTheLog(t *testing.T) {
	r := newRand(t)
	for round := range underRace(16, 4) {
		partitions := 1 + r.IntN(4)
		logs := randomLogs(r, partitions, 150, r.IntN(2) == 0)
		starts := make([]int64, partitions) // what retention has come to at the end
		lost := map[string]bool{}           // records that are compacted away, a verification finds
		for p, log := range logs {
			if r.IntN(2) == 0 {
				starts[p] = log[r.IntN(len(log))].Offset
			}
			for _, m := range log {
				if !m.Tombstone && r.IntN(10) == 0 {
					lost[fmt.Sprint(p, m.Offset)] = true
				}
			}
		}
		var want map[string]string
		var digests []Digest
		var full map[int32]Digest
		for variant := range 4 {
			name := fmt.Sprintf("round %d, variant %d, %d partitions", round, variant, partitions)
			s := interleave(t, r, logs, starts, lost)
			got := contents(t, s)
			at, err := s.Digests(t.Context(), true)
			if err != nil || len(at) != partitions {
				t.Fatal(err, at)
			}
			var ds []Digest
			sums := map[int32]Digest{}
			for _, d := range at {
				ds = append(ds, d.Sum, d.HiddenSum)
				sums[d.Partition] = d.Values
			}
			if variant == 0 {
				want, digests, full = got, ds, sums
			} else if !maps.Equal(got, want) {
				for _, k := range slices.Sorted(maps.Keys(want)) {
					if got[k] != want[k] {
						t.Errorf("%s: %s is %s, was %s", name, k, got[k], want[k])
					}
				}
				t.Fatalf("%s: %d entries, want %d", name, len(got), len(want))
			} else if !slices.Equal(ds, digests) || !maps.Equal(sums, full) {
				t.Fatalf("%s: digests %x, %x, want %x, %x", name, ds, sums, digests, full)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// interleave applies the logs to the end in some order.
func interleave(t *testing.T, r *rand.Rand, logs [][]Mutation, starts []int64, lost map[string]bool) *Store {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/generation", 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: "/generation", FlushInterval: time.Hour, fs: fs, tune: smallEngine, runBytes: 16 << 10, Load: r.IntN(2) == 0, image: randomImage(r)}
	var ids []int32
	for p := range logs {
		ids = append(ids, int32(p))
	}
	open := func() *Store {
		o.Refill, o.filling = r.IntN(2) == 0, nil
		if o.Refill {
			o.pullMost = 1 + r.IntN(40)
			wait := time.Duration(r.IntN(3)) * 100 * time.Microsecond
			o.filling = func() { time.Sleep(wait) }
		}
		s := mustOpen(t, o)
		s.SetPartitions(ids)
		return s
	}
	s := open()
	calm := o.Load && r.IntN(2) == 0 // hardly anything ends the load before its end
	for {
		at := make([]int64, len(logs))
		for _, c := range s.Checkpoint() {
			at[c.Partition] = c.Next
		}
		var behind []int
		for p, log := range logs {
			if at[p] <= log[len(log)-1].Offset {
				behind = append(behind, p)
			}
		}
		if len(behind) == 0 {
			break
		}
		p := behind[r.IntN(len(behind))]
		from, _ := slices.BinarySearchFunc(logs[p], at[p], func(m Mutation, at int64) int { return int(m.Offset - at) })
		to := min(from+1+r.IntN(60), len(logs[p]))
		b := &Batch{Partition: int32(p), Mutations: logs[p][max(0, from-r.IntN(5)):to], Next: logs[p][to-1].Offset + 1}
		observe := func(Change) {}
		if calm || r.IntN(3) > 0 {
			observe = nil
		}
		if err := s.Apply(b, observe); err != nil {
			t.Fatal(err)
		}
		event := r.IntN(14)
		if event == 13 {
			if err := s.FinishLoad(); err != nil {
				t.Fatal(err)
			}
		}
		if calm && event > 2 {
			continue
		}
		switch event {
		case 0:
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		case 2:
			o.fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
			fs = o.fs.(*vfs.MemFS)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		case 3:
			if _, err := s.RemoveBelow(int32(p), r.Int64N(starts[p]+1), nil); err != nil {
				t.Fatal(err)
			}
		case 4:
			verifyLogs(t, s, r, logs, lost)
		}
	}
	for p, start := range starts {
		if _, err := s.RemoveBelow(int32(p), start, nil); err != nil {
			t.Fatal(err)
		}
	}
	verifyLogs(t, s, r, logs, lost)
	checkAccount(t, s)
	return s
}

// checkAccount adds up what Pebble has of each partition.
func checkAccount(t *testing.T, s *Store) {
	t.Helper()
	if err := s.WaitResident(t.Context()); err != nil { // an account is of what the index knows
		t.Fatal(err)
	}
	sums := map[int32]*sum{}
	add := func(key, value []byte) error {
		e, err := parseEntry(value, nil)
		if err != nil || e.tombstone {
			return err
		}
		total := sums[e.Partition]
		if total == nil {
			total = new(sum)
			sums[e.Partition] = total
		}
		total.add(claimHash(s.index.hash(key), sourceHash(e.Source), version{e.Partition, e.Offset}))
		return nil
	}
	err := errors.Join(
		s.each(spaceEntries, func(key, value []byte) error { return add(key[1:], value) }),
		s.each(spaceClaims, func(key, value []byte) error {
			of, _, _, err := parseClaimKey(key)
			return errors.Join(err, add(of, value))
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for partition, total := range sums {
		if got, _ := s.Digest(partition); got != total.digest() {
			t.Fatalf("the digest of partition %d is %x, its claims come to %x", partition, got, total.digest())
		}
	}
}

// verifyLogs reads the logs again as far as they are applied, without the records that are lost.
func verifyLogs(t *testing.T, s *Store, r *rand.Rand, logs [][]Mutation, lost map[string]bool) {
	t.Helper()
	v, err := s.Verify()
	if err != nil {
		t.Fatal(err)
	}
	upTo := map[int32]int64{}
	for _, c := range s.Checkpoint() {
		upTo[c.Partition] = c.Next
		b := &Batch{Partition: c.Partition}
		for _, m := range logs[c.Partition] {
			if m.Offset < c.Next && !lost[fmt.Sprint(c.Partition, m.Offset)] {
				b.Mutations = append(b.Mutations, m)
			}
		}
		if err := v.Met(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Finish(upTo, nil); err != nil {
		t.Fatal(err)
	}
}
