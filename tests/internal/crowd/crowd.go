// Package crowd has thousands of connections to a server do the same: to see what they cost it.
package crowd

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// patience bounds all that a crowd does.
const patience = 10 * time.Minute

// Crowd is many connections. Its methods are not safe for concurrent use.
type Crowd struct{ conns []net.Conn }

// Gather opens n connections to addr, each of which has been answered a PING. The process needs a file descriptor for each (see
// RaiseFileLimit).
func Gather(ctx context.Context, addr string, n int) (*Crowd, error) {
	c := &Crowd{}
	for range n {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("open connection %d of %d: %w", len(c.conns)+1, n, err)
		}
		c.conns = append(c.conns, nc)
		if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
			c.Close()
			return nil, err
		}
		if err := c.only(len(c.conns)-1, "PING", "+PONG"); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *Crowd) only(i int, command, reply string) error {
	one := Crowd{c.conns[i : i+1]}
	if err := one.Send(command); err != nil {
		return err
	}
	return one.Expect(reply)
}

// Send sends a line on every connection.
func (c *Crowd) Send(command string) error {
	for i, nc := range c.conns {
		if _, err := io.WriteString(nc, command+"\r\n"); err != nil {
			return fmt.Errorf("send on connection %d of %d: %w", i+1, len(c.conns), err)
		}
	}
	return nil
}

// Expect reads a line on every connection.
func (c *Crowd) Expect(reply string) error {
	line := make([]byte, len(reply)+2)
	for i, nc := range c.conns {
		if n, err := io.ReadFull(nc, line); err != nil || string(line) != reply+"\r\n" {
			return fmt.Errorf("connection %d of %d is answered %q, not %q (%w)", i+1, len(c.conns), line[:n], reply, err)
		}
	}
	return nil
}

// Close closes the connections.
func (c *Crowd) Close() {
	for _, nc := range c.conns {
		_ = nc.Close()
	}
}

// RaiseFileLimit lets this process, and those that it starts, have n files open.
func RaiseFileLimit(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if l.Max < n {
		return fmt.Errorf("at most %d files may be open, %d are needed: raise the hard limit (ulimit -Hn)", l.Max, n)
	}
	l.Cur = max(l.Cur, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
