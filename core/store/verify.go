package store

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Verification compares what the store has with a second reading of the log, so that keys go whose tombstone was compacted away before it
// was read: the log has their records no more. One that was shadowed goes no later than what shadows it, so one reading is
// enough, however long it takes.
//
// What was met is a bit of the index, and of keys with several claims a set beside it.
type Verification struct {
	store *Store

	mu    sync.Mutex
	ended bool
	met   map[sum]struct{} // hashes of claims, as of the digest, of keys that have or had several
}

// Verify begins a verification, in which nothing is met yet. There is one at a time, otherwise the answer is [ErrVerifying].
// Finish or Cancel ends it; so does Close, after which its methods answer [ErrClosed]. It ends a load.
func (s *Store) Verify() (*Verification, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if err := errors.Join(s.whole(), s.endLoad()); err != nil {
		return nil, err
	}
	if !s.verifying.CompareAndSwap(false, true) {
		return nil, ErrVerifying
	}
	for i := range s.index.shards {
		if err := s.index.shards[i].unmeet(); err != nil {
			s.verifying.Store(false)
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	v := &Verification{store: s, met: make(map[sum]struct{})}
	s.verification.Store(v)
	return v, nil
}

// Met says what the log has: it marks the claims with exactly the partition, source and offset of the batch's mutations, and those that are
// held over such a record. It changes nothing
// else, tombstones and the position are of no meaning to it. It may be called at the same time as Apply, and for several
// partitions at once.
func (v *Verification) Met(b *Batch) error {
	s := v.store
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	v.mu.Lock()
	ended := v.ended
	v.mu.Unlock()
	if ended {
		return ErrVerified
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Tombstone {
			continue
		}
		hash, at, source := s.index.hash(m.Key), version{b.Partition, m.Offset}, sourceHash(m.Source)
		aside, err := s.index.shard(hash).meet(hash, m.Key, at, source)
		if err != nil {
			return err
		}
		if aside {
			v.note(metHash(m.Key, source, at))
		}
	}
	return nil
}

// metHash stands for a claim among those that were met. It is of the whole hash of the key, also where the index leaves bits out: two keys of one record
// are two claims.
func metHash(key []byte, source uint64, v version) sum {
	return claimHash(xxhash.Sum64(key), source, v)
}

// note keeps that a claim was met whose key has several.
func (v *Verification) note(claim sum) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.met != nil {
		v.met[claim] = struct{}{}
	}
}

func (v *Verification) noted(claim sum) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.met[claim]
	return ok
}

// Finish removes the claims that were not met, of partitions in upTo and below the offset there, and promotes what wins
// then; tombstones stay. upTo is how far the second reading went, and not further than Apply was when it began: what Apply
// brings meanwhile lies behind. It commits some thousand keys at a time, and tells observe of them, as RemoveBelow does. removed
// counts claims.
//
// After an error the verification goes on: Finish can be called again.
func (v *Verification) Finish(upTo map[int32]int64, observe func(Removal)) (removed int, err error) {
	s := v.store
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	v.mu.Lock()
	ended := v.ended
	v.mu.Unlock()
	if ended {
		return 0, ErrVerified
	}
	read := func(at version) bool {
		end, ok := upTo[at.partition]
		return ok && at.offset < end
	}
	removed, err = s.removeWhere(
		func(sl *slot) bool {
			return sl.mark&slotSplit != 0 || sl.mark&(slotTombstone|slotMet) == 0 && read(sl.version())
		},
		func(h *holding, c *claim) bool {
			if c.tombstone || !read(c.version()) {
				return false
			}
			if h.was.flags&slotMet != 0 && c.stored == asEntry {
				return false
			}
			return !v.noted(metHash(h.key, c.source(), c.version())) && (c.Held == 0 || !v.noted(metHash(h.key, c.source(), c.heldOver())))
		}, observe)
	if err != nil {
		return removed, fmt.Errorf("verify: %w", err)
	}
	v.end()
	return removed, nil
}

// Cancel ends the verification without removing anything. It may be called at any time, and more than once.
func (v *Verification) Cancel() { v.end() }

func (v *Verification) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return
	}
	v.ended, v.met = true, nil
	v.store.verification.Store(nil)
	v.store.verifying.Store(false)
}

// meet marks key's slot where it has exactly that claim and no other. aside says that it has others, or is held over another record.
func (s *shard) meet(hash uint64, key []byte, at version, source uint64) (aside bool, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if !ok {
		return false, nil
	}
	sl := &s.table.slots[i]
	switch st := s.state(sl); {
	case st.flags&(slotSplit|slotHeld) != 0:
		return true, nil
	case st.tombstone() || st.version != at || st.source() != source || st.flags&slotMet != 0:
		return false, nil
	}
	s.mu.Lock()
	sl.mark |= slotMet
	s.mu.Unlock()
	return false, nil
}

// unmeet takes the marks from all slots, some thousand at a time.
func (s *shard) unmeet() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed {
		return ErrClosed
	}
	const stretch = 4096
	for from := 0; from < len(s.table.slots); from += stretch {
		slots := s.table.slots[from:min(from+stretch, len(s.table.slots))]
		s.mu.Lock()
		for i := range slots {
			slots[i].mark &^= slotMet
		}
		s.mu.Unlock()
	}
	return nil
}
