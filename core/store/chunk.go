package store

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A location is a chunk's number and a place in it: 16 bits and 24 bits, the place in units of 4 bytes. Location 0 is never
// given, since chunk 0 is not used.
type location uint64

const (
	placeBits  = 24
	placeUnit  = 4
	maxChunks  = 1 << 16
	maxChunk   = 16 << 20 // bytes; a place could address 64 MiB
	chunkShare = 16       // a new chunk has a sixteenth of what the shard holds

	// smallRecord is the size below which a chunk is made large enough for several records; a larger record than a
	// quarter of a chunk gets a chunk of its own. Both keep the number of mappings far below what systems allow (65530 on
	// Linux): 64 records of equal size at most have their own chunks before chunks have grown over them.
	smallRecord = 32 << 10

	// reuseLimit is the size up to which an active chunk without live records is filled again from its beginning.
	reuseLimit = 64 << 10

	// rewriteLimit is the size up to which a record of the same size is overwritten in place.
	rewriteLimit = 4 << 10
)

func makeLocation(chunk, pos int) location { return location(chunk<<placeBits | pos/placeUnit) }
func (l location) chunk() int              { return int(l >> placeBits) }
func (l location) pos() int                { return int(l&(1<<placeBits-1)) * placeUnit }

// headBytes is the size of a state's head, which a record's value begins with where the slot has one of slotHead.
const headBytes = 8

// A chunk holds records one after another: the lengths of key and value as uvarints, the key, the value, padding to
// placeUnit. That is enough to walk it. Its bytes are apart, in shard.data, since readers need nothing else.
type chunk struct {
	used int
	live int // bytes of used that slots point to
}

// recordSize is what a record takes in a chunk.
func recordSize(keyLen, valueLen int) int {
	n := uvarintLen(uint64(keyLen)) + uvarintLen(uint64(valueLen)) + keyLen + valueLen
	return (n + placeUnit - 1) &^ (placeUnit - 1)
}

func checkSize(key, value []byte) error {
	if len(key) > math.MaxInt32 || len(value) > math.MaxInt32 {
		return fmt.Errorf("%w: key of %d bytes, value of %d bytes", ErrTooLarge, len(key), len(value))
	}
	return nil
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// writeRecord writes a record whose value is head and value.
func writeRecord(b, key, head, value []byte) {
	n := binary.PutUvarint(b, uint64(len(key)))
	n += binary.PutUvarint(b[n:], uint64(len(head)+len(value)))
	n += copy(b[n:], key)
	n += copy(b[n:], head)
	copy(b[n:], value)
}

// readRecord is the record at the beginning of b; both slices alias b.
func readRecord(b []byte) (key, value []byte) {
	kl, n := binary.Uvarint(b)
	vl, m := binary.Uvarint(b[n:])
	b = b[n+m:]
	return b[:kl:kl], b[kl : kl+vl : kl+vl]
}
