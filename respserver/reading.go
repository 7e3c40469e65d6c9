package respserver

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
)

// reading is how a connection waits for bytes. It waits without a buffer, which it takes when there is something to read, and
// on a stack that has not grown where it was idle (see serve). The fields are kept so that an attempt does not allocate.
type reading struct {
	attempt func(fd uintptr) bool // tryRead
	n       int
	err     error
	// shallow says that the goroutine has just begun, with the smallest stack: what is read at first goes to few, since taking a workspace may
	// need more.
	shallow bool
	few     [8]byte
}

// rawConn is a connection's socket, where it has one that can be read and written without waiting.
func rawConn(nc net.Conn) syscall.RawConn {
	if sc, ok := nc.(syscall.Conn); ok && canTryNow {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// fill waits for more bytes, or to be woken. It reports whether the connection goes on.
func (c *conn) fill() bool {
	idle, reads, ok := c.beforeWait()
	switch {
	case !ok:
		return false
	case !reads:
		return c.sleep()
	case (idle || c.parks) && c.raw != nil:
		c.parks, c.moves = false, true
		return true
	}
	if c.block == nil && len(c.slots) == 0 && !c.reading.shallow {
		// The peer has its reply and often sends the next command at once: let the connections run that are ready, and the
		// read finds it, which spares a system call that finds nothing and the wake-up after it.
		runtime.Gosched()
	}
	if !c.state.CompareAndSwap(running, inRead) {
		c.state.Store(running)
		return c.alive()
	}
	n, err := c.read()
	if c.state.Swap(running) == woken || errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.nc.SetReadDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	return c.arrived(n, err)
}

// beforeWait gives back what is not needed while the connection waits, and makes room for what it reads. It reports whether the connection has been idle, whether
// it waits for bytes too rather than only to be woken, and whether it goes on.
func (c *conn) beforeWait() (idle, reads, ok bool) {
	idle = c.wantsTrim.Load() && c.wantsTrim.Swap(false)
	c.trim(idle)
	reads = c.closing == "" && !c.eof && !c.readEnough()
	if reads && c.raw == nil {
		c.enter()
	}
	if reads && c.workspace != nil && !c.room() {
		return idle, reads, false
	}
	c.account()
	return idle, reads, !reads || c.affordable()
}

// readEnough reports whether no more is to be read before what has arrived has run.
func (c *conn) readEnough() bool {
	ahead := 0
	if c.workspace != nil {
		ahead = c.w - c.r
	}
	// A WAIT may last for ever, so that a peer that leaves has to be noticed behind whatever it has sent: up to the query limit, as in Redis, but not while much is
	// held. What cron does about that is relieveBlocked.
	back := c.block != nil && ahead >= firstBuffer && c.srv.pressed()
	if back != c.heldBack.Load() {
		c.heldBack.Store(back)
	}
	if c.block != nil {
		return back
	}
	// What Kafka, the peer or the rate limit decides is over within a time-out.
	most := readAhead
	switch {
	case ahead >= firstBuffer && c.srv.pressed():
		most = firstBuffer
	case !c.authenticated:
		most = unauthenticatedAhead
	}
	return ahead >= most && (len(c.slots) > 0 || c.limited || c.full())
}

// arrived takes note of what was read. It reports whether the connection goes on.
func (c *conn) arrived(n int, err error) bool {
	if n > 0 {
		c.active.Store(int64(c.srv.now()))
		c.srv.stats.inputBytes.Add(uint64(n))
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			return false
		}
		// A peer that has sent all it wanted still gets the replies that are due, but no wait goes on for it.
		c.eof = true
		if c.block != nil {
			return false
		}
	}
	return c.alive()
}

// receive reads what the kernel has, once, without waiting. It reports whether the connection goes on.
func (c *conn) receive(fd int) bool {
	c.enter()
	if !c.room() {
		return false
	}
	n, nothing, err := readNow(uintptr(fd), c.in[c.w:])
	if n == 0 && err == nil && !nothing {
		err = io.EOF
	}
	c.w += n
	return c.arrived(n, err)
}

// read reads what there is behind in[:w], and waits for it where there is nothing.
func (c *conn) read() (n int, err error) {
	if c.raw == nil {
		n, err = c.stream().Read(c.in[c.w:])
		c.w += n
		return n, err
	}
	r := &c.reading
	r.n, r.err = 0, nil
	if err := c.raw.Read(r.attempt); err != nil {
		return 0, err
	}
	if r.n > 0 {
		if c.workspace == nil {
			c.enter()
			copy(c.in, r.few[:r.n])
		}
		c.w += r.n
	}
	return r.n, r.err
}

// tryRead is what raw calls before it waits, and when there is something to read. It reports whether waiting is over.
func (c *conn) tryRead(fd uintptr) bool {
	r := &c.reading
	into, borrowed := r.few[:], false
	switch {
	case c.workspace != nil:
		into = c.in[c.w:]
	case !r.shallow:
		c.enter()
		into, borrowed = c.in, true
	}
	n, nothing, err := readNow(fd, into)
	if n == 0 && borrowed {
		c.leave()
	}
	if nothing {
		return false
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	r.n, r.err = n, err
	return true
}

// sleep waits to be woken.
func (c *conn) sleep() bool {
	c.account()
	if c.wakeup == nil {
		c.wakeup = make(chan struct{}, 1)
	}
	if c.state.CompareAndSwap(running, sleeping) {
		<-c.wakeup
	}
	c.state.Store(running)
	return c.alive()
}
