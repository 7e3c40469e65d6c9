package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// RemoveBelow removes all claims of the partition whose offset is below logStart, tombstones included, and promotes what
// wins then. It commits some thousand keys at a time, and at its end the log's start with the checkpoint; where a claim is not removed
// because of an error, the next call looks again. Where no claim can lie there, it costs nothing. removed counts the claims
// that were values.
//
// observe, where it is not nil, is called after each commit for each key whose value is another one or gone, under the lock
// that orders it with Apply's: like an observer of Apply it may read the store and must not change it. Apply may run at the same time; what it
// brings of offsets below logStart is removed by the next call. A load goes on in commits where there is something to
// remove.
func (s *Store) RemoveBelow(partition int32, logStart int64, observe func(Removal)) (removed int, err error) {
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	if partition < 0 || logStart < 0 {
		return 0, fmt.Errorf("remove below: partition %d, log start %d: below 0", partition, logStart)
	}
	if err := s.whole(); err != nil { // before it the account does not say what lies there
		return 0, fmt.Errorf("remove below: %w", err)
	}
	sweep, err := s.beginSweep(partition, logStart)
	if err != nil {
		return 0, fmt.Errorf("remove below: %w", err)
	}
	if sweep {
		if err := s.endLoad(); err != nil { // here no apply waits for it
			return 0, fmt.Errorf("remove below: %w", err)
		}
		below := func(v version) bool { return v.partition == partition && v.offset < logStart }
		removed, err = s.removeWhere(
			func(sl *slot) bool { return sl.mark&slotSplit != 0 || below(sl.version()) },
			func(h *holding, c *claim) bool { return below(c.version()) }, observe)
		if err != nil {
			s.account.mu.Lock()
			s.account.of(partition).unswept = true
			s.account.mu.Unlock()
			return removed, fmt.Errorf("remove below: %w", err)
		}
	}
	if err := s.recordLogStart(partition, logStart); err != nil {
		return removed, fmt.Errorf("remove below: %w", err)
	}
	return removed, nil
}

// beginSweep says whether claims may lie below logStart. From here on those that come are noticed.
func (s *Store) beginSweep(partition int32, logStart int64) (bool, error) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if s.loading.unsettled { // the account is not complete
		if err := s.endLoadLocked(); err != nil {
			return false, err
		}
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	l := s.account.of(partition)
	sweep := l.unswept || logStart > l.logStart && l.below(logStart)
	l.logStart, l.unswept = max(l.logStart, logStart), false
	return sweep, nil
}

// recordLogStart keeps the log's start with the partition's checkpoint, where it has one.
func (s *Store) recordLogStart(partition int32, logStart int64) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return s.err
	}
	a, known := s.checkpoints.get(partition)
	if !known || a.LogStart >= logStart {
		return nil
	}
	a.LogStart = logStart
	if s.isLoading.Load() && !s.loading.written {
		s.loading.moved = true
	} else {
		if err := s.db.Set(positionKey(partition), appendCheckpoint(nil, a.Checkpoint), pebble.NoSync); err != nil {
			return fmt.Errorf("write position: %w", err)
		}
		s.dirty.Store(true)
		a.storedFreshAt = a.FreshAt
	}
	s.checkpoints.set(a)
	return nil
}

// removeWhere removes the claims that gone names, of the keys whose slots may have such, and promotes what wins then.
func (s *Store) removeWhere(may func(*slot) bool, gone func(*holding, *claim) bool, observe func(Removal)) (removed int, err error) {
	var keys [][]byte
	for i := range s.index.shards {
		for from, more := uint64(0), true; more; {
			if keys, from, more, err = s.index.shards[i].collectKeys(from, may, keys); err != nil {
				return removed, err
			}
			if len(keys) < commitKeys && (more || i < len(s.index.shards)-1) {
				continue
			}
			for len(keys) > 0 {
				n, err := s.removeSome(keys[:min(len(keys), commitKeys)], gone, observe)
				removed += n
				if err != nil {
					return removed, err
				}
				keys = keys[min(len(keys), commitKeys):]
			}
		}
	}
	return removed, nil
}

