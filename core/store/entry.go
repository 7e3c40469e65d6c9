package store

import (
	"encoding/binary"
	"fmt"
	"math"
)

// entryVersion is the first byte of an entry in Pebble. A version that is not known here is ErrFormat.
const entryVersion = 1

const (
	flagSource    = 1 << iota // a source key follows the numbers
	flagHeaders               // headers follow
	flagNoValue               // the value lies in the index alone
	flagTombstone             // there is no value: a claim in the side table
	flagHeld                  // the offset of the record that it is held over follows
	flagsKnown    = flagSource | flagHeaders | flagNoValue | flagTombstone | flagHeld
)

// entry is what Pebble holds of a key, or of one claim to it:
//
//	version, flags, partition (uvarint), offset (uvarint), timestamp (varint),
//	with flagHeld: offset (uvarint),
//	with flagSource: length (uvarint), source key,
//	with flagHeaders: count (uvarint), each: length (uvarint), key, length + 1 or 0 for none (uvarint), value,
//	without flagNoValue and flagTombstone: the value, to the end
type entry struct {
	Meta
	value     []byte // empty with noValue and tombstone
	noValue   bool
	tombstone bool
}

// size is the number of bytes that put writes.
func (e *entry) size() int {
	n := 2 + uvarintLen(uint64(e.Partition)) + uvarintLen(uint64(e.Offset)) + uvarintLen(zigzag(e.Timestamp))
	if e.Held > 0 {
		n += uvarintLen(uint64(e.Held))
	}
	if e.Source != nil {
		n += uvarintLen(uint64(len(e.Source))) + len(e.Source)
	}
	n += headersSize(e.Headers)
	if !e.noValue && !e.tombstone {
		n += len(e.value)
	}
	return n
}

// put writes the entry into b, which has exactly its size.
func (e *entry) put(b []byte) {
	var flags byte
	if e.Source != nil {
		flags |= flagSource
	}
	if len(e.Headers) > 0 {
		flags |= flagHeaders
	}
	if e.noValue {
		flags |= flagNoValue
	}
	if e.tombstone {
		flags |= flagTombstone
	}
	if e.Held > 0 {
		flags |= flagHeld
	}
	b[0], b[1] = entryVersion, flags
	n := 2
	n += binary.PutUvarint(b[n:], uint64(e.Partition))
	n += binary.PutUvarint(b[n:], uint64(e.Offset))
	n += binary.PutVarint(b[n:], e.Timestamp)
	if e.Held > 0 {
		n += binary.PutUvarint(b[n:], uint64(e.Held))
	}
	if e.Source != nil {
		n += putBytes(b[n:], e.Source)
	}
	n += putHeaders(b[n:], e.Headers)
	if !e.noValue && !e.tombstone {
		copy(b[n:], e.value)
	}
}

// headersSize is the number of bytes that putHeaders writes, none where there are no headers.
func headersSize(headers []Header) int {
	if len(headers) == 0 {
		return 0
	}
	n := uvarintLen(uint64(len(headers)))
	for _, h := range headers {
		n += uvarintLen(uint64(len(h.Key))) + len(h.Key) + len(h.Value)
		if h.Value == nil {
			n++
		} else {
			n += uvarintLen(uint64(len(h.Value)) + 1)
		}
	}
	return n
}

func putHeaders(b []byte, headers []Header) int {
	if len(headers) == 0 {
		return 0
	}
	n := binary.PutUvarint(b, uint64(len(headers)))
	for _, h := range headers {
		n += putBytes(b[n:], h.Key)
		if h.Value == nil {
			n += binary.PutUvarint(b[n:], 0)
			continue
		}
		n += binary.PutUvarint(b[n:], uint64(len(h.Value))+1)
		n += copy(b[n:], h.Value)
	}
	return n
}

// appendPlain appends what put writes of an entry without a source that is not held, its headers being what putHeaders wrote.
func appendPlain(dst []byte, v version, timestamp int64, headers, value []byte, noValue bool) []byte {
	var flags byte
	if len(headers) > 0 {
		flags |= flagHeaders
	}
	if noValue {
		flags |= flagNoValue
	}
	dst = append(dst, entryVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(v.partition))
	dst = binary.AppendUvarint(dst, uint64(v.offset))
	dst = binary.AppendVarint(dst, timestamp)
	dst = append(dst, headers...)
	if noValue {
		return dst
	}
	return append(dst, value...)
}

func putBytes(b, v []byte) int {
	n := binary.PutUvarint(b, uint64(len(v)))
	return n + copy(b[n:], v)
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

// parseEntry reads what put wrote. The result aliases b; the headers are appended to the given slice.
func parseEntry(b []byte, headers []Header) (entry, error) {
	var e entry
	r, err := entryReader(b)
	if err != nil {
		return e, err
	}
	flags := b[1]
	e.Partition, e.Offset, e.Timestamp = r.version()
	if flags&flagHeld != 0 {
		if e.Held = r.int63(math.MaxInt64); e.Held <= e.Offset {
			r.bad = true
		}
	}
	if flags&flagSource != 0 {
		e.Source = r.bytes(r.uvarint())
	}
	if flags&flagHeaders != 0 {
		count := r.uvarint()
		if count == 0 || count > uint64(len(r.b))/2 { // each has two bytes or more
			r.bad = true
		}
		for i := uint64(0); i < count && !r.bad; i++ {
			h := Header{Key: r.bytes(r.uvarint())}
			if n := r.uvarint(); n > 0 {
				h.Value = r.bytes(n - 1)
			}
			headers = append(headers, h)
		}
		e.Headers = headers
	}
	e.noValue, e.tombstone = flags&flagNoValue != 0, flags&flagTombstone != 0
	switch {
	case !e.noValue && !e.tombstone:
		e.value = r.b
	case len(r.b) > 0:
		r.bad = true
	}
	if r.bad {
		return entry{}, fmt.Errorf("%w: entry of %d bytes", ErrCorrupt, len(b))
	}
	return e, nil
}

// entryReader checks version and flags, and reads on behind them.
func entryReader(b []byte) (reader, error) {
	switch {
	case len(b) < 2:
		return reader{}, fmt.Errorf("%w: entry of %d bytes", ErrCorrupt, len(b))
	case b[0] != entryVersion:
		return reader{}, fmt.Errorf("%w: entry version %d", ErrFormat, b[0])
	case b[1]&^flagsKnown != 0:
		return reader{}, fmt.Errorf("%w: entry flags %#x", ErrFormat, b[1])
	}
	return reader{b: b[2:]}, nil
}

// reader takes apart bytes whose lengths are not to be trusted. After the first fault it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n != uvarintLen(v) { // one spelling
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int63 is a uvarint that must not be above limit.
func (r *reader) int63(limit int64) int64 {
	v := r.uvarint()
	if v > uint64(limit) {
		r.bad, r.b = true, nil
		return 0
	}
	return int64(v)
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// bytes are the next n, never nil.
func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// version are partition, offset and timestamp of an entry.
func (r *reader) version() (partition int32, offset, timestamp int64) {
	return int32(r.int63(math.MaxInt32)), r.int63(math.MaxInt64), r.varint()
}
