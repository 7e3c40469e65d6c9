package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// While a store loads, who of several partitions has a key's newest record is not asked, since the answer, their timestamps, is where a load
// does not read: in runs. The partition that had the key first keeps its slot in the index, and its claim is the entry as long as it is a
// value; what others say of the key is set aside unseen, and the slot says that there is such. Within a partition the newest record comes
// last, so each claim is replaced by writing over it. EndLoad goes through what was set aside once, in the order of the keys, and settles it. Until then claims
// that were set aside are not in the account either.
//
// A mark in the run says that it is so, and goes with the last commit of the settling. A store that is opened with the mark goes on as an unsettled load.

// unsettledKey is the mark.
var unsettledKey = []byte{spaceMeta, 'u'}

// setsAside says that what a partition says of a key that another has, as a load takes it, is set aside.
func (s *Store) setsAside(b *Batch, mutations []keyed, st *state, observed, remember bool) bool {
	if !s.loading.blind || !s.isLoading.Load() || observed || !remember || st.flags&(slotDerived|slotHeld) != 0 {
		return false
	}
	for _, k := range mutations {
		if m := &b.Mutations[k.mutation]; m.Source != nil || m.Hold {
			return false
		}
	}
	return true
}

// setAside plans for a key that another partition had first.
func (p *plan) setAside(b *Batch, mutations []keyed, hash uint64, next int64) {
	decisive := int32(-1)
	for _, k := range mutations {
		if o := b.Mutations[k.mutation].Offset; o >= next && (decisive < 0 || o >= b.Mutations[decisive].Offset) {
			decisive = k.mutation
		}
	}
	if decisive < 0 {
		return
	}
	m := &b.Mutations[decisive]
	e := entry{Meta: Meta{Partition: b.Partition, Offset: m.Offset, Timestamp: m.Timestamp}, tombstone: m.Tombstone}
	if !m.Tombstone {
		e.Headers = m.Headers
		if e.value = m.Value; e.value == nil {
			e.value = []byte{}
		}
	}
	p.writes = append(p.writes, write{key: claimKey(m.Key, b.Partition, nil), entry: e})
	p.results = append(p.results, result{hash: hash, mutation: decisive, act: actAside})
}

// isUnsettled looks for the mark.
func (s *Store) isUnsettled() (found bool, err error) {
	err = s.each(spaceMeta, func(key, _ []byte) error {
		found = found || bytes.Equal(key, unsettledKey)
		return nil
	})
	return found, err
}

// loadUnsettled brings the claims of a key that a load set aside into the index, which has the entries.
func (s *Store) loadUnsettled(key []byte, cs claims) error {
	hash := s.index.hash(key)
	_, _, held, err := s.index.peek(hash, key)
	if err != nil {
		return err
	}
	if held {
		_, _, err = s.index.reflag(hash, key, slotSplit, 0)
		return err
	}
	for i := range cs {
		c := &cs[i]
		if !c.tombstone {
			continue
		}
		st := c.state()
		if len(cs) > 1 {
			st.flags |= slotSplit
		}
		s.account.add(hash, c.source(), c.version(), true)
		s.remembered.add(hash, c.version())
		_, _, err = s.index.put(hash, key, nil, st)
		return err
	}
	return fmt.Errorf("%w: a key of which a load set values aside has neither an entry nor a tombstone", ErrCorrupt)
}

// settling is how EndLoad settles what was set aside, a commit at a time.
type settling struct {
	s       *Store
	entries *pebble.Iterator
	batch   []settled
	writes  []write
	counted []claim // that the account has not
	hashes  []uint64
	bytes   int
}

