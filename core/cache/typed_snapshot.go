package cache

import (
	"context"
	"fmt"
	"iter"

	"github.com/yolean/kafka-cache/core/position"
)

// TypedSnapshot is a [Snapshot] whose keys are Ks and whose values are Vs: all that is read through it is of one moment. It is bound as a Snapshot is: it is for the one
// call of the function that it is given to, and its reads answer ErrSnapshotExpired once records have waited for it for too long.
type TypedSnapshot[K, V any] struct {
	of *Snapshot
	at Reader[K, V]
}

// Snapshot calls fn with the topic at one moment, as [Topic.Snapshot] does, and returns its error. fn should only read, and be quick: nothing is applied
// meanwhile.
func (r *Reader[K, V]) Snapshot(ctx context.Context, fn func(*TypedSnapshot[K, V]) error) error {
	return r.topic.Snapshot(ctx, func(s *Snapshot) error { return fn(r.at(s)) })
}

// At reads a moment of the topic that was taken together with that of others:
//
//	err := c.Snapshot(ctx, []*cache.Topic{users.Topic(), groups.Topic()}, func(s []*cache.Snapshot) error {
//		u, err := users.At(s[0])
//		…
//		g, err := groups.At(s[1])
//
// Its error is of a Snapshot of another topic.
func (r *Reader[K, V]) At(s *Snapshot) (*TypedSnapshot[K, V], error) {
	if s.topic != r.topic {
		return nil, fmt.Errorf("cache: a snapshot of topic %s is none of topic %s", s.topic.name, r.topic.name)
	}
	return r.at(s), nil
}

func (r *Reader[K, V]) at(s *Snapshot) *TypedSnapshot[K, V] {
	return &TypedSnapshot[K, V]{s, Reader[K, V]{r.topic, s, r.keys, r.values}}
}

// Position is the moment: everything below it is applied, and nothing else.
func (s *TypedSnapshot[K, V]) Position() (position.Position, error) { return s.of.Position() }

// Get is [Reader.Get] at the moment.
func (s *TypedSnapshot[K, V]) Get(key K) (V, error) { return s.at.Get(key) }

// GetMany is [Reader.GetMany] at the moment, which is the same for all keys.
func (s *TypedSnapshot[K, V]) GetMany(keys ...K) ([]Lookup[V], error) { return s.at.GetMany(keys...) }

// Has is [Reader.Has] at the moment.
func (s *TypedSnapshot[K, V]) Has(key K) (bool, error) { return s.at.Has(key) }

// Meta is [Reader.Meta] at the moment.
func (s *TypedSnapshot[K, V]) Meta(key K) (Meta, error) { return s.at.Meta(key) }

// Len is the number of keys that have a value.
func (s *TypedSnapshot[K, V]) Len() (int64, error) { return s.of.Len() }

// Range is [Reader.Range] at the moment. fn may be slow as far as the snapshot's time allows.
func (s *TypedSnapshot[K, V]) Range(ctx context.Context, b Bounds[K], fn func(TypedEntry[K, V]) bool) error {
	return s.at.Range(ctx, b, fn)
}

// Stream is [Reader.Stream] at the moment. Where the snapshot's time ends meanwhile, what it has told is right, and ErrSnapshotExpired comes last.
func (s *TypedSnapshot[K, V]) Stream(ctx context.Context, b Bounds[K]) iter.Seq2[TypedEntry[K, V], error] {
	return s.at.Stream(ctx, b)
}
