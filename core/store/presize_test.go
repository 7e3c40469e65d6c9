package store

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestExpect: a store of which it is known how many keys come has tables of that size before they do, does not grow them meanwhile, and
// gives back at the load's end what it turned out not to need. What is opened again has its tables at once.
func TestExpect(t *testing.T) {
	const keys = 200_000
	fill := func(t *testing.T, s *Store, n int) {
		t.Helper()
		b := Batch{Partition: 0}
		for i := range n {
			b.Mutations = append(b.Mutations, Mutation{Key: fmt.Appendf(nil, "key-%d", i), Value: []byte("value"), Offset: int64(i)})
			if len(b.Mutations) == 2000 || i == n-1 {
				b.Next = int64(i) + 1
				if err := s.Apply(&b, nil); err != nil {
					t.Fatal(err)
				}
				b.Mutations = b.Mutations[:0]
			}
		}
	}
	check := func(t *testing.T, s *Store, n int) {
		t.Helper()
		if s.Len() != int64(n) {
			t.Fatalf("%d keys, want %d", s.Len(), n)
		}
		for i := 0; i < n; i += 997 {
			if _, ok, err := s.Get(nil, fmt.Appendf(nil, "key-%d", i)); !ok || err != nil {
				t.Fatalf("key-%d: %v, %v", i, ok, err)
			}
		}
	}
	tableBytes := func(s *Store) int64 { return s.Stats().TableBytes }
	// Of a table that is as full as it gets, and of one just grown.
	least, most := int64(keys*slotBytes), int64(keys*slotBytes)*2

	t.Run("as many as were expected", func(t *testing.T) {
		fs := vfs.NewMem()
		s := mustOpen(t, Options{Dir: "/g", fs: fs, Load: true, Expect: keys})
		before := tableBytes(s)
		if before < least || before > most {
			t.Fatalf("tables of %d bytes for %d keys to come", before, keys)
		}
		fill(t, s, keys)
		check(t, s, keys)
		if now := tableBytes(s); now != before {
			t.Errorf("tables went from %d to %d bytes", before, now)
		}
		if err := s.EndLoad(); err != nil {
			t.Fatal(err)
		}
		if now := tableBytes(s); now != before {
			t.Errorf("tables went from %d to %d bytes at the load's end", before, now)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, Options{Dir: "/g", fs: fs})
		check(t, s, keys)
		if now := tableBytes(s); now < least || now > most {
			t.Errorf("tables of %d bytes when opened again", now)
		}
	})
	t.Run("fewer", func(t *testing.T) {
		s := mustOpen(t, Options{Dir: "/g", fs: vfs.NewMem(), Load: true, Expect: keys})
		fill(t, s, keys/100)
		if err := s.EndLoad(); err != nil {
			t.Fatal(err)
		}
		check(t, s, keys/100)
		if now, most := tableBytes(s), int64(shardCount*pageSize); now > most {
			t.Errorf("tables of %d bytes are kept for %d keys, want at most %d", now, keys/100, most)
		}
	})
	t.Run("more", func(t *testing.T) {
		s := mustOpen(t, Options{Dir: "/g", fs: vfs.NewMem(), Load: true, Expect: keys / 100})
		fill(t, s, keys)
		check(t, s, keys)
	})
}
