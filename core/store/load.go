package store

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// load reads the checkpoints, and fills the index from the entries.
func (s *Store) load() error {
	if err := s.loadCheckpoints(); err != nil {
		return fmt.Errorf("load checkpoints: %w", err)
	}
	if len(s.checkpoints.byPartition) == 0 {
		if s.opts.ReadOnly {
			return fmt.Errorf("%w: a generation without positions", ErrCorrupt)
		}
		if err := s.dropAll(); err != nil {
			return fmt.Errorf("empty a generation without positions: %w", err)
		}
		return nil
	}
	if err := s.loadTrails(); err != nil {
		return fmt.Errorf("load trails: %w", err)
	}
	for _, a := range s.checkpoints.list() {
		s.account.of(a.Partition).logStart = a.LogStart
		s.partitions.remembers(a.Partition)
	}
	var err error
	if s.loading.unsettled, err = s.isUnsettled(); err != nil {
		return fmt.Errorf("load claims: %w", err)
	}
	behind := s.opts.Refill && !s.loading.unsettled
	ranges := min(runtime.GOMAXPROCS(0), 8)
	if behind {
		ranges *= 4 // fewer workers than these
	}
	bounds, err := s.splits(ranges)
	if err != nil {
		return fmt.Errorf("load entries: %w", err)
	}
	expected, err := s.entriesInTables()
	if err != nil {
		return fmt.Errorf("load entries: %w", err)
	}
	if err := s.index.expect(expected); err != nil {
		return fmt.Errorf("load entries: %w", err)
	}
	if behind {
		if err := s.refill.begin(s, bounds); err != nil {
			return fmt.Errorf("load entries: %w", err)
		}
		return nil
	}
	var wg sync.WaitGroup
	errs := make([]error, len(bounds)-1)
	for i := range errs {
		wg.Go(func() { errs[i] = s.loadEntries(bounds[i], bounds[i+1]) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("load entries: %w", err)
	}
	if s.loading.unsettled && s.opts.ReadOnly {
		return fmt.Errorf("%w: a load has not ended", ErrCorrupt)
	}
	if err := s.loadClaims(); err != nil {
		return fmt.Errorf("load claims: %w", err)
	}
	s.remembered.seal(s.opts.now())
	return s.index.fit()
}

// dropAll removes what lies there without positions: nothing says how far it is complete, so it counts as nothing.
func (s *Store) dropAll() (err error) {
	lower, upper := []byte{spaceMeta}, []byte{0xff}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	any := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil || !any {
		return err
	}
	s.dirty.Store(true)
	return s.db.DeleteRange(lower, upper, pebble.NoSync)
}

// each calls fn with what Pebble has in a space, in the order of the keys. Both are valid during the call.
func (s *Store) each(space byte, fn func(key, value []byte) error) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := fn(it.Key(), v); err != nil {
			return err
		}
	}
	return it.Error()
}

func (s *Store) loadCheckpoints() error {
	return s.each(spacePositions, func(key, value []byte) error {
		c, err := parseCheckpoint(key, value)
		if err != nil {
			return err
		}
		s.checkpoints.set(applied{Checkpoint: c, storedFreshAt: c.FreshAt})
		return nil
	})
}

func (s *Store) loadTrails() error {
	return s.each(spaceTrails, func(key, value []byte) error {
		partition, err := parsePartitionKey(spaceTrails, key)
		if err != nil {
			return err
		}
		a, ok := s.checkpoints.get(partition)
		if !ok {
			return fmt.Errorf("%w: partition %d has a trail and no position", ErrCorrupt, partition)
		}
		a.Trail = append([]byte{}, value...)
		s.checkpoints.set(a)
		return nil
	})
}

// splits are the bounds of up to n ranges of entries of about the same size, taken from where the tables begin.
func (s *Store) splits(n int) ([][]byte, error) {
	lower, upper := entryBounds(nil, nil)
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, err
	}
	var begins [][]byte
	for _, level := range levels {
		for _, t := range level {
			if k := t.Smallest.UserKey; bytes.Compare(k, lower) > 0 && bytes.Compare(k, upper) < 0 {
				begins = append(begins, k)
			}
		}
	}
	slices.SortFunc(begins, bytes.Compare)
	begins = slices.CompactFunc(begins, bytes.Equal)
	bounds := [][]byte{lower}
	for i := 1; i < n && len(begins) >= n; i++ {
		bounds = append(bounds, begins[i*len(begins)/n])
	}
	return append(bounds, upper), nil
}

// loadEntries fills the index with the entries of a range of Pebble keys.
func (s *Store) loadEntries(lower, upper []byte) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var counted account
	defer func() {
		s.account.mu.Lock()
		defer s.account.mu.Unlock()
		s.account.merge(&counted)
	}()
	return s.fillEntries(it, &counted)
}

// fillEntries brings an iterator's entries into the index, but for those of keys of which it knows, and counts them.
func (s *Store) fillEntries(it *pebble.Iterator, counted *account) error {
	var headers []Header
	for n, ok := 0, it.First(); ok; n, ok = n+1, it.Next() {
		if n%1024 == 0 && s.gate.isClosed() {
			return ErrClosed
		}
		if s.opts.filling != nil {
			s.opts.filling()
		}
		b, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		e, err := parseEntry(b, headers[:0])
		if err != nil {
			return err
		}
		if e.Headers != nil {
			headers = e.Headers
		}
		if e.noValue || e.tombstone {
			return fmt.Errorf("%w: entry without a value", ErrCorrupt)
		}
		key := it.Key()[1:]
		st := entryState(&e)
		hash := s.index.hash(key)
		filled, err := s.index.fill(hash, key, e.value, st)
		if err != nil {
			return err
		}
		if filled {
			counted.add(hash, st.source(), st.version, false)
		}
	}
	return it.Error()
}

// entryState is what the index holds of an entry.
func entryState(e *entry) state {
	st := state{version: version{e.Partition, e.Offset}}
	if e.Source != nil {
		st.flags, st.head = slotDerived, sourceHash(e.Source)
	}
	if e.Held > 0 {
		st.flags |= slotHeld
	}
	return st
}

// loadClaims brings the side table into the index, which has the entries: what is split, and whose winner is a tombstone.
func (s *Store) loadClaims() (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceClaims}, UpperBound: []byte{spaceClaims + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	return s.eachKeysClaims(it, func(key []byte, of claims) (bool, error) { return true, s.loadKeysClaims(key, of) })
}

func (s *Store) loadKeysClaims(key []byte, cs claims) error {
	if s.loading.unsettled {
		return s.loadUnsettled(key, cs)
	}
	hash := s.index.hash(key)
	_, _, held, err := s.index.peek(hash, key)
	if err != nil {
		return err
	}
	if held {
		_, _, err = s.index.reflag(hash, key, slotSplit, 0)
	} else {
		w := &cs[cs.winner()]
		if !w.tombstone {
			return fmt.Errorf("%w: a claim wins that is not the entry", ErrCorrupt)
		}
		st := w.state()
		if len(cs) > 1 {
			st.flags |= slotSplit
		}
		_, _, err = s.index.put(hash, key, nil, st)
	}
	if err != nil {
		return err
	}
	for i := range cs {
		c := &cs[i]
		s.account.add(hash, c.source(), c.version(), c.tombstone)
		if c.tombstone {
			s.remembered.add(hash, c.version())
		}
	}
	return nil
}
