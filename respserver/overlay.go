package respserver

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
)

// overlay is what the writes of a transaction have made of a topic's keys so far, as its reads see them. nil: there is none.
type overlay map[string]overlaid

// overlaid is one key's value, or that it has none.
type overlaid struct {
	value   []byte
	deleted bool
}

// set takes a write over. Its bytes stay as they are until EXEC is answered.
func (o *overlay) set(w cache.Write) {
	if *o == nil {
		*o = overlay{}
	}
	(*o)[string(w.Key)] = overlaid{w.Value, w.Delete}
}

// snapshot is that of the connection's topic, where it has no error.
func (ex *execution) snapshot() (*cache.Snapshot, error) {
	if s := ex.snapshots[ex.conn.db]; s != nil {
		return s, nil
	}
	return nil, ex.fail(cache.ErrNotReady)
}

// fail notes an error that makes the whole of EXEC one. That a key is not there is none.
func (ex *execution) fail(err error) error {
	if err != nil && !errors.Is(err, cache.ErrNotFound) && ex.failed == nil {
		ex.failed = &cache.TopicError{Topic: ex.conn.topic, Err: err}
	}
	return err
}

func (ex *execution) get(dst, key []byte) ([]byte, bool, error) {
	s, err := ex.snapshot()
	if err != nil {
		return dst, false, err
	}
	if o, ok := ex.overlays[ex.conn.db][string(key)]; ok {
		return append(dst, o.value...), !o.deleted, nil
	}
	dst, ok, err := s.AppendGet(dst, key)
	return dst, ok, ex.fail(err)
}

func (ex *execution) valueLen(key []byte) (int, bool, error) {
	s, err := ex.snapshot()
	if err != nil {
		return 0, false, err
	}
	if o, ok := ex.overlays[ex.conn.db][string(key)]; ok {
		return len(o.value), !o.deleted, nil
	}
	n, ok, err := s.ValueLen(key)
	return n, ok, ex.fail(err)
}

// errNoRecordYet is the error of asking for the record of a value that EXEC itself writes.
var errNoRecordYet = errors.New("the transaction writes that key itself: there is no record of it before EXEC has ended")

func (ex *execution) meta(key []byte) (cache.Meta, error) {
	s, err := ex.snapshot()
	if err != nil {
		return cache.Meta{}, err
	}
	if o, ok := ex.overlays[ex.conn.db][string(key)]; ok {
		if o.deleted {
			return cache.Meta{}, cache.ErrNotFound
		}
		return cache.Meta{}, errNoRecordYet
	}
	m, err := s.Meta(key)
	return m, ex.fail(err)
}

func (ex *execution) scan(cursor uint64, count int, fn func(key []byte)) (uint64, error) {
	s, err := ex.snapshot()
	if err != nil {
		return 0, err
	}
	over := ex.overlays[ex.conn.db]
	next, err := s.Scan(cursor, count, func(key []byte) {
		if len(over) > 0 {
			if _, ok := over[string(key)]; ok {
				return // below, where it has a value
			}
		}
		fn(key)
	})
	if err != nil {
		return 0, ex.fail(err)
	}
	for key, o := range over {
		k := []byte(key)
		if at := s.Cursor(k); !o.deleted && at >= cursor && (at < next || next == 0) {
			fn(k)
		}
	}
	return next, nil
}

// changed is how many keys the transaction has added and how many it has taken away.
func (ex *execution) changed(s *cache.Snapshot) (added [][]byte, removed int64, err error) {
	for key, o := range ex.overlays[ex.conn.db] {
		was, err := s.Has([]byte(key))
		switch {
		case err != nil:
			return nil, 0, ex.fail(err)
		case was && o.deleted:
			removed++
		case !was && !o.deleted:
			added = append(added, []byte(key))
		}
	}
	return added, removed, nil
}

func (ex *execution) size() (int64, error) {
	s, err := ex.snapshot()
	if err != nil {
		return 0, err
	}
	added, removed, err := ex.changed(s)
	if err != nil {
		return 0, err
	}
	n, err := s.Len()
	return n + int64(len(added)) - removed, ex.fail(err)
}

func (ex *execution) randomKey(dst []byte) ([]byte, bool, error) {
	s, err := ex.snapshot()
	if err != nil {
		return dst, false, err
	}
	over := ex.overlays[ex.conn.db]
	if len(over) == 0 {
		dst, ok, err := s.RandomKey(dst)
		return dst, ok, ex.fail(err)
	}
	added, removed, err := ex.changed(s)
	if err != nil {
		return dst, false, err
	}
	n, err := s.Len()
	if err != nil {
		return dst, false, ex.fail(err)
	}
	kept := n - removed
	if kept+int64(len(added)) == 0 {
		return dst, false, nil
	}
	if i := rand.Int64N(kept + int64(len(added))); i < int64(len(added)) {
		return append(dst, added[i]...), true, nil
	}
	const tries = 100
	for range tries {
		key, ok, err := s.RandomKey(dst)
		if err != nil || !ok {
			return key, ok, ex.fail(err)
		}
		if !over[string(key[len(dst):])].deleted {
			return key, true, nil
		}
	}
	// Nearly all are deleted: the first that is not.
	for cursor := uint64(0); ; {
		found := false
		cursor, err = s.Scan(cursor, scanMost, func(key []byte) {
			if !found && !over[string(key)].deleted {
				dst, found = append(dst, key...), true
			}
		})
		if err != nil || found || cursor == 0 {
			return dst, found && err == nil, ex.fail(err)
		}
	}
}

func (ex *execution) rangeKeys(lower, upper []byte, fn func(key []byte) bool) error {
	s, err := ex.snapshot()
	if err != nil {
		return err
	}
	over := ex.overlays[ex.conn.db]
	var own [][]byte // that have a value, in order
	for key, o := range over {
		if k := []byte(key); !o.deleted && bytes.Compare(k, lower) >= 0 && (upper == nil || bytes.Compare(k, upper) < 0) {
			own = append(own, k)
		}
	}
	slices.SortFunc(own, bytes.Compare)
	ended := false
	err = s.Range(context.Background(), lower, upper, func(e cache.Entry) bool {
		for len(own) > 0 && bytes.Compare(own[0], e.Key) <= 0 {
			if ended = !fn(own[0]); ended {
				return false
			}
			own = own[1:]
		}
		if _, ok := over[string(e.Key)]; ok {
			return true
		}
		ended = !fn(e.Key)
		return !ended
	})
	if err != nil {
		return ex.fail(err)
	}
	for _, key := range own {
		if ended || !fn(key) {
			return nil
		}
	}
	return nil
}

// position is that of the moment.
func (ex *execution) position() (position.Position, error) {
	s := ex.snapshots[ex.conn.db]
	if s == nil { // the topic is not served, and its position can be asked for all the same
		return ex.conn.topic.Position(), nil
	}
	p, err := s.Position()
	return p, ex.fail(err)
}
