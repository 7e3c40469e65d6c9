package respserver

import (
	"sync"
	"sync/atomic"

	"github.com/yolean/kafka-cache/respserver/resp"
)

// pushLimit is how many bytes of invalidations wait for one connection; past it, and where the buffers of all are at their limit, they become
// one flush of everything.
const pushLimit = 1 << 20

// What an invalidation begins with: RESP3's push, and in RESP2 the message of a channel, which only a connection that others redirect to gets. An array
// of keys follows, or null: everything.
const (
	invalidateV3 = ">2\r\n$10\r\ninvalidate\r\n"
	invalidateV2 = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
	allV3        = "_\r\n"
	allV2        = "$-1\r\n"
)

// brokenBytes is what the message about a broken redirection takes at most.
const brokenBytes = 64

// outOfBand is what waits to be sent to a connection between replies. It is made for the protocol that the connection speaks in that moment, and is sent
// before it speaks another one. It counts among the buffers of all connections.
type outOfBand struct {
	bytes atomic.Int64 // that wait. Any goroutine may read it

	mu       sync.Mutex
	proto    resp.Version
	pushes   []byte // invalidations
	messages []byte // of subscriptions
	broken   int64  // id of the connection that was redirected to and is gone; 0: nothing is to be told
	missed   bool   // an invalidation could not be told, since RESP2 has no pushes
}

// waits counts bytes, with mu held.
func (c *conn) waits(n int) {
	c.oob.bytes.Add(int64(n))
	c.srv.buffers.Add(int64(n))
}

// invalidated queues an invalidation and wakes the connection. payload is an array of keys, nil: everything. Any goroutine may call it; it does not block.
func (c *conn) invalidated(payload []byte, redirected bool) {
	o := &c.oob
	o.mu.Lock()
	header, all := invalidateV3, allV3
	if o.proto != resp.V3 {
		header, all = invalidateV2, allV2
		if !redirected || c.subscribed.Load() == 0 { // as in Redis, where it hears of nothing
			o.missed = true
			o.mu.Unlock()
			return
		}
	}
	before, more := len(o.pushes), len(header)+len(payload)
	if payload == nil || before+more > pushLimit || c.srv.buffers.Load()+int64(more) > c.srv.bufferLimit.Load() {
		o.pushes = append(append(o.pushes[:0], header...), all...)
	} else {
		o.pushes = append(append(o.pushes, header...), payload...)
	}
	c.waits(len(o.pushes) - before)
	o.mu.Unlock()
	c.wake()
}

// redirectionBroken tells the connection that its invalidations go nowhere any more.
func (c *conn) redirectionBroken(to int64) {
	o := &c.oob
	o.mu.Lock()
	if o.proto == resp.V3 {
		if o.broken == 0 {
			c.waits(brokenBytes)
		}
		o.broken = to
	}
	o.mu.Unlock()
	c.wake()
}

// message queues a message for a subscriber and wakes it; who does not read is closed. Where the connection does not speak the protocol that the message was made
// for, nothing is queued. It returns the one that it speaks. Any goroutine may call it; it does not block.
func (c *conn) message(proto resp.Version, b []byte) (spoken resp.Version) {
	o := &c.oob
	o.mu.Lock()
	if o.proto != proto {
		proto = o.proto
		o.mu.Unlock()
		return proto
	}
	queued := len(o.messages) + len(b)
	if queued <= messageLimit { // one that is being closed may be told more
		o.messages = append(o.messages, b...)
		c.waits(len(b))
	}
	o.mu.Unlock()
	switch {
	case queued > messageLimit:
		c.end("pubsub")
	case c.srv.buffers.Load()-c.srv.owed.Load() > c.srv.bufferLimit.Load() && !c.srv.relieve(c, 0, true): // who holds little does not pay for who holds much
		c.end("buffers")
	default:
		c.wake()
	}
	return proto
}

// emitOutOfBand puts what waits behind the replies that are known, which it never overtakes. It is called between commands.
func (c *conn) emitOutOfBand() {
	if c.oob.bytes.Load() == 0 || c.full() { // what is queued is bounded
		return
	}
	c.oob.mu.Lock()
	defer c.oob.mu.Unlock()
	c.emitLocked()
}

// speak changes the protocol, after everything that was made for the one before. Within EXEC's reply nothing can be put: there it is made anew.
func (c *conn) speak(proto resp.Version) {
	o := &c.oob
	o.mu.Lock()
	defer o.mu.Unlock()
	if proto == o.proto {
		return
	}
	missed := o.missed
	if c.exec == nil {
		c.emitLocked()
	} else {
		missed = missed || len(o.pushes) > 0
		c.waits(-len(o.pushes))
		o.pushes = o.pushes[:0]
		reframe(o.messages, proto)
	}
	o.missed = false
	o.proto, c.proto = proto, proto
	all := invalidateV3 + allV3
	switch {
	case !missed:
		return
	case proto == resp.V3 && (c.track.Load() != nil || c.redirected.Load() > 0):
	case proto == resp.V2 && c.redirected.Load() > 0 && c.subscribed.Load() != 0:
		all = invalidateV2 + allV2
	default:
		o.missed = proto == resp.V2
		return
	}
	o.pushes = append(o.pushes, all...)
	c.waits(len(all))
	c.wake()
}

// reframe makes messages that were made for one protocol those of another, whose arrays they are pushes of.
func reframe(b []byte, proto resp.Version) {
	kind := resp.AppendPush(nil, proto, 0)[0]
	for len(b) > 0 {
		b[0] = kind
		parts := int(b[1] - '0')
		b = b[len(">3\r\n"):]
		for range parts {
			n, at := 0, 1
			for ; b[at] != '\r'; at++ {
				n = 10*n + int(b[at]-'0')
			}
			b = b[at+2+n+2:]
		}
	}
}

// recount publishes how many subscriptions there are. What was to be told before goes ahead of what follows.
func (c *conn) recount() {
	c.oob.mu.Lock()
	defer c.oob.mu.Unlock()
	c.emitLocked()
	n := int64(0)
	if c.subs != nil {
		n = int64(len(c.subs.channels))<<32 | int64(len(c.subs.patterns))
	}
	c.subscribed.Store(n)
}

func (c *conn) emitLocked() {
	o := &c.oob
	c.out = append(c.out, o.messages...)
	c.out = append(c.out, o.pushes...)
	n := len(o.messages) + len(o.pushes)
	if o.broken != 0 {
		n += brokenBytes
		c.out = resp.AppendPush(c.out, o.proto, 2)
		c.out = resp.AppendBulkString(c.out, "tracking-redir-broken")
		c.out = resp.AppendInt(c.out, o.broken)
		o.broken = 0
	}
	c.waits(-n)
	o.messages, o.pushes = kept(o.messages), kept(o.pushes)
}

// kept is an empty buffer in place of one, which it reuses where that is small.
func kept(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

// dropMessages ends a subscriber, and forgets what it was to be told.
func (c *conn) dropMessages() {
	o := &c.oob
	o.mu.Lock()
	defer o.mu.Unlock()
	c.waits(-len(o.messages))
	o.messages = nil
	c.subscribed.Store(0)
}

// dropOutOfBand forgets all that waits to be sent, where the connection has ended. Nobody adds to it any more.
func (c *conn) dropOutOfBand() {
	o := &c.oob
	o.mu.Lock()
	defer o.mu.Unlock()
	c.waits(-int(o.bytes.Load()))
	o.messages, o.pushes, o.broken = nil, nil, 0
}
