package cache

import (
	"context"

	"github.com/yolean/kafka-cache/core/codec"
)

// Writer writes records to a topic whose keys are Ks and whose values are Vs. It has nothing that reads: what it writes to may be a topic that this
// process tails, or one that it only writes to (see [Producer]).
type Writer[K, V any] struct {
	to     destination
	keys   codec.Typed[K]
	values codec.Typed[V]
}

// destination is a topic that is written to: a Topic or a TopicWriter.
type destination interface {
	Name() string
	KeyEncoding() string
	ValueEncoding() string
	Put(ctx context.Context, key, value []byte, headers ...Header) (Written, error)
	Delete(ctx context.Context, key []byte) (Written, error)
}

// Producing is what a Writer is made of: a *[Cache] or a *[Producer].
type Producing interface {
	writes(topic string) (destination, error)
}

func (c *Cache) writes(topic string) (destination, error) {
	t, err := c.Topic(topic)
	if err == nil && !t.writable {
		err = ErrReadOnly
	}
	return t, err
}

// WriterOf writes to a topic of p with keys that are text and values of a type. Its errors are ErrUnknownTopic, and ErrReadOnly where the topic is a Cache's
// and not configured writable.
func WriterOf[V any](p Producing, topic string, values codec.Typed[V]) (*Writer[string, V], error) {
	return WriterOfKeys(p, topic, codec.String(), values)
}

// WriterOfKeys is WriterOf with keys of a type of their own, which are written in the same way for ever.
func WriterOfKeys[K, V any](p Producing, topic string, keys codec.Typed[K], values codec.Typed[V]) (*Writer[K, V], error) {
	to, err := p.writes(topic)
	if err != nil {
		return nil, err
	}
	return &Writer[K, V]{to, keys, values}, nil
}

// Name is the topic's name.
func (w *Writer[K, V]) Name() string { return w.to.Name() }

// Put produces a record and waits for its acknowledgement by all in-sync replicas, as [Topic.Put] does. Written.Position covers it on any instance: hand
// it, as text, to whoever is to read the write. A key or value that cannot be written is an *[EncodingError].
func (w *Writer[K, V]) Put(ctx context.Context, key K, value V, headers ...Header) (Written, error) {
	b := takeBuffers()
	defer b.giveBack()
	if err := w.write(b, key, value); err != nil {
		return Written{}, err
	}
	return w.to.Put(ctx, b.key, b.value, headers...)
}

// Delete produces a tombstone, also for a key that has no value, and waits as Put does.
func (w *Writer[K, V]) Delete(ctx context.Context, key K) (Written, error) {
	b := takeBuffers()
	defer b.giveBack()
	if err := w.writeKey(b, key); err != nil {
		return Written{}, err
	}
	return w.to.Delete(ctx, b.key)
}

func (w *Writer[K, V]) writeKey(b *buffers, key K) error {
	k, err := w.keys.Append(b.key[:0], key)
	if err != nil {
		return &EncodingError{Field: "key", Encoding: w.to.KeyEncoding(), Err: err}
	}
	b.key = k
	return nil
}

func (w *Writer[K, V]) write(b *buffers, key K, value V) error {
	if err := w.writeKey(b, key); err != nil {
		return err
	}
	v, err := w.values.Append(b.value[:0], value)
	if err != nil {
		return &EncodingError{Field: "value", Encoding: w.to.ValueEncoding(), Err: err}
	}
	b.value = v
	return nil
}
