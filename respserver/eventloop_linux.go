package respserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// canLoop says that this system has event loops.
const canLoop = true

// loopBatch is how many events are taken at once.
const loopBatch = 256

// eventLoop waits for all its connections at once, and runs what they send as long as it is quick. A connection is in the hands of one at a time: of the
// loop; of a worker, which the loop has handed it to and gets it back from; or, when it is to end, of the goroutine that ends it. The queue of replies, and what
// wakes a connection, are those of a goroutine for each.
//
// The fields above mu are the loop's own, apart from poller and asleep.
type eventLoop struct {
	srv    *Server
	poller poller
	events []unix.EpollEvent
	batch  []*conn // of events
	asleep atomic.Bool
	done   chan struct{}

	mu       sync.Mutex // a leaf
	woken    []*conn    // have been woken while they waited
	returned []*conn    // come from a worker, or are new
	spare    [2][]*conn // for the two above
	table    []*conn    // by slot
	free     []int32    // slots
	stopped  bool
}

func newEventLoop(s *Server) (*eventLoop, error) {
	l := &eventLoop{srv: s, events: make([]unix.EpollEvent, loopBatch), batch: make([]*conn, loopBatch), done: make(chan struct{})}
	if err := l.poller.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// run is the loop's goroutine.
func (l *eventLoop) run() {
	defer close(l.done)
	defer l.poller.close()
	for {
		n, err := l.wait()
		if err != nil {
			// It cannot happen while the descriptors are its own. Nobody would be served any more, and nobody would know.
			panic(fmt.Sprintf("respserver: event loop: %v", err))
		}
		l.find(n)
		for i, c := range l.batch[:n] {
			if c != nil {
				l.event(c, l.events[i].Events)
			}
			l.batch[i] = nil
		}
		if l.posted() {
			return
		}
	}
}

// wait returns how many events there are; 0 where something was posted.
func (l *eventLoop) wait() (int, error) {
	for yielded := false; ; yielded = true {
		n, err := l.poller.poll(l.events)
		if n > 0 || err != nil || l.pending() {
			return n, err
		}
		if yielded {
			break
		}
		runtime.Gosched() // it may be a goroutine that is ready that has something for us
	}
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	if l.pending() {
		return 0, nil
	}
	return l.poller.wait(l.events)
}

func (l *eventLoop) pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.woken) > 0 || len(l.returned) > 0 || l.stopped
}

// find fills in whose the events are: nobody's where the connection has ended since.
func (l *eventLoop) find(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.events[:n] {
		e := &l.events[i]
		if e.Fd == pollerNotice {
			l.poller.noticed()
			continue
		}
		if c := l.table[e.Fd]; c != nil && int32(c.id) == e.Pad {
			l.batch[i] = c
		}
	}
}

// event serves what epoll says of a connection.
func (l *eventLoop) event(c *conn, events uint32) {
	d := c.driven
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		d.sock.room()
	}
	switch {
	case events&^unix.EPOLLOUT == 0 || !d.reads:
	case d.away:
		l.read(c, false) // until it is back
	default:
		l.serve(c, true)
	}
}

// posted takes what others have for the loop, and reports whether it is to end.
func (l *eventLoop) posted() bool {
	l.mu.Lock()
	woken, returned, stopped := l.woken, l.returned, l.stopped
	l.woken, l.returned = l.spare[0][:0], l.spare[1][:0]
	l.spare[0], l.spare[1] = woken, returned
	l.mu.Unlock()
	for i, c := range returned {
		returned[i] = nil
		c.driven.away = false
		switch waits, ok := l.park(c, c.driven.wants, !c.driven.over); {
		case !ok:
			l.end(c)
		case !waits:
			l.turns(c)
		}
	}
	for i, c := range woken {
		woken[i] = nil
		if !c.driven.away && !c.driven.ended {
			l.serve(c, false)
		}
	}
	return stopped
}

// serve reads where there is something to read, and runs the connection.
func (l *eventLoop) serve(c *conn, readable bool) {
	c.state.Swap(running)
	readable = readable || c.driven.reads && c.srv.draining.Load() // what has been sent before Shutdown is still answered
	switch {
	case c.srv.pressed():
		l.handOver(c, readable)
	case readable && !c.receive(c.driven.sock.fd):
		l.end(c)
	default:
		l.turns(c)
	}
}

