package respserver

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	largeReply  = 64 << 10               // from this size on a reply is made in the lane
	lanePause   = 2 * time.Millisecond   // at least, after a reply that its peer has not taken at once
	laneShare   = 8                      // or so many times as long as the reply has taken
	pressPause  = 100 * time.Millisecond // at least, while much is held
	longPause   = time.Second            // at most
	laneExpects = 10 * time.Second       // since the last large reply
)

// lane lets few connections at a time make replies that are large: each is as much memory that nobody has counted yet and as much of a processor's
// time, and a thousand connections that ask for them at once are neither to have a thousand of them nor to keep those waiting that ask for little. Who is in it
// has reserved what the reply takes, and leaves it when the reply has been given to the kernel or queued. The others wait in the order in which they came.
//
// Those that have not yet shown that they read have a lane of their own, for one, which rests after a reply that was not taken. So they take a small part of the
// time, and those that read wait for each other alone. While much is held, which is when many do not read, the one of them that came last is the first: who has just come and reads would
// otherwise wait behind a crowd that does not.
//
// Its mutex is a leaf.
type lane struct {
	last atomic.Int64 // Server.now of the last large reply, 0 where there was none lately: nobody looks at lengths beforehand then

	mu       sync.Mutex
	proven   way // of those that have taken a large reply whole
	unproven way
}

// way is one of the two. Its lane's mu guards it.
type way struct {
	free  int
	queue []*conn
}

// open makes it as wide as it is to be.
func (l *lane) open() { l.proven.free, l.unproven.free = lanes(), 1 }

// lanes is how many of those that read may be in it: half of the processors are left for others.
func lanes() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// expected reports whether replies are to be looked at before they are made, since some were large lately.
func (l *lane) expected() bool { return l.last.Load() != 0 }

// cool forgets the last large reply when it was long ago.
func (l *lane) cool(now time.Duration) {
	if last := l.last.Load(); last != 0 && now-time.Duration(last) > laneExpects {
		l.last.CompareAndSwap(last, 0)
	}
}

// take gives c the lane, or puts it into the queue.
func (l *lane) take(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.way = &l.unproven
	if c.net.proven.Load() {
		c.way = &l.proven
	}
	if c.way.free > 0 {
		c.way.free--
		c.inLane.Store(true)
		return true
	}
	c.way.queue = append(c.way.queue, c)
	return false
}

// pass gives a place to the one that has waited for the longest, or the shortest time.
func (l *lane) pass(w *way, newest bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(w.queue)
	if n == 0 {
		w.queue = nil
		w.free++
		return
	}
	next := w.queue[0]
	if newest {
		next = w.queue[n-1]
		w.queue[n-1] = nil
		w.queue = w.queue[:n-1]
	} else {
		w.queue[0] = nil
		w.queue = w.queue[1:]
	}
	next.inLane.Store(true)
	next.wake() // takes no lock
}

// forget takes c, which has been closed, out of the queue. It may have been given the lane meanwhile.
func (l *lane) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(c.way.queue, c); i >= 0 {
		c.way.queue = slices.Delete(c.way.queue, i, i+1)
	}
}

// enterLane waits for the lane and reserves n bytes for a reply. Within the lane it reserves n bytes more. Where the connection
// has been closed meanwhile, or there is no room, it reports false.
func (c *conn) enterLane(n int) bool {
	l := &c.srv.lane
	if !c.inLane.Load() {
		began := c.srv.now()
		if c.onLoop() { // the value has become large since it was looked at (answersMuch)
			l.last.Store(int64(began))
			return c.reserve(int64(n))
		}
		if !l.take(c) {
			for !c.inLane.Load() && c.alive() {
				if !c.sendAhead() {
					c.end("")
					break
				}
				c.sleep()
			}
			if !c.alive() {
				l.forget(c)
				return false
			}
			// What else it was woken for is looked at before it waits for anything again.
			c.state.CompareAndSwap(running, woken)
		}
		waited := c.srv.now() - began
		c.waited += waited
		c.runStart += waited
		l.last.Store(int64(c.srv.now()))
		if c.raw != nil && isReset(c.raw) { // nobody is there to take what else it has asked for
			c.end("")
			return false
		}
	}
	if !c.reserve(int64(n)) {
		return false
	}
	if c.laneSince == 0 {
		c.laneSince = c.srv.now()
	}
	return true
}

