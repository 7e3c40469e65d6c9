package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Claims are all claims of a key, ascending by partition and then by source; nil where there is none. They are the caller's.
func (s *Store) Claims(key []byte) ([]Claim, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if err := s.endLoad(); err != nil {
		return nil, err
	}
	r := s.snapshot()
	cs, err := claimsAside(r, key)
	if err == nil {
		cs, err = withEntry(r, key, cs)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return cs.tell(), nil
}

// Claimed is the partition of the winner of key's claims, which may be a tombstone, and whether there are others. It costs as much as Get.
func (s *Store) Claimed(key []byte) (partition int32, split, ok bool) {
	for s.refill.on.Load() && !s.index.noted(key) {
		partition, split, ok, err := s.claimedStored(key)
		if err != nil {
			return 0, false, false
		}
		if !s.index.noted(key) {
			return partition, split, ok
		}
	}
	st, _, ok, err := s.index.peek(s.index.hash(key), key)
	if err != nil || !ok {
		return 0, false, false
	}
	return st.partition, st.split(), true
}

// SplitKeys calls fn for each key with claims of several partitions until it returns false, in an order of its own; nil for after is before them all,
// otherwise it goes on behind that key, which need not be there any more. Key and claims are valid during fn, which may call the store, Close excepted. They are those of
// one moment.
func (s *Store) SplitKeys(after []byte, fn func(key []byte, claims []Claim) bool) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := s.endLoad(); err != nil {
		return err
	}
	r := s.snapshot()
	if err := errors.Join(s.splitKeys(r, after, fn), r.Close()); err != nil {
		return fmt.Errorf("split keys: %w", err)
	}
	return nil
}

// splitKeys are those of one moment of Pebble, behind the key after.
func (s *Store) splitKeys(r *pebble.Snapshot, after []byte, fn func(key []byte, claims []Claim) bool) (err error) {
	from := []byte{spaceClaims}
	if after != nil {
		_, from = claimBounds(after)
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{spaceClaims + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	return s.eachKeysClaims(it, func(key []byte, of claims) (bool, error) {
		cs, err := withEntry(r, key, of)
		if err != nil {
			return false, err
		}
		if cs[0].Partition == cs[len(cs)-1].Partition {
			return true, nil
		}
		return fn(key, cs.tell()), nil
	})
}

// snapshot is Pebble at a moment at which the index has what it has.
func (s *Store) snapshot() *pebble.Snapshot {
	s.commit.RLock()
	defer s.commit.RUnlock()
	return s.db.NewSnapshot()
}

// withEntry adds the claim that is key's entry, if there is one, to those aside.
func withEntry(r pebble.Reader, key []byte, cs claims) (claims, error) {
	meta, err := entryMeta(r, key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return cs, nil
	case err != nil:
		return nil, err
	}
	return cs.with(claim{Meta: meta, stored: asEntry})
}

// with adds a claim.
func (cs claims) with(c claim) (claims, error) {
	i, ok := cs.find(&c)
	if ok {
		return nil, fmt.Errorf("%w: an entry has a claim of its own source beside it", ErrCorrupt)
	}
	return append(cs[:i:i], append(claims{c}, cs[i:]...)...), nil
}

// tell is what callers are told of the claims.
func (cs claims) tell() []Claim {
	w := cs.winner()
	var out []Claim
	for i := range cs {
		c := &cs[i]
		out = append(out, Claim{
			Partition: c.Partition, Source: c.Source, Offset: c.Offset, Timestamp: c.Timestamp, Tombstone: c.tombstone, Winner: i == w,
		})
	}
	return out
}
