package caching

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// conn is a raw connection. A reply that does not come within stillness is an error.
type conn struct {
	nc net.Conn
	r  *bufio.Reader
}

func dial(addr string) (*conn, error) {
	nc, err := net.DialTimeout("tcp", addr, stillness)
	if err != nil {
		return nil, err
	}
	return &conn{nc, bufio.NewReader(nc)}, nil
}

func (c *conn) close() { _ = c.nc.Close() }

func (c *conn) send(frames string) error {
	_ = c.nc.SetDeadline(time.Now().Add(stillness))
	_, err := io.WriteString(c.nc, frames)
	return err
}

func (c *conn) reply() (string, error) { return wire.Reply(c.r) }

func (c *conn) call(args ...string) (string, error) {
	if err := c.send(wire.Frame(args...)); err != nil {
		return "", err
	}
	return c.reply()
}

// value is what a bulk string has; empty for null.
func value(reply string) string {
	head, rest, _ := strings.Cut(reply, "\r\n")
	n, err := strconv.Atoi(strings.TrimPrefix(head, "$"))
	if err != nil || n < 0 {
		return ""
	}
	return rest[:n]
}

// bulks are the bulk strings of a reply, however deep.
func bulks(reply string) (all []string) {
	for reply != "" {
		line, rest, _ := strings.Cut(reply, "\r\n")
		reply = rest
		if line[0] != '$' {
			continue
		}
		if n, err := strconv.Atoi(line[1:]); err == nil && n >= 0 {
			all, reply = append(all, rest[:n]), rest[n+2:]
		}
	}
	return all
}
