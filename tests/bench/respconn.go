package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// respConn is one connection with blocking calls, for what is not timed or waits for one reply at a time.
type respConn struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

// respDeadline bounds every wait for a reply.
const respDeadline = 30 * time.Second

func dialRESP(addr string) (*respConn, error) {
	c, err := net.DialTimeout("tcp", addr, respDeadline)
	if err != nil {
		return nil, err
	}
	return &respConn{conn: c, in: bufio.NewReaderSize(c, 64<<10)}, nil
}

func (c *respConn) close() { c.conn.Close() }

// queue adds a command to what flush writes.
func (c *respConn) queue(args ...[]byte) {
	c.out = append(c.out, '*')
	c.out = strconv.AppendInt(c.out, int64(len(args)), 10)
	for _, a := range args {
		c.out = append(c.out, "\r\n$"...)
		c.out = strconv.AppendInt(c.out, int64(len(a)), 10)
		c.out = append(c.out, "\r\n"...)
		c.out = append(c.out, a...)
	}
	c.out = append(c.out, "\r\n"...)
}

func (c *respConn) flush() error {
	if err := c.conn.SetDeadline(time.Now().Add(respDeadline)); err != nil {
		return err
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// reply waits for one reply. The payload is valid until the next call.
func (c *respConn) reply() ([]byte, error) {
	for {
		b, err := c.in.Peek(max(1, c.in.Buffered()))
		if err != nil {
			return nil, err
		}
		payload, n, err := nextReply(b)
		if err == nil {
			_, err = c.in.Discard(n)
			return payload, err
		}
		if !errors.Is(err, errShort) {
			return nil, err
		}
		if _, err := c.in.Peek(len(b) + 1); err != nil {
			return nil, err
		}
	}
}

// do is one command and its reply.
func (c *respConn) do(args ...[]byte) ([]byte, error) {
	c.queue(args...)
	if err := c.flush(); err != nil {
		return nil, err
	}
	return c.reply()
}

// checkEntries asks a server how many entries it has, and for some of them.
func checkEntries(addr string, entries int) error {
	c, err := dialRESP(addr)
	if err != nil {
		return err
	}
	defer c.close()
	size, err := c.do([]byte("DBSIZE"))
	if err != nil {
		return err
	}
	if string(size) != strconv.Itoa(entries) {
		return fmt.Errorf("DBSIZE is %s, not %d", size, entries)
	}
	for i := range min(entries, 100) {
		n := uint64(i) * uint64(entries) / 100
		if entries < 100 {
			n = uint64(i)
		}
		key := appendKey(nil, n)
		got, err := c.do([]byte("GET"), key)
		if err != nil {
			return err
		}
		if want := appendValue(nil, n, 0); string(got) != string(want) {
			return fmt.Errorf("GET %s is %q, not %q", key, got, want)
		}
	}
	return nil
}
