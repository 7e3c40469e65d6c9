package store

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// regionBytes is what is mapped at once where an index has outgrown regionsFrom.
	regionBytes = 32 << 20

	// hugePage is the size of a huge page where there are any of use here. Other sizes would cost more than they bring.
	hugePage = 2 << 20

	// regionsFrom is the size up to which each block is mapped by itself: a small index costs the pages it touches.
	regionsFrom = 16 << 20
)

// memory gives blocks of whole pages outside the Go heap. An index of any size is cut from regions that the system is asked
// to back with huge pages: a lookup by hash touches two random places, and with small pages most of what it waits for is
// the translation of their addresses.
type memory struct {
	mapped atomic.Int64 // bytes of blocks that were not given back

	mu      sync.Mutex
	regions []*region // in the order in which they were mapped
	eager   bool
	ahead   chan []byte // gives the region that is populated; nil: none is
}

// region is memory of which blocks are cut. What is free goes back to the system in whole huge pages: giving back less
// would split them for good, so smaller gaps stay until a block fills them.
type region struct {
	mem  []byte
	free []extent // ascending, never touching each other
}

type extent struct{ begin, end int }

// alloc gives at least n bytes, whole pages, which free gives back. What is in them is anything.
func (m *memory) alloc(n int) ([]byte, error) {
	n = (n + pageSize - 1) / pageSize * pageSize
	b, err := m.cut(n)
	if err != nil {
		return nil, fmt.Errorf("%w: map %d bytes: %w", ErrFull, n, err)
	}
	m.mapped.Add(int64(n))
	return b, nil
}

// cut takes a block out of the first region that has room, or maps it.
func (m *memory) cut(n int) ([]byte, error) {
	if n > regionBytes/2 {
		return mapMemory(n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.regions {
		if b := r.cut(n); b != nil {
			return b, nil
		}
	}
	if len(m.regions) == 0 && m.mapped.Load() < regionsFrom {
		return mapMemory(n)
	}
	mem, err := m.region()
	if err != nil {
		return nil, err
	}
	r := &region{mem: mem, free: []extent{{0, len(mem)}}}
	m.regions = append(m.regions, r)
	return r.cut(n), nil
}

// region is the next region. The caller holds mu.
func (m *memory) region() (mem []byte, err error) {
	if m.ahead != nil {
		mem = <-m.ahead
		m.ahead = nil
	}
	if mem == nil {
		mem, err = mapRegion(regionBytes)
	}
	if m.eager && err == nil && len(m.regions) > 0 {
		ahead := make(chan []byte, 1)
		m.ahead = ahead
		go func() { ahead <- populatedRegion() }()
	}
	return mem, err
}

// populatedRegion is nil where the system gives none.
func populatedRegion() []byte {
	mem, err := mapRegion(regionBytes)
	if err != nil {
		return nil
	}
	populateMemory(mem)
	return mem
}

// hurry says whether much is to come: then a region is made ready by another thread ahead of its use. The first touch of a page costs whoever touches it, up to a fifth of a
// load.
func (m *memory) hurry(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eager = on
	if on || m.ahead == nil {
		return
	}
	if mem := <-m.ahead; mem != nil {
		unmapMemory(mem)
	}
	m.ahead = nil
}

// free gives a block back to the system.
func (m *memory) free(b []byte) {
	m.mapped.Add(-int64(len(b)))
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range m.regions {
		begin, ok := r.place(b)
		if !ok {
			continue
		}
		r.giveBack(extent{begin, begin + len(b)})
		if r.free[0] == (extent{0, len(r.mem)}) {
			unmapMemory(r.mem)
			m.regions = slices.Delete(m.regions, i, i+1)
		}
		return
	}
	unmapMemory(b)
}

// place is where b lies in the region.
func (r *region) place(b []byte) (int, bool) {
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(r.mem)))
	return int(begin), begin < uintptr(len(r.mem))
}

// cut takes n bytes out of the first free extent that has them, nil where there is none.
func (r *region) cut(n int) []byte {
	for i := range r.free {
		e := &r.free[i]
		if e.end-e.begin < n {
			continue
		}
		b := r.mem[e.begin : e.begin+n : e.begin+n]
		if e.begin += n; e.begin == e.end {
			r.free = slices.Delete(r.free, i, i+1)
		}
		return b
	}
	return nil
}

// giveBack makes e free.
func (r *region) giveBack(e extent) {
	i, _ := slices.BinarySearchFunc(r.free, e, func(a, b extent) int { return a.begin - b.begin })
	before, after := i > 0 && r.free[i-1].end == e.begin, i < len(r.free) && r.free[i].begin == e.end
	switch {
	case before && after:
		r.free[i-1].end = r.free[i].end
		r.free = slices.Delete(r.free, i, i+1)
		i--
	case before:
		i--
		r.free[i].end = e.end
	case after:
		r.free[i].begin = e.begin
	default:
		r.free = slices.Insert(r.free, i, e)
	}
	// The huge pages that e has a part in, and that are free now.
	begin := (max(r.free[i].begin, e.begin&^(hugePage-1)) + hugePage - 1) &^ (hugePage - 1)
	end := min(r.free[i].end, (e.end+hugePage-1)&^(hugePage-1)) &^ (hugePage - 1)
	if begin < end {
		discardMemory(r.mem[begin:end])
	}
}
