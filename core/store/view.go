package store

import (
	"context"
	"fmt"
	"time"
)

// Bounds of a [View].
const (
	DefaultViewTime = 250 * time.Millisecond
	DefaultViewKeys = 1 << 16
)

// View is a store between two changes: what is read through it is of one state, the one after the last change that was whole before
// View returned, in whatever order and from wherever in the store, or in its projection where it has one. Applies, removals and Change wait for it meanwhile, for at most
// [Options].ViewTime; past that they go on, and its reads answer [ErrViewExpired], those included that were under way. It looks at no more
// than [Options].ViewKeys keys: [ErrViewTooLarge].
//
// Who holds it calls nothing of the store that changes it, or that waits for a change (Apply, Flush, Claims …), takes no lock that
// somebody may hold who does, and releases it soon. It is for one goroutine.
type View struct {
	store    *Store
	reads    *Store // the store, or its projection
	taken    uint64
	left     int // keys that may still be looked at
	released bool
}

// View holds the present moment, or where a change is under way the one after it. It waits for that as long as ctx allows; its errors are ctx's and
// ErrClosed. A store that loads ends the load first, unless FinishLoad was called: then only what needs Pebble waits for that, and the moment may be over
// by then.
func (s *Store) View(ctx context.Context) (*View, error) {
	if err := s.readable(); err != nil {
		return nil, err
	}
	taken, err := s.moments.hold(ctx)
	if err != nil {
		return nil, err
	}
	v := &View{store: s, reads: s, taken: taken, left: s.opts.ViewKeys}
	if p := s.projected.Load(); p != nil {
		v.reads = p
	}
	return v, nil
}

// Release lets changes go on. It may be called more than once; what is read afterwards is ErrViewExpired.
func (v *View) Release() {
	if v.released {
		return
	}
	v.released = true
	v.store.moments.release(v.taken)
}

// Check is ErrViewExpired where the moment is over. What was read before a Check that answers nil is of the moment.
func (v *View) Check() error {
	if v.released || v.store.moments.taken.Load() != v.taken {
		return ErrViewExpired
	}
	return nil
}

// look counts keys that are looked at.
func (v *View) look(n int) error {
	if v.left < n {
		return fmt.Errorf("%w: %d keys", ErrViewTooLarge, v.store.opts.ViewKeys)
	}
	v.left -= n
	return nil
}

// judge is what a read through the view comes to.
func (v *View) judge(err error) error {
	if expired := v.Check(); expired != nil {
		return expired
	}
	return err
}

// Get is [Store.Get].
func (v *View) Get(dst, key []byte) ([]byte, bool, error) {
	if err := v.look(1); err != nil {
		return dst, false, err
	}
	out, ok, err := v.reads.Get(dst, key)
	if err := v.judge(err); err != nil {
		return dst, false, err
	}
	return out, ok, nil
}

// ValueLen is [Store.ValueLen].
func (v *View) ValueLen(key []byte) (int, bool, error) {
	if err := v.look(1); err != nil {
		return 0, false, err
	}
	n, ok, err := v.reads.ValueLen(key)
	if err := v.judge(err); err != nil {
		return 0, false, err
	}
	return n, ok, nil
}

// Meta is [Store.Meta].
func (v *View) Meta(key []byte) (Meta, bool, error) {
	if err := v.look(1); err != nil {
		return Meta{}, false, err
	}
	m, ok, err := v.reads.Meta(key)
	if err := v.judge(err); err != nil {
		return Meta{}, false, err
	}
	return m, ok, nil
}

// Len is the number of entries.
func (v *View) Len() (int64, error) {
	if err := v.reads.whole(); err != nil {
		return 0, v.judge(err)
	}
	n := v.reads.Len()
	return n, v.judge(v.reads.index.alive())
}

// RandomKey is [Store.RandomKey].
func (v *View) RandomKey(dst []byte) ([]byte, bool, error) {
	if err := v.look(1); err != nil {
		return dst, false, err
	}
	if err := v.reads.whole(); err != nil {
		return dst, false, v.judge(err)
	}
	key, ok, err := v.reads.index.randomKey(dst)
	if err := v.judge(err); err != nil {
		return dst, false, err
	}
	return key, ok, nil
}

// Scan is [Store.Scan]. What fn was told counts where Scan answers nil.
func (v *View) Scan(cursor uint64, count int, fn func(key []byte)) (next uint64, err error) {
	// One more than may be looked at shows that there are more.
	seen := 0
	next, err = v.reads.Scan(cursor, min(count, v.left+1), func(key []byte) {
		seen++
		fn(key)
	})
	if err := v.judge(err); err != nil {
		return 0, err
	}
	return next, v.look(seen)
}

// GetVersion is [Store.GetVersion].
func (v *View) GetVersion(dst, key []byte) (value []byte, partition int32, offset int64, ok bool, err error) {
	if err := v.look(1); err != nil {
		return dst, 0, 0, false, err
	}
	value, partition, offset, ok, err = v.reads.GetVersion(dst, key)
	if err := v.judge(err); err != nil {
		return dst, 0, 0, false, err
	}
	return value, partition, offset, ok, nil
}

// Range is [Store.Range]. What fn was told counts where Range answers nil.
func (v *View) Range(lower, upper []byte, fn func(Entry) bool) error {
	return v.RangeWith(RangeOptions{Lower: lower, Upper: upper}, fn)
}

// RangeWith is [Store.RangeWith]. What fn was told counts where RangeWith answers nil.
func (v *View) RangeWith(o RangeOptions, fn func(Entry) bool) error {
	var over error
	err := v.reads.RangeWith(o, func(e Entry) bool {
		if over = v.look(1); over == nil {
			over = v.Check()
		}
		return over == nil && fn(e)
	})
	if over != nil {
		return over
	}
	return v.judge(err)
}

// Change runs fn between two moments, as an Apply does what it does: no View is held meanwhile. fn must not call the store's
// changing methods.
func (s *Store) Change(fn func()) {
	s.apply.Lock()
	defer s.apply.Unlock()
	s.moments.change()
	defer s.moments.changed()
	fn()
}
