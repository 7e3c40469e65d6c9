package respserver

import (
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func writeCommands() []*command {
	const s, g = "string", "generic"
	return []*command{
		{name: "set", arity: -3, flags: write | submits, first: 1, last: 1, step: 1, group: s, since: "1.0.0", complexity: "O(1)", summary: "Writes a record with a key and a value.", run: runSet, check: checkSet},
		{name: "mset", arity: -3, flags: write, first: 1, last: -1, step: 2, group: s, since: "1.0.1", complexity: "O(N)", summary: "Writes several records, each standing alone outside MULTI.", run: runMSet, check: checkMSet},
		{name: "del", arity: -2, flags: write, first: 1, last: -1, step: 1, group: g, since: "1.0.0", complexity: "O(N)", summary: "Writes tombstones, and counts the values that they removed.", run: runDel, check: checkDel},
		{name: "unlink", arity: -2, flags: write | fast, first: 1, last: -1, step: 1, group: g, since: "4.0.0", complexity: "O(N)", summary: "Writes tombstones, and counts the values that they removed.", run: runDel, check: checkDel},
	}
}

// setOptions are the options of SET that Redis has and a log cannot keep.
var setOptions = map[string]string{
	"nx": "a log has no compare-and-set", "xx": "a log has no compare-and-set", "get": "a log has no compare-and-set",
	"ifeq": "a log has no compare-and-set", "ifne": "a log has no compare-and-set", "ifdeq": "a log has no compare-and-set", "ifdne": "a log has no compare-and-set",
	"ex": "records do not expire", "px": "records do not expire", "exat": "records do not expire", "pxat": "records do not expire",
}

// setOption is why an option of SET that Redis has is not offered; empty where Redis has none of that name.
func setOption(option []byte) string {
	if len(option) >= 8 {
		return ""
	}
	why, ok := setOptions[string(appendLower(nil, option))]
	if !ok {
		return ""
	}
	return "ERR SET option " + strings.ToUpper(string(option)) + " is not supported: " + why
}

// applyFor is how long a write waits to be applied here.
func (c *conn) applyFor() time.Duration {
	if c.srv.cfg.WriteReply == Acknowledged {
		return 0
	}
	return c.srv.cfg.ApplyTimeout
}

func runSet(c *conn, args [][]byte) {
	for _, option := range args[3:] {
		if is(option, "keepttl") {
			continue // nothing has a TTL to lose
		}
		if why := setOption(option); why != "" {
			c.fail(why)
			return
		}
		c.fail(syntax)
		return
	}
	s := c.open(c.run, 1, len(args[1])+len(args[2]), renderOK)
	c.submit(cache.Write{Key: args[1], Value: args[2], Apply: c.applyFor()}, s)
}

func renderOK(c *conn, s *slot) {
	if s.err != nil {
		c.fail(c.errorText(c.srv.topics[s.topic], s.err))
		return
	}
	c.ok()
}

func runMSet(c *conn, args [][]byte) {
	if len(args)%2 == 0 {
		c.fail("ERR wrong number of arguments for 'mset' command")
		return
	}
	size := 0
	for _, a := range args[1:] {
		size += len(a)
	}
	s := c.openMany(len(args)/2, size, renderMSet)
	if s == nil {
		return
	}
	for i := 1; i < len(args); i += 2 {
		c.submit(cache.Write{Key: args[i], Value: args[i+1], Apply: c.applyFor()}, s)
	}
}

// openMany is open for a command that may write many records, each of which takes more than it was to send. Where there is no room for them nothing is written, and it
// returns nil: the command was answered, or the connection closed.
func (c *conn) openMany(n, bytes int, render func(*conn, *slot)) *slot {
	cost := int64(n)*recordBytes + int64(bytes)
	if c.exec != nil || cost < largeReply {
		return c.open(c.run, n, bytes, render)
	}
	if cost > c.srv.bufferLimit.Load() {
		c.fail("ERR " + strconv.Itoa(n) + " records take " + bytesText(cost) + " while they are written, and all connections may hold " + bytesText(c.srv.bufferLimit.Load()) + "; nothing was written")
		return nil
	}
	if !c.reserve(cost) {
		return nil
	}
	s := c.open(c.run, n, bytes, render)
	c.account()
	return s
}

func renderMSet(c *conn, s *slot) {
	t := c.srv.topics[s.topic]
	switch {
	case s.err == nil:
		c.ok()
	case s.acked == s.records: // all are in the log, some not applied here yet
		c.fail("PENDING " + s.position.String() + " the writes are in the log of topic " + t.Name() + " and " + strconv.Itoa(s.pending) + " of " +
			strconv.Itoa(s.records) + " not yet applied by this instance")
	case s.acked == 0:
		c.fail(c.errorText(t, s.err))
	default:
		c.fail("PARTIAL " + strconv.Itoa(s.acked) + " of " + strconv.Itoa(s.records) + " records were acknowledged; the first error: " + c.errorText(t, s.err))
	}
}

// runDel waits to be applied whatever +OK of a SET means: its count is what applying it removed.
func runDel(c *conn, args [][]byte) {
	size := 0
	for _, a := range args[1:] {
		size += len(a)
	}
	s := c.openMany(len(args)-1, size, renderDel)
	if s == nil {
		return
	}
	for _, key := range args[1:] {
		c.submit(cache.Write{Key: key, Delete: true, Apply: c.srv.cfg.ApplyTimeout}, s)
	}
}

func renderDel(c *conn, s *slot) {
	if s.err != nil {
		renderMSet(c, s)
		return
	}
	c.out = resp.AppendInt(c.out, int64(s.removed))
}

// flushCommands are offered only where Config.AllowFlush says so.
func flushCommands() []*command {
	return []*command{
		{name: "flushdb", arity: -1, flags: write | needsWrites | noMulti | allKeys, group: "server", since: "1.0.0", complexity: "O(N)", summary: "Writes a tombstone for every key of the topic.", run: runFlushDB},
		{name: "flushall", arity: -1, flags: write | needsWrites | noMulti | everyTopic, group: "server", since: "1.0.0", complexity: "O(N)", summary: "Writes a tombstone for every key of every topic.", run: runFlushAll},
	}
}

func runFlushDB(c *conn, args [][]byte) { c.flushTopics(args, c.srv.topics[c.db:c.db+1]) }

func runFlushAll(c *conn, args [][]byte) { c.flushTopics(args, c.srv.topics) }

// flushTopics deletes page by page, so that what is held for a large topic stays bounded.
func (c *conn) flushTopics(args [][]byte, topics []*cache.Topic) {
	if len(args) > 2 || (len(args) == 2 && !is(args[1], "sync") && !is(args[1], "async")) {
		c.fail(syntax)
		return
	}
	for _, t := range topics {
		switch {
		case !c.mayWrite(t.Index()):
			c.srv.stats.deniedCommands.Add(1)
			c.fail(noCommand(c.run))
			return
		case !t.Writable():
			c.fail(c.errorText(t, cache.ErrReadOnly))
			return
		case !t.Ready():
			c.fail(c.errorText(t, cache.ErrNotReady))
			return
		}
	}
	const page = 1024
	all := topics
	var cursor uint64
	var s *slot // of the page that is being written
	c.hold(func() bool {
		for {
			if s != nil {
				if s.left.Load() > 0 {
					return false
				}
				c.wrote(s)
				if s.err != nil {
					c.fail(c.errorText(c.srv.topics[s.topic], s.err))
					return true
				}
				s = nil
				if cursor == 0 {
					topics = topics[1:]
				}
			}
			if len(topics) == 0 {
				c.ok()
				c.srv.tracking.flush(all)
				return true
			}
			t := topics[0]
			var keys [][]byte
			next, err := t.Scan(cursor, page, func(key []byte) { keys = append(keys, append([]byte(nil), key...)) })
			if err != nil {
				c.fail(c.errorText(t, err))
				return true
			}
			cursor = next
			if len(keys) == 0 {
				if cursor == 0 {
					topics = topics[1:]
				}
				continue
			}
			s = &slot{conn: c, topic: t.Index(), records: len(keys)}
			s.left.Store(int64(len(keys)))
			for _, key := range keys {
				t.Submit(cache.Write{Key: key, Delete: true, Apply: c.srv.cfg.ApplyTimeout}, s.done)
			}
		}
	}, func() {})
}
