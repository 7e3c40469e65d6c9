package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
)

// A shard is one of the index's parts. Readers take mu shared and copy out. One writer at a time, the holder of writer,
// changes it: it reads without mu, prepares aside, and takes mu exclusively to publish, so that a reader waits for a few
// stores to memory and never for a growing table or a collection. What was replaced is unmapped after mu was held
// exclusively, when no reader can know it any more.
type shard struct {
	mu     sync.RWMutex
	closed bool
	n      int // slots that are taken
	live   int // of those, entries: not tombstones
	table  table
	data   [][]byte // the chunks' bytes by number; nil where the number is free, as number 0 always is

	writer  sync.Mutex
	memory  *memory
	mask    uint64  // of hashes, see index
	active  int     // the chunk that records are appended to, 0: none
	chunks  []chunk // by number
	free    []int   // numbers of chunks that were given back
	sizes   sizes
	collect collection
	frozen  bool // see freeze

	noted map[string]struct{} // keys of which it says all, absence too; nil: it does so of every key. See refill; changed under both locks
}

// sizes are bytes of a shard's chunks.
type sizes struct {
	mapped int // of all chunks
	live   int // records that slots point to
	dead   int // records that no slot points to any more
}

// find is the slot of key, or where it would be inserted.
func (s *shard) find(hash uint64, key []byte) (int, bool) {
	if s.table.slots == nil {
		return 0, false
	}
	hash &= 1<<56 - 1
	for i := s.table.home(hash); ; i++ {
		sl := &s.table.slots[i]
		if sl.empty() {
			return i, false
		}
		switch h := sl.hash(); {
		case h < hash:
		case h > hash:
			return i, false
		default:
			if k, _ := s.record(sl.location()); bytes.Equal(k, key) {
				return i, true
			}
		}
	}
}

// findLocation is the slot that points to l, whose key has the hash.
func (s *shard) findLocation(hash uint64, l location) (int, bool) {
	hash &= 1<<56 - 1
	for i := s.table.home(hash); ; i++ {
		sl := &s.table.slots[i]
		if sl.empty() || sl.hash() > hash {
			return 0, false
		}
		if sl.hash() == hash && sl.location() == l {
			return i, true
		}
	}
}

func (s *shard) record(l location) (key, value []byte) {
	return readRecord(s.data[l.chunk()][l.pos():])
}

// entry is a slot's key and value.
func (s *shard) entry(sl *slot) (key, value []byte) {
	key, value = s.record(sl.location())
	if sl.mark&slotHead != 0 {
		value = value[headBytes:]
	}
	return key, value
}

// state is what a slot says.
func (s *shard) state(sl *slot) state {
	st := state{version: sl.version(), flags: sl.mark & slotFlags}
	if sl.mark&slotHead != 0 {
		_, value := s.record(sl.location())
		st.head = binary.BigEndian.Uint64(value)
	}
	return st
}

// put sets what the index holds of key, and gives what it held before.
func (s *shard) put(hash uint64, key, value []byte, st *state) (was state, existed bool, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	return s.putLocked(hash, key, value, st)
}

func (s *shard) putLocked(hash uint64, key, value []byte, st *state) (was state, existed bool, err error) {
	if s.closed {
		return state{}, false, ErrClosed
	}
	var buf [headBytes]byte
	var head []byte
	if st.flags&slotHead != 0 {
		binary.BigEndian.PutUint64(buf[:], st.head)
		head = buf[:]
	}
	alive := 1
	if st.tombstone() {
		alive = 0
	}
	i, ok := s.find(hash, key)
	size := recordSize(len(key), len(head)+len(value))
	if ok {
		sl := &s.table.slots[i]
		was = s.state(sl)
		if !was.tombstone() {
			alive--
		}
		old := sl.location()
		oldKey, oldValue := s.record(old)
		oldSize := recordSize(len(oldKey), len(oldValue))
		if oldSize == size && size <= rewriteLimit && !s.frozen {
			s.mu.Lock()
			writeRecord(s.data[old.chunk()][old.pos():], key, head, value)
			s.table.slots[i] = makeSlot(hash, old, st)
			s.live += alive
			s.mu.Unlock()
			return was, true, nil
		}
		l, err := s.append(key, head, value, size)
		if err != nil {
			return was, true, err
		}
		s.mu.Lock()
		s.table.slots[i] = makeSlot(hash, l, st)
		s.live += alive
		s.mu.Unlock()
		s.drop(old, oldSize)
		return was, true, s.collectAfter(oldSize)
	}
	if s.n+1 > int(s.table.homes)*17/20 {
		if err := s.grow(); err != nil {
			return was, false, err
		}
		i, _ = s.find(hash, key)
	}
	l, err := s.append(key, head, value, size)
	if err != nil {
		return was, false, err
	}
	for {
		s.mu.Lock()
		done := s.table.insert(i, makeSlot(hash, l, st))
		if done {
			s.n++
			s.live += alive
		}
		s.mu.Unlock()
		if done {
			return was, false, nil
		}
		if err := s.grow(); err != nil {
			s.drop(l, size)
			return was, false, err
		}
		i, _ = s.find(hash, key)
	}
}

