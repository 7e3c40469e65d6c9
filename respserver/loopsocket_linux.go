package respserver

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loopSocket is a connection's socket in an event loop, which alone waits for it. The loop reads it; a write is tried by whoever has the connection, and what
// the kernel does not take is written by outbound's goroutine, to which the loop says when there is room.
//
// Close may be called from any goroutine, at any time. It ends what is under way and leaves the descriptor, which belongs to the socket until release: so nobody uses
// one that is somebody else's by then.
type loopSocket struct {
	fd            int
	loop          *eventLoop
	local, remote net.Addr
	slot          int32 // in the loop's table, or noSlot
	generation    int32
	writable      chan struct{} // has one when there may be room, or the socket was closed
	deadline      time.Time     // of writes; the writer's

	mu       sync.Mutex // a leaf
	events   uint32     // that epoll was asked for; 0: it does not know the socket
	closed   bool
	released bool
}

// noSlot is the slot of a socket whose connection the loop was not given.
const noSlot = -2

// want changes what epoll is asked for. mu is held.
func (s *loopSocket) want(events uint32) error {
	if s.released || events == s.events {
		return nil
	}
	op := unix.EPOLL_CTL_MOD
	switch {
	case s.events == 0:
		op = unix.EPOLL_CTL_ADD
	case events == 0:
		op = unix.EPOLL_CTL_DEL // otherwise it would go on telling of errors
	}
	s.events = events
	return s.loop.poller.control(op, s.fd, s.slot, s.generation, events)
}

// wantReads says whether the loop is to be told of what arrives.
func (s *loopSocket) wantReads(yes bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if yes {
		return s.want(s.events | unix.EPOLLIN)
	}
	return s.want(s.events &^ unix.EPOLLIN)
}

// room tells the writer that it may go on. The loop calls it.
func (s *loopSocket) room() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events&unix.EPOLLOUT != 0 {
		_ = s.want(s.events &^ unix.EPOLLOUT) // of what is there: it cannot fail
		s.signal()
	}
}

func (s *loopSocket) signal() {
	select {
	case s.writable <- struct{}{}:
	default:
	}
}

// Write returns when all has been written, at the deadline, or when the socket is closed. One goroutine at a time may call it.
func (s *loopSocket) Write(b []byte) (n int, err error) {
	for {
		sent, err := writeNow(uintptr(s.fd), b[n:])
		n += sent
		if err != nil || n == len(b) {
			return n, err
		}
		if err := s.awaitRoom(); err != nil {
			return n, err
		}
	}
}

func (s *loopSocket) awaitRoom() error {
	s.mu.Lock()
	select {
	case <-s.writable: // of an earlier wait
	default:
	}
	var err error
	switch {
	case s.closed:
		err = net.ErrClosed
	case s.slot == noSlot:
		err = os.ErrDeadlineExceeded // nobody would tell: why it is refused is written at once or not at all
	default:
		err = s.want(s.events | unix.EPOLLOUT)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var over <-chan time.Time
	if !s.deadline.IsZero() {
		t := time.NewTimer(time.Until(s.deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-s.writable:
		return nil
	case <-over:
		return os.ErrDeadlineExceeded
	}
}

// Close ends the connection in both directions.
func (s *loopSocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // the peer may have left
	s.signal()
	return nil
}

// release closes the descriptor, when nobody reads or writes any more.
func (s *loopSocket) release() {
	s.mu.Lock()
	_ = s.want(0)
	s.released = true
	_ = unix.Close(s.fd)
	s.mu.Unlock()
}

// Read is not for the loop's sockets.
func (s *loopSocket) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (s *loopSocket) LocalAddr() net.Addr  { return s.local }
func (s *loopSocket) RemoteAddr() net.Addr { return s.remote }

// SetDeadline sets that of writes.
func (s *loopSocket) SetDeadline(t time.Time) error { return s.SetWriteDeadline(t) }

// SetReadDeadline does nothing: nobody waits in Read.
func (s *loopSocket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is for the next Write.
func (s *loopSocket) SetWriteDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

// SyscallConn is the socket for those who try and do not wait.
func (s *loopSocket) SyscallConn() (syscall.RawConn, error) { return rawLoopSocket{s}, nil }

// rawLoopSocket calls what it is given once, whatever that reports.
type rawLoopSocket struct{ s *loopSocket }

func (r rawLoopSocket) Control(f func(fd uintptr)) error {
	f(uintptr(r.s.fd))
	return nil
}

func (r rawLoopSocket) Read(f func(fd uintptr) bool) error {
	f(uintptr(r.s.fd))
	return nil
}

func (r rawLoopSocket) Write(f func(fd uintptr) bool) error {
	f(uintptr(r.s.fd))
	return nil
}
