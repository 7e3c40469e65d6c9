package cache

import (
	"context"
	"errors"

	"github.com/yolean/kafka-cache/core/position"
)

// TypedEvent is an [Event] with a key and values that are parsed. It belongs to who gets it.
type TypedEvent[K, V any] struct {
	Kind  EventKind
	Key   K
	Value V  // of EventSet
	Old   *V // nil: there was none, or it does not parse

	// As Event has them.
	Partition int32
	Offset    int64
	Timestamp int64 // milliseconds since 1970
	Position  position.Position

	// Err is why a part is missing that does not parse: a *[ParseError], or several joined. The rest of the event is as it should be.
	Err error
}

// Watch calls fn, from the calling goroutine, for each change as [Topic.Watch] does: first with EventAttached, then in the order of application, until ctx ends (its
// error) or the topic is closed (ErrClosed). Each event parses the value that the key has and the one that it had; who needs neither watches the Topic.
func (r *Reader[K, V]) Watch(ctx context.Context, fn func(TypedEvent[K, V])) error {
	return r.topic.Watch(ctx, func(e Event) { fn(r.event(&e)) })
}

// event parses an event.
func (r *Reader[K, V]) event(e *Event) TypedEvent[K, V] {
	out := TypedEvent[K, V]{Kind: e.Kind, Partition: e.Partition, Offset: e.Offset, Timestamp: e.Timestamp, Position: e.Position}
	if e.Kind != EventSet && e.Kind != EventDelete {
		return out
	}
	at := ParseError{Topic: r.topic.name, Key: e.Key, Partition: e.Partition, Offset: e.Offset}
	var errs []error
	var err error
	if out.Key, err = r.keys.Parse(e.Key); err != nil {
		errs = append(errs, at.of("key", err))
	}
	if e.Kind == EventSet {
		if out.Value, err = r.values.Parse(e.Value); err != nil {
			errs = append(errs, at.of("value", err))
		}
	}
	if e.Old != nil {
		old, err := r.values.Parse(e.Old)
		if err != nil {
			errs = append(errs, at.of("old value", err))
		} else {
			out.Old = &old
		}
	}
	if len(errs) == 1 {
		out.Err = errs[0]
	} else {
		out.Err = errors.Join(errs...)
	}
	return out
}
