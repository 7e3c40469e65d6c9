package store

import (
	"context"
	"fmt"
)

// PartitionDigest is what a partition's claims come to, and the checkpoint that they are of.
type PartitionDigest struct {
	Checkpoint
	Claims int64  // that are values
	Sum    Digest // over them, see Store.Digest
	Values Digest // of Digests(true): over key and value of the entries whose record is the partition's
}

// Digests are those of all partitions at one moment, ascending by partition. With values all entries are read, and applies wait for
// it: about a second for each few million entries, unless ctx ends.
func (s *Store) Digests(ctx context.Context, values bool) ([]PartitionDigest, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	var sums map[int32]Digest
	if values {
		var err error
		if sums, err = s.sumValues(ctx); err != nil {
			return nil, fmt.Errorf("digest: %w", err)
		}
	}
	var all []PartitionDigest
	for _, c := range s.Checkpoint() {
		d := PartitionDigest{Checkpoint: c, Values: sums[c.Partition]}
		d.Sum, d.Claims = s.Digest(c.Partition)
		all = append(all, d)
	}
	return all, nil
}
