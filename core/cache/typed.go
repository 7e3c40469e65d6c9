package cache

import (
	"context"

	"github.com/yolean/kafka-cache/core/codec"
)

// TypedTopic is a [Topic] whose keys are Ks and whose values are Vs: what its Reader has, what its Writer has, and what needs both. Either may be
// handed on by itself, as users.Reader or users.Writer.
//
// Types are a matter of the program alone: the log and other clients have what codec.Typed makes of them, in the topic's encodings. Where a topic has a
// resolver, what is read is not what is written; then a [ReaderOf] one type and a [WriterOf] the other are made apart.
type TypedTopic[K, V any] struct {
	*Reader[K, V]
	*Writer[K, V]
}

// TopicOf is a topic of c with keys that are text and values of a type:
//
//	users, err := cache.TopicOf(c, "users", codec.JSON[User]())
//
// Its error is ErrUnknownTopic. A topic that is not configured writable is read all the same; writing to it is ErrReadOnly.
func TopicOf[V any](c *Cache, topic string, values codec.Typed[V]) (*TypedTopic[string, V], error) {
	return TopicOfKeys(c, topic, codec.String(), values)
}

// TopicOfKeys is TopicOf with keys of a type of their own:
//
//	users, err := cache.TopicOfKeys(c, "users", codec.Text[uuid.UUID](), codec.JSON[User]())
//
// A key has to be written in the same way for ever: its bytes are its identity, here and in the log.
func TopicOfKeys[K, V any](c *Cache, topic string, keys codec.Typed[K], values codec.Typed[V]) (*TypedTopic[K, V], error) {
	r, err := ReaderOfKeys(c, topic, keys, values)
	if err != nil {
		return nil, err
	}
	return &TypedTopic[K, V]{r, &Writer[K, V]{r.topic, keys, values}}, nil
}

// Name is the topic's name.
func (t *TypedTopic[K, V]) Name() string { return t.Topic().name }

// Topic is the topic with keys and values that are bytes.
func (t *TypedTopic[K, V]) Topic() *Topic { return t.Reader.topic }

// PutAndWait is Put, and waits until this instance has applied the record, as [Topic.PutAndWait] does.
func (t *TypedTopic[K, V]) PutAndWait(ctx context.Context, key K, value V, headers ...Header) (Written, error) {
	b := takeBuffers()
	defer b.giveBack()
	if err := t.write(b, key, value); err != nil {
		return Written{}, err
	}
	return t.Topic().PutAndWait(ctx, b.key, b.value, headers...)
}

// DeleteAndWait is Delete, and waits as PutAndWait does. Written.Removed says whether there was a value.
func (t *TypedTopic[K, V]) DeleteAndWait(ctx context.Context, key K) (Written, error) {
	b := takeBuffers()
	defer b.giveBack()
	if err := t.Writer.writeKey(b, key); err != nil {
		return Written{}, err
	}
	return t.Topic().DeleteAndWait(ctx, b.key)
}
