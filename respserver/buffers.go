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
	if c.srv.buffers.Load()+int64(size-len(c.in)) > c.srv.cfg.BufferLimit {
		c.kill = "buffers"
		return false
	}
	in := make([]byte, size)
	c.w = copy(in, c.in[c.r:c.w])
	c.r = 0
	c.in = in
	return true
}

// trim gives back what a large batch has made the buffers grow to.
func (c *conn) trim() {
	idle := c.wantsTrim.Load()
	if idle {
		c.wantsTrim.Store(false)
	}
	limit := hugeBuffer
	if idle {
		limit = firstBuffer
	}
	if c.r == c.w && len(c.in) > limit {
		c.in, c.r, c.w = nil, 0, 0
		c.parser.Trim()
	}
	if len(c.out) == 0 && cap(c.out) > limit {
		c.out = nil
	}
	if cap(c.wire) > limit && len(c.wire) == 0 {
		c.wire = nil
	}
	if cap(c.scratch) > limit {
		c.scratch = nil
	}
	if len(c.slots) == 0 && cap(c.slots) > 64 {
		c.slots = nil
	}
	if idle || c.parser.Size() > keptBuffer {
		c.parser.Trim()
	}
}

// account tells the server how much memory the connection holds, and others what CLIENT LIST shows of it.
func (c *conn) account() {
	held := int64(len(c.in) + cap(c.out) + cap(c.wire) + cap(c.scratch) + c.parser.Size() + int(c.multiBytes.Load()))
	if held != c.accounted {
		c.srv.buffers.Add(held - c.accounted)
		c.accounted = held
		c.bufferIn.Store(int64(len(c.in)))
		c.bufferOut.Store(int64(cap(c.out) + cap(c.wire)))
	}
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
	if c.tls {
		_, err = c.rw.Write(c.wire)
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
