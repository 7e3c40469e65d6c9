package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// Snapshot is a topic at one moment: all that is read through it is what the log said at one position, Position, whatever is applied
// meanwhile. It is for the one call of the function that it is given to, and for one goroutine.
//
// Records wait for it, for at most [Config].SnapshotTime; past that they are applied, and its reads, those included that were under way,
// answer ErrSnapshotExpired. What was read before is right all the same. It looks at no more than [Config].SnapshotKeys keys, ErrSnapshotTooLarge.
// Where the topic ceases to be served it answers ErrNotReady. Len, Scan and RandomKey wait until all keys are in memory, which after a restart is longer than a snapshot's time: see
// [Topic.WaitResident].
type Snapshot struct {
	topic *Topic
	store *store.Store
	view  *store.View
}

// Snapshot calls fn with the topic at one moment, and returns its error. fn should only read, and be quick: nothing is applied meanwhile.
// It must not wait for anything that is to be applied, and must not begin another Snapshot of the topic. Where the
// topic is not ready, or the present moment cannot be had before ctx ends (a commit is under way), fn is not called, and the error is a *TopicError.
func (t *Topic) Snapshot(ctx context.Context, fn func(*Snapshot) error) error {
	return t.cache.Snapshot(ctx, []*Topic{t}, func(s []*Snapshot) error { return fn(s[0]) })
}

// Snapshot calls fn with several topics at the same moment; the snapshots come in the order of topics, one that is given twice being one. It is
// otherwise as [Topic.Snapshot] is.
func (c *Cache) Snapshot(ctx context.Context, topics []*Topic, fn func([]*Snapshot) error) error {
	// Everybody takes them in the same order, so that nobody who has one waits for who waits for it.
	ordered := slices.Clone(topics)
	slices.SortFunc(ordered, func(a, b *Topic) int { return cmp.Compare(a.index, b.index) })
	ordered = slices.Compact(ordered)
	held := make([]*Snapshot, 0, len(ordered))
	defer func() {
		for _, s := range held {
			s.view.Release()
		}
	}()
	for _, t := range ordered {
		s, err := t.snapshot(ctx)
		if err != nil {
			return &TopicError{t, fmt.Errorf("take a snapshot: %w", err)}
		}
		held = append(held, s)
	}
	if len(ordered) == len(topics) && slices.Equal(ordered, topics) {
		return fn(held)
	}
	given := make([]*Snapshot, len(topics))
	for i, t := range topics {
		given[i] = held[slices.Index(ordered, t)]
	}
	return fn(given)
}

// snapshot holds the store that is served.
func (t *Topic) snapshot(ctx context.Context) (*Snapshot, error) {
	for {
		st, err := t.entries() // reads through the View are of its projection
		if err != nil {
			return nil, err
		}
		v, err := st.View(ctx)
		switch {
		case errors.Is(err, store.ErrClosed) && t.store.Load() != st && t.serving.Load():
			continue
		case err != nil:
			return nil, readErr(err)
		}
		s := &Snapshot{topic: t, store: st, view: v}
		if s.serves() {
			return s, nil
		}
		v.Release()
	}
}

// serves reports whether the topic is served from the snapshot's store, so that the tracker's positions are its.
func (s *Snapshot) serves() bool { return s.topic.serving.Load() && s.topic.store.Load() == s.store }

// err is what the errors of a View mean here.
func (s *Snapshot) err(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrViewExpired):
		if !s.serves() {
			return ErrNotReady // it was replaced, or is no longer served
		}
		return fmt.Errorf("%w: records of topic %s waited for it for %v", ErrSnapshotExpired, s.topic.name, s.topic.cache.cfg.SnapshotTime)
	case errors.Is(err, store.ErrViewTooLarge):
		return fmt.Errorf("%w: it may look at %d of topic %s", ErrSnapshotTooLarge, s.topic.cache.cfg.SnapshotKeys, s.topic.name)
	}
	return readErr(err)
}

// Topic is what the snapshot is of.
func (s *Snapshot) Topic() *Topic { return s.topic }

