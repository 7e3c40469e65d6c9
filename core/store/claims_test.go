package store

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// digestOf is the digest of a partition and how many claims it is of, added up from the model's claims.
func (m *model) digestOf(s *Store, partition int32) (Digest, int64) {
	var total sum
	n := int64(0)
	for key, claims := range m.claims {
		for _, c := range claims {
			if c.meta.Partition == partition && !c.tombstone {
				total.add(claimHash(s.index.hash([]byte(key)), sourceHash(c.meta.Source), version{partition, c.meta.Offset}))
				n++
			}
		}
	}
	return total.digest(), n
}

// checkClaims holds claims, counts and digests of a store against the model.
func checkClaims(t *testing.T, s *Store, m *model) {
	t.Helper()
	var split, splitDeleted, tombstones int64
	several := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(m.claims)) {
		claims := m.claims[key]
		w, _ := winnerOf(claims)
		switch {
		case len(claims) > 1 && w.tombstone:
			split, splitDeleted = split+1, splitDeleted+1
		case len(claims) > 1:
			split++
		case w.tombstone:
			tombstones++
		}
		several[key] = slices.ContainsFunc(claims, func(c modelClaim) bool { return c.meta.Partition != w.meta.Partition })
		checkKeysClaims(t, s, key, claims, w)
	}
	if st := s.Stats(); st.SplitKeys != split || st.SplitDeleted != splitDeleted || st.Tombstones != tombstones {
		t.Fatalf("%d split keys, %d deleted, %d tombstones, want %d, %d, %d", st.SplitKeys, st.SplitDeleted, st.Tombstones, split, splitDeleted, tombstones)
	}
	for after, told := []byte(nil), 2; told == 2; { // two at a time
		told = 0
		if err := s.SplitKeys(after, func(key []byte, claims []Claim) bool {
			if !several[string(key)] || len(claims) != len(m.claims[string(key)]) {
				t.Fatalf("%q is split, or twice, with %d claims", key, len(claims))
			}
			delete(several, string(key))
			after = bytes.Clone(key)
			told++
			return told < 2
		}); err != nil {
			t.Fatal(err)
		}
	}
	for key, is := range several {
		if is {
			t.Fatalf("%q has claims of several partitions and was not told", key)
		}
	}
	for partition := range int32(3) {
		want, n := m.digestOf(s, partition)
		if got, k := s.Digest(partition); got != want || k != n {
			t.Fatalf("partition %d: digest %x of %d claims, want %x of %d", partition, got, k, want, n)
		}
		checkBlocks(t, s, m, partition)
	}
}

func checkKeysClaims(t *testing.T, s *Store, key string, claims []modelClaim, w modelClaim) {
	t.Helper()
	got, err := s.Claims([]byte(key))
	if err != nil || len(got) != len(claims) {
		t.Fatalf("claims of %q: %v, %v, want %v", key, got, err, claims)
	}
	for i, c := range got {
		if i > 0 && (got[i-1].Partition > c.Partition || got[i-1].Partition == c.Partition && bytes.Compare(got[i-1].Source, c.Source) > 0) {
			t.Fatalf("claims of %q are out of order: %v", key, got)
		}
		if !slices.ContainsFunc(claims, func(x modelClaim) bool {
			return x.meta.Partition == c.Partition && sameSource(x.meta.Source, c.Source) && x.meta.Offset == c.Offset &&
				x.meta.Timestamp == c.Timestamp && x.tombstone == c.Tombstone &&
				c.Winner == (x.meta.Partition == w.meta.Partition && x.meta.Offset == w.meta.Offset && sameSource(x.meta.Source, w.meta.Source))
		}) {
			t.Fatalf("claims of %q: %+v is none of %+v", key, c, claims)
		}
	}
	if p, split, ok := s.Claimed([]byte(key)); !ok || p != w.meta.Partition || split != (len(claims) > 1) {
		t.Fatalf("%q is claimed by %d, %v, %v", key, p, split, ok)
	}
}

// checkBlocks holds the counts of claims by offset.
func checkBlocks(t *testing.T, s *Store, m *model, partition int32) {
	t.Helper()
	want := map[int64]int64{}
	for _, claims := range m.claims {
		for _, c := range claims {
			if c.meta.Partition == partition {
				want[c.meta.Offset>>blockBits]++
			}
		}
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	l := s.account.of(partition)
	l.settle()
	if !maps.Equal(l.blocks, want) {
		t.Fatalf("partition %d: claims by block %v, want %v", partition, l.blocks, want)
	}
}

// removals gathers what an observer is told, each key once.
func removals(t *testing.T, got map[string]Removal) func(Removal) {
	return func(r Removal) {
		if _, ok := got[string(r.Key)]; ok {
			t.Fatalf("%q was told twice", r.Key)
		}
		r.Key, r.Old, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Old), bytes.Clone(r.Value)
		got[string(r.Key)] = r
	}
}

