package cache

import (
	"bytes"

	"github.com/yolean/kafka-cache/core/store"
)

// Bounds say which keys a range goes over, in which order, and how many of them. The zero value is all of them in ascending order.
// Where several bounds are given all of them hold.
//
// Keys are in the order of the bytes that they are written as (see codec.Typed), which is that of text for strings: "10" comes
// before "9".
type Bounds[K any] struct {
	// GT is a key after which the range begins, GTE one that it may begin with; nil: with the first one there is. new("a") makes a bound.
	GT, GTE *K
	// LT is a key before which the range ends, LTE one that it may end with; nil: with the last one there is.
	LT, LTE *K
	// Prefix is what keys are written with in front.
	Prefix string
	// Reverse begins with the last key.
	Reverse bool
	// Limit is how many keys there are at most; 0: any number.
	Limit int
	// KeysOnly leaves values out, which are not read then.
	KeysOnly bool
}

// options is what the store is to go over. write appends what a key is written as.
func (b *Bounds[K]) options(write func([]byte, K) ([]byte, error)) (store.RangeOptions, error) {
	o := store.RangeOptions{Reverse: b.Reverse, KeysOnly: b.KeysOnly}
	var err error
	bound := func(key *K, behind bool) []byte {
		if key == nil || err != nil {
			return nil
		}
		var k []byte
		if k, err = write(make([]byte, 0, 64), *key); behind {
			k = append(k, 0) // the first key after it
		}
		return k
	}
	for _, lower := range [][]byte{bound(b.GTE, false), bound(b.GT, true), []byte(b.Prefix)} {
		if bytes.Compare(lower, o.Lower) > 0 {
			o.Lower = lower
		}
	}
	for _, upper := range [][]byte{bound(b.LT, false), bound(b.LTE, true), behindPrefix(b.Prefix)} {
		if upper != nil && (o.Upper == nil || bytes.Compare(upper, o.Upper) < 0) {
			o.Upper = upper
		}
	}
	return o, err
}

// behindPrefix is the first key behind all that begin with a prefix; nil where there is none.
func behindPrefix(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

// writeBytes is a key that is its bytes.
func writeBytes(dst, key []byte) ([]byte, error) { return append(dst, key...), nil }
