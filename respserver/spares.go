package respserver

import (
	"slices"
	"sync"
	"time"
)

const (
	spareLeast = 32 << 10 // what is smaller is left to the garbage collector, and to the pool of workspaces
	sparesMost = 64 << 20 // bytes that are kept, and a quarter of what connections may hold

	bulkOverhead = 16 // that a value in a reply takes beside itself, about
)

// spares are large buffers that connections have given back, for the next that need one. A buffer grows by doubling, and who is closed for what it holds comes back: what
// that leaves behind in a second is many times what is held at any moment, and the collector, which has next to nothing to mark of it, is not fast enough to keep the heap
// within its limit. They are few, they count as nobody's, and they are let go when nobody has needed one for a while.
//
// Its mutex is a leaf.
type spares struct {
	mu    sync.Mutex
	all   [][]byte // of length 0, the oldest first
	bytes int
	given time.Duration // Server.now when one was given last
}

// take returns a buffer of at least n bytes, whose length is its capacity. What is in it is not defined.
func (s *spares) take(n int) []byte {
	if n < spareLeast {
		return make([]byte, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.all) - 1; i >= 0; i-- {
		if b := s.all[i]; cap(b) >= n && cap(b) <= n+n/4 {
			s.all = slices.Delete(s.all, i, i+1)
			s.bytes -= cap(b)
			return b[:cap(b)]
		}
	}
	return make([]byte, n)
}

// give takes over a buffer, which nobody may use any more, where it fits into most bytes. The oldest make room for it.
func (s *spares) give(b []byte, most int, now time.Duration) {
	n := cap(b)
	if n < spareLeast || n > most/2 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = now
	drop := 0
	for s.bytes+n > most && drop < len(s.all) {
		s.bytes -= cap(s.all[drop])
		drop++
	}
	s.all = append(slices.Delete(s.all, 0, drop), b[:0])
	s.bytes += n
}

// cool lets them go where none was given back for a while.
func (s *spares) cool(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now-s.given > trimAfter {
		s.all, s.bytes = nil, 0
	}
}

// spare gives buffers back.
func (s *Server) spare(all ...[]byte) {
	for _, b := range all {
		if cap(b) >= spareLeast {
			s.spares.give(b, min(sparesMost, int(s.bufferLimit.Load()/4)), s.now())
		}
	}
}

// growOut makes room for n bytes more of replies at once. Growing as they come would leave several times as much behind.
func (c *conn) growOut(n int) {
	if cap(c.out)-len(c.out) >= n || n < spareLeast {
		return
	}
	former := c.out
	c.out = append(c.srv.spares.take(len(former) + n)[:0], former...)
	if c.exec == nil { // which has the former one, for where it fails
		c.srv.spare(former)
	}
}
