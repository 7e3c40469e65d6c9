package verify

import (
	"crypto/sha256"
	"hash/maphash"
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// claim is what one partition's newest record says of a key. Of the value a hash is kept.
type claim struct {
	partition int32
	deleted   bool
	offset    int64
	time      int64 // of the record, ms
	sum       [16]byte
}

// entry is a key's claims: the newest of each partition that has one.
type entry struct {
	claim          // the newest of all: what the key's value is
	others []claim // of other partitions; nil of nearly all keys
	seen   int     // the number of the comparison that met it last
}

// claimOf is what a record says.
func claimOf(r *kgo.Record) claim {
	c := claim{partition: r.Partition, offset: r.Offset, time: r.Timestamp.UnixMilli(), deleted: r.Value == nil}
	if !c.deleted {
		c.sum = sumOf(r.Value)
	}
	return c
}

func sumOf(value []byte) (s [16]byte) {
	full := sha256.Sum256(value)
	copy(s[:], full[:])
	return s
}

// after tells whether c decides over o: between partitions the greatest (timestamp, partition), within one the greatest offset.
func (c *claim) after(o *claim) bool {
	if c.partition == o.partition {
		return c.offset > o.offset
	}
	if c.time != o.time {
		return c.time > o.time
	}
	return c.partition > o.partition
}

// apply adds a later record of the key.
func (e *entry) apply(c claim) {
	if e.partition == c.partition {
		e.claim = c
	} else {
		known := false
		for i := range e.others {
			if e.others[i].partition == c.partition {
				e.others[i], known = c, true
			}
		}
		if !known {
			e.others = append(e.others, c)
		}
	}
	for i := range e.others { // also where the first one's newer record is of an earlier time
		if e.others[i].after(&e.claim) {
			e.claim, e.others[i] = e.others[i], e.claim
		}
	}
}

// copied is the entry apart from the table's.
func (e *entry) copied() *entry {
	c := *e
	c.others = append([]claim(nil), e.others...)
	return &c
}

// entryBytes is what a key takes in a table beside its own bytes, with the map's share; TestEntryBytes measures it.
const entryBytes = 176

var hashSeed = maphash.MakeSeed()

// table has the keys of one slice of all hashes. When they are more than fit, the slice is cut in half and what is outside
// forgotten: another pass over the log takes care of it.
type table struct {
	low, high uint64 // of the hashes, both inclusive
	limit     int64

	mu      sync.Mutex
	entries map[string]*entry
	bytes   int64
	records int64
}

func newTable(low uint64, limit int64) *table {
	return &table{low: low, high: math.MaxUint64, limit: limit, entries: map[string]*entry{}}
}

// has tells whether the key is of this table's slice.
func (t *table) has(key string) bool {
	h := maphash.String(hashSeed, key)
	return h >= t.low && h <= t.high
}

// add applies records of one partition, in their order.
func (t *table) add(records []*kgo.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		if len(r.Key) == 0 {
			continue // no key, no entry
		}
		if h := maphash.Bytes(hashSeed, r.Key); h < t.low || h > t.high {
			continue
		}
		t.records++
		if e, ok := t.entries[string(r.Key)]; ok {
			had := len(e.others)
			e.apply(claimOf(r))
			t.bytes += int64(len(e.others)-had) * 48
		} else {
			t.entries[string(r.Key)] = &entry{claim: claimOf(r)}
			t.bytes += int64(len(r.Key)) + entryBytes
		}
		for t.bytes > t.limit && t.high > t.low {
			t.halve()
		}
	}
}

// halve forgets the upper half of the slice.
func (t *table) halve() {
	t.high = t.low + (t.high-t.low)/2
	kept := make(map[string]*entry, len(t.entries)/2) // a map that shrinks keeps its memory
	t.bytes = 0
	for k, e := range t.entries {
		if maphash.String(hashSeed, k) <= t.high {
			kept[k] = e
			t.bytes += int64(len(k)) + entryBytes + int64(len(e.others))*48
		}
	}
	t.entries = kept
}