// settleLoad settles all that is set aside. After an error it can be called again.
func (s *Store) settleLoad() (err error) {
	defer s.moments.changed()
	from := []byte{spaceClaims}
	if s.loading.settledTo != nil {
		_, from = claimBounds(s.loading.settledTo)
	}
	asides, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{spaceClaims + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, asides.Close()) }()
	lower, upper := entryBounds(nil, nil)
	entries, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, entries.Close()) }()
	x := &settling{s: s, entries: entries}
	if err := s.eachKeysClaims(asides, func(key []byte, of claims) (bool, error) { return true, x.settle(key, slices.Clone(of)) }); err != nil {
		return err
	}
	if err := x.commit(); err != nil {
		return err
	}
	w := s.db.NewBatch()
	defer w.Close()
	if err := w.Delete(unsettledKey, nil); err != nil {
		return err
	}
	return s.commitAnd(w, func() error { return nil })
}

// settle plans for a key with what is aside of it.
func (x *settling) settle(key []byte, aside claims) error {
	s := x.s
	hash := s.index.hash(key)
	h := holding{key: append([]byte{}, key...), hash: hash, claims: aside}
	var err error
	if h.was, _, h.held, err = s.index.peek(hash, key); err != nil {
		return err
	}
	if !h.held || !h.was.split() && !h.was.tombstone() {
		return fmt.Errorf("%w: a claim is aside of a key that has none", ErrCorrupt)
	}
	if !h.was.split() {
		return nil // a tombstone that is remembered
	}
	for i := range aside {
		if c := &aside[i]; c.Partition != h.was.partition {
			x.counted, x.hashes = append(x.counted, *c), append(x.hashes, hash)
		}
	}
	if !h.was.tombstone() {
		if err := x.withEntry(&h); err != nil {
			return err
		}
	}
	z, writes := s.settle(h, true)
	x.batch, x.writes = append(x.batch, z), append(x.writes, writes...)
	for i := range writes {
		x.bytes += len(writes[i].key) + len(writes[i].entry.value)
	}
	if len(x.batch) < commitKeys && x.bytes < settleBytes {
		return nil
	}
	return x.commit()
}

// settleBytes bounds a commit beside commitKeys.
const settleBytes = 2 << 20

// withEntry adds the claim that is the entry.
func (x *settling) withEntry(h *holding) error {
	at := appendEntryKey(nil, h.key)
	if !x.entries.SeekGE(at) || !bytes.Equal(x.entries.Key(), at) {
		return errors.Join(x.entries.Error(), fmt.Errorf("%w: index and Pebble differ", ErrCorrupt))
	}
	b, err := x.entries.ValueAndErr()
	if err != nil {
		return err
	}
	e, err := parseEntry(b, nil)
	if err != nil {
		return err
	}
	c := claim{Meta: cloneMeta(e.Meta), stored: asEntry}
	if c.version() != h.was.version {
		return fmt.Errorf("%w: index and Pebble differ", ErrCorrupt)
	}
	if h.claims, err = h.claims.with(c); err != nil {
		return err
	}
	for i := range h.claims {
		if c := &h.claims[i]; c.stored == asEntry && i != h.winner() {
			c.value, _, err = x.s.index.get([]byte{}, h.key) // it moves aside
		}
	}
	return err
}

// commit commits what is planned.
func (x *settling) commit() error {
	s := x.s
	if len(x.batch) == 0 {
		return nil
	}
	w := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(4 << 20))
	defer w.Close()
	if err := putWrites(w, x.writes); err != nil {
		return err
	}
	update := func() error {
		s.account.mu.Lock()
		defer s.account.mu.Unlock()
		for i := range x.counted {
			c := &x.counted[i]
			s.account.add(x.hashes[i], c.source(), c.version(), c.tombstone)
			if c.tombstone {
				s.remembered.add(x.hashes[i], c.version())
			}
		}
		return s.updateAll(x.batch)
	}
	if err := s.commitAnd(w, update); err != nil {
		return err
	}
	s.loading.settledTo = x.batch[len(x.batch)-1].key
	x.batch, x.writes, x.counted, x.hashes, x.bytes = nil, nil, nil, nil, 0
	return nil
}
