package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

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
