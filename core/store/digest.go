package store

import (
	"context"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Digest is a sum modulo 2^128, big-endian, of hashes of what a partition has: the order in which it came does not matter.
// Two stores of the same log that have applied it up to the same offset have the same digest. It is no protection against
// someone who forges records to collide.
type Digest [16]byte

func (s sum) digest() (d Digest) {
	binary.BigEndian.PutUint64(d[:8], s.hi)
	binary.BigEndian.PutUint64(d[8:], s.lo)
	return d
}

// Digest is the sum over the partition's claims that are values, winners or not, of a hash of key, source, partition and
// offset; claims is their number. It is kept as they change, so that it costs nothing to ask for. It is
// not complete while a load has claims of several partitions for a key, nor before all entries are resident.
func (s *Store) Digest(partition int32) (d Digest, claims int64) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	l, ok := s.account.byPartition[partition]
	if !ok {
		return Digest{}, 0
	}
	return l.sum.digest(), l.values
}

// sumValues goes through all entries: for each partition that has one, the sum of a hash of key and value over the entries whose record is the
// partition's. The caller holds apply.
func (s *Store) sumValues(ctx context.Context) (sums map[int32]Digest, err error) {
	total := map[int32]*sum{}
	lo, hi := xxhash.NewWithSeed(1), xxhash.NewWithSeed(2)
	for i := range s.index.shards {
		if s.gate.isClosed() {
			return nil, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.index.shards[i].sum(total, lo, hi); err != nil {
			return nil, err
		}
	}
	sums = make(map[int32]Digest, len(total))
	for partition, t := range total {
		sums[partition] = t.digest()
	}
	return sums, nil
}

// sum adds up the hashes of a shard's entries. Readers go on meanwhile.
func (s *shard) sum(total map[int32]*sum, lo, hi *xxhash.Digest) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	var length [8]byte
	for i := range s.table.slots {
		sl := &s.table.slots[i]
		if sl.empty() || sl.tombstone() {
			continue
		}
		key, value := s.entry(sl)
		binary.BigEndian.PutUint64(length[:], uint64(len(key)))
		for seed, d := range [...]*xxhash.Digest{lo, hi} {
			d.ResetWithSeed(uint64(seed) + 1)
			_, _ = d.Write(length[:]) // a hash takes everything
			_, _ = d.Write(key)
			_, _ = d.Write(value)
		}
		partition := sl.version().partition
		t := total[partition]
		if t == nil {
			t = new(sum)
			total[partition] = t
		}
		t.add(sum{hi: hi.Sum64(), lo: lo.Sum64()})
	}
	return nil
}
