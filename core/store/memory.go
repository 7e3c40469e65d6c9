package store

import (
	"fmt"
	"sync/atomic"
)

// memory counts what an index has mapped.
type memory struct {
	mapped atomic.Int64
}

// alloc gives at least n zeroed bytes, whole pages, which free gives back.
func (m *memory) alloc(n int) ([]byte, error) {
	n = (n + pageSize - 1) / pageSize * pageSize
	b, err := mapMemory(n)
	if err != nil {
		return nil, fmt.Errorf("%w: map %d bytes: %w", ErrFull, n, err)
	}
	m.mapped.Add(int64(n))
	return b, nil
}

func (m *memory) free(b []byte) {
	m.mapped.Add(-int64(len(b)))
	unmapMemory(b)
}
