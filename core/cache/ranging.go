package cache

import (
	"context"
	"iter"

	"github.com/yolean/kafka-cache/core/store"
)

// Range calls fn for the entries from lower (included) to upper (excluded) in the order of their keys' bytes, until fn
// returns false or ctx ends; nil bounds are open. The Entry is valid during the call, which may take its time and may call anything but the Cache's
// Close. Records that are applied meanwhile may or may not be seen; those of one moment are what [Topic.Snapshot] has.
func (t *Topic) Range(ctx context.Context, lower, upper []byte, fn func(Entry) bool) error {
	return t.over(ctx, store.RangeOptions{Lower: lower, Upper: upper}, 0, fn)
}

// Stream is Range with [Bounds], for the range clause: each time it is ranged over it begins anew. An Entry is valid until the next one.
// An error comes last, with an Entry that is zero: what ctx ended with, ErrNotReady, ErrClosed.
func (t *Topic) Stream(ctx context.Context, b Bounds[[]byte]) iter.Seq2[Entry, error] {
	return stream(ctx, t, b)
}

func stream(ctx context.Context, from source, b Bounds[[]byte]) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		o, err := b.options(writeBytes)
		more := true
		if err == nil {
			err = from.over(ctx, o, b.Limit, func(e Entry) bool {
				more = yield(e, nil)
				return more
			})
		}
		if err != nil && more {
			yield(Entry{}, err)
		}
	}
}

// over calls fn for the entries that o says, no more than limit where that is above 0, until fn returns false or ctx ends. Where another
// store takes the place of the one that is read (a topic was rebuilt), it goes on there behind the last key.
func (t *Topic) over(ctx context.Context, o store.RangeOptions, limit int, fn func(Entry) bool) error {
	var last []byte
	met := 0
	for {
		s, err := t.reading()
		if err != nil {
			return err
		}
		err = s.RangeWith(o, func(e Entry) bool {
			if ctx.Err() != nil {
				return false
			}
			met++
			last = append(last[:0], e.Key...)
			return fn(e) && met != limit
		})
		if err == nil {
			return ctx.Err()
		}
		if !t.replaced(s, err) {
			return readErr(err)
		}
		if met == 0 {
			continue
		}
		if o.Reverse {
			o.Upper = append([]byte{}, last...)
		} else {
			o.Lower = append(append([]byte{}, last...), 0)
		}
	}
}
