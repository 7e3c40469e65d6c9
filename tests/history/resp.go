package history

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// reply is one RESP2 reply: an error or a status in text, an integer, a bulk or an array of them.
type reply struct {
	kind  byte // one of + - : $ *
	text  string
	n     int64
	null  bool
	items []reply
}

// String is the reply, shortened, for people.
func (r reply) String() string {
	switch {
	case r.null:
		return "nil"
	case r.kind == ':':
		return strconv.FormatInt(r.n, 10)
	case r.kind == '*':
		s := "["
		for i, it := range r.items {
			if i > 0 {
				s += " "
			}
			s += it.String()
		}
		return s + "]"
	}
	const most = 100
	if len(r.text) > most {
		return string(r.kind) + r.text[:most] + "…"
	}
	if r.kind == '$' {
		return r.text
	}
	return string(r.kind) + r.text
}

// conn is a connection that sends commands and reads replies, each with a deadline.
type conn struct {
	net.Conn
	r *bufio.Reader
	b []byte
}

func dial(addr string, timeout time.Duration) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReader(c)}, nil
}

// send writes the commands in one piece.
func (c *conn) send(deadline time.Time, commands ...[]string) error {
	c.b = c.b[:0]
	for _, args := range commands {
		c.b = append(c.b, '*')
		c.b = strconv.AppendInt(c.b, int64(len(args)), 10)
		c.b = append(c.b, '\r', '\n')
		for _, a := range args {
			c.b = append(c.b, '$')
			c.b = strconv.AppendInt(c.b, int64(len(a)), 10)
			c.b = append(c.b, '\r', '\n')
			c.b = append(c.b, a...)
			c.b = append(c.b, '\r', '\n')
		}
	}
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	_, err := c.Write(c.b)
	return err
}

var errProtocol = errors.New("history: not a reply")

// receive reads a reply, by the deadline that send was given.
func (c *conn) receive() (reply, error) { return c.read(3) }

func (c *conn) read(depth int) (reply, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return reply{}, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return reply{}, fmt.Errorf("%w: %q", errProtocol, line)
	}
	r := reply{kind: line[0], text: line[1 : len(line)-2]}
	switch r.kind {
	case '+', '-':
		return r, nil
	case ':', '$', '*':
		if r.n, err = strconv.ParseInt(r.text, 10, 64); err != nil {
			return r, fmt.Errorf("%w: %q", errProtocol, line)
		}
		r.text = ""
	default:
		return r, fmt.Errorf("%w: %q", errProtocol, line)
	}
	const most = 1 << 20
	switch {
	case r.kind == ':':
	case r.n == -1:
		r.null = true
	case r.n < 0 || r.n > most || depth == 0:
		return r, fmt.Errorf("%w: %q", errProtocol, line)
	case r.kind == '$':
		b := make([]byte, r.n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return r, err
		}
		r.text = string(b[:r.n])
	default:
		for range r.n {
			it, err := c.read(depth - 1)
			if err != nil {
				return r, err
			}
			r.items = append(r.items, it)
		}
	}
	return r, nil
}
