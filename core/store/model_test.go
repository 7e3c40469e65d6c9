package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/yolean/kafka-cache/core/position"
)

// newRand is a source of random numbers whose seed the test prints; STORE_SEED repeats a run.
func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("STORE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("STORE_SEED: %v", err)
		}
	}
	t.Logf("STORE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// testOptions are a store in a directory of its own that flushes only when told to.
func testOptions(t testing.TB) Options {
	return Options{Dir: t.TempDir(), FlushInterval: time.Hour}
}

// smallEngine makes Pebble flush and compact with little data.
func smallEngine(p *pebble.Options) {
	p.MemTableSize = 256 << 10
	p.L0CompactionThreshold = 2
	p.LBaseMaxBytes = 1 << 20
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("close: %v", err)
		}
		if n := s.index.memory.mapped.Load(); n != 0 {
			t.Errorf("%d bytes are mapped after Close", n)
		}
	})
	return s
}

func mustApply(t testing.TB, s *Store, b *Batch) {
	t.Helper()
	if err := s.Apply(b, nil); err != nil {
		t.Fatal(err)
	}
}

type modelEntry struct {
	value []byte
	meta  Meta
}

// modelClaim is what one source of one partition says of a key.
type modelClaim struct {
	modelEntry
	tombstone bool
}

// model is what a store must tell, kept in the simplest way: every claim of every key. A slice of claims is never changed, so
// that clones share them.
type model struct {
	entries map[string]modelEntry
	claims  map[string][]modelClaim
	next    map[int32]int64
}

func newModel() *model {
	return &model{entries: map[string]modelEntry{}, claims: map[string][]modelClaim{}, next: map[int32]int64{}}
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.entries), maps.Clone(m.claims), maps.Clone(m.next)}
}

// wins says that a beats b: the newer of a partition, then the greater (timestamp, partition).
func (a modelClaim) wins(b modelClaim) bool {
	if a.meta.Partition == b.meta.Partition {
		return a.meta.Offset > b.meta.Offset
	}
	return a.meta.Timestamp > b.meta.Timestamp || a.meta.Timestamp == b.meta.Timestamp && a.meta.Partition > b.meta.Partition
}

// winner goes through all claims for each partition, and then through the newest of each.
func winnerOf(claims []modelClaim) (winner modelClaim, ok bool) {
	newest := map[int32]modelClaim{}
	for _, c := range claims {
		if n, ok := newest[c.meta.Partition]; !ok || c.wins(n) {
			newest[c.meta.Partition] = c
		}
	}
	for _, c := range newest {
		if !ok || c.wins(winner) {
			winner, ok = c, true
		}
	}
	return winner, ok
}

