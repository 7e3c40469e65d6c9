package store

import "github.com/cespare/xxhash/v2"

const (
	// garbageShare is the share of dead bytes above which a shard collects, 1/garbageShare. It is below the 15 % that a
	// shard keeps to, since a collection takes several steps.
	garbageShare = 8

	// collectBytes is what one step of a collection walks, and with it how long a reader may wait.
	collectBytes = 64 << 10

	// collectPace is how many bytes a change walks for each byte of garbage that it leaves. Freeing one takes
	// garbageShare at most when garbage is spread evenly, and less otherwise; this is enough to stay ahead.
	collectPace = 2 * garbageShare
)

// A collection moves what is live in one chunk to the end of the active one, some steps with each change that leaves
// garbage.
type collection struct {
	chunk int // 0: none is being collected
	pos   int
	moves []move // scratch of one step
}

type move struct {
	slot, size int
	to         location
}

// collectAfter collects as much as a change that left so many bytes of garbage has to.
func (s *shard) collectAfter(garbage int) error {
	for budget := max(collectPace*garbage, 1); budget > 0 && s.wantsCollection(); budget -= collectBytes {
		if err := s.collectStep(); err != nil {
			return err
		}
	}
	return nil
}

// wantsCollection says that one is going on or is to begin.
func (s *shard) wantsCollection() bool {
	used := s.sizes.live + s.sizes.dead
	return !s.frozen && (s.collect.chunk != 0 || s.sizes.dead*garbageShare > used && used > pageSize)
}

// collectStep goes on with a collection, or begins one.
func (s *shard) collectStep() (err error) {
	if s.collect.chunk == 0 {
		n := s.emptiest()
		if n == s.active {
			s.active = 0
		}
		s.collect.chunk, s.collect.pos = n, 0
	}
	from := s.collect.chunk
	end := min(s.collect.pos+collectBytes, s.chunks[from].used)
	s.collect.moves = s.collect.moves[:0]
	for s.collect.pos < end {
		key, value := readRecord(s.data[from][s.collect.pos:])
		size := recordSize(len(key), len(value))
		if slot, ok := s.findLocation(xxhash.Sum64(key)&s.mask, makeLocation(from, s.collect.pos)); ok {
			var to location
			if to, err = s.append(key, nil, value, size); err != nil {
				break
			}
			s.collect.moves = append(s.collect.moves, move{slot, size, to})
		}
		s.collect.pos += size
	}
	s.mu.Lock()
	for _, m := range s.collect.moves {
		sl := &s.table.slots[m.slot]
		*sl = sl.moved(m.to)
	}
	s.mu.Unlock()
	for _, m := range s.collect.moves {
		s.chunks[from].live -= m.size
		s.sizes.live -= m.size
		s.sizes.dead += m.size
	}
	if s.collect.pos >= s.chunks[from].used {
		s.release(from)
	}
	return err
}

// emptiest is the chunk of which the least has to be moved for what is gained, the active one included.
func (s *shard) emptiest() int {
	best, bestDead, bestUsed := 0, 0, 1
	for n := 1; n < len(s.chunks); n++ {
		c := &s.chunks[n]
		if dead := c.used - c.live; dead*bestUsed > bestDead*c.used {
			best, bestDead, bestUsed = n, dead, c.used
		}
	}
	return best
}
