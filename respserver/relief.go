package respserver

import (
	"cmp"
	"slices"
	"time"
)

const (
	roomPoll  = 500 * time.Microsecond // between the first looks whether there is room
	roomPolls = 10 * time.Millisecond  // the longest, and between looks whom to close meanwhile
	// roomWait is how long who needs room waits for it rather than for others to be closed who may be reading: by then it is known of each whether it is.
	roomWait = 2 * stalledAfter
)

// rememberedLeast is for how much a connection may be closed by relieveRemembering.
const rememberedLeast = 4 << 10

// makeRoom reports whether n bytes more for c are within the limit. Where they are not it has others closed (relieve), and waits: for those to give back what they held, or
// where nobody is to be closed yet for those who read to take it, up to roomWait. An event loop does not wait: what is to be given back counts as given back for it,
// and whom a wait would spare is closed at once.
func (s *Server) makeRoom(c *conn, n int64) bool {
	fits := func() bool { return s.buffers.Load()+n <= s.bufferLimit.Load() }
	if fits() {
		return true
	}
	began, poll, most := s.now(), roomPoll, time.Duration(s.roomWait.Load())
	// Who asks for little does not wait for others who hold much.
	small := c.held()+n < largeReply
	for first := true; !fits(); first = false {
		waited := s.now() - began
		last := small || c.onLoop() || waited >= most
		switch owed := s.buffers.Load()-s.owed.Load()+n <= s.bufferLimit.Load(); {
		case !c.alive() || waited > most+roomWait:
			return false
		case owed || !first && !last && !s.mayLook():
		case s.relieve(c, n, last):
			poll = roomPoll
		case last:
			return false
		}
		if c.onLoop() {
			return true
		}
		time.Sleep(poll)
		poll = min(2*poll, roomPolls)
	}
	return true
}

// mayLook lets one of those that wait look for whom to close, once in roomPolls: there may be as many of them as connections, and each look is at all of those.
func (s *Server) mayLook() bool {
	now, at := int64(s.now()), s.lastLook.Load()
	return now-at >= int64(roomPolls) && s.lastLook.CompareAndSwap(at, now)
}

// relieve closes a connection where the limit of all is reached. Who holds little, or reads, does not pay for who does not: it is the first that there is of
//
//   - those whose peer has taken nothing for a while, the one that holds the most;
//   - those that have not shown that they read, the one that holds the most, where that is more than asks would hold;
//   - when it is the last resort: where asks has shown that it reads, of those that have not, the one that holds the most, if that is as much as a large reply;
//   - when it is the last resort: those that have shown that they read, the one that holds the most, where that is more than asks would hold.
//
// CLIENT NO-EVICT exempts from all but the first. It reports whether it closed one.
func (s *Server) relieve(asks *conn, more int64, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	victim := s.victim(asks, more, last)
	if victim == nil {
		return false
	}
	s.evict(victim)
	return true
}

// victim is whom relieve closes; nil: nobody. mu is held.
func (s *Server) victim(asks *conn, more int64, last bool) *conn {
	var stalled, unproven, proven largest
	now := s.now()
	for _, c := range s.conns {
		switch h := c.held(); {
		case c == asks || h == 0 || !c.alive():
		case c.net.stalled(now):
			stalled.consider(c, h)
		case c.exempt():
		case c.net.proven.Load():
			proven.consider(c, h)
		default:
			unproven.consider(c, h)
		}
	}
	most := asks.held() + more
	least := most + 1
	if last && asks.net.proven.Load() {
		least = min(least, largeReply)
	}
	if !last {
		proven = largest{}
	}
	return cmp.Or(stalled.conn, unproven.from(least), proven.from(most+1))
}

// largest is the connection that holds the most of those that were considered.
type largest struct {
	conn *conn
	held int64
}

func (l *largest) consider(c *conn, held int64) {
	if held > l.held {
		l.conn, l.held = c, held
	}
}

// from is the connection where it holds at least so much; otherwise nil.
func (l *largest) from(least int64) *conn {
	if l.held < least {
		return nil
	}
	return l.conn
}

// relieveBlocked looks after connections that wait in a command, as a WAIT that lasts for ever, with so much behind it that they are not read on while much is held. They
// are once it is not. Where it stays so, those of them that hold the most are closed until little is held: whether their peers are still there cannot be
// seen behind what has not been read, and they would hold it as long as their commands last. cron calls it, with mu held.
func (s *Server) relieveBlocked(now time.Duration) {
	if !s.pressed() {
		s.pressedSince = 0
		for _, c := range s.conns {
			if c.heldBack.Load() {
				c.wake()
			}
		}
		return
	}
	if s.pressedSince == 0 {
		s.pressedSince = now
	}
	if int64(now-s.pressedSince) < s.stalledAfter.Load() {
		return
	}
	s.pressedSince = now
	var back []*conn
	for _, c := range s.conns {
		if c.heldBack.Load() && c.alive() && !c.exempt() {
			back = append(back, c)
		}
	}
	slices.SortFunc(back, func(a, b *conn) int { return cmp.Compare(b.held(), a.held()) })
	for _, c := range back {
		if s.buffers.Load()-s.owed.Load() <= s.bufferLimit.Load()/4 {
			return
		}
		s.evict(c)
	}
}

// relieveRemembering closes connections where more than the limit is held and stays so: those for which the most is remembered, their buffers apart, until it is not. What a
// write, a name or a subscription adds to that is too little for anybody to be asked about it, and there may be many of each. Buffers come and go, and whoever wants a larger one
// asks. cron calls it, with mu held.
func (s *Server) relieveRemembering(now time.Duration) {
	excess := func() int64 { return s.buffers.Load() - s.owed.Load() - s.bufferLimit.Load() }
	if excess() <= 0 {
		s.overSince = 0
		return
	}
	if s.overSince == 0 {
		s.overSince = now
	}
	if int64(now-s.overSince) < s.stalledAfter.Load() {
		return
	}
	s.overSince = 0
	type holder struct {
		conn *conn
		held int64
	}
	var all []holder
	for _, c := range s.conns {
		if n := c.remembered(); n >= rememberedLeast && c.alive() && !c.exempt() {
			all = append(all, holder{c, n})
		}
	}
	slices.SortFunc(all, func(a, b holder) int { return cmp.Compare(b.held, a.held) })
	for _, h := range all {
		if excess() <= 0 {
			return
		}
		s.evict(h.conn)
	}
}

// evict closes a connection for what it holds, which counts as given back for those that cannot wait for it. It is called with mu held.
func (s *Server) evict(c *conn) {
	c.owes = c.held()
	s.owed.Add(c.owes)
	c.end("buffers")
}