// sendAhead sends what is known of the replies before the one that waits. Part of that one may be there, which may yet be taken back: then nothing is sent.
func (c *conn) sendAhead() bool {
	if len(c.out) != c.mark {
		return true
	}
	ok := c.flush()
	c.mark, c.markSlots = len(c.out), len(c.slots)
	return ok
}

// errNoTurn is the error of a command whose connection was closed before it could be answered.
var errNoTurn = errors.New("respserver: there is no room for the reply")

// awaitTurn looks at how long key's value is, and where that makes the reply large waits for the lane. Otherwise it says 0.
func (c *conn) awaitTurn(key []byte) (large int, err error) {
	n, _, err := c.valueLen(key)
	if err != nil || len(c.out)+n < largeReply {
		return 0, err
	}
	if !c.enterLane(cap(c.out) + n) {
		return 0, errNoTurn
	}
	return n, nil
}

// awaitValues waits for the lane where the values of keys make the reply large, and says what they come to; 0 where that has not been looked at.
func (c *conn) awaitValues(keys [][]byte) (size int, err error) {
	if !c.srv.lane.expected() || c.exec != nil {
		return 0, nil
	}
	for _, key := range keys {
		n, _, err := c.valueLen(key)
		if err != nil {
			return 0, err
		}
		size += n
	}
	if limit := c.srv.replyLimit(); size >= largeReply && size <= limit && !c.enterLane(cap(c.out)+size) {
		return 0, errNoTurn
	}
	return size, nil
}

// awaitTransaction waits for the lane before an EXEC that reads much: it is before a View is held.
func (c *conn) awaitTransaction(m *multi) bool {
	keys, size, long := 0, 0, false
	var own map[ownKey]int // lengths of what it writes itself, or more, where it also reads
	for i := range m.queue {
		q := &m.queue[i]
		if q.cmd.flags&write != 0 && len(m.reads) > 0 {
			if own == nil {
				own = map[ownKey]int{}
			}
			longest := 0
			for _, a := range q.args[1:] {
				longest = max(longest, len(a))
			}
			q.cmd.keys(q.args, func(key []byte) { own[ownKey{q.db, string(key)}] = longest })
		}
		if q.cmd.flags&bulky != 0 || q.cmd.name == "scan" {
			long = true
			continue
		}
		if q.cmd.flags&write != 0 || !q.readsStore() {
			continue
		}
		q.cmd.keys(q.args, func(key []byte) {
			keys++
			if n, ok := own[ownKey{q.db, string(key)}]; ok {
				size += n
			} else if keys > fewKeys || c.srv.lane.expected() {
				n, _, _ := c.srv.topics[q.db].ValueLen(key)
				size += n
			}
		})
	}
	if !long && size < largeReply {
		return true
	}
	return c.enterLane(min(size, c.srv.replyLimit()))
}

// fewKeys of an EXEC are not looked at beforehand, unless large replies are expected.
const fewKeys = 64

// mayAnswer waits for the lane where a reply of about n bytes is large. Where it reports false the connection has been closed.
func (c *conn) mayAnswer(n int) bool { return n < largeReply || c.exec != nil || c.enterLane(n) }

// sendLarge sends the reply that was made in the lane, or as much of it as may be sent, and leaves. It reports whether the connection goes on.
func (c *conn) sendLarge() bool {
	goesOn := len(c.slots) > 0 || c.flush()
	c.account()
	c.leaveLane()
	return goesOn
}

// leaveLane lets the next one in: where the peer has not taken its reply, and has not yet shown that it reads, after a rest that is many times as long as the
// reply has taken. So those take a bounded part of a processor, however large the replies and however busy the machine.
func (c *conn) leaveLane() {
	if !c.inLane.Load() {
		return
	}
	c.inLane.Store(false)
	l, w, since := &c.srv.lane, c.way, c.laneSince
	c.laneSince = 0
	pass := func() { l.pass(w, w == &l.unproven && c.srv.pressed()) }
	// Who has left, or has found no room, has made nothing: a crowd of those that have left is gone at once.
	if since == 0 || w == &l.proven || c.net.proven.Load() || c.net.size.Load() == 0 {
		pass()
		return
	}
	rest := lanePause
	if c.srv.pressed() {
		rest = pressPause
	}
	time.AfterFunc(min(max(rest, laneShare*(c.srv.now()-since)), longPause), pass)
}

// reserve makes room for n bytes more, or else closes the connection. They are counted when the reply is queued, or as the workspace's.
func (c *conn) reserve(n int64) bool {
	if !c.srv.makeRoom(c, n) {
		c.end("buffers")
		return false
	}
	return true
}
