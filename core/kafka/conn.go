package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// fetchFrame bounds a fetch response: a record batch comes whole however small the limits of the request are, so
	// this is also the largest batch that can be read. It is sarama's own default (sarama.MaxResponseSize).
	fetchFrame = 100 << 20
	// lookupFrame bounds every other response: metadata of 16 MiB is some 100,000 partitions.
	lookupFrame = 16 << 20
	// slowestRead is the rate, in bytes a second, below which a response is given up even though it trickles in.
	slowestRead = 128 << 10
)

// conn is a connection that watches over what the protocol layer reads from it. Each response begins with its length, and
// what is allocated for it follows that length: one that is out of bounds, as when something else than Kafka answers,
// ends the connection before. A read that times out ends it too, since a late response would be taken for the next one's,
// and the time-out counts from the last bytes that arrived, so that a large response over a slow link still comes through,
// down to a rate of slowestRead.
type conn struct {
	net.Conn
	timeout time.Duration
	limit   uint32
	written atomic.Bool // a whole request was handed to the kernel since this was set to false
	auth    *authentication

	mu    sync.Mutex
	cause error // why the connection was ended, the first reason

	header [4]byte
	have   int   // bytes of header read
	left   int64 // bytes of the current response that are still to come
	until  time.Time
}

// dial connects, TLS included. The context and the dial time-out bound it.
func dial(ctx context.Context, c *Config, addr string, limit uint32) (*conn, error) {
	dialing, cancel := context.WithTimeout(ctx, c.DialTimeout)
	defer cancel()
	nc, err := dialTransport(dialing, c, addr)
	if ctx.Err() != nil {
		if err == nil {
			nc.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		// %v: a dialer's time-out says that it is context.DeadlineExceeded, and the caller's context has not ended.
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return &conn{Conn: nc, timeout: c.ReadTimeout, limit: limit}, nil
}

func dialTransport(ctx context.Context, c *Config, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	encryption, err := c.tls()
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS configuration: %w", err)
	}
	if encryption != nil {
		tc := encryption.Clone()
		if tc.ServerName == "" {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				nc.Close()
				return nil, err
			}
			tc.ServerName = host
		}
		t := tls.Client(nc, tc)
		if err := t.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, fmt.Errorf("TLS handshake: %w", steady(err))
		}
		nc = t
	}
	return nc, nil
}

// use says what the connection is used for from now on. Who calls it holds the link.
func (c *conn) use(ctx context.Context) {
	if c.auth != nil {
		c.auth.during = ctx
	}
}

// Dial lets a conn stand for the dialer that sarama asks for it.
func (c *conn) Dial(string, string) (net.Conn, error) { return c, nil }

func (c *conn) Read(b []byte) (int, error) {
	deadline := time.Now().Add(c.timeout)
	if c.left > 0 && c.until.Before(deadline) {
		deadline = c.until
	}
	if err := c.Conn.SetReadDeadline(deadline); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.Conn.Read(b)
	err = steady(err)
	if n > 0 {
		if err := c.follow(b[:n]); err != nil {
			return 0, c.fail(err)
		}
	}
	if err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			err = fmt.Errorf("no response within %v: %w", c.timeout, err)
		}
		err = c.fail(err)
	}
	return n, err
}

// follow keeps track of where responses begin.
func (c *conn) follow(b []byte) error {
	for len(b) > 0 {
		if c.left > 0 {
			n := min(c.left, int64(len(b)))
			c.left -= n
			b = b[n:]
			continue
		}
		n := copy(c.header[c.have:], b)
		c.have += n
		b = b[n:]
		if c.have < len(c.header) {
			return nil
		}
		c.have = 0
		size := binary.BigEndian.Uint32(c.header[:])
		if size < 5 || size > c.limit {
			return fmt.Errorf("%w: a response of %d bytes where 5 to %d are accepted", ErrCorrupt, size, c.limit)
		}
		c.left = int64(size)
		c.until = time.Now().Add(c.timeout + time.Duration(size)*time.Second/slowestRead)
	}
	return nil
}

func (c *conn) Write(b []byte) (int, error) {
	key := apiKey(b)
	if c.auth != nil && key == saslHandshake {
		if err := c.auth.renew(); err != nil {
			return 0, c.fail(err)
		}
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, c.fail(err)
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		return n, c.fail(steady(err))
	}
	if key != saslHandshake && key != saslAuthenticate { // those precede a request
		c.written.Store(true)
	}
	return n, nil
}

// hasSomething reports whether there is something to read though nothing was asked for: that the peer has closed the connection, as a rule, or
// over TLS that it is about to. It does not wait. What is written to a connection that the peer has closed is taken by the kernel, and nobody can tell then whether it
// arrived; so this is looked at before.
func (c *conn) hasSomething() bool {
	nc := c.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	readable := false
	err = raw.Control(func(fd uintptr) { readable = isReadable(fd) })
	return err != nil || readable
}

// SetReadDeadline does nothing: Read sets its own.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: Write sets its own.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// steady is err without the port of this end, which is another one each time: the same trouble reads the same, and is told once.
func steady(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	same := *op
	same.Source = nil
	return &same
}

// end closes the connection and keeps the first reason.
func (c *conn) end(err error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = err
	}
	c.mu.Unlock()
	c.Conn.Close()
}

// fail ends the connection and returns the first reason.
func (c *conn) fail(err error) error {
	c.end(err)
	return c.reason()
}

// reason is why the connection was ended, or nil.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
