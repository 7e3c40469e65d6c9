package compat

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// rawConn is a connection on which bytes are compared.
type rawConn struct {
	nc net.Conn
	r  *bufio.Reader
}

func dialWire(ctx context.Context, addr string) (*rawConn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		nc.Close()
		return nil, err
	}
	return &rawConn{nc, bufio.NewReader(nc)}, nil
}

// call sends bytes and reads one reply.
func (w *rawConn) call(sent string) (string, error) {
	if _, err := io.WriteString(w.nc, sent); err != nil {
		return "", err
	}
	return wire.Reply(w.r)
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
		if reply, err := w.call(wire.Frame("SELECT", db)); err != nil || reply != "+OK\r\n" {
			return fmt.Errorf("SELECT %s: %q, %w", db, reply, err)
		}
		asked := exists
		if db != "0" {
			asked = exists[:2]
		}
		if err := poll(ctx, "the daemon has what was seeded", func() (bool, error) {
			reply, err := w.call(wire.Frame(asked...))
			return reply == want, err
		}); err != nil {
			return err
		}
	}
	return nil
}
