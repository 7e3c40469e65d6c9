package cache

import "sync"

// buffers are what a typed call writes its key and value into, so that it allocates nothing but what its caller gets.
type buffers struct{ key, value []byte }

var spareBuffers = sync.Pool{New: func() any { return new(buffers) }}

// maxSpare bounds what is kept of one.
const maxSpare = 64 << 10

func takeBuffers() *buffers { return spareBuffers.Get().(*buffers) }

func (b *buffers) giveBack() {
	if cap(b.key) > maxSpare {
		b.key = nil
	}
	if cap(b.value) > maxSpare {
		b.value = nil
	}
	spareBuffers.Put(b)
}