// turns runs the connection until it waits, is handed over or ends.
func (l *eventLoop) turns(c *conn) {
	d := c.driven
	for c.alive() {
		// The replies of a transaction may be long, and where much is held who wants more may have to wait.
		if c.barrier != nil || c.srv.pressed() {
			l.handOver(c, false)
			return
		}
		if !c.turn() {
			break
		}
		if d.leaves {
			d.leaves = false
			l.handOver(c, false)
			return
		}
		_, reads, ok := c.beforeWait()
		waits, ok := l.park(c, reads, ok)
		if waits {
			return
		}
		if !ok {
			break
		}
	}
	l.end(c)
}

// park has the connection wait in the loop, for bytes too where it reads, unless it does not go on or was woken meanwhile. It reports whether it waits, and whether
// it goes on.
func (l *eventLoop) park(c *conn, reads, goesOn bool) (waits, ok bool) {
	if !goesOn || !c.alive() || !l.read(c, reads) { // whoever ends it from here on wakes it
		return false, false
	}
	if c.state.CompareAndSwap(running, inLoop) {
		return true, true
	}
	c.state.Swap(running)
	return false, true
}

// read says whether the loop is to be told of what arrives for a connection. It reports whether that can be.
func (l *eventLoop) read(c *conn, yes bool) bool {
	if c.driven.reads == yes {
		return true
	}
	c.driven.reads = yes
	if err := c.driven.sock.wantReads(yes); err != nil {
		c.srv.cfg.Logger.Warn("epoll", "error", err)
		return false
	}
	return true
}

// handOver gives the connection to a worker, for one turn, before which it reads where there is something to read.
func (l *eventLoop) handOver(c *conn, readable bool) {
	c.driven.away = true
	go l.work(c, readable)
}

func (l *eventLoop) work(c *conn, readable bool) {
	d := c.driven
	d.over = readable && !c.receive(d.sock.fd) || !c.turn()
	if !d.over {
		var ok bool
		_, d.wants, ok = c.beforeWait()
		d.over = !ok
	}
	l.giveBack(c)
}

// begin takes a new connection, from any goroutine.
func (l *eventLoop) begin(c *conn) {
	c.driven.away, c.driven.wants = true, true
	l.mu.Lock()
	slot := int32(len(l.table))
	if n := len(l.free); n > 0 {
		slot, l.free = l.free[n-1], l.free[:n-1]
		l.table[slot] = c
	} else {
		l.table = append(l.table, c)
	}
	l.mu.Unlock()
	c.driven.sock.slot, c.driven.sock.generation = slot, int32(c.id)
	l.giveBack(c)
}

func (l *eventLoop) giveBack(c *conn) {
	l.mu.Lock()
	l.returned = append(l.returned, c)
	l.mu.Unlock()
	l.notify()
}

// post is wake of a connection that waits in the loop, from any goroutine.
func (l *eventLoop) post(c *conn) {
	l.mu.Lock()
	l.woken = append(l.woken, c)
	l.mu.Unlock()
	l.notify()
}

func (l *eventLoop) notify() {
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.poller.notify()
	}
}

// end leaves the connection to a goroutine, since the peer may still have to take what is queued.
func (l *eventLoop) end(c *conn) {
	c.driven.ended = true
	l.read(c, false)
	go func() {
		c.conclude()
		l.srv.ended(c)
	}()
}

// forget has events of a slot be nobody's.
func (l *eventLoop) forget(slot int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table[slot] = nil
	l.free = append(l.free, slot)
}

// stop ends the loop, which has no connections any more.
func (l *eventLoop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.notify()
	<-l.done
}

// take gives what was accepted a socket that the runtime's poller does not know: with both, everything that arrives would wake a thread there too. It
// closes nc, or returns it as it is where it is no socket.
func (l *eventLoop) take(nc net.Conn) (net.Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc, nil
	}
	defer func() { _ = nc.Close() }()
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &loopSocket{loop: l, slot: noSlot, local: nc.LocalAddr(), remote: nc.RemoteAddr(), writable: make(chan struct{}, 1)}
	var failed error
	err = raw.Control(func(fd uintptr) { s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return nil, err
	}
	return s, nil
}
