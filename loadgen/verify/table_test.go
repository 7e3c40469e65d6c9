package verify

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func record(partition int32, offset, ms int64, key, value string) *kgo.Record {
	r := &kgo.Record{Partition: partition, Offset: offset, Timestamp: time.UnixMilli(ms), Key: []byte(key)}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

// TestTheNewestRecordDecides: within a partition the greatest offset, between partitions the greatest (timestamp, partition), in
// whatever order partitions are read.
func TestTheNewestRecordDecides(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []*kgo.Record
		value   string // empty: deleted
	}{
		{"the later one", []*kgo.Record{record(0, 1, 10, "k", "a"), record(0, 2, 5, "k", "b")}, "b"},
		{"a tombstone", []*kgo.Record{record(0, 1, 10, "k", "a"), record(0, 2, 11, "k", "")}, ""},
		{"the newer partition's", []*kgo.Record{record(1, 1, 10, "k", "a"), record(0, 2, 11, "k", "b")}, "b"},
		{"the newer partition's, read first", []*kgo.Record{record(0, 2, 11, "k", "b"), record(1, 1, 10, "k", "a")}, "b"},
		{"at the same time the greater partition's", []*kgo.Record{record(1, 1, 10, "k", "a"), record(0, 2, 10, "k", "b")}, "a"},
		{"another partition's tombstone", []*kgo.Record{record(1, 1, 10, "k", "a"), record(0, 2, 11, "k", "")}, ""},
		{"a partition whose newer record is of an earlier time", []*kgo.Record{record(0, 1, 10, "k", "a"), record(1, 1, 9, "k", "b"), record(0, 2, 8, "k", "c")}, "b"},
		{"and again", []*kgo.Record{record(0, 1, 10, "k", "a"), record(1, 1, 9, "k", "b"), record(0, 2, 8, "k", "c"), record(0, 3, 12, "k", "d"), record(2, 0, 11, "k", "e")}, "d"},
	} {
		table := newTable(0, math.MaxInt64)
		for _, r := range tt.records {
			table.add([]*kgo.Record{r})
		}
		e := table.entries["k"]
		if e == nil || e.deleted != (tt.value == "") || !e.deleted && e.sum != sumOf([]byte(tt.value)) {
			t.Errorf("%s: %+v, want %q", tt.name, e, tt.value)
		}
	}
}

// TestATableHalves: what does not fit is left to later passes, each key is in exactly one, and the bound holds.
func TestATableHalves(t *testing.T) {
	const keys, limit = 2000, 40_000
	var all []*kgo.Record
	for i := range keys {
		all = append(all, record(0, int64(2*i), 1, fmt.Sprint("key", i), "v"), record(0, int64(2*i+1), 2, "", "no key"))
	}
	seen := map[string]int{}
	passes := 0
	for low := uint64(0); ; passes++ {
		table := newTable(low, limit)
		for i := range all {
			table.add(all[i : i+1])
			if table.bytes > limit {
				t.Fatalf("%d bytes, the bound is %d", table.bytes, limit)
			}
		}
		var bytes int64
		for k, e := range table.entries {
			seen[k]++
			bytes += int64(len(k)) + entryBytes + int64(len(e.others))*48
			if !table.has(k) {
				t.Errorf("%s is not of the table's slice", k)
			}
		}
		if bytes != table.bytes {
			t.Errorf("%d bytes are counted, there are %d", table.bytes, bytes)
		}
		if table.high == math.MaxUint64 {
			break
		}
		low = table.high + 1
	}
	if len(seen) != keys || passes < keys*entryBytes/limit {
		t.Errorf("%d keys in %d passes", len(seen), passes)
	}
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s was met in %d passes", k, n)
		}
	}
}

func TestTokens(t *testing.T) {
	id := [16]byte{1, 2, 3}
	s := token(id, map[int32]int64{2: 7, 0: 5})
	if s != "1:AQIDAAAAAAAAAAAAAAAAAA:0.5,2.7" {
		t.Error(s)
	}
	next, err := parseToken("1:AQIDAAAAAAAAAAAAAAAAAA:0.5.3,2.7", id)
	if err != nil || len(next) != 2 || next[0] != 5 || next[2] != 7 {
		t.Errorf("%v, %v", next, err)
	}
	if next, err := parseToken("1:AQIDAAAAAAAAAAAAAAAAAA:", id); err != nil || len(next) != 0 {
		t.Errorf("%v, %v", next, err)
	}
	for _, bad := range []string{"", "1:x", "2:AQIDAAAAAAAAAAAAAAAAAA:0.5", "1:AAAAAAAAAAAAAAAAAAAAAA:0.5", "1:AQIDAAAAAAAAAAAAAAAAAA:0", "1:AQIDAAAAAAAAAAAAAAAAAA:x.5", "1:AQIDAAAAAAAAAAAAAAAAAA:0.x"} {
		if next, err := parseToken(bad, id); err == nil {
			t.Errorf("%q is taken for %v", bad, next)
		}
	}
}
