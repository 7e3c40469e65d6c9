package respserver

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNamesAndSubscriptionsAreCounted among what connections hold, and given back.
func TestNamesAndSubscriptionsAreCounted(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 16 << 20 })
	p := f.dial()
	name := strings.Repeat("n", 1<<20)
	p.ask("+OK\r\n", "client", "setname", name)
	eventually(t, "the name to be counted", func() bool { return f.srv.buffers.Load() >= int64(len(name)) })
	p.ask("+OK\r\n", "client", "setname", "")
	eventually(t, "the name to be forgotten", func() bool { return f.srv.buffers.Load() < int64(len(name)) })
	p.ask("+OK\r\n", "client", "setname", name)
	p.ask("+RESET\r\n", "reset")
	eventually(t, "the name to be forgotten by RESET", func() bool { return f.srv.buffers.Load() < int64(len(name)) })

	go func() { _, _ = p.r.WriteTo(discard{}) }() // the replies have the names too
	channel := strings.Repeat("c", 60<<10)
	for i := range 10 {
		p.send(frame("subscribe", fmt.Sprint(i, channel)))
	}
	eventually(t, "the subscriptions to be counted", func() bool { return f.srv.buffers.Load() >= 20*int64(len(channel)) })
	p.send(frame("unsubscribe"))
	eventually(t, "the subscriptions to be forgotten", func() bool { return f.srv.buffers.Load() < 10*int64(len(channel)) })

	grows := f.dial()
	go func() { _, _ = grows.r.WriteTo(discard{}) }()
	for i := 0; f.srv.connected() > 1 || i == 0; i++ { // until it is closed for it
		if _, err := grows.nc.Write([]byte(frame("psubscribe", fmt.Sprint(i, channel)))); err != nil {
			break
		}
	}
	eventually(t, "the end of who subscribes without end", func() bool { return f.srv.connected() == 1 })
	eventually(t, "what it held to be given back", func() bool { return f.srv.buffers.Load() < 10*int64(len(channel)) })
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestManyArgumentsAreCounted: a million empty arguments are little to send and much to hold.
func TestManyArgumentsAreCounted(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 16 << 20 })
	p := f.dial()
	go func() { _, _ = p.nc.Write([]byte("*1000000\r\n" + strings.Repeat("$0\r\n\r\n", 1_000_000))) }()
	f.endsFor("buffers")
}

// TestSlowLogIsBoundedInBytes in bytes, whatever slowlog-max-len says, and keeps the newest.
func TestSlowLogIsBoundedInBytes(t *testing.T) {
	f := start(t, nil)
	f.dial()
	eventually(t, "the connection", func() bool { return f.srv.connected() == 1 })
	l := &f.srv.slow
	l.most.Store(slowKeptMost)
	c := f.srv.clients()[0]
	args := make([]string, slowArguments)
	for i := range args {
		args[i] = strings.Repeat("x", slowBytes)
	}
	for range slowKeptMost {
		l.add(c, nil, args, time.Second)
	}
	newest := l.newest(-1)
	size := 0
	for _, e := range newest {
		size += e.size()
	}
	if size > slowMemory || size < slowMemory/2 || size != l.bytes {
		t.Errorf("%d bytes in %d entries, counted as %d; want up to %d", size, len(newest), l.bytes, slowMemory)
	}
	if newest[0].id != slowKeptMost-1 {
		t.Errorf("the newest is %d", newest[0].id)
	}
}

// TestPagesForLongPatterns: the longer a pattern is, the fewer keys are matched with it at a time.
func TestPagesForLongPatterns(t *testing.T) {
	for _, c := range []struct{ length, count, want int }{{1, 10, 10}, {1, scanMost, scanMost}, {1 << 20, scanMost, 16}, {32 << 20, 10, 1}} {
		if got := pageFor(bytes.Repeat([]byte("a"), c.length), c.count); got != c.want {
			t.Errorf("%d bytes, %d keys: %d, want %d", c.length, c.count, got, c.want)
		}
	}
}
