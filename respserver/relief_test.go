package respserver

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestWhoHoldsLittleDoesNotPay: peers that do not read cannot have others closed, and together hold no more than the limit.
func TestWhoHoldsLittleDoesNotPay(t *testing.T) {
	const limit = 16 << 20
	f := start(t, func(c *Config) { c.BufferLimit, c.OutputLimit, c.WriteTimeout = limit, 8<<20, patience })
	good := f.dial()
	cmd := frame("echo", strings.Repeat("x", 1<<20))
	for range 24 {
		p := f.dial()
		_ = p.nc.(*net.TCPConn).SetReadBuffer(4096)
		go func() { // ends when the connection does
			for range 100 {
				if _, err := io.WriteString(p.nc, cmd); err != nil {
					return
				}
			}
		}()
	}
	eventually(t, "pressure", func() bool { return f.srv.pressed() })
	body := strings.Repeat("y", 300<<10)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		good.ask("$307200\r\n"+body+"\r\n", "echo", body)
		if n := f.srv.buffers.Load(); n > limit {
			t.Fatalf("%d bytes are held at a limit of %d", n, limit)
		}
	}
}

// TestWhoHasNotLoggedInHoldsLittle: a pipeline of refused commands whose replies are not read.
func TestWhoHasNotLoggedInHoldsLittle(t *testing.T) {
	f := start(t, func(c *Config) { c.Password = []byte("x") })
	p := f.dial()
	// The kernel's buffers are left as they are: with a tiny one it drops segments, and the acknowledgements with them, for as long as the peer does not read.
	go func() { _, _ = io.WriteString(p.nc, strings.Repeat(frame("get", "k"), 1_000_000)) }()
	stalled := func() bool {
		for _, c := range f.srv.clients() {
			return c.net.size.Load() >= unauthenticatedOutput
		}
		return false
	}
	eventually(t, "the limit", stalled)
	if n := f.srv.buffers.Load(); n > 1<<20 {
		t.Errorf("%d bytes are held for a peer that has not logged in", n)
	}
}