// Position is the moment: everything below it is applied, and nothing else.
func (s *Snapshot) Position() (position.Position, error) {
	p := s.topic.tracker.position()
	if err := s.view.Check(); err != nil {
		return position.Position{}, s.err(err)
	}
	if !s.serves() {
		return position.Position{}, ErrNotReady
	}
	return p, nil
}

// AppendGet is [Topic.AppendGet] at the moment.
func (s *Snapshot) AppendGet(dst, key []byte) ([]byte, bool, error) {
	out, ok, err := s.view.Get(dst, key)
	return out, ok, s.err(err)
}

// Get is [Topic.Get] at the moment.
func (s *Snapshot) Get(key []byte) ([]byte, error) {
	v, ok, err := s.AppendGet(nil, key)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrNotFound
	case v == nil:
		return []byte{}, nil
	}
	return v, nil
}

// Has is [Topic.Has] at the moment.
func (s *Snapshot) Has(key []byte) (bool, error) {
	_, ok, err := s.ValueLen(key)
	return ok, err
}

// ValueLen is [Topic.ValueLen] at the moment.
func (s *Snapshot) ValueLen(key []byte) (int, bool, error) {
	n, ok, err := s.view.ValueLen(key)
	return n, ok, s.err(err)
}

// Meta is [Topic.Meta] at the moment.
func (s *Snapshot) Meta(key []byte) (Meta, error) {
	m, ok, err := s.view.Meta(key)
	if err == nil && !ok {
		return Meta{}, ErrNotFound
	}
	if err == nil && s.topic.meaning.projects() {
		err = s.topic.heldOver(&m, key)
	}
	return m, s.err(err)
}

// Len is the number of keys that have a value.
func (s *Snapshot) Len() (int64, error) {
	n, err := s.view.Len()
	return n, s.err(err)
}

// Scan is [Topic.Scan] at the moment, with the same cursors.
func (s *Snapshot) Scan(cursor uint64, count int, fn func(key []byte)) (next uint64, err error) {
	next, err = s.view.Scan(cursor, count, fn)
	return next, s.err(err)
}

// RandomKey is [Topic.RandomKey] at the moment.
func (s *Snapshot) RandomKey(dst []byte) ([]byte, bool, error) {
	key, ok, err := s.view.RandomKey(dst)
	return key, ok, s.err(err)
}

// GetMany is [Topic.GetMany] at the moment, which is the same for all keys.
func (s *Snapshot) GetMany(keys [][]byte) ([][]byte, error) { return getMany(s, keys) }

// Range is [Topic.Range] at the moment. fn may be slow as far as the snapshot's time allows.
func (s *Snapshot) Range(ctx context.Context, lower, upper []byte, fn func(Entry) bool) error {
	return s.over(ctx, store.RangeOptions{Lower: lower, Upper: upper}, 0, fn)
}

// Stream is [Topic.Stream] at the moment. Where the snapshot's time ends meanwhile, what it has told is right, and ErrSnapshotExpired comes last.
func (s *Snapshot) Stream(ctx context.Context, b Bounds[[]byte]) iter.Seq2[Entry, error] {
	return stream(ctx, s, b)
}

func (s *Snapshot) over(ctx context.Context, o store.RangeOptions, limit int, fn func(Entry) bool) error {
	if o.Upper != nil && bytes.Compare(o.Lower, o.Upper) >= 0 {
		return ctx.Err()
	}
	met := 0
	err := s.view.RangeWith(o, func(e store.Entry) bool {
		if ctx.Err() != nil {
			return false
		}
		met++
		return fn(e) && met != limit
	})
	if err == nil {
		err = ctx.Err()
	}
	return s.err(err)
}

func (s *Snapshot) getVersion(dst, key []byte) (value []byte, partition int32, offset int64, ok bool, err error) {
	value, partition, offset, ok, err = s.view.GetVersion(dst, key)
	return value, partition, offset, ok, s.err(err)
}

// Cursor is where a Scan meets key: at the page whose cursor is not above it, and the next one's is.
func (s *Snapshot) Cursor(key []byte) uint64 { return s.store.Cursor(key) }
