package store

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

const shardCount = 256

// An index answers reads by key from memory. All methods may be called at the same time; changes of one key are the
// caller's to order.
type index struct {
	shards  [shardCount]shard
	memory  memory
	n       atomic.Int64 // entries
	counts  counts
	touched uint64       // keeps touch from being optimised away
	mask    uint64       // of hashes: all ones, except where a test wants collisions
	beside  atomic.Int32 // how many may write beside the applier; it goes up and down with apply held, or before there is an applier
}

func newIndex(mask uint64) *index {
	x := &index{mask: mask}
	for i := range x.shards {
		x.shards[i].memory = &x.memory
		x.shards[i].mask = mask
	}
	return x
}

func (x *index) hash(key []byte) uint64 { return xxhash.Sum64(key) & x.mask }

func (x *index) shard(hash uint64) *shard { return &x.shards[hash>>56] }

// get appends key's value to dst.
func (x *index) get(dst, key []byte) ([]byte, bool, error) {
	hash := x.hash(key)
	s := x.shard(hash)
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return dst, false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if ok {
		if sl := &s.table.slots[i]; sl.tombstone() {
			ok = false
		} else {
			_, value := s.entry(sl)
			dst = append(dst, value...)
		}
	}
	s.mu.RUnlock()
	return dst, ok, nil
}

// getVersion is get with the record that the value came from.
func (x *index) getVersion(dst, key []byte) ([]byte, version, bool, error) {
	hash := x.hash(key)
	s := x.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return dst, version{}, false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if !ok || s.table.slots[i].tombstone() {
		return dst, version{}, false, nil
	}
	sl := &s.table.slots[i]
	_, value := s.entry(sl)
	return append(dst, value...), sl.version(), true, nil
}

// versionOf is getVersion without the value.
func (x *index) versionOf(key []byte) (version, bool, error) {
	st, _, ok, err := x.peek(x.hash(key), key)
	return st.version, ok && !st.tombstone(), err
}

// valueLen is the length of key's value.
func (x *index) valueLen(key []byte) (int, bool, error) {
	st, n, ok, err := x.peek(x.hash(key), key)
	return n, ok && !st.tombstone(), err
}

// peek is what is held of key, a tombstone included, and the value's length.
func (x *index) peek(hash uint64, key []byte) (st state, valueLen int, ok bool, err error) {
	s := x.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return st, 0, false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if !ok {
		return st, 0, false, nil
	}
	sl := &s.table.slots[i]
	_, value := s.entry(sl)
	return s.state(sl), len(value), true, nil
}

// touch reads the home slots of the hashes, so that what is looked up next is in the processor's cache: here the misses
// overlap, where lookups would wait for them one after another. It takes no lock: for the applier only, and nothing where others write too.
func (x *index) touch(hashes []uint64) {
	if x.beside.Load() > 0 {
		return
	}
	var sum uint64
	for _, hash := range hashes {
		if t := &x.shard(hash).table; t.slots != nil {
			sum += t.slots[t.home(hash&(1<<56-1))].hashLoc // which a verification leaves alone, unlike mark
		}
	}
	x.touched = sum
}

// put sets what is held of key, and gives what was held before. Key and value are copied.
func (x *index) put(hash uint64, key, value []byte, st state) (was state, existed bool, err error) {
	was, existed, err = x.shard(hash).put(hash, key, value, &st)
	if err == nil {
		x.count(&was, existed, &st, true)
	}
	return was, existed, err
}

// reflag sets and clears slotSplit and slotMet of key, where it is there.
func (x *index) reflag(hash uint64, key []byte, set, clear uint64) (was state, existed bool, err error) {
	was, existed, err = x.shard(hash).reflag(hash, key, set, clear)
	if err == nil && existed {
		now := was
		now.flags = was.flags&^clear | set
		x.count(&was, true, &now, true)
	}
	return was, existed, err
}

// remove takes key out, where it is there, and gives what was held.
func (x *index) remove(hash uint64, key []byte) (was state, existed bool, err error) {
	was, existed, err = x.shard(hash).remove(hash, key)
	if existed {
		x.count(&was, true, &state{}, false)
	}
	return was, existed, err
}

