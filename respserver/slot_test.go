package respserver

import (
	"fmt"
	"testing"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
)

// writer is a connection without a peer.
func writer(t *testing.T) *conn {
	f := start(t, func(c *Config) { c.BufferLimit = leastBuffers })
	c := &conn{srv: f.srv, workspace: newWorkspace().(*workspace), authenticated: true, outputLimit: 1 << 20}
	c.state.Store(woken) // nobody is to be woken
	return c
}

// TestWritesCountWhileTheyAreSubmitted: what one turn of a connection submits may be thousands of records, and as many connections may be at it.
func TestWritesCountWhileTheyAreSubmitted(t *testing.T) {
	c := writer(t)
	set := c.srv.table.byName["set"]
	for i := 1; i <= 1000; i++ {
		c.open(set, 1, 2, nil)
		if n := c.srv.buffers.Load(); n < int64(i*recordBytes-slotsUncounted) {
			t.Fatalf("%d bytes are counted of %d records", n, i)
		}
	}
	c.srv.buffers.Add(-c.accounted)
}

// TestWritersWaitWhileMuchIsHeld for what they have under way, and are not read on: their writes end by themselves, so that nobody is closed for them.
func TestWritersWaitWhileMuchIsHeld(t *testing.T) {
	c := writer(t)
	set := c.srv.table.byName["set"]
	c.w = firstBuffer
	for _, pressed := range []bool{false, true} {
		if pressed {
			c.srv.buffers.Add(leastBuffers/2 + 1)
		}
		c.slots, c.slotBytes = nil, 0
		n := 0
		for ; !c.full(); n++ {
			c.slots = append(c.slots, &slot{conn: c, cmd: set, bytes: recordBytes})
			c.slotBytes += recordBytes
			if !pressed && n == 100 {
				break
			}
		}
		if !pressed && n < 100 || pressed && n != slotsPressed/recordBytes {
			t.Errorf("it is full with %d records, pressed %v", n, pressed)
		}
		if c.readEnough() != pressed {
			t.Errorf("whether it has read enough: %v", !pressed)
		}
	}
	c.srv.buffers.Add(-leastBuffers/2 - 1)
}

// TestWritesOfTheGoneAreCounted until their outcomes are known: closing a connection does not end them.
func TestWritesOfTheGoneAreCounted(t *testing.T) {
	c := writer(t)
	s, set := c.srv, c.srv.table.byName["mset"]
	one, three, ended := c.open(set, 1, 10, nil), c.open(set, 3, 30, nil), c.open(set, 1, 50, nil)
	ended.done(cache.Written{}, nil)
	three.done(cache.Written{}, nil)
	c.out = append(c.out, "+OK\r\n"...)
	last := c.open(set, 1, 0, nil)
	c.account()
	c.drop()
	c.abandonSlots()
	c.account()
	want := int64(5*recordBytes + 40)
	held := func() {
		t.Helper()
		if s.buffers.Load() != want || s.owed.Load() != want || c.accounted != 0 || len(c.slots) > 0 {
			t.Errorf("%d bytes are counted and %d owed of %d, %d slots", s.buffers.Load(), s.owed.Load(), want, len(c.slots))
		}
	}
	held()
	three.done(cache.Written{}, nil)
	held()
	three.done(cache.Written{}, nil)
	want -= 3*recordBytes + 30
	held()
	one.done(cache.Written{}, nil)
	last.told()
	want = 0
	held()
}

// TestOwnWritesOfTheGoneAreCounted until their outcomes are known, with the keys that are kept for that.
func TestOwnWritesOfTheGoneAreCounted(t *testing.T) {
	c := writer(t)
	s := c.srv
	tr := &tracking{conn: c, own: newOwnWrites(s)}
	c.track.Store(tr)
	var ends []func(cache.Written, error)
	for i := range 10 {
		ends = append(ends, c.submitting(0, &cache.Write{Key: fmt.Appendf(nil, "key%d", i/2)}))
	}
	ends[0](cache.Written{}, nil)
	ends[2](cache.Written{}, nil)
	ends[3](cache.Written{}, nil)
	s.tracking.mu.Lock()
	tr.own.end()
	s.tracking.mu.Unlock()
	const want = 7*endedBytes + 4*(flightBytes+4)
	if n := s.buffers.Load(); n != want || tr.own.bytes.Load() != want {
		t.Errorf("%d bytes are counted, %d as its own; want %d", n, tr.own.bytes.Load(), want)
	}
	for _, i := range []int{1, 4, 5, 6, 7, 8, 9} {
		ends[i](cache.Written{}, nil)
	}
	if n := s.buffers.Load(); n != 0 || tr.own.bytes.Load() != 0 || len(tr.own.flying) > 0 || len(tr.own.ended) > 0 {
		t.Errorf("%d bytes are counted in the end, %d keys and %d outcomes kept", n, len(tr.own.flying), len(tr.own.ended))
	}
}

// TestFewOwnRecordsAreKeptWhileMuchIsHeld: it is told of some of them instead.
func TestFewOwnRecordsAreKeptWhileMuchIsHeld(t *testing.T) {
	c := writer(t)
	s := c.srv
	tr := &tracking{conn: c, own: newOwnWrites(s)}
	c.track.Store(tr)
	offset := int64(0)
	write := func(n int) {
		for range n {
			ended := c.submitting(0, &cache.Write{Key: []byte("k")})
			ended(cache.Written{Offset: offset, Position: position.OfRecord(position.TopicID{1}, 0, offset)}, nil)
			offset++
		}
		s.tracking.mu.Lock()
		s.tracking.settle(tr)
		s.tracking.mu.Unlock()
	}
	if write(1000); len(tr.own.late) != 1000 {
		t.Errorf("%d are kept of 1,000", len(tr.own.late))
	}
	s.buffers.Add(leastBuffers)
	if write(1000); len(tr.own.late) > lateLeast {
		t.Errorf("%d are kept while much is held", len(tr.own.late))
	}
	s.buffers.Add(-leastBuffers)
	s.tracking.mu.Lock()
	tr.own.end()
	s.tracking.mu.Unlock()
	if n := s.buffers.Load(); n != 0 {
		t.Errorf("%d bytes are counted in the end", n)
	}
}
