package store

import (
	"bytes"
	"maps"
	"slices"
	"testing"
)

func checkScan(t *testing.T, s *Store, m *model, count int) {
	t.Helper()
	seen := map[string]bool{}
	for cursor, pages := uint64(0), 0; ; pages++ {
		next, err := s.Scan(cursor, count, func(key []byte) {
			if seen[string(key)] {
				t.Fatalf("scan met %q twice in a store at rest", key)
			}
			seen[string(key)] = true
		})
		if err != nil {
			t.Fatal(err)
		}
		if next == 0 {
			break
		}
		if next <= cursor || next >= 1<<53 {
			t.Fatalf("cursor %d after %d", next, cursor)
		}
		cursor = next
	}
	for k := range m.entries {
		if !seen[k] {
			t.Fatalf("scan missed %q", k)
		}
	}
	if len(seen) != len(m.entries) {
		t.Fatalf("scan met %d keys of %d", len(seen), len(m.entries))
	}
}

// checkRange holds a range to the model, in both directions, with values and without.
func checkRange(t *testing.T, s *Store, m *model, lower, upper []byte) {
	t.Helper()
	var want []string
	for _, k := range slices.Sorted(maps.Keys(m.entries)) {
		if k >= string(lower) && (upper == nil || k < string(upper)) {
			want = append(want, k)
		}
	}
	for _, o := range []RangeOptions{
		{Lower: lower, Upper: upper}, {Lower: lower, Upper: upper, KeysOnly: true},
		{Lower: lower, Upper: upper, Reverse: true}, {Lower: lower, Upper: upper, Reverse: true, KeysOnly: true},
	} {
		i := 0
		err := s.RangeWith(o, func(e Entry) bool {
			at := i
			if o.Reverse {
				at = len(want) - 1 - i
			}
			if at < 0 || at == len(want) || string(e.Key) != want[at] {
				t.Fatalf("range %+v: key %d is %q", o, i, e.Key)
			}
			w := m.entries[want[at]]
			value := w.value
			if o.KeysOnly {
				value = nil
			}
			if !bytes.Equal(e.Value, value) || !equalMeta(e.Meta, w.meta) {
				t.Fatalf("range: %q has %d bytes, %v, want %d bytes, %v", e.Key, len(e.Value), e.Meta, len(value), w.meta)
			}
			i++
			return true
		})
		if err != nil || i != len(want) {
			t.Fatalf("range %+v: %d entries, %v, want %d", o, i, err, len(want))
		}
	}
}

// checkGarbage holds a shard of some pages to 15 % of dead bytes, and its counts to what a walk finds.
func checkGarbage(t *testing.T, x *index) {
	t.Helper()
	for i := range x.shards {
		s := &x.shards[i]
		live, used := 0, 0
		for n := range s.chunks {
			c := &s.chunks[n]
			used += c.used
			for pos := 0; pos < c.used; {
				key, value := readRecord(s.data[n][pos:])
				size := recordSize(len(key), len(value))
				if _, ok := s.findLocation(x.hash(key), makeLocation(n, pos)); ok {
					live += size
				}
				pos += size
			}
		}
		if live != s.sizes.live || used-live != s.sizes.dead {
			t.Errorf("shard %d: %d live, %d dead, a walk finds %d and %d", i, s.sizes.live, s.sizes.dead, live, used-live)
		}
		if used > 4*pageSize && (used-live)*100 > 15*used {
			t.Errorf("shard %d: %d of %d bytes are garbage", i, used-live, used)
		}
	}
}
