package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func mustPut(t testing.TB, x *index, key, value []byte, offset int64) {
	t.Helper()
	if _, _, err := x.put(x.hash(key), key, value, state{version: version{1, offset}}); err != nil {
		t.Fatal(err)
	}
}

func mustRemove(t testing.TB, x *index, key []byte) {
	t.Helper()
	if _, _, err := x.remove(x.hash(key), key); err != nil {
		t.Fatal(err)
	}
}

func openIndex(t testing.TB, mask uint64) *index {
	x := newIndex(mask)
	t.Cleanup(func() {
		x.close()
		if n := x.memory.mapped.Load(); n != 0 {
			t.Errorf("%d bytes are mapped after close", n)
		}
	})
	return x
}

// checkTables holds every table to what searches rely on.
func checkTables(t testing.TB, x *index) {
	t.Helper()
	for i := range x.shards {
		s := &x.shards[i]
		n, last, gap := 0, uint64(0), 0 // gap: the slot behind the last empty one
		for j := range s.table.slots {
			sl := &s.table.slots[j]
			if sl.empty() {
				gap = j + 1
				continue
			}
			n++
			if home := s.table.home(sl.hash()); home > j || home < gap {
				t.Fatalf("shard %d: slot %d has home %d, slot %d is empty", i, j, home, gap-1)
			}
			if sl.hash() < last {
				t.Fatalf("shard %d: slot %d is out of order", i, j)
			}
			last = sl.hash()
		}
		if k := len(s.table.slots); n != s.n || k > 0 && !s.table.slots[k-1].empty() {
			t.Fatalf("shard %d: %d slots are taken, %d counted", i, n, s.n)
		}
	}
}

func TestSlot(t *testing.T) {
	for _, c := range []struct {
		hash uint64
		l    location
		v    version
	}{
		{0, makeLocation(1, 0), version{0, 0}},
		{1<<56 - 1, makeLocation(maxChunks-1, (1<<placeBits-1)*placeUnit), version{1<<31 - 1, maxOffset}},
		{0x0123456789abcd, makeLocation(0x1234, 0x56789c), version{77, 1 << 40}},
	} {
		for _, flags := range []uint64{0, slotTombstone, slotSplit | slotMet, slotDerived | slotMet, slotFlags} {
			made := makeSlot(c.hash|0xab<<56, makeLocation(7, 8), &state{version: c.v, flags: flags})
			for _, s := range []slot{makeSlot(c.hash|0xab<<56, c.l, &state{version: c.v, flags: flags}), made.moved(c.l)} {
				if s.empty() || s.hash() != c.hash || s.location() != c.l || s.version() != c.v || s.mark&slotFlags != flags {
					t.Errorf("%+v: %x, %x, %v, empty %v, flags %x", c, s.hash(), s.location(), s.version(), s.empty(), s.mark&slotFlags)
				}
			}
		}
	}
	if (&slot{}).empty() == false {
		t.Error("fresh memory is not an empty slot")
	}
}

// TestFewKeysAreCheap: a topic with ten keys costs pages, not megabytes, also after many overwrites.
func TestFewKeysAreCheap(t *testing.T) {
	x := openIndex(t, ^uint64(0))
	for i := range 10_000 {
		mustPut(t, x, fmt.Appendf(nil, "key-%d", i%10), make([]byte, i%500), int64(i))
	}
	if n := x.memory.mapped.Load(); n > int64(10*4*pageSize) {
		t.Errorf("ten keys take %d bytes", n)
	}
	for i := range 10 {
		mustRemove(t, x, fmt.Appendf(nil, "key-%d", i))
	}
	if st := x.stats(); st.Entries != 0 || st.LiveBytes != 0 || st.GarbageBytes != 0 {
		t.Errorf("without keys: %+v", st)
	}
}

