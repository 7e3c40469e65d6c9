package respserver

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// stripes part the counters of a command, so that connections on many cores do not share their cache lines.
const stripes = 8

type flags uint32

// Those above noscript are shown by COMMAND; the others are for the connection.
const (
	readonly flags = 1 << iota
	write
	fast
	admin
	loadingOK // runs while the topic is loading
	noAuth    // runs before authentication
	blocking
	noscript

	needsWrites  // runs only after the connection's earlier writes are decided, so that it sees them
	needsTopic   // is answered with -LOADING while its topic is
	inSubscriber // runs where RESP2 has subscriptions
	noMulti      // is refused inside MULTI
	atOnce       // runs inside MULTI rather than being queued
	keepsCaching
	announces    // its answers are pushes, which CLIENT REPLY does not keep back
	ofTopic      // says something of the connection's topic, and is not readonly: it needs the right to read it
	ofEveryTopic // says something of all topics: it needs the right to read each
	submits      // writes one record, and waits for nobody: quick where its topic makes it so
	bulky        // may take long, or answer much, whatever it was sent: it runs in the lane
	allKeys      // needs to know all keys of the connection's topic
	everyTopic   // needs to know all keys of every topic
)

// command is one entry of the table: what COMMAND tells of it, what runs it, and what was counted.
type command struct {
	name       string // lower case; "config|get" for a subcommand
	arity      int    // as in Redis: with the name, negative for at least
	flags      flags
	first      int // of the keys; 0: none
	last, step int
	group      string
	since      string
	complexity string
	summary    string
	run        func(c *conn, args [][]byte)
	check      func(c *conn, t *cache.Topic, args [][]byte) string // why it is not queued inside MULTI, where that can be said without running it; nil: nothing is
	arguments  []*argument
	subs       map[string]*command
	order      []*command // subs as they were given

	durations [stripes]histogram
	failed    atomic.Uint64
	rejected  atomic.Uint64
	base      atomic.Pointer[usage] // when INFO began to count anew; nil: at the start
}

// observe counts n executions that took d each.
func (m *command) observe(stripe int, n int, d time.Duration) {
	m.durations[stripe].observe(uint64(n), d)
}

// called reports whether it was executed.
func (m *command) called() bool {
	for i := range m.durations {
		if m.durations[i].count.Load() > 0 {
			return true
		}
	}
	return false
}

// keys calls fn for each key among the arguments.
func (m *command) keys(args [][]byte, fn func(key []byte)) {
	if m.first == 0 {
		return
	}
	last := m.last
	if last < 0 {
		last += len(args)
	}
	for i := m.first; i <= last && i < len(args); i += m.step {
		fn(args[i])
	}
}

// countKeys is how many keys a command names.
func (m *command) countKeys(args [][]byte) (n int) {
	m.keys(args, func([]byte) { n++ })
	return n
}

// table is what is offered and what is refused by name.
type table struct {
	byName  map[string]*command
	top     []*command // in the order of the source
	all     []*command // with subcommands
	refused map[string]string
}

func newTable(allowFlush bool) *table {
	t := &table{byName: map[string]*command{}, refused: map[string]string{}}
	for _, family := range [][]*command{connectionCommands(), readCommands(), scanCommands(), writeCommands(), multiCommands(), waitCommands(), kafkaCommands(), peerCommands(), serverCommands(), memoryCommands(), slowLogCommands(), latencyCommands(),
		clientCommands(), aclCommands(), subscribeCommands(), introspectionCommands()} {
		t.top = append(t.top, family...)
	}
	if allowFlush {
		t.top = append(t.top, flushCommands()...)
	}
	for name, why := range refusals {
		t.refused[name] = why
	}
	for _, c := range t.top {
		t.byName[c.name] = c
		delete(t.refused, c.name)
		c.arguments = parseSyntax(signatures[c.name])
		t.all = append(t.all, c)
		for _, sub := range c.order {
			sub.arguments = parseSyntax(signatures[c.name+"|"+sub.name])
		}
		if len(c.order) > 0 {
			c.order = append(c.order, helpFor(c))
		}
		for _, sub := range c.order {
			if c.subs == nil {
				c.subs = map[string]*command{}
			}
			c.subs[sub.name] = sub
			sub.name = c.name + "|" + sub.name
			if sub.group == "" {
				sub.group = c.group
			}
			if sub.since == "" {
				sub.since = c.since
			}
			t.all = append(t.all, sub)
		}
	}
	return t
}

// helpFor makes the HELP of a container, whose order holds its other subcommands.
func helpFor(container *command) *command {
	lines := []string{strings.ToUpper(container.name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
	for _, sub := range container.order {
		lines = append(lines, strings.TrimSpace(strings.ToUpper(sub.name)+" "+signature(sub.arguments)), "    "+sub.summary)
	}
	lines = append(lines, "HELP", "    Print this help.")
	return &command{
		name: "help", arity: 2, flags: loadingOK, complexity: "O(1)", summary: "Lists the subcommands.", group: container.group, since: "5.0.0",
		run: func(c *conn, _ [][]byte) {
			c.out = resp.AppendArray(c.out, len(lines))
			for _, l := range lines {
				c.out = resp.AppendStatus(c.out, l)
			}
		},
	}
}
