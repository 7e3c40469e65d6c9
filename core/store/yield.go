package store

import (
	"encoding/binary"
	"fmt"
)

// What one record yields is, as a value:
//
//	1 with a value of the record's own key, else 0,
//	with 1: length (uvarint), own value,
//	to the end, for each other key: length (uvarint), key, length (uvarint), value
//
// It is what entries hold of a topic whose resolver yields other keys than the record's, see [Store.Project].

// YieldTo is one of the other keys that a record yields, with its value.
type YieldTo struct {
	Key, Value []byte
}

// AppendYield appends what a record yields to dst: own, unless it is nil, of the record's own key, and the others.
func AppendYield(dst, own []byte, others []YieldTo) []byte {
	if own == nil {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		dst = binary.AppendUvarint(dst, uint64(len(own)))
		dst = append(dst, own...)
	}
	for _, o := range others {
		dst = binary.AppendUvarint(dst, uint64(len(o.Key)))
		dst = append(dst, o.Key...)
		dst = binary.AppendUvarint(dst, uint64(len(o.Value)))
		dst = append(dst, o.Value...)
	}
	return dst
}

// ParseYield takes apart what AppendYield has written: own is nil where there is none. The others are appended to the given slice; all alias b.
// Its error wraps [ErrCorrupt].
func ParseYield(b []byte, others []YieldTo) (own []byte, _ []YieldTo, err error) {
	if len(b) == 0 || b[0] > 1 {
		return nil, others, fmt.Errorf("%w: a yield of %d bytes", ErrCorrupt, len(b))
	}
	r := reader{b: b[1:]}
	if b[0] == 1 {
		own = r.bytes(r.uvarint())
	}
	for !r.bad && len(r.b) > 0 {
		key := r.bytes(r.uvarint())
		value := r.bytes(r.uvarint())
		if !r.bad {
			others = append(others, YieldTo{key, value})
		}
	}
	if r.bad {
		return nil, others, fmt.Errorf("%w: a yield of %d bytes", ErrCorrupt, len(b))
	}
	return own, others, nil
}
