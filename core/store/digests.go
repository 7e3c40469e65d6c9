package store

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// PartitionDigest is what a partition's claims come to, and the checkpoint that they are of.
type PartitionDigest struct {
	Checkpoint
	Claims int64  // that are values
	Sum    Digest // over them, see Store.Digest
	Values Digest // of Digests(true): over key and value of the entries whose record is the partition's

	// Hidden are the claims among them that readers do not see because a tombstone of another partition is the winner, and HiddenSum is the sum
	// over these. They depend on how far the other partitions have been applied, too.
	Hidden    int64
	HiddenSum Digest
}

// Digests are those of all partitions at one moment, ascending by partition. With values all entries are read, and applies wait for
// it: about a second for each few million entries. Where tombstones hide values of other partitions, the keys that are split are gone through. It ends early with ctx.
func (s *Store) Digests(ctx context.Context, values bool) ([]PartitionDigest, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if err := s.WaitResident(ctx); err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	all, moment, err := s.digests(ctx, values)
	if err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	if moment == nil {
		return all, nil
	}
	err = s.sumHidden(moment, all)
	if closed := moment.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	return all, nil
}

// Sums are Digests without what is hidden and without values, which costs next to nothing; none while a load is not settled, nor before all entries are resident.
func (s *Store) Sums() ([]PartitionDigest, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return nil, fmt.Errorf("digest: %w", s.err)
	}
	if s.loading.unsettled || s.refill.on.Load() {
		return nil, nil
	}
	var all []PartitionDigest
	for _, c := range s.Checkpoint() {
		d := PartitionDigest{Checkpoint: c}
		d.Sum, d.Claims = s.Digest(c.Partition)
		all = append(all, d)
	}
	return all, nil
}

// digests are those of all partitions, and Pebble at their moment where values may be hidden, which the caller closes.
func (s *Store) digests(ctx context.Context, values bool) (all []PartitionDigest, moment *pebble.Snapshot, err error) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return nil, nil, s.err
	}
	if s.loading.unsettled || s.index.counts.splitDeleted.Load() > 0 { // who wins is not known, nor is the account complete; or Pebble is looked at
		if err := s.endLoadLocked(); err != nil {
			return nil, nil, err
		}
	}
	hidden := s.index.counts.splitDeleted.Load() > 0
	var sums map[int32]Digest
	if values {
		if sums, err = s.sumValues(ctx); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range s.Checkpoint() {
		d := PartitionDigest{Checkpoint: c, Values: sums[c.Partition]}
		d.Sum, d.Claims = s.Digest(c.Partition)
		all = append(all, d)
	}
	if hidden {
		moment = s.snapshot()
	}
	return all, moment, nil
}

// sumHidden adds up the values that tombstones of other partitions hide.
func (s *Store) sumHidden(moment *pebble.Snapshot, all []PartitionDigest) error {
	at := make(map[int32]int, len(all))
	sums := make([]sum, len(all))
	for i := range all {
		at[all[i].Partition] = i
	}
	err := s.splitKeys(moment, nil, func(key []byte, claims []Claim) bool {
		for i := range claims {
			if claims[i].Winner && !claims[i].Tombstone {
				return true
			}
		}
		hash := s.index.hash(key)
		for i := range claims {
			c := &claims[i]
			if n, ok := at[c.Partition]; ok && !c.Tombstone {
				all[n].Hidden++
				sums[n].add(claimHash(hash, sourceHash(c.Source), version{c.Partition, c.Offset}))
			}
		}
		return true
	})
	for i := range all {
		all[i].HiddenSum = sums[i].digest()
	}
	return err
}