// TestGarbageIsGivenBack overwrites with values of changing sizes, then deletes nearly everything.
func TestGarbageIsGivenBack(t *testing.T) {
	r := newRand(t)
	x := openIndex(t, ^uint64(0))
	const keys = 60_000
	value := make([]byte, 1<<20)
	want := make([]int, keys)
	put := func(k, n int) {
		mustPut(t, x, fmt.Appendf(nil, "key-%06d", k), value[:n], int64(n))
		want[k] = n
	}
	for k := range keys {
		put(k, r.IntN(400))
	}
	filled := x.stats()
	for range 4 * keys {
		put(r.IntN(keys), r.IntN(400))
	}
	for range 300 {
		put(r.IntN(keys), r.IntN(1<<20))
	}
	checkGarbage(t, x)
	checkTables(t, x)
	for k, n := range want {
		if got, ok, err := x.valueLen(fmt.Appendf(nil, "key-%06d", k)); got != n || !ok || err != nil {
			t.Fatalf("key %d: %d, %v, %v, want %d", k, got, ok, err, n)
		}
		put(k, r.IntN(400))
	}
	if st := x.stats(); st.GarbageBytes*100 > 15*(st.LiveBytes+st.GarbageBytes) || st.ChunkBytes*2 > 3*(st.LiveBytes+st.GarbageBytes) {
		t.Errorf("after overwriting %+v, after filling %+v", st, filled)
	}
	for k := range keys {
		if k%100 > 0 {
			mustRemove(t, x, fmt.Appendf(nil, "key-%06d", k))
		}
	}
	checkGarbage(t, x)
	checkTables(t, x)
	if st := x.stats(); st.ChunkBytes > filled.ChunkBytes/5 || st.TableBytes > int64(shardCount*pageSize) {
		t.Errorf("after deleting 99 of 100: %+v, before %+v", st, filled)
	}
}

// TestCollisions makes long runs of one hash at the beginning and at the end of tables.
func TestCollisions(t *testing.T) {
	for _, mask := range []uint64{0xff00000000000000, 0xffffffffffffff00 | 1, 0x00ffffffffffffff, 0x80ff000000000000} {
		x := openIndex(t, mask)
		r := newRand(t)
		model := map[string]int64{}
		for i := range 6000 {
			key := fmt.Appendf(nil, "key-%d", r.IntN(1500))
			if r.IntN(3) == 0 {
				mustRemove(t, x, key)
				delete(model, string(key))
			} else {
				mustPut(t, x, key, key, int64(i))
				model[string(key)] = int64(i)
			}
		}
		checkTables(t, x)
		for i := range 1500 {
			key := fmt.Appendf(nil, "key-%d", i)
			want, has := model[string(key)]
			v, ver, ok, err := x.getVersion(nil, key)
			if ok != has || err != nil || ok && (ver.offset != want || !bytes.Equal(v, key)) {
				t.Fatalf("mask %x, %q: %q, %v, %v, %v, want %v, %v", mask, key, v, ver, ok, err, want, has)
			}
		}
	}
}

// TestScanAcrossChanges: between the pages of a scan tables grow, shrink and move; what is there throughout is met.
func TestScanAcrossChanges(t *testing.T) {
	for _, mask := range []uint64{^uint64(0), 0xfff0000000000000} {
		r := newRand(t)
		x := openIndex(t, mask)
		stay := map[string]bool{}
		for i := range 3000 {
			key := fmt.Appendf(nil, "stay-%d", i)
			mustPut(t, x, key, key, 1)
			stay[string(key)] = true
		}
		grown, n := 0, 0
		for cursor := uint64(0); ; {
			next, err := x.scan(cursor, 1+r.IntN(100), func(key []byte) { delete(stay, string(key)) })
			if err != nil {
				t.Fatal(err)
			}
			if next == 0 {
				break
			}
			if cursor = next; n%2 == 0 && grown < 60_000 {
				for range 5000 {
					mustPut(t, x, fmt.Appendf(nil, "come-%d", grown), make([]byte, r.IntN(100)), 1)
					grown++
				}
			} else {
				for ; grown > 0; grown-- {
					mustRemove(t, x, fmt.Appendf(nil, "come-%d", grown-1))
				}
			}
			n++
		}
		if len(stay) > 0 {
			t.Errorf("mask %x: %d keys were missed in %d pages", mask, len(stay), n)
		}
	}
}

