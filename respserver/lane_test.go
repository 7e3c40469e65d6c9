package respserver

import (
	"io"
	"strings"
	"testing"
)

// TestLaneOrder: those that have shown that they read go first, the others in the order in which they came; who has been closed is passed over.
func TestLaneOrder(t *testing.T) {
	f := start(t, nil)
	l := &lane{free: 1}
	var conns []*conn
	for range 5 {
		c := &conn{srv: f.srv}
		conns = append(conns, c)
	}
	conns[3].net.proven.Store(true)
	for i, c := range conns {
		if got := l.take(c); got != (i == 0) {
			t.Fatalf("connection %d: %v", i, got)
		}
	}
	l.forget(conns[2])
	for _, want := range []int{3, 1, 4} {
		l.pass()
		for i, c := range conns[1:] {
			if in := c.inLane.Load(); in != (i+1 == want) {
				t.Errorf("connection %d is in the lane: %v; want %d", i+1, in, want)
			}
			c.inLane.Store(false)
		}
	}
	l.pass()
	if l.free != 1 || !l.take(conns[2]) {
		t.Error("the lane is not free when nobody waits")
	}
}

// TestLargeRepliesWaitForEachOther, and other connections do not wait for them: they are answered while the lane is taken. A connection that ends leaves the queue.
func TestLargeRepliesWaitForEachOther(t *testing.T) {
	f := start(t, nil)
	body := strings.Repeat("x", largeReply)
	reply := "$65536\r\n" + body + "\r\n"
	held := &conn{srv: f.srv}
	for range lanes() {
		if !f.srv.lane.take(held) {
			t.Fatal("the lane is taken")
		}
	}
	waits := func(n int) {
		t.Helper()
		eventually(t, "those that wait", func() bool {
			f.srv.lane.mu.Lock()
			defer f.srv.lane.mu.Unlock()
			return len(f.srv.lane.unproven) == n
		})
	}
	large, leaves, small := f.dial(), f.dial(), f.dial()
	large.send(frame("echo", body) + frame("echo", "pong"))
	waits(1)
	leaves.send(frame("echo", body))
	waits(2)
	small.ask(pong, "echo", "pong")
	for _, c := range f.srv.clients() {
		if c.nc.RemoteAddr().String() == leaves.nc.LocalAddr().String() {
			c.end("test")
		}
	}
	leaves.closed()
	waits(1)
	for range lanes() {
		f.srv.lane.pass()
	}
	large.want(reply + pong)
	large.ask(reply, "echo", body)
}

func TestLimitBuffers(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 64 << 20 })
	for _, c := range []struct{ ask, want int64 }{{32 << 20, 32 << 20}, {1 << 40, 64 << 20}, {-1, leastBuffers}} {
		f.srv.LimitBuffers(c.ask)
		if got := f.srv.bufferLimit.Load(); got != c.want {
			t.Errorf("limited to %d: %d, want %d", c.ask, got, c.want)
		}
	}
	f.srv.LimitBuffers(8 << 20)
	p := f.dial()
	go func() { _, _ = io.WriteString(p.nc, frame("echo", strings.Repeat("x", 32<<20))) }()
	f.endsFor("buffers")
}
