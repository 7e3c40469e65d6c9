package store

import (
	"fmt"
	"testing"
)

// yieldBatch is of records that yield a value of their own of 200 B and two other keys.
func yieldBatch(from, n, keys, revision int) *Batch {
	b := &Batch{Next: int64(from + n)}
	for i := range n {
		k := (from + i) % keys
		key := fmt.Appendf(nil, "%036d", k)
		own := fmt.Appendf(nil, "%0200d", from+i)
		b.Mutations = append(b.Mutations, Mutation{Key: key, Offset: int64(from + i), Value: AppendYield(nil, own, []YieldTo{
			{fmt.Appendf(nil, "email:%d.%d@example.org", k, revision), key}, {fmt.Appendf(nil, "member:%02d:%s", k%50, key), nil},
		})})
	}
	return b
}

// BenchmarkProjection is what a record costs that yields its own value and two other keys, one of them another one than before. An
// operation is a record.
func BenchmarkProjection(b *testing.B) {
	const keys, batch = 100_000, 1000
	s := mustOpen(b, Options{Load: true})
	offset := 0
	for range keys / batch {
		mustApply(b, s, yieldBatch(offset, batch, keys, 0))
		offset += batch
	}
	if _, err := s.Project(nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; i < b.N; i += batch {
		b.StopTimer()
		next := yieldBatch(offset, batch, keys, 1+offset/keys)
		offset += batch
		b.StartTimer()
		mustApply(b, s, next)
	}
}

// BenchmarkProject is what making a projection costs. An operation is a record.
func BenchmarkProject(b *testing.B) {
	const keys, batch = 100_000, 1000
	for i := 0; i < b.N; i += keys {
		b.StopTimer()
		s := mustOpen(b, Options{Load: true})
		for offset := 0; offset < keys; offset += batch {
			mustApply(b, s, yieldBatch(offset, batch, keys, 0))
		}
		if err := s.EndLoad(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Project(nil); err != nil {
			b.Fatal(err)
		}
	}
}