func checkRemovals(t *testing.T, got, want map[string]Removal) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d removals were told, want %d", len(got), len(want))
	}
	for key, w := range want {
		if g := got[key]; g.Kind != w.Kind || !sameSource(g.Old, w.Old) || !sameSource(g.Value, w.Value) ||
			g.Partition != w.Partition || g.Offset != w.Offset || w.Value != nil && g.Timestamp != w.Timestamp {
			t.Fatalf("%q: told %+v, want %+v", key, g, w)
		}
	}
}

// removeBelowModel removes below a random offset, in the store and in the model.
func removeBelowModel(t *testing.T, s *Store, m *model, r *rand.Rand) {
	t.Helper()
	partition := int32(r.IntN(3))
	below := r.Int64N(m.next[partition] + 1)
	values, want := m.remove(func(_ string, c modelClaim) bool { return c.meta.Partition == partition && c.meta.Offset < below })
	got := map[string]Removal{}
	observe := removals(t, got)
	if r.IntN(4) == 0 {
		observe, got = nil, want
	}
	n, err := s.RemoveBelow(partition, below, observe)
	if err != nil || n != values {
		t.Fatalf("removed %d below %d of partition %d, %v, want %d", n, below, partition, err, values)
	}
	checkRemovals(t, got, want)
	for _, c := range s.Checkpoint() {
		if c.Partition == partition && c.LogStart < below {
			t.Fatalf("the log's start is %d, removed below %d", c.LogStart, below)
		}
	}
}

// verifyModel verifies against a log that lost some records, while more is applied.
func verifyModel(t *testing.T, s *Store, m *model, g *generator) {
	t.Helper()
	v, err := s.Verify()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(); err != ErrVerifying {
		t.Fatalf("a second verification: %v", err)
	}
	upTo := map[int32]int64{}
	for p, next := range m.next {
		if g.IntN(4) > 0 {
			upTo[p] = next - g.Int64N(next/2+1)
		}
	}
	type id struct {
		key, source string
		derived     bool
		version
	}
	of := func(key string, c modelClaim) id {
		return id{key, string(c.meta.Source), c.meta.Source != nil, version{c.meta.Partition, c.meta.Offset}}
	}
	lost := map[id]bool{}
	for _, key := range slices.Sorted(maps.Keys(m.claims)) {
		for _, c := range m.claims[key] {
			switch {
			case g.IntN(3) == 0:
				lost[of(key, c)] = true
				// What else is there of the key is not that claim.
				if err := v.Met(&Batch{Partition: c.meta.Partition, Mutations: []Mutation{
					{Key: []byte(key), Offset: c.meta.Offset + 1, Source: c.meta.Source},
					{Key: []byte(key), Offset: c.meta.Offset, Source: []byte("another")},
				}}); err != nil {
					t.Fatal(err)
				}
			case g.IntN(20) == 0: // between, the tail goes on: growth, collections, claims that win or lose against those that were met
				b := g.batch(g.IntN(30))
				applyObserved(t, s, b, m.apply(b))
				fallthrough
			default:
				if err := v.Met(&Batch{Partition: c.meta.Partition, Mutations: []Mutation{{Key: []byte(key), Offset: c.meta.Offset, Source: c.meta.Source}}}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if g.IntN(5) == 0 {
		v.Cancel()
		if _, err := v.Finish(upTo, nil); err != ErrVerified {
			t.Fatalf("finish after cancel: %v", err)
		}
		return
	}
	values, want := m.remove(func(key string, c modelClaim) bool {
		end, read := upTo[c.meta.Partition]
		return !c.tombstone && read && c.meta.Offset < end && lost[of(key, c)]
	})
	got := map[string]Removal{}
	n, err := v.Finish(upTo, removals(t, got))
	if err != nil || n != values {
		t.Fatalf("removed %d, %v, want %d", n, err, values)
	}
	checkRemovals(t, got, want)
	if err := v.Met(&Batch{}); err != ErrVerified {
		t.Fatalf("met after finish: %v", err)
	}
}
