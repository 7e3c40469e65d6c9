package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// TestHiddenValuesAreSummedUp: two stores with the same claims that are values differ where only one of them has the tombstone that hides one.
func TestHiddenValuesAreSummedUp(t *testing.T) {
	for name, o := range map[string]Options{"memory": {}, "dir": testOptions(t)} {
		t.Run(name, func(t *testing.T) {
			fresh, old := mustOpen(t, Options{}), mustOpen(t, o)
			for _, s := range []*Store{fresh, old} {
				s.SetPartitions([]int32{0, 1})
				var b Batch
				for i := range int64(10) {
					b.Mutations = append(b.Mutations, Mutation{Key: fmt.Append(nil, i), Value: []byte("old"), Offset: i, Timestamp: 1})
				}
				b.Next = 10
				mustApply(t, s, &b)
				// A newer value hides one too, which the same claims say of both.
				mustApply(t, s, &Batch{Partition: 1, Next: 1, Mutations: []Mutation{{Key: []byte("1"), Value: []byte("new"), Timestamp: 2}}})
			}
			mustApply(t, fresh, &Batch{Partition: 1, Next: 9})
			mustApply(t, old, &Batch{Partition: 1, Next: 9, Mutations: []Mutation{
				{Key: []byte("7"), Offset: 7, Timestamp: 2, Tombstone: true},  // hides a value
				{Key: []byte("77"), Offset: 8, Timestamp: 2, Tombstone: true}, // hides nothing
			}})
			of := func(s *Store) []PartitionDigest {
				all, err := s.Digests(t.Context(), false)
				if err != nil || len(all) != 2 {
					t.Fatal(all, err)
				}
				return all
			}
			a, b := of(fresh), of(old)
			for p := range a {
				if a[p].Sum != b[p].Sum || a[p].Claims != b[p].Claims {
					t.Fatalf("%+v, %+v", a[p], b[p])
				}
			}
			if a[0].Hidden != 0 || a[0].HiddenSum != (Digest{}) || b[0].Hidden != 1 || b[0].HiddenSum == (Digest{}) || b[1].Hidden != 0 {
				t.Fatalf("%+v, %+v", a, b)
			}
			// The same tombstone makes the same of both.
			mustApply(t, fresh, &Batch{Partition: 1, Next: 10, Mutations: []Mutation{{Key: []byte("7"), Offset: 9, Timestamp: 2, Tombstone: true}}})
			if c := of(fresh); c[0].HiddenSum != b[0].HiddenSum || c[0].Hidden != 1 {
				t.Fatalf("%+v, %+v", c, b)
			}
			// Once the value has gone there is nothing to hide.
			mustApply(t, old, &Batch{Next: 11, Mutations: []Mutation{{Key: []byte("7"), Offset: 10, Timestamp: 1, Tombstone: true}}})
			if c := of(old); c[0].Hidden != 0 || c[0].HiddenSum != (Digest{}) {
				t.Fatalf("%+v", c)
			}
		})
	}
}

// endsAfter is a context that ends when it has been looked at some times.
type endsAfter struct {
	context.Context
	looks int
}

func (c *endsAfter) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestDigestsEndWithTheirContext: also in the midst of all values, and applies go on.
func TestDigestsEndWithTheirContext(t *testing.T) {
	s := mustOpen(t, Options{})
	b := Batch{Partition: 0, Next: 1000}
	for i := range 1000 {
		b.Mutations = append(b.Mutations, Mutation{Key: fmt.Appendf(nil, "k%d", i), Value: []byte("v"), Offset: int64(i)})
	}
	mustApply(t, s, &b)
	ctx := &endsAfter{Context: t.Context(), looks: 3}
	if _, err := s.Digests(ctx, true); !errors.Is(err, context.Canceled) || ctx.looks != -1 {
		t.Errorf("%v, %d looks at the context are left", err, ctx.looks)
	}
	mustApply(t, s, &Batch{Partition: 0, Next: 1001, Mutations: []Mutation{{Key: []byte("more"), Value: []byte("v"), Offset: 1000}}})
	if ds, err := s.Digests(t.Context(), true); err != nil || len(ds) != 1 || ds[0].Values == (Digest{}) {
		t.Errorf("%+v, %v", ds, err)
	}
}
