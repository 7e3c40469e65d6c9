package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Apply is ApplyAnd without more to do.
func (s *Store) Apply(b *Batch, observe func(Change)) error {
	return s.ApplyAnd(context.Background(), b, observe, nil)
}

// ApplyAnd commits a batch: its entries and the partition's next position in one Pebble commit, then the index. Both are as
// before, or both have all of the batch; other calls may see a part of it in between, but no key goes back. A [View] sees
// nothing of it, or all.
//
// A mutation whose offset is below the partition's position is a replay and changes nothing, nor does one that is not above
// the claim of the same partition and source; so a batch may be applied again. A mutation changes that claim alone; readers
// see the winner of the key's claims, see [Claim]. A tombstone with a source withdraws the claim that the source had. The
// position never moves back. The batch's bytes are copied.
//
// observe, where it is not nil, is called for every mutation in order after the commit. It may read the store, and must not
// call Apply, Flush, Close, View, or what removes; between FinishLoad and when the load is durable it must not call what reads Pebble either (Meta, Range …), which
// would wait for the load and the load for it.
//
// and, where it is not nil, is called after that, where there is no error, before a View sees the batch. What it publishes is so
// of the same moment as the entries. It is bound as observe is.
//
// Where it waits for the index to be filled (Options.Refill), it does so as long as ctx allows, and answers ctx's error.
//
// An error before the commit leaves everything as it was. One behind it (the system gives no more memory) makes every
// further Apply answer the same error, since the index is not complete any more; the directory is.
func (s *Store) ApplyAnd(ctx context.Context, b *Batch, observe func(Change), and func()) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if err := s.admit(ctx); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return s.err
	}
	if err := b.check(); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	if err := s.opts.health.failing(); err != nil {
		// Pebble would take what fits in its memtables, and then hold whoever asks without a word.
		return fmt.Errorf("apply: the store cannot be written: %w", err)
	}
	if err := s.failing(); err != nil {
		return fmt.Errorf("apply: the store cannot be written: %w", err)
	}
	observed := observe != nil || s.projection != nil
	if observe != nil && !s.finished.Load() || s.loading.written { // it may read what only Pebble has
		if err := s.endLoadLocked(); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	if err := s.forget(); err != nil {
		return fmt.Errorf("apply: forget tombstones: %w", err)
	}
	before, known := s.checkpoints.get(b.Partition)
	after := before.after(b, known)
	if err := s.pullIn(b, before.Next); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	p := &s.plan
	for loading := !s.isLoading.Load(); loading != s.isLoading.Load(); { // once more where the load has ended for a key
		loading = s.isLoading.Load()
		if err := p.make(s, b, before.Next, observed); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	moved := !known || after.Next != before.Next || after.LeaderEpoch != before.LeaderEpoch ||
		after.LogStart != before.LogStart || !bytes.Equal(after.Trail, before.Trail) || after.outdated()
	defer s.moments.changed()
	if s.isLoading.Load() {
		if p.any() {
			if err := s.makeRoom(b, before.Next); err != nil {
				return fmt.Errorf("apply: %w", err)
			}
			s.moments.change()
			if err := s.loadPlan(b, before.Next); err != nil {
				return fmt.Errorf("apply: %w", err)
			}
		}
		s.loading.moved = s.loading.moved || !known || !after.equal(before.Checkpoint)
	} else if moved || p.any() {
		after.storedFreshAt = after.FreshAt
		if err := s.commitPlan(b, after.Checkpoint); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	s.checkpoints.set(after)
	if s.projection != nil {
		if err := s.projectPlan(b); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	if observe != nil {
		p.tell(b, observe)
	}
	if and != nil {
		s.moments.change()
		and()
	}
	return nil
}

func (b *Batch) check() error {
	if b.Partition < 0 || b.Next < 0 {
		return fmt.Errorf("partition %d, next offset %d: below 0", b.Partition, b.Next)
	}
	if b.Start < 0 || b.LogStart < 0 {
		return fmt.Errorf("partition %d, start %d, log start %d: below 0", b.Partition, b.Start, b.LogStart)
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Offset < 0 || m.Offset >= b.Next || m.Offset > maxOffset {
			return fmt.Errorf("offset %d of partition %d is not within 0 and the next offset %d", m.Offset, b.Partition, b.Next)
		}
		if err := checkSize(m.Key, m.Value); err != nil {
			return err
		}
	}
	return nil
}

// commitPlan writes the plan's results and the checkpoint to Pebble, then to the index.
func (s *Store) commitPlan(b *Batch, c Checkpoint) error {
	w := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(4 << 20))
	defer w.Close()
	if err := w.Set(positionKey(c.Partition), appendCheckpoint(nil, c), nil); err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	if b.Trail != nil {
		if err := w.Set(trailKey(c.Partition), c.Trail, nil); err != nil {
			return fmt.Errorf("write trail: %w", err)
		}
	}
	for i := range s.plan.results {
		r := &s.plan.results[i]
		m := &b.Mutations[r.mutation]
		switch {
		case r.act == actPut:
			e := s.entry(b, m)
			if err := setEntry(w, spaceEntries, m.Key, &e); err != nil {
				return err
			}
		case r.entry:
			if err := deleteEntry(w, m.Key); err != nil {
				return err
			}
		}
	}
	if err := putWrites(w, s.plan.writes); err != nil {
		return err
	}
	return s.commitAnd(w, func() error { return s.updateIndex(b) })
}

// setEntry is a Set of an entry or claim.
func setEntry(w *pebble.Batch, space byte, key []byte, e *entry) error {
	op := w.SetDeferred(1+len(key), e.size())
	op.Key[0] = space
	copy(op.Key[1:], key)
	e.put(op.Value)
	if err := op.Finish(); err != nil {
		return fmt.Errorf("write entry: %w", err)
	}
	return nil
}

func deleteEntry(w *pebble.Batch, key []byte) error {
	op := w.DeleteDeferred(1 + len(key))
	op.Key[0] = spaceEntries
	copy(op.Key[1:], key)
	if err := op.Finish(); err != nil {
		return fmt.Errorf("write delete: %w", err)
	}
	return nil
}

// putWrites puts what is not an ordinary key's into a batch.
func putWrites(w *pebble.Batch, writes []write) error {
	for i := range writes {
		x := &writes[i]
		if x.remove {
			if err := w.Delete(x.key, nil); err != nil {
				return fmt.Errorf("write delete: %w", err)
			}
			continue
		}
		if err := setEntry(w, x.key[0], x.key[1:], &x.entry); err != nil {
			return err
		}
	}
	return nil
}

// commitAnd commits a batch once Pebble has room for it, and then what it means to the index. It begins a change, which the caller ends, who
// holds Store.apply.
func (s *Store) commitAnd(w *pebble.Batch, update func() error) error {
	if err := s.await(w.Len()); err != nil {
		return err
	}
	s.moments.change()
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := w.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.dirty.Store(true)
	return update()
}

// entry is what Pebble is to hold of a mutation.
func (s *Store) entry(b *Batch, m *Mutation) entry {
	return entry{
		Meta:    Meta{Partition: b.Partition, Offset: m.Offset, Timestamp: m.Timestamp, Source: m.Source, Headers: m.Headers},
		value:   m.Value,
		noValue: s.inMemory(),
	}
}

// updateIndex brings the plan's results into the index and the account.
func (s *Store) updateIndex(b *Batch) error {
	s.index.touch(s.plan.hashes)
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	for i := range s.plan.results {
		if err := s.updateResult(b, &s.plan.results[i]); err != nil {
			s.err = fmt.Errorf("index: %w", err)
			return s.err
		}
	}
	return s.updateAll(s.plan.settled)
}

// updateAll brings settled keys into the index and the account, whose lock the caller holds.
func (s *Store) updateAll(settled []settled) error {
	for i := range settled {
		if err := s.updateSettled(&settled[i]); err != nil {
			s.err = fmt.Errorf("index: %w", err)
			return s.err
		}
	}
	now := s.opts.now()
	s.remembered.seal(now)
	return s.remembered.trim(s.index, s.index.counts.tombstones.Load()+s.index.counts.split.Load(), now)
}

func (s *Store) updateResult(b *Batch, r *result) error {
	m := &b.Mutations[r.mutation]
	st := state{version: version{b.Partition, m.Offset}}
	if r.split {
		st.flags = slotSplit
	}
	var was state
	var existed bool
	var err error
	switch r.act {
	case actAside:
		_, _, err = s.index.reflag(r.hash, m.Key, slotSplit, 0)
		return err
	case actRemove:
		was, existed, err = s.index.remove(r.hash, m.Key)
	case actRemember:
		st.flags, st.head = st.flags|slotTombstone, uint64(m.Timestamp)
		was, existed, err = s.index.put(r.hash, m.Key, nil, st)
		s.remembered.add(r.hash, st.version)
	case actPut:
		if m.Source != nil {
			st.flags, st.head = st.flags|slotDerived, sourceHash(m.Source)
		}
		was, existed, err = s.index.put(r.hash, m.Key, m.Value, st)
	}
	if err != nil {
		return err
	}
	if existed {
		s.account.remove(r.hash, was.source(), was.version, was.tombstone())
	}
	if r.act != actRemove {
		s.account.add(r.hash, st.source(), st.version, st.tombstone())
	}
	return nil
}

// storeFreshness writes what Pebble does not have of the checkpoints.
func (s *Store) storeFreshness() error {
	s.apply.Lock()
	defer s.apply.Unlock()
	for _, a := range s.checkpoints.list() {
		if a.FreshAt.Equal(a.storedFreshAt) {
			continue
		}
		if err := s.db.Set(positionKey(a.Partition), appendCheckpoint(nil, a.Checkpoint), pebble.NoSync); err != nil {
			return fmt.Errorf("write position: %w", err)
		}
		s.dirty.Store(true)
		a.storedFreshAt = a.FreshAt
		s.checkpoints.set(a)
	}
	return nil
}

// equal says that c and d are the same to Pebble.
func (c Checkpoint) equal(d Checkpoint) bool {
	return c.Partition == d.Partition && c.Next == d.Next && c.LeaderEpoch == d.LeaderEpoch && c.FreshAt.Equal(d.FreshAt) && c.Keeps == d.Keeps &&
		c.Start == d.Start && c.LogStart == d.LogStart && bytes.Equal(c.Trail, d.Trail) && bytes.Equal(c.Mark, d.Mark)
}
