package respserver

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/respserver/resp"
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
	c.srv.buffers.Add(-c.accounted)
}

// TestPositionsOfWritesAreCounted: what WAIT waits for grows with the partitions that a connection writes to.
func TestPositionsOfWritesAreCounted(t *testing.T) {
	f := start(t, nil)
	c := &conn{srv: f.srv}
	id := position.TopicID{1}
	for i := range int32(1000) {
		c.wrote(&slot{conn: c, position: position.OfRecord(id, i, 7)})
	}
	c.account()
	const want = 1000*offsetBytes + 2*topicBytes
	if n := f.srv.buffers.Load(); n != want || c.held() != want || c.remembered() != want {
		t.Errorf("%d bytes are counted, %d of the connection, %d remembered; want %d", n, c.held(), c.remembered(), want)
	}
	c.wrote(&slot{conn: c, position: position.OfRecord(position.TopicID{2}, 0, 7)}) // the topic was made anew
	c.feed = []cache.Applied{{}, {Position: position.New(id, position.Offset{Partition: 1}, position.Offset{Partition: 2})}}
	c.account()
	if n := f.srv.buffers.Load(); n != 3*offsetBytes+4*topicBytes {
		t.Errorf("%d bytes are counted", n)
	}
	f.srv.buffers.Add(-c.accounted)
}

// TestWhatIsRememberedIsBounded: where more than the limit is held for a while though nobody has asked for much, those go for which the most is remembered.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = leastBuffers })
	s := f.srv
	s.stalledAfter.Store(int64(time.Second))
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]*conn{}
	for i, of := range []struct {
		name string
		kept int64
	}{{"most", 4 << 20}, {"much", 3 << 20}, {"exempt", 3 << 20}, {"some", 1 << 20}, {"little", rememberedLeast - 1}} {
		ours, theirs := net.Pipe()
		_ = theirs.Close()
		c := &conn{srv: s, nc: ours, id: int64(100 + i), lastBytes: of.kept}
		c.info.noEvict = of.name == "exempt"
		c.account()
		s.conns[c.id] = c
		all[of.name] = c
	}
	ended := func() (names []string) {
		for name, c := range all {
			if !c.alive() {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	s.overSince = 0
	for _, at := range []time.Duration{time.Hour, time.Hour + time.Second/2} {
		if s.relieveRemembering(at); ended() != nil {
			t.Fatalf("%v are closed at once", ended())
		}
	}
	s.relieveRemembering(time.Hour + time.Second)
	if got := ended(); !slices.Equal(got, []string{"most"}) {
		t.Errorf("%v are closed for an excess of 3 MB", got)
	}
	s.bufferLimit.Store(1)
	s.relieveRemembering(2 * time.Hour)
	s.relieveRemembering(2*time.Hour + time.Second)
	if got := ended(); !slices.Equal(got, []string{"most", "much", "some"}) {
		t.Errorf("%v are closed", got)
	}
	for _, c := range all {
		s.buffers.Add(-c.accounted)
		s.owed.Add(-c.owes)
		delete(s.conns, c.id)
	}
}

// TestRepliesBeforeAWriteAreCounted by what they take, and do not keep a buffer that a refused reply has grown.
func TestRepliesBeforeAWriteAreCounted(t *testing.T) {
	f := start(t, nil)
	c := &conn{srv: f.srv, workspace: newWorkspace().(*workspace)}
	c.out = append(make([]byte, 0, 1<<20), "-ERR too long\r\n"...)
	s := c.open(f.srv.table.byName["set"], 1, 2, nil)
	if string(s.before) != "-ERR too long\r\n" || cap(s.before) > 100 || c.slotBytes != recordBytes+2+cap(s.before) {
		t.Errorf("%q in %d bytes, %d counted", s.before, cap(s.before), c.slotBytes)
	}
	c.out = append(make([]byte, 0, 60<<10), "+OK\r\n"...)
	if s = c.open(f.srv.table.byName["set"], 1, 2, nil); c.slotBytes < 60<<10 {
		t.Errorf("%d bytes are counted with a buffer of %d", c.slotBytes, cap(s.before))
	}
}

// TestManyRecordsAreCounted before they are written: a key is little to send and a record much to hold.
func TestManyRecordsAreCounted(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 16 << 20 })
	p := f.dial()
	many := []string{"del"}
	for range 40_000 {
		many = append(many, "k")
	}
	p.ask("-ERR 40000 records take 39.10M while they are written, and all connections may hold 16.00M; nothing was written\r\n", many...)
	p.ask("-ERR 20000 records take 19.57M while they are written, and all connections may hold 9.00M; nothing was written\r\n", f.limited(9<<20, append([]string{"mset"}, many[1:]...))...)
	f.srv.bufferLimit.Store(16 << 20)
	p.ask("+OK\r\n", "multi")
	p.ask("+QUEUED\r\n", many[:6_000]...)
	p.ask("-"+buffersFull+"\r\n", many[:6_000]...)
	p.ask("-EXECABORT Transaction discarded because of previous errors.\r\n", "exec")
	p.ask(pong, "echo", "pong")
}

// limited sets the limit of all buffers, and returns args.
func (f *fixture) limited(n int64, args []string) []string {
	f.srv.bufferLimit.Store(n)
	return args
}

// TestRepliesWithinExecAreCounted while they are made, and are an error where there is no room for them.
func TestRepliesWithinExecAreCounted(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 16 << 20 })
	most, held := int64(0), int64(0)
	f.srv.table.byName["echo"].run = func(c *conn, _ [][]byte) {
		most = max(most, f.srv.buffers.Load())
		if len(c.out) > 1<<20 && held == 0 {
			held = f.srv.bufferLimit.Load()
			f.srv.buffers.Add(held) // of others
		}
		c.out = resp.AppendBulk(c.out, make([]byte, 128<<10))
	}
	p := f.dial()
	p.send(frame("multi") + strings.Repeat(frame("echo", "x"), 20) + frame("exec"))
	p.want("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 20) + "-" + buffersFull + "; nothing was written\r\n")
	f.srv.buffers.Add(-held)
	if most < 1<<20 {
		t.Errorf("%d bytes were counted with 1 MB of replies", most)
	}
	p.ask("+OK\r\n", "multi")
	p.ask("+QUEUED\r\n", "echo", "x")
	p.send(frame("exec"))
	p.want("*1\r\n$131072\r\n" + string(make([]byte, 128<<10)) + "\r\n")
}
