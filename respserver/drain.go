package respserver

import (
	"context"
	"sync/atomic"
	"time"
)

// How connections are taken leave of at Shutdown. The protocol has no word for it: a client learns that its connection is over from its end. One that has its reply and the end
// together finds that before it sends anything again, as pools do that look at a connection before they use it; one whose request crosses the end sees an error, or has to repeat it.
const (
	drainAfterIdle = 250 * time.Millisecond // a connection that has been silent for so long is closed; a busy one behind its next reply
	drainWithin    = 2 * time.Second        // for what is under way to end by itself, and half of what Shutdown has at most
	drainInterval  = 25 * time.Millisecond
	deliverWithin  = time.Second // for the last replies to be taken by the peer's system
)

// departed is conn.closing of who ends for Shutdown.
const departed = "departed"

// drain is the orderly end of connections. Its fields are set before Server.draining is.
type drain struct {
	afterIdle, within time.Duration // drainAfterIdle and drainWithin, but for tests
	began             atomic.Int64  // Server.now
	hurry             atomic.Int64  // from when on nothing under way is waited for that has no end of its own
}

// begin is called by Shutdown.
func (d *drain) begin(ctx context.Context, now time.Duration) {
	within := d.within
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline)/2)
	}
	d.began.Store(int64(now))
	d.hurry.Store(int64(now + within))
}

// hurries reports whether waits are given up, and connections closed wherever nothing of them is left to answer.
func (s *Server) hurries() bool { return s.draining.Load() && int64(s.now()) >= s.drain.hurry.Load() }

// dismiss has connections look whether they can end, until all have, or ctx has.
func (s *Server) dismiss(ctx context.Context, ended <-chan struct{}) error {
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	for {
		s.mu.Lock()
		now, hurries := s.now(), s.hurries()
		for _, c := range s.conns {
			if hurries || now-time.Duration(c.active.Load()) >= s.drain.afterIdle {
				c.wake()
			}
		}
		s.mu.Unlock()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// departs reports whether the connection, which has nothing to run, ends for Shutdown. What it has to send is the last then.
func (c *conn) departs() bool {
	s := c.srv
	if !s.draining.Load() || c.closing != "" || !c.dry || c.block != nil || len(c.slots) > 0 {
		return false
	}
	if s.hurries() {
		return true
	}
	if c.r != c.w || c.multi != nil || c.unread() {
		return false // more is on its way
	}
	if c.ran || len(c.out)+len(c.wire) > 0 { // large replies have been sent already
		// Who is still introducing itself has not been served yet.
		if last := c.lastCmd.Load(); last == nil || last.group != "connection" {
			return true
		}
	}
	return s.now()-time.Duration(c.active.Load()) >= s.drain.afterIdle
}

// unread reports whether something has arrived that was not read yet.
func (c *conn) unread() (yes bool) {
	if c.net.raw != nil {
		_ = c.net.raw.Control(func(fd uintptr) { yes = hasInput(fd) }) // where it is closed, nothing has
	}
	return yes
}

// holdLast has the kernel keep the last reply until the end goes with it.
func (c *conn) holdLast() {
	if c.net.raw != nil {
		_ = c.net.raw.Control(cork) // otherwise the end follows the reply
	}
}

// takeLeave ends the sending half behind all replies, and waits until the peer's system has them: closing a connection on which something has arrived meanwhile takes back what
// has not.
func (c *conn) takeLeave() {
	if c.tls != nil {
		if t, ok := c.tls.(interface{ CloseWrite() error }); ok {
			_ = t.CloseWrite() // the end of the connection says the same
		}
		c.net.wait()
	}
	if c.net.raw == nil {
		return
	}
	_ = c.net.raw.Control(endSending)
	deadline := time.Now().Add(deliverWithin)
	for wait := time.Millisecond; c.alive() && time.Now().Before(deadline); wait = min(2*wait, drainInterval) {
		left := 0
		if err := c.net.raw.Control(func(fd uintptr) { left = unacknowledged(fd) }); err != nil || left == 0 {
			return
		}
		time.Sleep(wait)
	}
}
