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

// TestRepliesOfNamesAreBounded: what repeats names is no longer than any other reply of many keys, and made in the lane where it is large.
func TestRepliesOfNamesAreBounded(t *testing.T) {
	f := start(t, func(c *Config) { c.OutputLimit = 1 << 20 })
	p := f.dial()
	const tooLong = "-ERR the reply would be larger than the limit of 1.00M that is held for one client\r\n"
	long := strings.Repeat("n", 50<<10)
	var many, few []string
	for i := range 25 {
		many = append(many, fmt.Sprint(i, long))
	}
	few = many[:5]
	for _, args := range [][]string{{"unsubscribe"}, {"punsubscribe"}, {"subscribe"}, {"psubscribe"}, {"pubsub", "numsub"}, {"command", "getkeys", "mget"}, {"command", "getkeysandflags", "del"}} {
		p.ask(tooLong, append(args, many...)...)
	}
	p.ask(":0\r\n", "pubsub", "numpat")
	lane := func() time.Duration { return time.Duration(f.srv.lane.last.Load()) }
	for _, args := range [][]string{{"unsubscribe"}, {"pubsub", "numsub"}, {"command", "getkeys", "mget"}} {
		before := lane()
		p.send(frame(append(args, few...)...))
		if args[0] == "unsubscribe" {
			for _, name := range few {
				p.want(fmt.Sprintf("*3\r\n$11\r\nunsubscribe\r\n$%d\r\n%s\r\n:0\r\n", len(name), name))
			}
		} else {
			head := fmt.Sprintf("*%d\r\n", len(few))
			if args[0] == "pubsub" {
				head = fmt.Sprintf("*%d\r\n", 2*len(few))
			}
			p.want(head)
			for _, name := range few {
				p.want(fmt.Sprintf("$%d\r\n%s\r\n", len(name), name))
				if args[0] == "pubsub" {
					p.want(":0\r\n")
				}
			}
		}
		if lane() == before {
			t.Errorf("%v is not answered in the lane", args)
		}
	}
	many = []string{"command", "docs"}
	for range 10_000 {
		many = append(many, "get")
	}
	for _, many[1] = range []string{"docs", "info"} {
		before := lane()
		p.ask(tooLong, many...)
		if lane() == before {
			t.Errorf("COMMAND %s is not answered in the lane", many[1])
		}
	}
	p.ask("+OK\r\n", "client", "setname", long+long)
	before := lane()
	p.ask(fmt.Sprintf("$%d\r\n%s\r\n", 2*len(long), long+long), "client", "getname")
	if lane() == before {
		t.Error("CLIENT GETNAME is not answered in the lane")
	}
	before = lane()
	p.text("client", "info")
	if lane() == before {
		t.Error("CLIENT INFO is not answered in the lane")
	}
	p.ask("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "subscribe", "c")
	before = lane()
	p.ask(fmt.Sprintf("*2\r\n$4\r\npong\r\n$%d\r\n%s\r\n", 2*len(long), long+long), "ping", long+long)
	if lane() == before {
		t.Error("PING of a subscriber is not answered in the lane")
	}
}

func TestPrefixesAreCounted(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 16 << 20 })
	p := f.dial()
	prefixes := func(of int) []string {
		args := []string{"client", "tracking", "on", "bcast"}
		for i := range prefixesMost {
			args = append(args, "prefix", fmt.Sprintf("%0*d", prefixMost, of*prefixesMost+i))
		}
		return args
	}
	const each = prefixesMost * (prefixMost + prefixCost)
	p.ask("+OK\r\n", prefixes(0)...)
	eventually(t, "the prefixes to be counted", func() bool { return f.srv.buffers.Load() >= each })
	p.ask("+OK\r\n", "client", "tracking", "off")
	eventually(t, "the prefixes to be forgotten", func() bool { return f.srv.buffers.Load() < each/2 })
	closed := func() bool {
		f.srv.stats.mu.Lock()
		defer f.srv.stats.mu.Unlock()
		return f.srv.stats.killed["buffers"] > 0
	}
	for i := 1; !closed(); i++ {
		if i > 2*int(f.srv.bufferLimit.Load()/each) {
			t.Fatalf("%d connections have %d bytes of prefixes", i, i*each)
		}
		q := f.dial()
		if _, err := q.nc.Write([]byte(frame(prefixes(i)...))); err == nil {
			_, _ = q.r.ReadString('\n') // its answer, or its end
		}
	}
}

// TestWritesThatWaitAreCounted with what they take beside keys and values, which may be nearly nothing.
func TestWritesThatWaitAreCounted(t *testing.T) {
	f := start(t, nil)
	f.dial()
	eventually(t, "the connection", func() bool { return f.srv.connected() == 1 })
	c := &conn{srv: f.srv, workspace: newWorkspace().(*workspace)}
	for range 100 {
		c.open(f.srv.table.byName["mset"], 3, 2, nil)
	}
	if c.slotBytes != 100*(3*recordBytes+2) {
		t.Errorf("%d bytes", c.slotBytes)
	}
}
