package compat

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// frame is a command as clients send it.
func frame(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// wire is a raw connection.
type wire struct {
	nc net.Conn
	r  *bufio.Reader
}

func dialWire(ctx context.Context, addr string) (*wire, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		nc.Close()
		return nil, err
	}
	return &wire{nc, bufio.NewReader(nc)}, nil
}

// call sends bytes and reads one reply.
func (w *wire) call(sent string) (string, error) {
	if _, err := io.WriteString(w.nc, sent); err != nil {
		return "", err
	}
	return w.reply()
}

// reply reads one whole reply as it is on the wire.
func (w *wire) reply() (string, error) {
	line, err := w.r.ReadString('\n')
	if err != nil {
		return line, err
	}
	if len(line) < 3 {
		return line, fmt.Errorf("%q is no reply", line)
	}
	n, _ := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return line, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(w.r, b)
		return line + string(b), err
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		var s strings.Builder
		s.WriteString(line)
		for range n {
			element, err := w.reply()
			s.WriteString(element)
			if err != nil {
				return s.String(), err
			}
		}
		return s.String(), nil
	case '+', '-', ':', '_', '#', ',', '(':
		return line, nil
	}
	return line, fmt.Errorf("%q is no reply", line)
}

// awaitKeys waits until a daemon has all that seed wrote.
func awaitKeys(ctx context.Context, addr, hello, prefix string) error {
	w, err := dialWire(ctx, addr)
	if err != nil {
		return err
	}
	defer w.nc.Close()
	if hello != "" {
		if _, err := w.call(hello); err != nil {
			return err
		}
	}
	exists := []string{"EXISTS", prefix + "seed", prefix + "cached"}
	for n := range scanned {
		exists = append(exists, prefix+"scan:"+strconv.Itoa(n))
	}
	for db, want := range map[string]string{
		"0": fmt.Sprintf(":%d\r\n", scanned+2), "1": ":1\r\n", "2": ":1\r\n",
	} {
		if reply, err := w.call(frame("SELECT", db)); err != nil || reply != "+OK\r\n" {
			return fmt.Errorf("SELECT %s: %q, %w", db, reply, err)
		}
		asked := exists
		if db != "0" {
			asked = exists[:2]
		}
		if err := poll(ctx, "the daemon has what was seeded", func() (bool, error) {
			reply, err := w.call(frame(asked...))
			return reply == want, err
		}); err != nil {
			return err
		}
	}
	return nil
}