// TestCursorsAreTheHashs pins what cursors mean: they are given to clients, who carry them to other processes.
func TestCursorsAreTheHashs(t *testing.T) {
	x := openIndex(t, ^uint64(0))
	// XXH64 with seed 0: "" ef46db3751d8e999, "a" d24ec4f1a98c6e5b, "abc" 44bc2cf5ad770999.
	for _, key := range []string{"", "a", "abc"} {
		mustPut(t, x, []byte(key), nil, 1)
	}
	var order []string
	var cursors []uint64
	for cursor := uint64(0); ; {
		next, err := x.scan(cursor, 1, func(key []byte) { order = append(order, string(key)) })
		if err != nil {
			t.Fatal(err)
		}
		if next == 0 {
			break
		}
		cursors = append(cursors, next)
		cursor = next
	}
	if got, want := fmt.Sprintf("%q %x", order, cursors), fmt.Sprintf("%q %x", []string{"abc", "a", ""}, []uint64{0xd24ec4f1a98c6e5b >> 11, 0xef46db3751d8e999 >> 11}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for cursor, want := range map[uint64]int{0xd24ec4f1a98c6e5b>>11 + 1: 1, 0xd24ec4f1a98c6e5b >> 11: 2, 1<<53 - 1: 0, 1 << 53: 0, ^uint64(0): 0} {
		n := 0
		if next, err := x.scan(cursor, 10, func([]byte) { n++ }); next != 0 || err != nil || n != want {
			t.Errorf("from %x: %d keys, next %x, %v, want %d keys", cursor, n, next, err, want)
		}
	}
	if next, err := x.scan(0, -1, func([]byte) {}); next == 0 || err != nil {
		t.Errorf("count below 1: next %x, %v", next, err)
	}
}

func TestRandomKeyIsFair(t *testing.T) {
	x := openIndex(t, ^uint64(0))
	if _, ok, err := x.randomKey(nil); ok || err != nil {
		t.Errorf("of nothing: %v, %v", ok, err)
	}
	const keys, draws = 20, 20_000
	for i := range keys {
		mustPut(t, x, fmt.Appendf(nil, "key-%d", i), nil, 1)
	}
	counts := map[string]int{}
	for range draws {
		key, ok, err := x.randomKey(nil)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		counts[string(key)]++
	}
	for key, n := range counts {
		if n < draws/keys*7/10 || n > draws/keys*13/10 { // nine standard deviations
			t.Errorf("%s: %d of %d draws", key, n, draws)
		}
	}
	if len(counts) != keys {
		t.Errorf("%d keys of %d were drawn", len(counts), keys)
	}
}

func TestClosedIndex(t *testing.T) {
	x := newIndex(^uint64(0))
	mustPut(t, x, []byte("k"), []byte("v"), 1)
	x.close()
	if _, _, err := x.put(x.hash([]byte("k")), []byte("k"), nil, state{}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, _, err := x.remove(x.hash([]byte("k")), []byte("k")); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if n := x.memory.mapped.Load(); n != 0 {
		t.Errorf("%d bytes are mapped", n)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	s := mustOpen(t, Options{})
	mustApply(t, s, benchBatch(0, 1000))
	key := benchKey(nil, 77)
	dst := make([]byte, 0, 300)
	if n := testing.AllocsPerRun(1000, func() {
		if v, ok, err := s.Get(dst[:0], key); !ok || err != nil || len(v) != benchValueLen {
			t.Fatal(len(v), ok, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIndexOverwrite(b *testing.B) {
	x := openIndex(b, ^uint64(0))
	const keys = 200_000
	value := make([]byte, 400)
	key := make([]byte, 0, 64)
	for i := range keys {
		mustPut(b, x, benchKey(key, uint64(i)), value[:200], 1)
	}
	for b.Loop() {
		mustPut(b, x, benchKey(key, rand.Uint64N(keys)), value[:rand.IntN(400)], 1)
	}
}