// reflag changes flags of key's slot that have no head, and gives what was held before.
func (s *shard) reflag(hash uint64, key []byte, set, clear uint64) (was state, existed bool, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed {
		return state{}, false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if !ok {
		return state{}, false, nil
	}
	sl := &s.table.slots[i]
	was = s.state(sl)
	s.mu.Lock()
	sl.mark = sl.mark&^clear | set
	s.mu.Unlock()
	return was, true, nil
}

// remove takes key out, and gives what was held.
func (s *shard) remove(hash uint64, key []byte) (was state, existed bool, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed {
		return state{}, false, ErrClosed
	}
	i, ok := s.find(hash, key)
	if !ok {
		return state{}, false, nil
	}
	was = s.state(&s.table.slots[i])
	l := s.table.slots[i].location()
	k, v := s.record(l)
	size := recordSize(len(k), len(v))
	s.mu.Lock()
	s.table.remove(i)
	s.n--
	if !was.tombstone() {
		s.live--
	}
	s.mu.Unlock()
	s.drop(l, size)
	if len(s.table.mem) > pageSize && s.n < int(s.table.homes)/4 {
		if err := s.resize(s.n + s.n/2); err != nil {
			return was, true, err
		}
	}
	return was, true, s.collectAfter(size)
}

// grow swaps the table for one with a quarter more slots.
func (s *shard) grow() error {
	n := len(s.table.slots)
	return s.resize(n + n/4)
}

// resize swaps the table for one with about n slots.
func (s *shard) resize(n int) error {
	t, err := s.table.resized(s.memory, n)
	if err != nil {
		return err
	}
	old := s.table.mem
	s.mu.Lock()
	s.table = t
	s.mu.Unlock()
	if old != nil {
		s.memory.free(old)
	}
	return nil
}

// append writes a record that no slot points to yet, and counts it as live.
func (s *shard) append(key, head, value []byte, size int) (location, error) {
	n := s.active
	own := false
	if n == 0 || len(s.data[n])-s.chunks[n].used < size {
		regular := min(max(pageSize, (s.sizes.live+s.sizes.dead)/chunkShare), maxChunk)
		own = size > smallRecord && size > regular/4
		length := size
		if !own {
			length = max(regular, min(8*size, maxChunk))
		}
		var err error
		if n, err = s.addChunk(length); err != nil {
			return 0, err
		}
	}
	c := &s.chunks[n]
	pos := c.used
	writeRecord(s.data[n][pos:], key, head, value)
	c.used += size
	c.live += size
	s.sizes.live += size
	if !own {
		s.active = n
	}
	return makeLocation(n, pos), nil
}

// addChunk maps a chunk.
func (s *shard) addChunk(length int) (int, error) {
	var n int
	if k := len(s.free); k > 0 {
		n = s.free[k-1]
	} else if n = max(len(s.chunks), 1); n == maxChunks {
		return 0, fmt.Errorf("%w: a shard has %d chunks", ErrFull, maxChunks)
	}
	mem, err := s.memory.alloc(length)
	if err != nil {
		return 0, err
	}
	s.sizes.mapped += len(mem)
	if k := len(s.free); k > 0 {
		s.free = s.free[:k-1]
	}
	for len(s.chunks) <= n {
		s.chunks = append(s.chunks, chunk{})
	}
	s.chunks[n] = chunk{}
	s.mu.Lock()
	for len(s.data) <= n {
		s.data = append(s.data, nil)
	}
	s.data[n] = mem
	s.mu.Unlock()
	return n, nil
}

// drop counts a record as dead, and gives its chunk back where it was the last.
func (s *shard) drop(l location, size int) {
	c := &s.chunks[l.chunk()]
	c.live -= size
	s.sizes.live -= size
	s.sizes.dead += size
	if c.live == 0 && !s.frozen {
		s.release(l.chunk())
	}
}

// release gives a chunk back in which nothing is live.
func (s *shard) release(n int) {
	mem := s.data[n]
	s.sizes.dead -= s.chunks[n].used
	s.chunks[n] = chunk{}
	if n == s.active && len(mem) <= reuseLimit {
		return
	}
	s.sizes.mapped -= len(mem)
	s.mu.Lock()
	s.data[n] = nil
	s.mu.Unlock()
	s.memory.free(mem)
	s.free = append(s.free, n)
	if s.active == n {
		s.active = 0
	}
	if s.collect.chunk == n {
		s.collect.chunk = 0
	}
}

// close gives everything back.
func (s *shard) close() {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	data, mem := s.data, s.table.mem
	s.closed = true
	s.n, s.live, s.table, s.data = 0, 0, table{}, nil
	s.mu.Unlock()
	s.chunks, s.active, s.free, s.sizes, s.collect = nil, 0, nil, sizes{}, collection{}
	for _, b := range data {
		if b != nil {
			s.memory.free(b)
		}
	}
	if mem != nil {
		s.memory.free(mem)
	}
}
