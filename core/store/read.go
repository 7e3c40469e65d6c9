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
func (s *Store) meta(key []byte) (Meta, bool, error) {
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

// Range calls fn for the entries with lower <= key < upper in the order of the keys' bytes until it returns false; nil is
// open. The entry is valid during fn, which may be slow and may call the store, Close excepted.
//
// With a directory the entries are those of one moment, when Range began. In memory the keys are of that moment, their values are
// those of the moment when fn is called, and a key that was removed meanwhile is passed over. While Range runs Pebble keeps
// what it would otherwise have dropped. Once Close is called, Range answers [ErrClosed] when fn returns.
func (s *Store) Range(lower, upper []byte, fn func(Entry) bool) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	if err := s.endLoad(); err != nil {
		return err
	}
	if err := s.rangeEntries(lower, upper, fn); err != nil {
		return fmt.Errorf("range: %w", err)
	}
	return nil
}

func (s *Store) rangeEntries(lower, upper []byte, fn func(Entry) bool) (err error) {
	it, err := s.newIter(lower, upper)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var headers []Header
	var value []byte
	for ok := it.First(); ok; ok = it.Next() {
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
			if value, ok, err = s.join(&out, value[:0]); err != nil {
				return err
			}
			if !ok {
				continue
			}
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

// join adds the index's value to an entry, and the metadata that belongs to that value.
func (s *Store) join(e *Entry, buf []byte) (value []byte, ok bool, err error) {
	for {
		value, v, ok, err := s.index.getVersion(buf, e.Key)
		if err != nil || !ok {
			return value, false, err
		}
		e.Value = value
		if v == (version{e.Partition, e.Offset}) {
			return value, true, nil
		}
		if e.Meta, ok, err = s.meta(e.Key); err != nil || !ok {
			return value, false, err
		}
		buf = value[:0]
	}
}
