package respserver

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestInputBehindAWaitIsBounded: peers that send without end behind a command that waits for ever together hold half of what may be held, and others are not closed for
// it. Those that hold the most do not hold it as long as they wait, and when all have left none is taken to be there still.
func TestInputBehindAWaitIsBounded(t *testing.T) {
	const limit, each, peers = 8 << 20, 2 << 20, 20
	f := start(t, func(c *Config) { c.BufferLimit = limit })
	f.srv.stalledAfter.Store(int64(200 * time.Millisecond))
	good, waits := f.dial(), f.dial()
	waits.send(frame("wait", "9", "0"))
	sends := strings.Repeat(frame("wait", "9", "0"), each/len(frame("wait", "9", "0")))
	var bad []*peer
	more := func() {
		p := f.dial()
		bad = append(bad, p)
		go func() { _, _ = io.WriteString(p.nc, sends) }() // ends when the connection does
	}
	for range peers {
		more()
	}
	killed := func() uint64 {
		f.srv.stats.mu.Lock()
		defer f.srv.stats.mu.Unlock()
		return f.srv.stats.killed["buffers"]
	}
	eventually(t, "pressure", f.srv.pressed)
	var held []int64
	for began := time.Now(); time.Since(began) < 2*stalledAfter || killed() == 0; {
		if time.Since(began) > patience {
			t.Fatal("nobody is closed")
		}
		good.ask(pong, "echo", "pong")
		held = append(held, f.srv.buffers.Load())
	}
	// For a moment it may be up to the limit: each of them may have doubled its buffer before it was found to be too much.
	slices.Sort(held)
	if mostly := held[len(held)/2]; mostly > limit*3/4 {
		t.Errorf("%d bytes were held, mostly, at a limit of %d", mostly, limit)
	}
	for _, p := range bad {
		_ = p.nc.Close()
	}
	eventually(t, "the end of all that have left", func() bool { return f.srv.connected() == 2 })
	if n := f.srv.stats.blocked.Load(); n != 1 {
		t.Errorf("%d are blocked, one is", n)
	}
	_ = waits.nc.Close()
	eventually(t, "the end of who waited without a word", func() bool { return f.srv.connected() == 1 })
}
