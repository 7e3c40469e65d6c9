package store

import (
	"testing"
)

// TestTimeline finds what was added.
func TestTimeline(t *testing.T) {
	r := newRand(t)
	line, want := newTimeline(), map[int64]Mutation{}
	next := int64(0)
	for range 200 {
		b := &Batch{Partition: 7}
		from := next
		for range r.IntN(50) {
			m := Mutation{Offset: next, Timestamp: r.Int64() - r.Int64(), Tombstone: r.IntN(5) == 0}
			for range r.IntN(3) * r.IntN(2) {
				m.Headers = append(m.Headers, Header{Key: []byte("key"), Value: make([]byte, r.IntN(5000))})
			}
			b.Mutations = append(b.Mutations, m)
			want[m.Offset] = m
			next += 1 + r.Int64N(2)*r.Int64N(1<<40)
		}
		if !line.takes(b, from) {
			t.Fatal("it does not take what ascends")
		}
		line.add(b, from)
	}
	l := line.byPartition[7]
	for offset := range want {
		for _, at := range []int64{offset, offset + 1} {
			timestamp, headers, ok := l.find(at)
			w, there := want[at]
			if there = there && !w.Tombstone; ok != there {
				t.Fatalf("offset %d: %v, want %v", at, ok, there)
			}
			if ok && (timestamp != w.Timestamp || len(headers) != headersSize(w.Headers)) {
				t.Fatalf("offset %d: at %d with %d bytes of headers, want %d and %d", at, timestamp, len(headers), w.Timestamp, headersSize(w.Headers))
			}
		}
	}
	for _, b := range []*Batch{
		{Partition: 7, Mutations: []Mutation{{Offset: next}, {Offset: next}}},
		{Partition: 7, Mutations: []Mutation{{Offset: l.last}}},
		{Partition: 7, Mutations: []Mutation{{Offset: next, Hold: true}}},
		{Partition: 7, Mutations: []Mutation{{Offset: next, Source: []byte("s")}}},
	} {
		if line.takes(b, 0) {
			t.Errorf("it takes %+v", b.Mutations)
		}
	}
}
