package store

import "sync"

// gate lets calls in until it is closed, and tells when all of them have left. Unlike a read-write mutex it may be entered
// again by who is inside, as a callback does, while another waits to close it.
type gate struct {
	mu     sync.Mutex
	inside int
	closed chan struct{} // closed by close
	empty  chan struct{} // closed when closed and nobody is inside
}

func newGate() *gate {
	return &gate{closed: make(chan struct{}), empty: make(chan struct{})}
}

// enter reports ErrClosed, or lets the caller in, who calls leave.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isClosed() {
		return ErrClosed
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.isClosed() {
		close(g.empty)
	}
}

// close lets nobody in any more and waits until all have left. The second call answers ErrClosed at once.
func (g *gate) close() error {
	g.mu.Lock()
	if g.isClosed() {
		g.mu.Unlock()
		return ErrClosed
	}
	close(g.closed)
	if g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
	return nil
}

// isClosed says that close was called.
func (g *gate) isClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}
