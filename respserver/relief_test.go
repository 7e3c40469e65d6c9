package respserver

import (
	"io"
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
		_ = p.tcp().SetReadBuffer(4096)
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

// crowded starts a server of whose limit of 16 MB peers hold 10 that do not read, each about 2. All have been answered without one being closed.
func crowded(t *testing.T, before func(f *fixture)) (f *fixture, sitting []*peer) {
	t.Helper()
	f = start(t, func(c *Config) { c.BufferLimit, c.OutputLimit, c.WriteTimeout = 16<<20, 8<<20, time.Hour })
	if before != nil {
		before(f)
	}
	others := f.srv.connected()
	cmd := frame("echo", strings.Repeat("x", 2<<20))
	for n := range 5 {
		p := f.dial()
		sitting = append(sitting, p)
		p.send(cmd)
		eventually(t, "a reply that is not taken", func() bool {
			all := f.srv.clients()
			if len(all) != others+n+1 {
				return false
			}
			c := all[others+n]
			queued := c.net.held.Load()
			return queued >= 1<<20 && c.held()-queued < largeReply
		})
	}
	return f, sitting
}

// large is a command whose reply, with the command, has no room beside crowded's peers, and is more than each of them holds.
func large() (args []string, reply string) {
	body := strings.Repeat("y", 3<<20)
	return []string{"echo", body}, "$3145728\r\n" + body + "\r\n"
}

// TestStalledPeersMakeRoom: where the limit is reached, who has taken nothing for a while is closed before who holds more and reads.
func TestStalledPeersMakeRoom(t *testing.T) {
	f, sitting := crowded(t, nil)
	f.srv.roomWait.Store(int64(patience))
	f.srv.stalledAfter.Store(int64(50 * time.Millisecond))
	good := f.dial()
	args, reply := large()
	for range 10 {
		good.ask(reply, args...)
		if n := f.srv.buffers.Load(); n > f.srv.cfg.BufferLimit {
			t.Fatalf("%d bytes are held at a limit of %d", n, f.srv.cfg.BufferLimit)
		}
	}
	if n := f.srv.connected(); n > len(sitting) {
		t.Errorf("%d peers are there, nobody was closed", n)
	}
}

// TestReadersAreWaitedFor: who needs room waits for those who may be reading, rather than being closed or having them closed.
func TestReadersAreWaitedFor(t *testing.T) {
	f, sitting := crowded(t, nil)
	f.srv.roomWait.Store(int64(patience))
	f.srv.stalledAfter.Store(int64(time.Hour))
	good := f.dial()
	args, reply := large()
	good.send(frame(args...))
	eventually(t, "one that waits for room", func() bool { return f.srv.lastLook.Load() != 0 })
	echo := "$2097152\r\n" + strings.Repeat("x", 2<<20) + "\r\n"
	sitting[0].want(echo)
	sitting[1].want(echo)
	good.want(reply)
	for _, p := range sitting[2:] {
		p.want(echo)
	}
}

// TestWhoReadsStays: when waiting has not made room who has shown that it reads is not closed, but who has not, though it holds less.
func TestWhoReadsStays(t *testing.T) {
	var good *peer
	args, reply := large()
	f, sitting := crowded(t, func(f *fixture) {
		good = f.dial()
		good.ask(reply, args...)
		eventually(t, "a proof that it reads", func() bool { return f.srv.clients()[0].net.proven.Load() })
	})
	f.srv.roomWait.Store(int64(time.Millisecond))
	f.srv.stalledAfter.Store(int64(time.Hour))
	good.ask(reply, args...)
	if n := f.srv.connected(); n > len(sitting) {
		t.Errorf("%d peers are there, nobody was closed", n)
	}
}

// TestWhoWaitsInVainIsClosed: waiting is bounded, and who has shown nothing yet and wants more than any other holds is the one to go then.
func TestWhoWaitsInVainIsClosed(t *testing.T) {
	f, sitting := crowded(t, nil)
	f.srv.roomWait.Store(int64(50 * time.Millisecond))
	f.srv.stalledAfter.Store(int64(time.Hour))
	args, _ := large()
	p := f.dial()
	go func() { _, _ = io.WriteString(p.nc, frame(args...)) }() // until it is closed
	p.closed()
	eventually(t, "its end, and nobody else's", func() bool {
		f.srv.stats.mu.Lock()
		defer f.srv.stats.mu.Unlock()
		return f.srv.stats.killed["buffers"] == 1 && f.srv.connected() == len(sitting)
	})
}

// TestWhoGoesFirst where the limit is reached.
func TestWhoGoesFirst(t *testing.T) {
	f := start(t, nil)
	s := f.srv
	var asks, stalled, small, big, reads *conn
	for _, c := range []**conn{&asks, &stalled, &small, &big, &reads} {
		*c = &conn{srv: s}
		(*c).net.conn = *c
	}
	now := int64(s.now())
	hold := func(c *conn, n int64) { c.multiBytes.Store(n) }
	hold(asks, 2<<20)
	hold(stalled, 1)
	hold(small, 1<<20)
	hold(big, 3<<20)
	hold(reads, 4<<20)
	reads.net.proven.Store(true)
	stalled.net.proven.Store(true)
	stalled.net.size.Store(1)
	stalled.net.taken.Store(now - int64(time.Hour))
	for _, c := range []struct {
		what   string
		last   bool
		proven bool // asks is
		there  []*conn
		want   *conn
	}{
		{"who has stalled, though it holds next to nothing", false, false, []*conn{stalled, small, big, reads}, stalled},
		{"who has shown nothing and holds more", false, false, []*conn{small, big, reads}, big},
		{"nobody, while those may be reading that are left", false, true, []*conn{small, reads}, nil},
		{"who has shown nothing, for one who reads, at last", true, true, []*conn{small, reads}, small},
		{"who reads and holds more, at last", true, false, []*conn{small, reads}, reads},
		{"nobody: it is who asks that holds the most", true, false, []*conn{small}, nil},
	} {
		asks.net.proven.Store(c.proven)
		s.mu.Lock()
		all := s.conns
		s.conns = map[int64]*conn{0: asks}
		for i, other := range c.there {
			s.conns[int64(i+1)] = other
		}
		if got := s.victim(asks, 0, c.last); got != c.want {
			t.Errorf("%s: another one", c.what)
		}
		s.conns = all
		s.mu.Unlock()
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
	if n := f.srv.buffers.Load(); n > 128<<10 {
		t.Errorf("%d bytes are held for a peer that has not logged in", n)
	}
}