// counts are numbers of keys.
type counts struct {
	tombstones   atomic.Int64 // whose only claim is a tombstone
	split        atomic.Int64 // with claims in the side table beside the winner
	splitDeleted atomic.Int64 // of those, whose winner is a tombstone
	held         atomic.Int64 // whose winner is held over a refused record
}

// count keeps the numbers of entries and keys over a change.
func (x *index) count(was *state, existed bool, now *state, exists bool) {
	live := func(st *state, there bool) int64 {
		if there && !st.tombstone() {
			return 1
		}
		return 0
	}
	if d := live(now, exists) - live(was, existed); d != 0 {
		x.n.Add(d)
	}
	if (was.flags|now.flags)&(slotTombstone|slotSplit|slotHeld) == 0 {
		return
	}
	for _, c := range []struct {
		n           *atomic.Int64
		mask, value uint64
	}{
		{&x.counts.tombstones, slotTombstone | slotSplit, slotTombstone},
		{&x.counts.split, slotSplit, slotSplit},
		{&x.counts.splitDeleted, slotTombstone | slotSplit, slotTombstone | slotSplit},
		{&x.counts.held, slotHeld, slotHeld},
	} {
		if existed && was.flags&c.mask == c.value {
			c.n.Add(-1)
		}
		if exists && now.flags&c.mask == c.value {
			c.n.Add(1)
		}
	}
}

func (x *index) len() int64 { return x.n.Load() }

// randomKey appends a key to dst, each with the same probability.
func (x *index) randomKey(dst []byte) ([]byte, bool, error) {
	for n := x.len(); n > 0; n = x.len() {
		rest := rand.Int64N(n)
		for i := range x.shards {
			s := &x.shards[i]
			s.mu.RLock()
			if s.closed {
				s.mu.RUnlock()
				return dst, false, ErrClosed
			}
			if rest >= int64(s.live) {
				rest -= int64(s.live)
				s.mu.RUnlock()
				continue
			}
			key, _ := s.entry(s.randomSlot())
			dst = append(dst, key...)
			s.mu.RUnlock()
			return dst, true, nil
		}
		// Keys were removed meanwhile.
	}
	return dst, false, nil
}

// randomSlot is the slot of an entry, of which there is one. At least a fifth of the slots are taken, or the table is one
// page; where nearly all of them are tombstones, entries are counted instead of guessed.
func (s *shard) randomSlot() *slot {
	for range 1000 {
		if sl := &s.table.slots[rand.IntN(len(s.table.slots))]; !sl.empty() && !sl.tombstone() {
			return sl
		}
	}
	rest := rand.IntN(s.live)
	for i := range s.table.slots {
		if sl := &s.table.slots[i]; !sl.empty() && !sl.tombstone() {
			if rest--; rest < 0 {
				return sl
			}
		}
	}
	panic("store: a shard counts entries that it does not have")
}

// close unmaps everything. Calls at the same time finish first, or answer ErrClosed.
func (x *index) close() {
	for i := range x.shards {
		x.shards[i].close()
	}
	x.memory.hurry(false)
	x.n.Store(0)
	for _, n := range []*atomic.Int64{&x.counts.tombstones, &x.counts.split, &x.counts.splitDeleted, &x.counts.held} {
		n.Store(0)
	}
}

// stats adds up the shards' sizes.
func (x *index) stats() Stats {
	st := Stats{
		Entries:      x.len(),
		Tombstones:   x.counts.tombstones.Load(),
		SplitKeys:    x.counts.split.Load(),
		SplitDeleted: x.counts.splitDeleted.Load(),
		Held:         x.counts.held.Load(),
	}
	for i := range x.shards {
		s := &x.shards[i]
		s.writer.Lock()
		st.TableBytes += int64(len(s.table.mem))
		st.ChunkBytes += int64(s.sizes.mapped)
		st.LiveBytes += int64(s.sizes.live)
		st.GarbageBytes += int64(s.sizes.dead)
		s.writer.Unlock()
	}
	return st
}
