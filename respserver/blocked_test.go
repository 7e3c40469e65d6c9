package respserver

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestInputBehindAWaitIsBounded: peers that send without end behind a command that waits for ever together are read no further at half of what may be held, and others are not closed for
// it. Those that hold the most do not hold it as long as they wait, and when all have left none is taken to be there still.
func TestInputBehindAWaitIsBounded(t *testing.T) {
	const limit, each, peers = 8 << 20, 2 << 20, 20
	f := start(t, func(c *Config) { c.BufferLimit = limit })
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
	most := int64(0)
	for began := time.Now(); time.Since(began) < 2*stalledAfter || killed() == 0; {
		if time.Since(began) > patience {
			t.Fatal("nobody is closed")
		}
		good.ask(pong, "echo", "pong")
		most = max(most, f.srv.buffers.Load())
	}
	// All of them may have doubled their buffers at once, when they held half together.
	if most > limit {
		t.Errorf("%d bytes were held at a limit of %d", most, limit)
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
