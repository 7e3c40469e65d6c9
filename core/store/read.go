package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Meta is where key's entry came from, and whether there is one. The result is the caller's.
func (s *Store) Meta(key []byte) (Meta, bool, error) {
	if err := s.gate.enter(); err != nil {
		return Meta{}, false, err
	}
	defer s.gate.leave()
	if err := s.endLoad(); err != nil {
		return Meta{}, false, err
	}
	m, ok, err := s.meta(key)
	if err != nil {
		return Meta{}, false, fmt.Errorf("read metadata: %w", err)
	}
	return m, ok, nil
}

// meta reads Pebble for the version that the index answers with. Between Pebble's commit and the end of the index update
// the two may differ; then it waits.
func (s *Store) meta(key []byte) (m Meta, ok bool, err error) {
	if !s.refill.on.Load() {
		return s.residentMeta(key)
	}
	ok, err = s.lookUp(key, func() (ok bool, err error) {
		m, ok, err = s.residentMeta(key)
		return ok, err
	}, func(e *entry) { m = cloneMeta(e.Meta) })
	return m, ok, err
}

func (s *Store) residentMeta(key []byte) (Meta, bool, error) {
	m, ok, agree, err := s.tryMeta(key)
	if err != nil || agree {
		return m, ok, err
	}
	s.commit.RLock()
	defer s.commit.RUnlock()
	m, ok, agree, err = s.tryMeta(key)
	if err == nil && !agree {
		err = fmt.Errorf("%w: index and Pebble differ", ErrCorrupt)
	}
	return m, ok, err
}

func (s *Store) tryMeta(key []byte) (m Meta, ok, agree bool, err error) {
	st, _, ok, err := s.index.peek(s.index.hash(key), key)
	if err != nil || !ok || st.tombstone() {
		return Meta{}, false, true, err
	}
	b, closer, err := s.db.Get(appendEntryKey(nil, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return Meta{}, false, false, nil
	}
	if err != nil {
		return Meta{}, false, false, err
	}
	e, err := parseEntry(b, nil)
	m = cloneMeta(e.Meta)
	if err = errors.Join(err, closer.Close()); err != nil {
		return Meta{}, false, false, err
	}
	return m, true, st.version == version{m.Partition, m.Offset}, nil
}

func cloneMeta(m Meta) Meta {
	m.Source = bytes.Clone(m.Source)
	for i, h := range m.Headers {
		m.Headers[i] = Header{bytes.Clone(h.Key), bytes.Clone(h.Value)}
	}
	return m
}

// Range is [Store.RangeWith] in ascending order with values.
func (s *Store) Range(lower, upper []byte, fn func(Entry) bool) error {
	return s.RangeWith(RangeOptions{Lower: lower, Upper: upper}, fn)
}

// RangeOptions say which entries [Store.RangeWith] goes through, and how. The zero value is all of them in ascending order.
type RangeOptions struct {
	Lower, Upper []byte // from Lower (included) to Upper (excluded), in the order of the keys' bytes; nil is open
	Reverse      bool   // from the last to the first
	KeysOnly     bool   // Entry.Value is nil; in memory values are not copied then
}

// RangeWith calls fn for the entries that o says, in the order of the keys' bytes or against it, until fn returns false. The
// entry is valid during fn, which may be slow and may call the store, Close excepted.
//
// With a directory the entries are those of one moment, when RangeWith began. In memory the keys are of that moment, their
// values are those of the moment when fn is called, and a key that was removed meanwhile is passed over. While RangeWith runs
// Pebble keeps what it would otherwise have dropped. Once Close is called, RangeWith answers [ErrClosed] when fn returns.
func (s *Store) RangeWith(o RangeOptions, fn func(Entry) bool) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if o.Upper != nil && bytes.Compare(o.Lower, o.Upper) >= 0 {
		return nil
	}
	if err := s.endLoad(); err != nil {
		return err
	}
	if err := s.rangeEntries(o, fn); err != nil {
		return fmt.Errorf("range: %w", err)
	}
	return nil
}

func (s *Store) rangeEntries(o RangeOptions, fn func(Entry) bool) (err error) {
	it, err := s.newIter(o.Lower, o.Upper)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	first, next := it.First, it.Next
	if o.Reverse {
		first, next = it.Last, it.Prev
	}
	var headers []Header
	var value []byte
	for ok := first(); ok; ok = next() {
		if s.gate.isClosed() {
			return ErrClosed
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
		out := Entry{Key: it.Key()[1:], Value: e.value, Meta: e.Meta}
		if e.noValue {
			var ok bool
			if value, ok, err = s.join(&out, value[:0], o.KeysOnly); err != nil {
				return err
			}
			if !ok {
				continue
			}
		}
		if o.KeysOnly {
			out.Value = nil
		}
		if !fn(out) {
			return nil
		}
	}
	return it.Error()
}

// newIter is an iterator over a moment at which the index has what Pebble has, so that nothing read here is newer than
// what Get answers afterwards.
func (s *Store) newIter(lower, upper []byte) (*pebble.Iterator, error) {
	l, u := entryBounds(lower, upper)
	s.commit.RLock()
	defer s.commit.RUnlock()
	return s.db.NewIter(&pebble.IterOptions{LowerBound: l, UpperBound: u})
}

// join adds the index's value to an entry, unless only its key is asked for, and the metadata that belongs to that value.
func (s *Store) join(e *Entry, buf []byte, keyOnly bool) (value []byte, ok bool, err error) {
	for {
		var v version
		if keyOnly {
			v, ok, err = s.index.versionOf(e.Key)
		} else {
			buf, v, ok, err = s.index.getVersion(buf, e.Key)
		}
		if err != nil || !ok {
			return buf, false, err
		}
		e.Value = buf
		if v == (version{e.Partition, e.Offset}) {
			return buf, true, nil
		}
		if e.Meta, ok, err = s.meta(e.Key); err != nil || !ok {
			return buf, false, err
		}
		buf = buf[:0]
	}
}

// GetVersion is Get with the record that the value is of. It reads the index alone.
func (s *Store) GetVersion(dst, key []byte) (value []byte, partition int32, offset int64, ok bool, err error) {
	get := s.index.getVersion
	if s.refill.on.Load() {
		get = s.getStored
	}
	value, v, ok, err := get(dst, key)
	return value, v.partition, v.offset, ok, err
}
