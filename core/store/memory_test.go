package store

import (
	"testing"
)

// TestMemory cuts and gives back blocks at random: they never overlap, and everything goes back.
func TestMemory(t *testing.T) {
	r := newRand(t)
	m := &memory{}
	type block struct {
		b    []byte
		mark byte
	}
	var blocks []block
	total := 0
	check := func(b block) {
		for i := 0; i < len(b.b); i += pageSize {
			if b.b[i] != b.mark {
				t.Fatal("a block was written to by another")
			}
		}
		if b.b[len(b.b)-1] != b.mark {
			t.Fatal("a block was written to by another")
		}
	}
	for i := range 6000 {
		if total < 100<<20 && r.IntN(5) > 0 {
			n := 1 + r.IntN(64<<10)
			if r.IntN(100) == 0 {
				n = r.IntN(20 << 20)
			}
			b, err := m.alloc(n)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) < n || len(b) >= n+pageSize {
				t.Fatalf("%d bytes for %d", len(b), n)
			}
			x := block{b, byte(i)}
			for j := range b {
				b[j] = x.mark
			}
			blocks = append(blocks, x)
			total += len(b)
		} else if len(blocks) > 0 {
			k := r.IntN(len(blocks))
			x := blocks[k]
			check(x)
			total -= len(x.b)
			m.free(x.b)
			blocks[k] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
		}
		if m.mapped.Load() != int64(total) {
			t.Fatalf("%d bytes are counted, %d were given", m.mapped.Load(), total)
		}
	}
	for _, x := range blocks {
		check(x)
		m.free(x.b)
	}
	if len(m.regions) > 0 || m.mapped.Load() != 0 {
		t.Errorf("%d regions, %d bytes are left", len(m.regions), m.mapped.Load())
	}
}

// TestMemoryAhead: while much is to come a region is ready before it is needed, and none is left once it is said to be over.
func TestMemoryAhead(t *testing.T) {
	var m memory
	m.mapped.Store(regionsFrom) // as an index that has outgrown single blocks
	var blocks [][]byte
	alloc := func(n int) {
		for range n {
			b, err := m.alloc(regionBytes / 2)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(b); i += pageSize {
				b[i] = byte(len(blocks))
			}
			blocks = append(blocks, b)
		}
	}
	alloc(4)
	if m.ahead != nil {
		t.Fatal("a region is ahead though nobody hurries")
	}
	m.hurry(true)
	alloc(6)
	if m.ahead == nil || len(m.regions) != 5 {
		t.Fatalf("%d regions, one ahead: %v", len(m.regions), m.ahead != nil)
	}
	m.hurry(false)
	if m.ahead != nil {
		t.Fatal("a region is left ahead")
	}
	alloc(2)
	for n, b := range blocks {
		for i := 0; i < len(b); i += pageSize {
			if b[i] != byte(n) {
				t.Fatalf("block %d has what was written to block %d", n, b[i])
			}
		}
		m.free(b)
	}
	if len(m.regions) != 0 || m.mapped.Load() != regionsFrom {
		t.Fatalf("%d regions, %d bytes are left", len(m.regions), m.mapped.Load())
	}
}