// collectKeys appends copies of keys whose slots are wanted, from a hash on, some thousand slots at a time: a page ends
// between two hashes.
func (s *shard) collectKeys(from uint64, want func(*slot) bool, keys [][]byte) (_ [][]byte, next uint64, more bool, err error) {
	const stretch = 4096
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return keys, 0, false, ErrClosed
	}
	if s.n == 0 {
		return keys, 0, false, nil
	}
	seen, last := 0, uint64(0)
	for i := s.table.home(from); i < len(s.table.slots); i++ {
		sl := &s.table.slots[i]
		seen++
		if sl.empty() || sl.hash() < from {
			continue
		}
		if hash := sl.hash(); hash != last {
			if seen > stretch {
				return keys, hash, true, nil
			}
			last = hash
		}
		if want(sl) {
			key, _ := s.record(sl.location())
			keys = append(keys, append([]byte{}, key...))
		}
	}
	return keys, 0, false, nil
}

// removeSome is removeWhere for some keys, in one commit.
func (s *Store) removeSome(keys [][]byte, gone func(*holding, *claim) bool, observe func(Removal)) (removed int, err error) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.gate.isClosed() {
		return 0, ErrClosed
	}
	if err := s.opts.health.failing(); err != nil {
		return 0, fmt.Errorf("the store cannot be written: %w", err)
	}
	if err := s.endLoadLocked(); err != nil {
		return 0, err
	}
	if s.projection != nil {
		defer s.projection.drop() // what was noted and not committed, after an error
	}
	var batch []settled
	var writes []write
	var removals []Removal
	remember := s.partitions.several()
	for _, key := range keys {
		h, was, err := s.holdingToRemove(key, gone, observe != nil || s.projection != nil)
		if err != nil {
			return 0, err
		}
		if len(h.gone) == 0 {
			continue
		}
		for i := range h.gone {
			if !h.gone[i].tombstone {
				removed++
			}
		}
		z, w := s.settle(h, remember)
		batch, writes = append(batch, z), append(writes, w...)
		r, changed := removal(&z, was)
		if observe != nil && changed {
			removals = append(removals, r)
		}
		if s.projection != nil {
			s.projectRemoval(&z, r)
		}
	}
	defer s.moments.changed()
	if err := s.commitSettled(batch, writes); err != nil {
		return 0, err
	}
	if s.projection != nil {
		if err := s.followed(); err != nil {
			return 0, err
		}
	}
	for _, r := range removals {
		observe(r)
	}
	return removed, nil
}

// holdingToRemove reads a key and takes out the claims that are to go. was is the claim that readers saw. Of an ordinary key what the
// slot says is enough, but for its timestamp.
func (s *Store) holdingToRemove(key []byte, gone func(*holding, *claim) bool, observed bool) (h holding, was claim, err error) {
	hash := s.index.hash(key)
	st, _, held, err := s.index.peek(hash, key)
	if err != nil || !held {
		return h, was, err
	}
	if st.flags&(slotSplit|slotTombstone|slotHeld) == 0 {
		h = holding{key: key, hash: hash, was: st, held: true}
		c := claim{Meta: Meta{Partition: st.partition, Offset: st.offset}, stored: asEntry, counted: st.source()}
		if !gone(&h, &c) {
			return h, was, nil
		}
		if observed {
			if c.value, _, err = s.index.get([]byte{}, key); err != nil {
				return h, was, err
			}
		}
		h.gone = claims{c}
		return h, c, nil
	}
	if h, err = s.holding(hash, key); err != nil {
		return h, was, err
	}
	if c := h.visible(); c != nil {
		was = *c
	}
	for i := 0; i < len(h.claims); {
		if gone(&h, &h.claims[i]) {
			h.drop(i)
		} else {
			i++
		}
	}
	return h, was, nil
}

// removal is what is to be told of a settled key, and whether there is anything to tell. was has no value where readers saw none.
func removal(z *settled, was claim) (Removal, bool) {
	r := Removal{Key: z.key, Old: was.value, Partition: was.Partition, Offset: was.Offset, Timestamp: was.Timestamp}
	if now := z.visible(); now != nil {
		r.Value, r.Partition, r.Offset, r.Timestamp = now.value, now.Partition, now.Offset, now.Timestamp
	}
	r.Kind = kindOf(r.Old, r.Value, true)
	return r, r.Kind != Absent && r.Kind != Unchanged
}

// commitSettled commits what keys came to, apart from any batch.
func (s *Store) commitSettled(batch []settled, writes []write) error {
	if len(batch) == 0 {
		return nil
	}
	w := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(4 << 20))
	defer w.Close()
	if err := putWrites(w, writes); err != nil {
		return err
	}
	return s.commitAnd(w, func() error {
		s.account.mu.Lock()
		defer s.account.mu.Unlock()
		return s.updateAll(batch)
	})
}