func sameSource(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// set gives a key other claims.
func (m *model) set(key string, claims []modelClaim) {
	m.claims[key] = claims
	if len(claims) == 0 {
		delete(m.claims, key)
	}
	delete(m.entries, key)
	if w, ok := winnerOf(claims); ok && !w.tombstone {
		m.entries[key] = w.modelEntry
	}
}

// apply gives the changes as an observer is to be told.
func (m *model) apply(b *Batch) []Change {
	var changes []Change
	start := m.next[b.Partition]
	m.next[b.Partition] = max(start, b.Next)
	for i, x := range b.Mutations {
		c := Change{Index: i, Kind: Superseded, Partition: b.Partition, Offset: x.Offset, Timestamp: x.Timestamp}
		if x.Offset >= start {
			m.mutate(b.Partition, &x, &c)
		}
		changes = append(changes, c)
	}
	if len(m.next) == 1 {
		for _, x := range b.Mutations {
			m.prune(string(x.Key))
		}
	}
	return changes
}

func (m *model) mutate(partition int32, x *Mutation, c *Change) {
	key := string(x.Key)
	old, had := m.entries[key]
	var claims []modelClaim
	for _, e := range m.claims[key] {
		if e.meta.Partition != partition || !sameSource(e.meta.Source, x.Source) {
			claims = append(claims, e)
		}
	}
	e := modelClaim{modelEntry{append([]byte{}, x.Value...), Meta{Partition: partition, Offset: x.Offset, Timestamp: x.Timestamp, Source: x.Source, Headers: x.Headers}}, x.Tombstone}
	if x.Tombstone {
		e.value, e.meta.Headers = nil, nil
	}
	if !x.Tombstone || x.Source == nil {
		claims = append(claims, e)
	}
	m.set(key, claims)
	now, has := m.entries[key]
	same := had && has && now.meta.Partition == old.meta.Partition && now.meta.Offset == old.meta.Offset && sameSource(now.meta.Source, old.meta.Source)
	mine := has && !x.Tombstone && now.meta.Partition == partition && now.meta.Offset == x.Offset && sameSource(now.meta.Source, x.Source)
	switch {
	case same && !mine:
	case !had && !has:
		if x.Tombstone {
			c.Kind = Absent
		}
	case !has:
		c.Kind, c.Old = Deleted, old.value
	default:
		c.Kind, c.Value = Created, now.value
		c.Partition, c.Offset, c.Timestamp = now.meta.Partition, now.meta.Offset, now.meta.Timestamp
		if had {
			c.Kind, c.Old = Updated, old.value
			if bytes.Equal(old.value, now.value) {
				c.Kind = Unchanged
			}
		}
	}
}

// prune takes out the tombstones of a key that hide no value.
func (m *model) prune(key string) {
	m.filter(key, func(t modelClaim, claims []modelClaim) bool {
		return !t.tombstone || slices.ContainsFunc(claims, func(c modelClaim) bool { return !c.tombstone && t.wins(c) })
	})
}

func (m *model) filter(key string, keep func(modelClaim, []modelClaim) bool) (values int) {
	var kept []modelClaim
	for _, c := range m.claims[key] {
		if keep(c, m.claims[key]) {
			kept = append(kept, c)
		} else if !c.tombstone {
			values++
		}
	}
	if len(kept) != len(m.claims[key]) {
		m.set(key, kept)
	}
	return values
}

// remove takes out claims, and gives the number of values, and what is to be told of each key.
func (m *model) remove(gone func(key string, c modelClaim) bool) (values int, removals map[string]Removal) {
	removals = map[string]Removal{}
	for _, key := range slices.Sorted(maps.Keys(m.claims)) {
		old, had := m.entries[key]
		values += m.filter(key, func(c modelClaim, _ []modelClaim) bool { return !gone(key, c) })
		if len(m.next) == 1 {
			m.prune(key)
		}
		now, has := m.entries[key]
		r := Removal{Key: []byte(key)}
		switch {
		case !had && !has || had && has && bytes.Equal(old.value, now.value):
			continue
		case !has:
			r.Kind, r.Old, r.Partition, r.Offset = Deleted, old.value, old.meta.Partition, old.meta.Offset
		default:
			r.Kind, r.Value, r.Partition, r.Offset, r.Timestamp = Created, now.value, now.meta.Partition, now.meta.Offset, now.meta.Timestamp
			if had {
				r.Kind, r.Old = Updated, old.value
			}
		}
		removals[key] = r
	}
	return values, removals
}

// generator makes random batches over a small set of keys.
type generator struct {
	*rand.Rand
	keys   int
	next   map[int32]int64
	values func(*rand.Rand) int // lengths
}

func (g *generator) key() []byte {
	k := g.IntN(g.keys)
	if k == 0 {
		return []byte{}
	}
	return fmt.Appendf(nil, "key-%d-%.*s", k, k%40, "0123456789012345678901234567890123456789")
}

func (g *generator) batch(mutations int) *Batch {
	b := &Batch{Partition: int32(g.IntN(3)), LeaderEpoch: int32(g.IntN(4)), FreshAt: time.Unix(int64(g.IntN(1e9)), int64(g.IntN(1e9)))}
	offset := g.next[b.Partition]
	if g.IntN(10) == 0 {
		offset = max(0, offset-int64(g.IntN(20))) // a replay
	}
	for range mutations {
		m := Mutation{Key: g.key(), Offset: offset, Timestamp: int64(g.IntN(1000)) - 100, Tombstone: g.IntN(4) == 0}
		if !m.Tombstone && g.IntN(10) > 0 {
			m.Value = make([]byte, g.values(g.Rand))
			for i := range m.Value {
				m.Value[i] = byte(g.Uint32())
			}
		}
		if offset%5 == 0 { // all that a record yields is of one source
			m.Source = []byte(fmt.Sprint("source", offset/5%9))
		}
		if g.IntN(5) == 0 {
			m.Headers = []Header{{Key: []byte("h"), Value: []byte("v")}, {Key: []byte{}, Value: nil}, {Key: []byte("e"), Value: []byte{}}}
		}
		b.Mutations = append(b.Mutations, m)
		if g.IntN(20) > 0 {
			offset += 1 + int64(g.IntN(3))
		} else if !m.Tombstone {
			offset++ // several mutations of one offset are of different keys
		}
	}
	b.Next = max(offset+int64(g.IntN(3)), 0)
	if n := len(b.Mutations); n > 0 {
		b.Next = max(b.Next, b.Mutations[n-1].Offset+1)
	}
	g.next[b.Partition] = max(g.next[b.Partition], b.Next)
	return b
}

func TestModel(t *testing.T) {
	for _, c := range []struct {
		name string
		o    func(t *testing.T) Options
	}{
		{"dir", func(t *testing.T) Options { o := testOptions(t); o.tune = smallEngine; return o }},
		{"memory", func(*testing.T) Options { return Options{} }},
		{"collisions", func(t *testing.T) Options { o := testOptions(t); o.hashMask = 0xc0ffc00000000801; return o }},
		{"one hash", func(*testing.T) Options { return Options{hashMask: 1} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRand(t)
			o := c.o(t)
			s := mustOpen(t, o)
			m := newModel()
			g := &generator{Rand: r, keys: 300, next: map[int32]int64{}, values: func(r *rand.Rand) int {
				if r.IntN(50) == 0 {
					return r.IntN(200 << 10)
				}
				return r.IntN(300)
			}}
			for i := range underRace(400, 120) {
				if i%100 == 50 {
					g.keys = 20 + r.IntN(3000)
				}
				b := g.batch(r.IntN(60))
				want := m.apply(b)
				if r.IntN(3) == 0 {
					mustApply(t, s, b)
				} else {
					applyObserved(t, s, b, want)
				}
				switch r.IntN(40) {
				case 0:
					removeBelowModel(t, s, m, r)
				case 1:
					verifyModel(t, s, m, g)
				}
				if i%20 == 19 {
					checkModel(t, s, m, g)
				}
				if o.Dir != "" && r.IntN(60) == 0 {
					before := s.Checkpoint()
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, o)
					for i, a := range s.Checkpoint() {
						if b := before[i]; a.Partition != b.Partition || a.Next != b.Next || a.LeaderEpoch != b.LeaderEpoch || !a.FreshAt.Equal(b.FreshAt) {
							t.Fatalf("checkpoint after reopening: %v, want %v", a, b)
						}
					}
					checkModel(t, s, m, g)
				}
			}
			checkModel(t, s, m, g)
			checkGarbage(t, s.index)
		})
	}
}

