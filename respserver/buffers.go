package respserver

import "errors"

// room makes room for a read: as much as has arrived already, never as much as was announced.
func (c *conn) room() bool {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if len(c.in)-c.w >= min(growAtLeast, len(c.in)/2) && len(c.in) > 0 {
		return true
	}
	if c.r > 0 && c.r >= len(c.in)/2 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
		return true
	}
	have := c.w - c.r
	size := max(firstBuffer, 2*len(c.in))
	if pending := c.parser.Pending(have); pending > 0 && pending < have {
		size = have + pending + growAtLeast // the rest of a frame, most of which is here
	}
	if have >= c.srv.cfg.QueryLimit {
		c.kill = "query"
		return false
	}
	size = max(min(size, c.srv.cfg.QueryLimit+growAtLeast), have+growAtLeast)
	if more := int64(size - len(c.in)); !c.srv.makeRoom(c, more) {
		c.kill = "buffers"
		return false
	}
	former := c.in
	c.in = c.srv.spares.take(size)
	c.w = copy(c.in, former[c.r:c.w])
	c.r = 0
	c.srv.spare(former)
	return true
}

// leastBuffers is what LimitBuffers leaves in any case: with less, nobody would be served.
const leastBuffers = 8 << 20

// LimitBuffers lowers Config.BufferLimit to n bytes where that is less, until it is called again: to what the process can spare at the time.
// Any goroutine may call it.
func (s *Server) LimitBuffers(n int64) {
	s.bufferLimit.Store(min(s.cfg.BufferLimit, max(leastBuffers, n)))
}

// replyLimit bounds one reply of many keys: the output limit, and a quarter of what all connections may hold.
func (s *Server) replyLimit() int { return min(s.cfg.OutputLimit, int(s.bufferLimit.Load()/4)) }

// pressed reports whether connections hold so much together that those whose peer does not read get nothing more to hold.
func (s *Server) pressed() bool { return s.buffers.Load() > s.bufferLimit.Load()/2 }

// held is about what a connection holds. Any goroutine may ask.
func (c *conn) held() int64 {
	return c.net.held.Load() + c.oob.bytes.Load() + c.bufferIn.Load() + c.bufferOut.Load() + c.multiBytes.Load() + c.ownBytes()
}

// remembered is about what is remembered for a connection between its commands, beside its buffers. Any goroutine may ask.
func (c *conn) remembered() int64 { return c.kept.Load() + c.ownBytes() }

// ownBytes is what NOLOOP takes.
func (c *conn) ownBytes() int64 {
	if tr := c.track.Load(); tr != nil && tr.own != nil {
		return tr.own.bytes.Load()
	}
	return 0
}

// exempt reports whether CLIENT NO-EVICT is on.
func (c *conn) exempt() bool {
	c.infoMu.Lock()
	defer c.infoMu.Unlock()
	return c.info.noEvict
}

// trim gives back what a large batch has made the buffers grow to, and the workspace where there is nothing in it.
func (c *conn) trim(idle bool) {
	if len(c.slots) == 0 && cap(c.slots) > 64 {
		c.slots = nil
	}
	if c.raw != nil {
		c.leave()
	}
	if c.workspace == nil {
		return
	}
	if !idle {
		c.workspace.trim(hugeBuffer, c.srv)
		return
	}
	c.workspace.trim(idleBuffer, c.srv)
	if c.in == nil {
		c.in = make([]byte, idleBuffer)
	}
}

// account tells the server how much memory the connection holds while it waits, and others what CLIENT LIST shows of it.
func (c *conn) account() {
	other := c.lastBytes + c.names.Load()
	for i := range c.feed {
		other += topicBytes + offsetBytes*int64(len(c.feed[i].Position.Offsets()))
	}
	if c.subs != nil {
		other += int64(c.subs.bytes)
	}
	if tr := c.track.Load(); tr != nil {
		other += tr.bytes
	}
	kept := other
	other += int64(c.slotBytes) + c.waitBytes
	if c.exec != nil {
		other += c.exec.held()
	}
	c.slotsCounted = c.slotBytes
	c.multiCounted = c.multiBytes.Load()
	held, in, out := c.multiCounted+other, 0, 0
	if w := c.workspace; w != nil {
		held, in, out = held+int64(w.size()), len(w.in)+w.parser.Size(), cap(w.out)+cap(w.wire)+cap(w.scratch)
	}
	if held != c.accounted {
		c.srv.buffers.Add(held - c.accounted)
		c.accounted = held
		c.kept.Store(kept)
		c.bufferIn.Store(int64(in))
		c.bufferOut.Store(int64(out) + other)
	}
}

// affordable reports whether the connection may go on with what it holds: where all hold too much, who holds the most does not.
func (c *conn) affordable() bool {
	if c.accounted <= keptBuffer || c.srv.buffers.Load() <= c.srv.bufferLimit.Load() || c.srv.makeRoom(c, 0) {
		return true
	}
	c.kill = "buffers"
	return false
}

// flush sends what is complete at the head of the queue. It reports whether the connection goes on.
func (c *conn) flush() bool {
	c.drain()
	if len(c.slots) == 0 && len(c.out) > 0 {
		if len(c.wire) == 0 {
			c.wire, c.out = c.out, c.wire
		} else {
			c.wire = append(c.wire, c.out...)
			c.out = c.out[:0]
		}
	}
	if len(c.wire) == 0 {
		return !c.net.dead.Load() || c.failed(c.net.error())
	}
	var err error
	if c.tls != nil {
		_, err = c.tls.Write(c.wire)
		c.wire = c.wire[:0]
	} else {
		var taken bool
		taken, err = c.net.send(c.wire)
		if taken {
			c.wire = nil
		} else {
			c.wire = c.wire[:0]
		}
	}
	return err == nil || c.failed(err)
}

// failed notes why sending failed; it is always false.
func (c *conn) failed(err error) bool {
	switch {
	case errors.Is(err, errBufferLimit):
		c.kill = "buffers"
	case errors.Is(err, errWriteTimeout):
		c.kill = "output"
	}
	return false
}
