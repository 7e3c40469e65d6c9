package respserver

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
)

// slot is the place of a reply that is not known yet. The replies before it that have not been sent are its before; those after it
// gather in the connection's out or in the next slot's before. It is opened and rendered by the connection's goroutine and
// completed by others.
type slot struct {
	conn    *conn
	cmd     *command
	topic   int // index of the topic that is written to
	before  []byte
	start   time.Duration
	silent  bool // CLIENT REPLY
	records int  // that have been submitted
	bytes   int  // of those, and of before
	render  func(c *conn, s *slot)

	left atomic.Int64 // outcomes still to come, and slotAbandoned where nobody waits for them any more

	mu       sync.Mutex // guards what follows until left is 0
	acked    int
	removed  int
	pending  int // acknowledged and not applied here in time
	err      error
	written  cache.Written // of the last outcome
	count    int           // of a repair
	position position.Position
}

// slotAbandoned is more than there are outcomes.
const slotAbandoned = 1 << 40

// open makes the slot of a write of n records. Each has to be told to done exactly once.
func (c *conn) open(cmd *command, n, bytes int, render func(*conn, *slot)) *slot {
	s := &slot{conn: c, cmd: cmd, topic: c.db, start: c.srv.now(), records: n, bytes: bytes + n*recordBytes, render: render}
	s.left.Store(int64(n))
	if len(c.out) > 0 {
		s.before = c.fitted()
		s.bytes += cap(s.before)
		c.out = nil
	}
	if c.exec != nil {
		c.exec.parts = append(c.exec.parts, s) // a part of EXEC's own
		c.exec.before += len(s.before)
		c.exec.buffers += int64(cap(s.before))
		return s
	}
	c.slots = append(c.slots, s)
	c.slotBytes += s.bytes
	if c.slotBytes-c.slotsCounted >= slotsUncounted {
		c.account()
	}
	return s
}

// fitted is out, in a buffer that is no larger than it needs: one that a reply has grown which was then refused is not kept for each write that follows.
func (c *conn) fitted() []byte {
	if cap(c.out) < keptBuffer || len(c.out) >= cap(c.out)/2 {
		return c.out
	}
	b := append([]byte(nil), c.out...)
	c.srv.spare(c.out)
	return b
}

// submit writes a record, of which s is told.
func (c *conn) submit(w cache.Write, s *slot) {
	if c.exec != nil {
		c.exec.write(w, s)
		return
	}
	if ended := c.submitting(c.db, &w); ended != nil {
		c.topic.Submit(w, func(w cache.Written, err error) {
			ended(w, err)
			s.done(w, err)
		})
		return
	}
	c.topic.Submit(w, s.done)
}

// done is what [cache.Topic.Submit] calls, from any goroutine.
func (s *slot) done(w cache.Written, err error) {
	s.mu.Lock()
	written, there := inLog(err)
	if there {
		w = written
	} else {
		there = err == nil
	}
	if there {
		s.acked++
		if w.Removed && err == nil {
			s.removed++
		}
		s.written = w
		s.position = s.position.Merge(w.Position)
	}
	if isPending(err) {
		s.pending++
	}
	if err != nil && (s.err == nil || isPending(s.err)) {
		s.err = err // a failure says more than a delay
	}
	s.mu.Unlock()
	s.told()
}

// told notes an outcome, from any goroutine.
func (s *slot) told() {
	switch s.left.Add(-1) {
	case 0:
		s.conn.wake()
	case slotAbandoned:
		s.giveBack()
	}
}

// abandonSlots lets go of the writes that are under way. They take as much as before until their outcomes are known, which the connection's end does not hasten: until then they
// count among the buffers, as what is about to be given back. Otherwise whoever is closed for what it holds and comes back could hold that again, and again.
func (c *conn) abandonSlots() {
	for _, s := range c.slots {
		s.bytes -= cap(s.before)
		s.before = nil
		c.srv.buffers.Add(int64(s.bytes))
		c.srv.owed.Add(int64(s.bytes))
		if s.left.Add(slotAbandoned) == slotAbandoned {
			s.giveBack()
		}
	}
	c.slots, c.slotBytes = nil, 0
}

// giveBack is once all outcomes of an abandoned slot are known.
func (s *slot) giveBack() {
	s.conn.srv.owed.Add(-int64(s.bytes))
	s.conn.srv.buffers.Add(-int64(s.bytes))
}

// drain renders what is complete at the head of the queue. What follows it stays in order.
func (c *conn) drain() {
	if len(c.slots) == 0 {
		return
	}
	n := 0
	for n < len(c.slots) && c.slots[n].left.Load() == 0 {
		s := c.slots[n]
		c.slots[n] = nil
		n++
		c.wire = append(c.wire, s.before...)
		c.slotBytes -= s.bytes
		c.wrote(s)
		// Renderers append to out, like every command.
		tail := c.out
		c.out = c.wire
		at := len(c.out)
		s.render(c, s)
		failed := len(c.out) > at && c.out[at] == '-'
		if s.silent {
			c.out = c.out[:at]
		}
		c.wire, c.out = c.out, tail
		s.cmd.observe(c.stripe(), 1, c.srv.now()-s.start)
		if failed {
			s.cmd.failed.Add(1)
		}
	}
	if n < len(c.slots) {
		// What precedes a slot does not wait for it.
		head := c.slots[n]
		c.wire = append(c.wire, head.before...)
		head.bytes -= cap(head.before)
		c.slotBytes -= cap(head.before)
		head.before = nil
	}
	if n == 0 {
		return
	}
	if n == len(c.slots) {
		c.slots = c.slots[:0]
	} else {
		c.slots = c.slots[:copy(c.slots, c.slots[n:])]
	}
}

// What a position that a connection remembers takes, about: for a topic, and for each partition that it names.
const (
	topicBytes  = 64
	offsetBytes = 24
)

// lastWrite is the position that covers what a connection wrote to one topic.
type lastWrite struct {
	position position.Position
	dirty    bool // it may not be applied here yet, and a read has to wait for it
}

// wrote notes what a slot's records were given by the log.
func (c *conn) wrote(s *slot) {
	if s.position.IsZero() {
		return
	}
	if c.writes == nil {
		c.writes = make([]lastWrite, len(c.srv.topics))
		c.lastBytes += int64(len(c.writes)) * topicBytes
	}
	w := &c.writes[s.topic]
	before := len(w.position.Offsets())
	w.position = w.position.Merge(s.position)
	c.lastBytes += int64(len(w.position.Offsets())-before) * offsetBytes
	// Where -PENDING was answered the client knows that it does not see its write yet.
	w.dirty = s.pending == 0 && c.srv.cfg.WriteReply == Acknowledged
}