func applyObserved(t *testing.T, s *Store, b *Batch, want []Change) {
	t.Helper()
	i := 0
	err := s.Apply(b, func(c Change) {
		w := want[i]
		if c.Index != w.Index || c.Kind != w.Kind || !sameSource(c.Old, w.Old) || !sameSource(c.Value, w.Value) ||
			c.Partition != w.Partition || c.Offset != w.Offset || c.Timestamp != w.Timestamp {
			t.Fatalf("change %d of key %q: %+v, want %+v", i, b.Mutations[i].Key, c, w)
		}
		i++
	})
	if err != nil {
		t.Fatal(err)
	}
	if i != len(want) {
		t.Fatalf("%d changes, want %d", i, len(want))
	}
}

func checkModel(t *testing.T, s *Store, m *model, g *generator) {
	t.Helper()
	if s.Len() != int64(len(m.entries)) {
		t.Fatalf("%d entries, want %d", s.Len(), len(m.entries))
	}
	for k, e := range m.entries {
		checkEntry(t, s, []byte(k), e)
	}
	for range 100 {
		k := g.key()
		_, want := m.entries[string(k)]
		_, ok, err := s.Get(nil, k)
		if _, has, errMeta := s.Meta(k); ok != want || has != want || err != nil || errMeta != nil {
			t.Fatalf("key %q is there: %v, %v, want %v", k, ok, err, want)
		}
	}
	for _, c := range s.Checkpoint() {
		if c.Next != m.next[c.Partition] {
			t.Fatalf("partition %d: next %d, want %d", c.Partition, c.Next, m.next[c.Partition])
		}
	}
	checkClaims(t, s, m)
	checkScan(t, s, m, 1+g.IntN(100))
	var lower, upper []byte
	if g.IntN(2) == 0 {
		lower, upper = g.key(), g.key()
	}
	checkRange(t, s, m, lower, upper)
	if key, ok := s.RandomKey([]byte("x")); ok != (len(m.entries) > 0) {
		t.Fatalf("random key: %v with %d entries", ok, len(m.entries))
	} else if _, has := m.entries[string(key[1:])]; ok && !has {
		t.Fatalf("random key %q is not there", key[1:])
	}
}

func checkEntry(t *testing.T, s *Store, k []byte, e modelEntry) {
	t.Helper()
	v, ok, err := s.Get([]byte("prefix"), k)
	if !ok || err != nil || !bytes.Equal(v, append([]byte("prefix"), e.value...)) {
		t.Fatalf("get %q: %d bytes, %v, %v, want %d bytes", k, len(v), ok, err, len(e.value))
	}
	if n, ok, err := s.ValueLen(k); !ok || err != nil || n != len(e.value) {
		t.Fatalf("length of %q: %d, %v, %v, want %d", k, n, ok, err, len(e.value))
	}
	meta, ok, err := s.Meta(k)
	if !ok || err != nil || !equalMeta(meta, e.meta) {
		t.Fatalf("meta of %q: %v, %v, %v, want %v", k, meta, ok, err, e.meta)
	}
}

func equalMeta(a, b Meta) bool {
	return a.Partition == b.Partition && a.Offset == b.Offset && a.Timestamp == b.Timestamp &&
		bytes.Equal(a.Source, b.Source) && (a.Source == nil) == (b.Source == nil) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y Header) bool {
			return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value) && (x.Value == nil) == (y.Value == nil)
		})
}

func TestUnknownEpochKeepsTheKnown(t *testing.T) {
	s := mustOpen(t, Options{})
	mustApply(t, s, &Batch{Next: 3, LeaderEpoch: 7})
	mustApply(t, s, &Batch{Next: 3, LeaderEpoch: position.UnknownEpoch})
	mustApply(t, s, &Batch{Next: 2, LeaderEpoch: 9})
	if c := s.Checkpoint(); len(c) != 1 || c[0].Next != 3 || c[0].LeaderEpoch != 7 {
		t.Errorf("checkpoint %v", c)
	}
}
