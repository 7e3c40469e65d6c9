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
)

// outbound is the sending half of a connection. Sending never blocks: what the kernel does not take at once is queued, and a goroutine
// that exists only while there is such a queue hands it over under a deadline. So a peer may send a long pipeline before it
// reads the first reply, as Redis's clients do. Whoever sends looks at size and stops producing where it is too much.
//
// It is safe for use by the connection's goroutine and its own.
type outbound struct {
	conn *conn           // its nc is sent to, and it is woken when the queue has become half empty or empty, or sending has failed
	raw  syscall.RawConn // nil where the connection has none: everything goes through the queue

	size atomic.Int64 // bytes queued
	dead atomic.Bool  // err is set

	mu      sync.Mutex
	queue   [][]byte
	running bool          // the goroutine exists; only it writes to nc then
	idle    chan struct{} // closed when it ends
	err     error

	// The attempt at hand, for attempt, which is made once so that sending does not allocate.
	attempt func(fd uintptr) bool // try
	bytes   []byte
	sent    int
	failure error
}

// try is what raw calls. It never asks to wait.
func (o *outbound) try(fd uintptr) bool {
	o.sent, o.failure = writeNow(fd, o.bytes)
	return true
}

// send queues or sends all of b. Where taken, b belongs to the outbound from then on; otherwise it has been copied or sent.
func (o *outbound) send(b []byte) (taken bool, err error) {
	excess := int64(0)
	if s := o.conn.srv; s.buffers.Load()+int64(len(b)) > s.cfg.BufferLimit && s.relieve(o.conn, int64(len(b))) {
		excess = s.cfg.BufferLimit / 8 // until what that one held is given back
	}
	whole := cap(b)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return false, o.err
	}
	o.conn.srv.stats.outputBytes.Add(uint64(len(b)))
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
			return false, nil
		}
		b = b[n:]
	}
	if o.conn.srv.buffers.Add(int64(len(b))) > o.conn.srv.cfg.BufferLimit+excess {
		o.conn.srv.buffers.Add(-int64(len(b)))
		o.fail(errBufferLimit)
		return false, o.err
	}
	o.size.Add(int64(len(b)))
	if taken = cap(b) >= takeOver && len(b) >= whole/2; !taken { // of the rest of a large one the memory would not be what is counted
		b = append([]byte(nil), b...)
	}
	o.queue = append(o.queue, b)
	if !o.running {
		o.running = true
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
	half := int64(o.conn.srv.cfg.OutputLimit / 2)
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.err != nil {
			for _, b := range o.queue {
				o.released(len(b))
			}
			o.queue, o.running = nil, false
			if o.err == nil {
				_ = o.conn.nc.SetWriteDeadline(time.Time{})
			}
			o.mu.Unlock()
			o.conn.wake()
			return
		}
		b := o.queue[0]
		o.queue[0] = nil
		o.mu.Unlock()
		whole := cap(b)
		for len(b) > 0 {
			_ = o.conn.nc.SetWriteDeadline(time.Now().Add(o.conn.srv.cfg.WriteTimeout))
			n, err := o.conn.nc.Write(b[:min(len(b), drainChunk)])
			if b = b[n:]; whole >= takeOver && len(b) < whole/2 { // what has been sent is not kept, as it is not counted
				b = append([]byte(nil), b...)
				whole = cap(b)
			}
			before := o.size.Load()
			o.released(n)
			if before > half && before-int64(n) <= half {
				o.conn.wake()
			}
			if err == nil || (n > 0 && errors.Is(err, os.ErrDeadlineExceeded)) {
				continue
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errWriteTimeout
			}
			o.mu.Lock()
			o.fail(err)
			o.queue[0] = b
			o.mu.Unlock()
			break
		}
		o.mu.Lock()
		if o.err == nil {
			o.queue[0] = nil
			o.queue = o.queue[1:]
		}
		o.mu.Unlock()
	}
}

// fail is called with mu held.
func (o *outbound) fail(err error) {
	o.err = err
	o.dead.Store(true)
}

func (o *outbound) released(n int) {
	o.size.Add(-int64(n))
	o.conn.srv.buffers.Add(-int64(n))
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
