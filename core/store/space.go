package store

import (
	"encoding/binary"
	"fmt"
)

// The first byte of a Pebble key is its space. The numbers belong to the format; those without a use are kept free for
// what is named here, so that generations which have it can be told apart from those which do not.
const (
	spaceMeta      = 0x01 // of the generation as a whole; not used yet
	spacePositions = 0x02 // partition (4 bytes, big-endian) → checkpoint
	spaceTrails    = 0x03 // partition (4 bytes, big-endian) → trail
	spaceEntries   = 0x10 // key → entry
	spaceClaims    = 0x20 // key, partition, source → a value or tombstone that is not the key's entry
	spaceDerived   = 0x30 // source → the keys that its record yielded; not used yet
	spaceOffsets   = 0x40 // partition, offset → key: entries in the log's order; not used yet
	spaceDigest    = 0x50 // partition, offset → digest; not used yet
)

func appendEntryKey(dst, key []byte) []byte { return append(append(dst, spaceEntries), key...) }

// entryBounds are the Pebble keys of the entries with lower <= key < upper, nil being open.
func entryBounds(lower, upper []byte) (l, u []byte) {
	l = appendEntryKey(nil, lower)
	if upper == nil {
		return l, []byte{spaceEntries + 1}
	}
	return l, appendEntryKey(nil, upper)
}

func positionKey(partition int32) []byte { return partitionKey(spacePositions, partition) }

func trailKey(partition int32) []byte { return partitionKey(spaceTrails, partition) }

func partitionKey(space byte, partition int32) []byte {
	return binary.BigEndian.AppendUint32([]byte{space}, uint32(partition))
}

// parsePartitionKey is the partition of a position's or a trail's key.
func parsePartitionKey(space byte, key []byte) (int32, error) {
	if len(key) != 5 || key[0] != space || key[1] > 0x7f {
		return 0, fmt.Errorf("%w: key %x of a partition", ErrCorrupt, key)
	}
	return int32(binary.BigEndian.Uint32(key[1:])), nil
}
