package store

import (
	"math/bits"
	"unsafe"
)

// A slot is what the index knows of one key without looking at its bytes. Its zero value is an empty slot.
//
// A location stands for a chunk and a place in it, see chunk.go. The 8 bits of the hash that name the shard are not kept.
type slot struct {
	hashLoc uint64 // the low 56 bits of the hash, then the location's high 8 bits
	partLoc uint64 // the partition, then the location's low 32 bits
	mark    uint64 // flags, then the record's offset + 1; 0: empty
}

const slotBytes = int(unsafe.Sizeof(slot{}))

// The flags of a slot, and with them of a state.
const (
	slotTombstone = 1 << 63 // the winner is a tombstone: readers see no entry
	slotSplit     = 1 << 62 // the side table has claims of the key beside the winner
	slotDerived   = 1 << 61 // the winner has a source
	slotMet       = 1 << 60 // a verification has met the winner in the log
	slotHeld      = 1 << 59 // the winner is held over a refused record
	slotFlags     = slotTombstone | slotSplit | slotDerived | slotMet | slotHeld
	slotHead      = slotTombstone | slotDerived // the record's value begins with the state's head

	// maxOffset is the greatest offset that a slot can hold.
	maxOffset = 1<<59 - 2
)

func makeSlot(hash uint64, l location, st *state) slot {
	return slot{
		hashLoc: hash<<8 | uint64(l)>>32,
		partLoc: uint64(uint32(st.partition))<<32 | uint64(l)&(1<<32-1),
		mark:    st.flags | uint64(st.offset) + 1,
	}
}

func (s *slot) empty() bool        { return s.mark == 0 }
func (s *slot) tombstone() bool    { return s.mark&slotTombstone != 0 }
func (s *slot) hash() uint64       { return s.hashLoc >> 8 }
func (s *slot) location() location { return location(s.hashLoc&0xff<<32 | s.partLoc&(1<<32-1)) }
func (s *slot) version() version {
	return version{partition: int32(s.partLoc >> 32), offset: int64(s.mark&^slotFlags) - 1}
}

// moved is the slot with its record at l.
func (s *slot) moved(l location) slot {
	return slot{hashLoc: s.hashLoc&^0xff | uint64(l)>>32, partLoc: s.partLoc&^(1<<32-1) | uint64(l)&(1<<32-1), mark: s.mark}
}

// version names the record that an entry came from.
type version struct {
	partition int32
	offset    int64
}

// state is what the index holds of a key beside its value: the winner of its claims.
type state struct {
	version
	flags uint64 // slotTombstone and so on
	head  uint64 // with slotDerived the hash of the source, with slotTombstone the timestamp; otherwise 0
}

func (st *state) tombstone() bool { return st.flags&slotTombstone != 0 }
func (st *state) split() bool     { return st.flags&slotSplit != 0 }

// source is the hash of the winner's source, 0 where it has none.
func (st *state) source() uint64 {
	if st.flags&slotDerived == 0 {
		return 0
	}
	return st.head
}

// A table is an open-addressing hash table whose occupied slots are in the order of their hashes. A hash's home is
// proportional to the hash, so a table may have any size; a slot lies at its home or behind it, and nothing between the two
// is empty. There is no wrap-around: a tail behind the last home takes what overflows, and its last slot stays empty.
type table struct {
	mem   []byte
	slots []slot
	homes uint64 // the number of home slots, at most len(slots)-1
}

// home is where a search for a hash of 56 bits begins.
func (t *table) home(hash uint64) int {
	hi, _ := bits.Mul64(hash<<8, t.homes)
	return int(hi)
}

// insert puts s at i, which is where a search for its hash ended, and reports false where the tail is full.
func (t *table) insert(i int, s slot) bool {
	end := i
	for !t.slots[end].empty() {
		end++
	}
	if end == len(t.slots)-1 {
		return false
	}
	copy(t.slots[i+1:end+1], t.slots[i:end])
	t.slots[i] = s
	return true
}

// remove empties slot i and closes the gap.
func (t *table) remove(i int) {
	end := i + 1
	for !t.slots[end].empty() && t.home(t.slots[end].hash()) < end {
		end++
	}
	copy(t.slots[i:end-1], t.slots[i+1:end])
	t.slots[end-1] = slot{}
}

// resized is a copy of t with about n slots, or more where a long run at its end needs them.
func (t *table) resized(m *memory, n int) (table, error) {
	for tail := 16 + min(n/16, 240); ; tail *= 2 {
		mem, err := m.alloc((n + tail) * slotBytes)
		if err != nil {
			return table{}, err
		}
		clear(mem)
		r := table{mem: mem, slots: unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/slotBytes)}
		r.homes = uint64(len(r.slots) - tail)
		if r.fill(t) {
			return r, nil
		}
		m.free(mem)
	}
}

// fill copies the slots of old into the empty t, and reports false where the tail is too short.
func (t *table) fill(old *table) bool {
	next := 0
	for i := range old.slots {
		s := &old.slots[i]
		if s.empty() {
			continue
		}
		at := max(next, t.home(s.hash()))
		if at >= len(t.slots)-2 { // one more must fit, or growing would never end
			return false
		}
		t.slots[at] = *s
		next = at + 1
	}
	return true
}
