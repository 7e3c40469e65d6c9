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
	touched uint64       // keeps touch from being optimised away
	mask    uint64       // of hashes: all ones, except where a test wants collisions
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
		_, value := s.record(s.table.slots[i].location())
		dst = append(dst, value...)
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
	if !ok {
		return dst, version{}, false, nil
	}
	sl := &s.table.slots[i]
	_, value := s.record(sl.location())
	return append(dst, value...), sl.version(), true, nil
}

// valueLen is the length of key's value.
func (x *index) valueLen(key []byte) (int, bool, error) {
	_, n, ok, err := x.peek(x.hash(key), key)
	return n, ok, err
}

// peek is the record that key's value came from, and the value's length.
func (x *index) peek(hash uint64, key []byte) (v version, valueLen int, ok bool, err error) {
	s := x.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return v, 0, false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if !ok {
		return v, 0, false, nil
	}
	sl := &s.table.slots[i]
	_, value := s.record(sl.location())
	return sl.version(), len(value), true, nil
}

// touch reads the home slots of the hashes, so that what is looked up next is in the processor's cache: here the misses
// overlap, where lookups would wait for them one after another. For the writer only.
func (x *index) touch(hashes []uint64) {
	var sum uint64
	for _, hash := range hashes {
		if t := &x.shard(hash).table; t.slots != nil {
			sum += t.slots[t.home(hash&(1<<56-1))].mark
		}
	}
	x.touched = sum
}

// put sets key's value. Key and value are copied.
func (x *index) put(hash uint64, key, value []byte, v version) error {
	created, err := x.shard(hash).put(hash, key, value, v)
	if created {
		x.n.Add(1)
	}
	return err
}

// remove takes key out, where it is there.
func (x *index) remove(hash uint64, key []byte) error {
	removed, err := x.shard(hash).remove(hash, key)
	if removed {
		x.n.Add(-1)
	}
	return err
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
			if rest >= int64(s.n) {
				rest -= int64(s.n)
				s.mu.RUnlock()
				continue
			}
			for { // at least a fifth of the slots are taken, or the table is one page
				sl := &s.table.slots[rand.IntN(len(s.table.slots))]
				if !sl.empty() {
					key, _ := s.record(sl.location())
					dst = append(dst, key...)
					s.mu.RUnlock()
					return dst, true, nil
				}
			}
		}
		// Keys were removed meanwhile.
	}
	return dst, false, nil
}

// close unmaps everything. Calls at the same time finish first, or answer ErrClosed.
func (x *index) close() {
	for i := range x.shards {
		x.shards[i].close()
	}
	x.n.Store(0)
}

// stats adds up the shards' sizes.
func (x *index) stats() Stats {
	st := Stats{Entries: x.len()}
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
