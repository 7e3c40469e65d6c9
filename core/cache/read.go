package cache

import (
	"context"
	"errors"

	"github.com/yolean/kafka-cache/core/store"
)

// Meta is what the log says of the record that gave a key its value.
type Meta = store.Meta

// Entry is a key with its value and Meta.
type Entry = store.Entry

// reading is the store to read from, or ErrNotReady.
func (t *Topic) reading() (*store.Store, error) {
	if !t.serving.Load() {
		return nil, ErrNotReady
	}
	s := t.reads.Load()
	if s == nil {
		return nil, ErrNotReady
	}
	return s, nil
}

// replaced reports whether a read found its store closed because another has taken its place, so that it is to be made again there.
func (t *Topic) replaced(s *store.Store, err error) bool {
	return err != nil && errors.Is(err, store.ErrClosed) && t.reads.Load() != s && t.serving.Load()
}

// readErr makes a store that was closed under a reader what the reader can act on.
func readErr(err error) error {
	if errors.Is(err, store.ErrClosed) {
		return ErrNotReady
	}
	return err
}

// AppendGet appends the value of key to dst. It does not allocate where dst has room. An absent key is false, nil.
func (t *Topic) AppendGet(dst, key []byte) ([]byte, bool, error) {
	for {
		s, err := t.reading()
		if err != nil {
			return dst, false, err
		}
		value, ok, err := s.Get(dst, key)
		if err == nil || !t.replaced(s, err) {
			return value, ok, readErr(err)
		}
	}
}

// Get is the value of key; ErrNotFound where it has none.
func (t *Topic) Get(key []byte) ([]byte, error) {
	v, ok, err := t.AppendGet(nil, key)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNotFound
	case v == nil:
		return []byte{}, nil // an empty value is not a missing one
	}
	return v, nil
}

// GetMany are the values of keys, in their order and as Get has them; nil for a key that has none. Each is read by itself: records that are applied
// meanwhile may be seen in some of them. Those of one moment are what [Topic.Snapshot] has.
func (t *Topic) GetMany(keys [][]byte) ([][]byte, error) { return getMany(t, keys) }

func getMany(from source, keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		v, ok, err := from.AppendGet(nil, key)
		if err != nil {
			return nil, err
		}
		if ok && v == nil {
			v = []byte{}
		}
		values[i] = v
	}
	return values, nil
}

// getVersion is AppendGet with the record that the value is of.
func (t *Topic) getVersion(dst, key []byte) (value []byte, partition int32, offset int64, ok bool, err error) {
	for {
		s, err := t.reading()
		if err != nil {
			return dst, 0, 0, false, err
		}
		value, partition, offset, ok, err := s.GetVersion(dst, key)
		if err == nil || !t.replaced(s, err) {
			return value, partition, offset, ok, readErr(err)
		}
	}
}

// Has reports whether key has a value.
func (t *Topic) Has(key []byte) (bool, error) {
	_, ok, err := t.ValueLen(key)
	return ok, err
}

// ValueLen is the length of key's value in bytes.
func (t *Topic) ValueLen(key []byte) (int, bool, error) {
	for {
		s, err := t.reading()
		if err != nil {
			return 0, false, err
		}
		n, ok, err := s.ValueLen(key)
		if err == nil || !t.replaced(s, err) {
			return n, ok, readErr(err)
		}
	}
}

// Meta is what the log says of the record that gave key its value, which is another key's (Meta.Source) where a resolver yields it; ErrNotFound where there
// is none. It reads Pebble, for the headers.
func (t *Topic) Meta(key []byte) (Meta, error) {
	for {
		s, err := t.reading()
		if err != nil {
			return Meta{}, err
		}
		m, ok, err := s.Meta(key)
		if t.replaced(s, err) {
			continue
		}
		if err == nil && !ok {
			err = ErrNotFound
		}
		if err == nil && t.meaning.projects() {
			err = t.heldOver(&m, key)
		}
		return m, readErr(err)
	}
}

// heldOver adds to what a view knows of a key's record what only its entry does.
func (t *Topic) heldOver(m *Meta, key []byte) error {
	st, err := t.entries()
	if err != nil {
		return err
	}
	source := m.Source
	if source == nil {
		source = key
	}
	of, ok, err := st.Meta(source)
	if err == nil && ok && of.Partition == m.Partition && of.Offset == m.Offset {
		m.Held = of.Held
	}
	return err
}

// Resident says how many keys that have a value are in memory, and whether these are all: after a restart a topic is served while they are read in from the data directory.
func (t *Topic) Resident() (keys int64, all bool) {
	s, err := t.reading()
	if err != nil {
		return 0, false
	}
	return s.Resident()
}

// WaitResident waits until all keys are in memory, see Resident: what Len, Scan and RandomKey would otherwise wait for without an end. Its errors are ctx's, ErrNotReady, and
// why they will never be; the topic is made anew then.
func (t *Topic) WaitResident(ctx context.Context) error {
	for {
		s, err := t.reading()
		if err != nil {
			return err
		}
		if err = s.WaitResident(ctx); !t.replaced(s, err) {
			return readErr(err)
		}
	}
}

// Len is the number of keys that have a value; 0 while the topic is not ready. It waits until all are resident, as Scan and RandomKey do, see WaitResident.
func (t *Topic) Len() int64 {
	s, err := t.reading()
	if err != nil {
		return 0
	}
	return s.Len()
}

// Scan calls fn for a page of about count keys and returns the cursor of the next page, 0 after the last one; the first
// page's cursor is 0. Cursors are below 2⁵³, keep no state, and mean the same on every instance and after a restart.
// Every key that has a value from the first page to the last is told at least once. fn's key is valid during the call,
// and fn must not call the topic.
func (t *Topic) Scan(cursor uint64, count int, fn func(key []byte)) (next uint64, err error) {
	for {
		s, err := t.reading()
		if err != nil {
			return 0, err
		}
		next, err = s.Scan(cursor, count, fn)
		if err == nil || !t.replaced(s, err) {
			return next, readErr(err)
		}
	}
}

// RandomKey appends a key picked at random to dst; false where there is none.
func (t *Topic) RandomKey(dst []byte) ([]byte, bool, error) {
	s, err := t.reading()
	if err != nil {
		return dst, false, err
	}
	if err := s.WaitResident(context.Background()); err != nil {
		return dst, false, readErr(err)
	}
	dst, ok := s.RandomKey(dst)
	return dst, ok, nil
}

// entries is the store that holds what the log's records came to, which reads are a view of where records yield other keys; or ErrNotReady.
func (t *Topic) entries() (*store.Store, error) {
	if !t.serving.Load() {
		return nil, ErrNotReady
	}
	s := t.store.Load()
	if s == nil {
		return nil, ErrNotReady
	}
	return s, nil
}
