package main

import (
	"encoding/binary"
	"hash"
)

// murmur2 is the hash by which Kafka's Java clients choose a key's partition, its sign bit cleared as they do.
type murmur2 struct{ key []byte }

func newMurmur2() hash.Hash32 { return &murmur2{} }

func (m *murmur2) Write(p []byte) (int, error) {
	m.key = append(m.key, p...)
	return len(p), nil
}

func (m *murmur2) Sum(b []byte) []byte { return binary.BigEndian.AppendUint32(b, m.Sum32()) }
func (m *murmur2) Reset()              { m.key = nil }
func (m *murmur2) Size() int           { return 4 }
func (m *murmur2) BlockSize() int      { return 4 }

func (m *murmur2) Sum32() uint32 {
	const (
		seed = 0x9747b28c
		mix  = 0x5bd1e995
	)
	h := uint32(seed) ^ uint32(len(m.key))
	b := m.key
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * mix
		k ^= k >> 24
		h = h*mix ^ k*mix
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * mix
	}
	h ^= h >> 13
	h *= mix
	h ^= h >> 15
	return h & 0x7fffffff
}
