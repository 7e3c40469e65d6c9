package respserver

import (
	"io"
	"strings"
	"testing"
)

// TestLaneOrder: those that have shown that they read do not wait for the others, and each go in the order in which they came; who has been closed is passed over.
func TestLaneOrder(t *testing.T) {
	f := start(t, nil)
	l := &lane{}
	l.proven.free, l.unproven.free = 1, 1
	var conns []*conn
	for i := range 7 {
		c := &conn{srv: f.srv}
		c.net.proven.Store(i%2 == 1)
		conns = append(conns, c)
	}
	for i, c := range conns {
		if got := l.take(c); got != (i < 2) {
			t.Fatalf("connection %d: %v", i, got)
		}
	}
	l.forget(conns[4])
	for _, half := range []struct {
		way  *way
		want []int
	}{{&l.proven, []int{3, 5}}, {&l.unproven, []int{2, 6}}} {
		for _, want := range half.want {
			l.pass(half.way, false)
			for i, c := range conns[2:] {
				if in := c.inLane.Load(); in != (i+2 == want) {
					t.Errorf("connection %d is in the lane: %v; want %d", i+2, in, want)
				}
				c.inLane.Store(false)
			}
		}
		l.pass(half.way, false)
		if half.way.free != 1 {
			t.Error("the lane is not free when nobody waits")
		}
	}
}

// TestTheNewestGoesFirst where that is asked for.
func TestTheNewestGoesFirst(t *testing.T) {
	f := start(t, nil)
	l := &lane{}
	var conns []*conn
	for range 3 {
		c := &conn{srv: f.srv}
		conns = append(conns, c)
		l.take(c)
	}
	for i, want := range []int{2, 0, 1} {
		l.pass(&l.unproven, i == 0)
		for j, c := range conns {
			if in := c.inLane.Swap(false); in != (j == want) {
				t.Errorf("turn %d: connection %d is in the lane: %v", i, j, in)
			}
		}
	}
}

// TestLargeRepliesWaitForEachOther, and other connections do not wait for them: they are answered while the lane is taken. A connection that ends leaves the queue.
func TestLargeRepliesWaitForEachOther(t *testing.T) {
	f := start(t, nil)
	body := strings.Repeat("x", largeReply)
	reply := "$65536\r\n" + body + "\r\n"
	letGo := f.holdLane()
	waits := func(n int) {
		t.Helper()
		eventually(t, "those that wait", func() bool {
			f.srv.lane.mu.Lock()
			defer f.srv.lane.mu.Unlock()
			return len(f.srv.lane.unproven.queue) == n
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
	letGo()
	large.want(reply + pong)
	large.ask(reply, "echo", body)
}

// TestWhatIsKnownIsSentBeforeALargeReply that has to be waited for: nothing waits for the lane but what is made in it, and what comes behind that.
func TestWhatIsKnownIsSentBeforeALargeReply(t *testing.T) {
	f := start(t, nil)
	body := strings.Repeat("x", largeReply)
	reply := "$65536\r\n" + body + "\r\n"
	letGo := f.holdLane()
	p := f.dial()
	large := frame("echo", body)
	p.send(frame("echo", "pong") + large + frame("echo", "pong") + frame("client", "reply", "skip") + large + frame("nothing") + large)
	p.want(pong)
	letGo()
	p.want(reply + pong + "-ERR unknown command 'nothing', with args beginning with: \r\n" + reply)
	p.ask(pong, "echo", "pong")

	// Who is closed while it waits has had them too.
	letGo = f.holdLane()
	p.send(frame("echo", "pong") + large)
	p.want(pong)
	for _, c := range f.srv.clients() {
		c.end("test")
	}
	p.closed()
	letGo()
}

// TestWhoMakesNothingLeavesAtOnce: the lane rests after a reply that is not taken, and not after one that was not made.
func TestWhoMakesNothingLeavesAtOnce(t *testing.T) {
	f := start(t, nil)
	l := &f.srv.lane
	for _, made := range []bool{false, true} {
		c := &conn{srv: f.srv}
		c.net.conn = c
		c.net.size.Store(1)
		if !l.take(c) {
			t.Fatal("the lane is taken")
		}
		if made {
			c.laneSince = 1
		}
		c.leaveLane()
		l.mu.Lock()
		free := l.unproven.free
		l.mu.Unlock()
		if (free == 1) == made {
			t.Errorf("a reply was made: %v; %d are free", made, free)
		}
	}
}

// TestOwnValuesAreExpected: an EXEC that reads what it writes has the lane before it makes a large reply of it.
func TestOwnValuesAreExpected(t *testing.T) {
	f := start(t, nil)
	long := make([]byte, largeReply/2)
	for _, of := range []struct {
		key  string
		lane bool
	}{{"k", true}, {"l", false}} {
		c := &conn{srv: f.srv, workspace: newWorkspace().(*workspace)}
		c.net.conn = c
		m := &multi{reads: map[int]bool{0: true}, queue: []queued{{cmd: f.srv.table.byName["set"], args: [][]byte{nil, []byte("k"), long}}}}
		for range 2 {
			m.queue = append(m.queue, queued{cmd: f.srv.table.byName["get"], args: [][]byte{nil, []byte(of.key)}})
		}
		if !c.awaitTransaction(m) || c.inLane.Load() != of.lane {
			t.Errorf("reading %s: in the lane %v", of.key, c.inLane.Load())
		}
		c.leaveLane()
	}
}

// holdLane takes the whole lane, until what it returns is called.
func (f *fixture) holdLane() (letGo func()) {
	f.t.Helper()
	l := &f.srv.lane
	eventually(f.t, "the lane to be free", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.proven.free == lanes() && l.unproven.free == 1
	})
	held := &conn{srv: f.srv}
	if !l.take(held) {
		f.t.Fatal("the lane is taken")
	}
	held.net.proven.Store(true)
	for range lanes() {
		if !l.take(held) {
			f.t.Fatal("the lane is taken")
		}
	}
	return func() {
		for range lanes() {
			l.pass(&l.proven, false)
		}
		l.pass(&l.unproven, false)
	}
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
