package store

const (
	// cursorBits keeps cursors below what a JavaScript number holds exactly.
	cursorBits  = 53
	prefixShift = 64 - cursorBits

	// scanStretch is the number of keys after which a long page lets a shard's writer in.
	scanStretch = 256
)

// scan calls fn for about count keys in hash order, from the prefix cursor on. A page ends only between two prefixes, so
// that keys with the same prefix are never separated from the cursor that names them.
func (x *index) scan(cursor uint64, count int, fn func(key []byte)) (next uint64, err error) {
	if cursor >= 1<<cursorBits {
		return 0, x.alive()
	}
	left := max(count, 1)
	for n := cursor >> (cursorBits - 8); n < shardCount; n++ {
		from := n << (cursorBits - 8)
		if from < cursor {
			from = cursor
		}
		for more := true; more; {
			var met int
			met, from, more, err = x.shards[n].scan(n, from, min(left, scanStretch), fn)
			if err != nil {
				return 0, err
			}
			left = max(left-met, 0)
			if more && left == 0 {
				return from, nil
			}
		}
	}
	return 0, nil
}

// scan calls fn for count keys from the prefix on, and on to the next prefix. more says that next is where to go on. With
// count 0 it only looks for the next prefix.
func (s *shard) scan(number, from uint64, count int, fn func(key []byte)) (met int, next uint64, more bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, 0, false, ErrClosed
	}
	if s.n == 0 {
		return 0, 0, false, nil
	}
	first := from << prefixShift & (1<<56 - 1)
	last := uint64(1 << cursorBits) // no prefix
	for i := s.table.home(first); i < len(s.table.slots); i++ {
		sl := &s.table.slots[i]
		if sl.empty() || sl.hash() < first || sl.tombstone() {
			continue
		}
		prefix := (number<<56 | sl.hash()) >> prefixShift
		if met >= count && prefix != last {
			return met, prefix, true, nil
		}
		key, _ := s.entry(sl)
		fn(key)
		met++
		last = prefix
	}
	return met, 0, false, nil
}

func (x *index) alive() error {
	s := &x.shards[0]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}
