package cache

import (
	"context"
	"errors"
	"iter"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// Reader reads a topic whose keys are Ks and whose values are Vs. It has nothing that writes, so it is what to hand to those who are to read
// only. It adds nothing to the [Topic] that it reads but the way in which keys are written and values are parsed: any number of Readers, of any types,
// may read one.
//
// What is in the log is whatever was written there. A value that is no V is a *[ParseError] of the read that meets it, and of no other.
type Reader[K, V any] struct {
	topic  *Topic
	from   source
	keys   codec.Typed[K]
	values codec.Typed[V]
}

// source is what is read: a Topic as it is now, or a Snapshot of it.
type source interface {
	AppendGet(dst, key []byte) ([]byte, bool, error)
	Has(key []byte) (bool, error)
	Meta(key []byte) (Meta, error)
	over(ctx context.Context, o store.RangeOptions, limit int, fn func(Entry) bool) error
	// getVersion is AppendGet with the record that the value is of.
	getVersion(dst, key []byte) (value []byte, partition int32, offset int64, ok bool, err error)
}

// ReaderOf reads a topic of c by keys that are text. Its error is ErrUnknownTopic.
func ReaderOf[V any](c *Cache, topic string, values codec.Typed[V]) (*Reader[string, V], error) {
	return ReaderOfKeys(c, topic, codec.String(), values)
}

// ReaderOfKeys is ReaderOf with keys of a type of their own.
func ReaderOfKeys[K, V any](c *Cache, topic string, keys codec.Typed[K], values codec.Typed[V]) (*Reader[K, V], error) {
	t, err := c.Topic(topic)
	if err != nil {
		return nil, err
	}
	return &Reader[K, V]{t, t, keys, values}, nil
}

// Name is the topic's name.
func (r *Reader[K, V]) Name() string { return r.topic.name }

// Get is the value of key; ErrNotFound where it has none, ErrNotReady before the topic has caught up, *[ParseError] where the value is no V. It costs what
// [Topic.AppendGet] costs, writing the key, and parsing the value.
func (r *Reader[K, V]) Get(key K) (V, error) {
	var none V
	b := takeBuffers()
	defer b.giveBack()
	if err := r.writeKey(b, key); err != nil {
		return none, err
	}
	value, ok, err := r.from.AppendGet(b.value[:0], b.key)
	b.value = value
	if err != nil {
		return none, err
	}
	if !ok {
		return none, ErrNotFound
	}
	v, err := r.values.Parse(value)
	if err != nil {
		return r.parseAgain(b.key)
	}
	return v, nil
}

func (r *Reader[K, V]) writeKey(b *buffers, key K) error {
	k, err := r.keys.Append(b.key[:0], key)
	if err != nil {
		return &EncodingError{Field: "key", Encoding: r.topic.KeyEncoding(), Err: err}
	}
	b.key = k
	return nil
}

// parseAgain gets a value that did not parse together with the record that it is of, for the error to name. Where another has come to count meanwhile, it may parse.
func (r *Reader[K, V]) parseAgain(key []byte) (none V, err error) {
	b, partition, offset, ok, err := r.from.getVersion(nil, key)
	if err != nil {
		return none, err
	}
	if !ok {
		return none, ErrNotFound
	}
	v, err := r.values.Parse(b)
	if err != nil {
		return none, &ParseError{Topic: r.topic.name, Field: "value", Key: append([]byte{}, key...), Partition: partition, Offset: offset, Err: err}
	}
	return v, nil
}

// Lookup is what [Reader.GetMany] found of one key.
type Lookup[V any] struct {
	Value V
	Found bool  // the key has a value; it may be one that does not parse
	Err   error // a *ParseError of this value alone; nil: none
}

// GetMany looks up keys, and answers in their order. An absent key is one that is not Found. The error is the first one that there was: of reading the
// topic, and then there are no results; or of one of the values, which is its Lookup's Err too, and the other results are good. Each key is read by itself:
// records that are applied meanwhile may be seen in some of them.
func (r *Reader[K, V]) GetMany(keys ...K) ([]Lookup[V], error) {
	found := make([]Lookup[V], len(keys))
	b := takeBuffers()
	defer b.giveBack()
	var first error
	for i, key := range keys {
		if err := r.writeKey(b, key); err != nil {
			return nil, err
		}
		value, ok, err := r.from.AppendGet(b.value[:0], b.key)
		b.value = value
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		f := &found[i]
		if f.Value, err = r.values.Parse(value); err == nil {
			f.Found = true
			continue
		}
		switch f.Value, err = r.parseAgain(b.key); {
		case err == nil:
			f.Found = true
		case errors.As(err, new(*ParseError)):
			f.Found, f.Err = true, err
			if first == nil {
				first = err
			}
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return found, first
}

// Has reports whether key has a value, which is not parsed.
func (r *Reader[K, V]) Has(key K) (bool, error) {
	b := takeBuffers()
	defer b.giveBack()
	if err := r.writeKey(b, key); err != nil {
		return false, err
	}
	return r.from.Has(b.key)
}

// Meta is what the log says of the record that gave key its value; ErrNotFound where it has none. See [Topic.Meta].
func (r *Reader[K, V]) Meta(key K) (Meta, error) {
	b := takeBuffers()
	defer b.giveBack()
	if err := r.writeKey(b, key); err != nil {
		return Meta{}, err
	}
	return r.from.Meta(b.key)
}

// Len is the number of keys that have a value; 0 while the topic is not ready.
func (r *Reader[K, V]) Len() int64 { return r.topic.Len() }

// Ready reports whether reads are answered now.
func (r *Reader[K, V]) Ready() bool { return r.topic.Ready() }

// WaitReady waits until reads are answered, as [Topic.WaitReady] does.
func (r *Reader[K, V]) WaitReady(ctx context.Context) error { return r.topic.WaitReady(ctx) }

// Position is how far this instance has applied the topic's partitions.
func (r *Reader[K, V]) Position() position.Position { return r.topic.Position() }

// WaitFor waits until this instance has applied all that p names, as [Topic.WaitFor] does.
func (r *Reader[K, V]) WaitFor(ctx context.Context, p position.Position) error {
	return r.topic.WaitFor(ctx, p)
}

// TypedEntry is a key with its value and Meta. It belongs to who gets it.
type TypedEntry[K, V any] struct {
	Key   K
	Value V
	Meta
}

// Range calls fn for the entries that b says until fn returns false. A key that is no K, or a value that is no V, ends it with its *[ParseError]: [Reader.Stream] goes
// on. Its other errors are ctx's, ErrNotReady and ErrClosed. fn may take its time and may call anything but the Cache's Close. Records that are applied
// meanwhile may or may not be seen.
func (r *Reader[K, V]) Range(ctx context.Context, b Bounds[K], fn func(TypedEntry[K, V]) bool) error {
	for e, err := range r.Stream(ctx, b) {
		if err != nil {
			return err
		}
		if !fn(e) {
			return nil
		}
	}
	return nil
}

// Stream is Range for the range clause; each time it is ranged over it begins anew. An entry whose key or value does not parse comes with its *[ParseError], its
// Meta and, where it is the value, its Key; the loop decides whether it goes on. Any other error comes last, with an entry that is zero.
//
//	for user, err := range users.Stream(ctx, cache.Bounds[string]{Prefix: "a", Reverse: true, Limit: 10}) {
//		if err != nil {
//			return err
//		}
//		…
//	}
func (r *Reader[K, V]) Stream(ctx context.Context, b Bounds[K]) iter.Seq2[TypedEntry[K, V], error] {
	return func(yield func(TypedEntry[K, V], error) bool) {
		o, err := b.options(r.keys.Append)
		if err != nil {
			yield(TypedEntry[K, V]{}, &EncodingError{Field: "key", Encoding: r.topic.KeyEncoding(), Err: err})
			return
		}
		more := true
		err = r.from.over(ctx, o, b.Limit, func(e Entry) bool {
			more = yield(r.entry(&e, b.KeysOnly))
			return more
		})
		if err != nil && more {
			yield(TypedEntry[K, V]{}, err)
		}
	}
}

// entry parses an entry that is valid during the call.
func (r *Reader[K, V]) entry(e *Entry, keyOnly bool) (TypedEntry[K, V], error) {
	out := TypedEntry[K, V]{Meta: e.Meta.Clone()}
	at := ParseError{Topic: r.topic.name, Key: e.Key, Partition: e.Partition, Offset: e.Offset}
	var err error
	if out.Key, err = r.keys.Parse(e.Key); err != nil {
		return out, at.of("key", err)
	}
	if keyOnly {
		return out, nil
	}
	if out.Value, err = r.values.Parse(e.Value); err != nil {
		return out, at.of("value", err)
	}
	return out, nil
}
