package respserver

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Errors that end a connection, and the reasons under which they are counted.
var (
	errBufferLimit  = errors.New("respserver: buffers of all connections exceed their limit")
	errWriteTimeout = errors.New("respserver: the peer takes no bytes")
)

const (
	drainChunk = 256 << 10 // at most this much has to be taken by the peer within the write timeout
	takeOver   = 64 << 10  // buffers from this size on are taken over rather than copied

	stalledAfter = time.Second // without a byte taken
)

// outbound is the sending half of a connection. Sending never blocks: what the kernel does not take at once is queued, and a goroutine
// that exists only while there is such a queue hands it over under a deadline. So a peer may send a long pipeline before it
// reads the first reply, as Redis's clients do. Whoever sends looks at size and stops producing where it is too much.
//
// It is safe for use by the connection's goroutine and its own.
type outbound struct {
	conn *conn           // its nc is sent to, and it is woken when the queue has become half empty or empty, or sending has failed
	raw  syscall.RawConn // nil where the connection has none: everything goes through the queue

	size  atomic.Int64 // bytes queued
	held  atomic.Int64 // of memory that the queue takes
	taken atomic.Int64 // Server.now when the peer took bytes last, or the queue began
	dead  atomic.Bool  // err is set
	// proven says that the peer has taken all that was queued for it, or a large reply at once, and has not stalled since.
	proven atomic.Bool

	mu      sync.Mutex
	queue   []parcel
	running bool          // the goroutine exists; only it writes to nc then
	idle    chan struct{} // closed when it ends
	err     error

	// The attempt at hand, for attempt, which is made once so that sending does not allocate.
	attempt func(fd uintptr) bool // try
	bytes   []byte
	sent    int
	failure error
}

// parcel is a part of the queue, and the memory that it takes.
type parcel struct {
	b     []byte // what is left
	whole []byte // of which b is the end
	cost  int
}

// try is what raw calls. It never asks to wait.
func (o *outbound) try(fd uintptr) bool {
	o.sent, o.failure = writeNow(fd, o.bytes)
	return true
}

// send queues or sends all of b. Where taken, b belongs to the outbound from then on; otherwise it has been copied or sent.
func (o *outbound) send(b []byte) (taken bool, err error) {
	whole := cap(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return false, o.err
	}
	s := o.conn.srv
	s.stats.outputBytes.Add(uint64(len(b)))
	if !o.running && o.raw != nil {
		o.bytes, o.sent, o.failure = b, 0, nil
		err := o.raw.Write(o.attempt)
		n := o.sent
		o.bytes = nil
		if err == nil {
			err = o.failure
		}
		if err != nil {
			o.fail(err)
			return false, err
		}
		if n == len(b) {
			if n >= largeReply {
				o.proven.Store(true)
			}
			return false, nil
		}
		b = b[n:]
	}
	// The rest of a large one that has shrunk to less than half is copied, so that its memory is given back.
	taken = cap(b) >= takeOver && len(b) >= whole/2
	cost := whole
	if !taken {
		cost = len(b)
	}
	if limit := s.bufferLimit.Load(); s.buffers.Load()+int64(cost) > limit {
		o.mu.Unlock()
		fits := s.makeRoom(o.conn, int64(cost)) // only its goroutine sends
		o.mu.Lock()
		if !fits && o.err == nil {
			o.fail(errBufferLimit)
		}
		if o.err != nil {
			return false, o.err
		}
	}
	if !taken {
		b = append(s.spares.take(len(b))[:0], b...)
		cost = cap(b)
	}
	s.buffers.Add(int64(cost))
	o.held.Add(int64(cost))
	o.size.Add(int64(len(b)))
	o.queue = append(o.queue, parcel{b, b, cost})
	if !o.running {
		o.running = true
		o.taken.Store(int64(s.now()))
		o.idle = make(chan struct{})
		go o.drain(o.idle)
	}
	return taken, nil
}

// Write is send for crypto/tls, which keeps no buffer of its own for us to take.
func (o *outbound) Write(b []byte) (int, error) {
	if cap(b) >= takeOver {
		b = append([]byte(nil), b...)
	}
	if _, err := o.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// drain sends what is queued until nothing is left.
func (o *outbound) drain(idle chan struct{}) {
	defer close(idle)
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.err != nil {
			for _, p := range o.queue {
				o.size.Add(-int64(len(p.b)))
				o.release(p)
			}
			o.queue, o.running = nil, false
			if o.err == nil {
				o.proven.Store(true)
				_ = o.conn.nc.SetWriteDeadline(time.Time{})
			}
			o.mu.Unlock()
			o.conn.wake()
			return
		}
		p := o.queue[0]
		o.queue[0] = parcel{}
		o.mu.Unlock()
		p, err := o.deliver(p)
		o.mu.Lock()
		if err != nil {
			o.fail(err)
			o.queue[0] = p
		} else {
			o.queue = o.queue[1:]
		}
		o.mu.Unlock()
		if err == nil {
			o.release(p)
		}
	}
}

// deliver sends a parcel and returns what is left of it.
func (o *outbound) deliver(p parcel) (parcel, error) {
	half := int64(o.conn.srv.cfg.OutputLimit / 2)
	for len(p.b) > 0 {
		_ = o.conn.nc.SetWriteDeadline(time.Now().Add(o.conn.srv.cfg.WriteTimeout))
		n, err := o.conn.nc.Write(p.b[:min(len(p.b), drainChunk)])
		if n > 0 {
			now := o.conn.srv.now()
			if o.silent(now) {
				o.proven.Store(false)
			}
			o.taken.Store(int64(now))
		}
		before := o.size.Load()
		o.size.Add(-int64(n))
		p.b = p.b[n:]
		if p.cost >= takeOver && len(p.b) < p.cost/2 { // what has been sent is not kept
			rest := append(o.conn.srv.spares.take(len(p.b))[:0], p.b...)
			o.release(parcel{whole: p.whole, cost: p.cost - cap(rest)})
			p = parcel{rest, rest, cap(rest)}
		}
		if before > half && before-int64(n) <= half {
			o.conn.wake()
		}
		switch {
		case err == nil || (n > 0 && errors.Is(err, os.ErrDeadlineExceeded)):
		case errors.Is(err, os.ErrDeadlineExceeded):
			return p, errWriteTimeout
		default:
			return p, err
		}
	}
	return p, nil
}

// stalled reports whether there is something that the peer has not taken a part of for a while.
func (o *outbound) stalled(now time.Duration) bool {
	return o.size.Load() > 0 && o.silent(now)
}

func (o *outbound) silent(now time.Duration) bool {
	return int64(now)-o.taken.Load() > o.conn.srv.stalledAfter.Load()
}

// fail is called with mu held.
func (o *outbound) fail(err error) {
	o.err = err
	o.dead.Store(true)
}

// release gives memory back.
func (o *outbound) release(p parcel) {
	o.held.Add(-int64(p.cost))
	o.conn.srv.buffers.Add(-int64(p.cost))
	o.conn.srv.spare(p.whole)
}

// wait returns when all that was queued has been sent, or sending has failed.
func (o *outbound) wait() {
	o.mu.Lock()
	idle, running := o.idle, o.running
	o.mu.Unlock()
	if running {
		<-idle
	}
}

func (o *outbound) error() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// socket is a network connection whose writes go through its outbound: what crypto/tls is laid over.
type socket struct {
	net.Conn
	out *outbound
}

func (s socket) Write(b []byte) (int, error) { return s.out.Write(b) }
