package kafka

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// FuzzFollow cuts what a broker sends anywhere: whether it is accepted must not depend on the cuts, nor on more than the
// lengths in front.
func FuzzFollow(f *testing.F) {
	frame := func(n int) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(n)), make([]byte, n)...) }
	f.Add(append(frame(5), frame(100)...), uint8(3))
	f.Add(frame(4), uint8(1))
	f.Add([]byte("HTTP/1.1 400 Bad Request"), uint8(7))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0}, uint8(2))
	const limit = 1 << 10
	f.Fuzz(func(t *testing.T, sent []byte, step uint8) {
		want := true
		for rest := sent; len(rest) >= 4; {
			n := int(binary.BigEndian.Uint32(rest))
			if n < 5 || n > limit {
				want = false
				break
			}
			rest = rest[min(len(rest), 4+n):]
		}
		c := conn{limit: limit, timeout: time.Second}
		var err error
		for rest := sent; len(rest) > 0 && err == nil; {
			n := min(len(rest), int(step)+1)
			err = c.follow(rest[:n])
			rest = rest[n:]
		}
		if (err == nil) != want || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v, want accepted %v", err, want)
		}
	})
}

func connPair(t *testing.T, timeout time.Duration) (*conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- c
	}()
	config := Config{Bootstrap: []string{ln.Addr().String()}, ReadTimeout: timeout}.withDefaults()
	c, err := dial(t.Context(), &config, ln.Addr().String(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	peer := <-accepted
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer
}

// TestReadTimeoutCountsFromTheLastBytes sends a response for longer than the time-out, and then falls silent.
func TestReadTimeoutCountsFromTheLastBytes(t *testing.T) {
	const timeout = 200 * time.Millisecond
	c, peer := connPair(t, timeout)
	const size = 2 * slowestRead
	sent := append(binary.BigEndian.AppendUint32(nil, size), make([]byte, size)...)
	go func() {
		for piece := range slices.Chunk(sent, len(sent)/20) {
			peer.Write(piece)
			time.Sleep(timeout / 10)
		}
	}()
	if _, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
		t.Fatalf("while bytes arrive: %v", err)
	}
	began := time.Now()
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("in silence: %v", err)
	}
	if d := time.Since(began); d < timeout/2 || d > 10*timeout {
		t.Errorf("given up after %v", d)
	}
	// A late response would be taken for the next one's.
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("the connection goes on after a time-out")
	}
	if c.reason() == nil {
		t.Error("no reason is kept")
	}
}

func TestSlowestRead(t *testing.T) {
	c := conn{limit: fetchFrame, timeout: time.Second}
	if err := c.follow(binary.BigEndian.AppendUint32(nil, 10*slowestRead)); err != nil {
		t.Fatal(err)
	}
	if d := time.Until(c.until); d < 10*time.Second || d > 12*time.Second {
		t.Errorf("a response of ten seconds at the slowest rate may take %v", d)
	}
}
