package respserver

import (
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
)

// What begins the reply to an EXEC that has run nothing: Redis's words.
const (
	execAborted = "EXECABORT Transaction discarded because of: "
	execSpoiled = "EXECABORT Transaction discarded because of previous errors."
)

func multiCommands() []*command {
	const g = "transactions"
	const f = loadingOK | noscript
	return []*command{
		{name: "multi", arity: 1, flags: f | fast | atOnce, group: g, since: "1.2.0", complexity: "O(1)", summary: "Begins a transaction: commands are queued.", run: runMulti},
		{name: "exec", arity: 1, flags: f | atOnce, group: g, since: "1.2.0", complexity: "Depends on commands in the transaction",
			summary: "Runs what is queued: reads at one moment, writes all together or not at all.", run: runExec},
		{name: "discard", arity: 1, flags: f | fast | atOnce, group: g, since: "2.0.0", complexity: "O(1)", summary: "Ends a transaction without running it.", run: runDiscard},
		{name: "unwatch", arity: 1, flags: f | fast, group: g, since: "2.2.0", complexity: "O(1)", summary: "Changes nothing: nothing is ever watched.", run: func(c *conn, _ [][]byte) { c.ok() }},
	}
}

func runMulti(c *conn, _ [][]byte) {
	if c.multi != nil {
		c.fail("ERR MULTI calls can not be nested")
		return
	}
	c.multi = &multi{db: c.db, reads: map[int]bool{}}
	c.multiCount.Store(0)
	c.ok()
}

func runDiscard(c *conn, _ [][]byte) {
	if c.multi == nil {
		c.fail("ERR DISCARD without MULTI")
		return
	}
	c.endMulti()
	c.ok()
}

func runExec(c *conn, _ [][]byte) {
	m := c.multi
	switch {
	case m == nil:
		c.fail("ERR EXEC without MULTI")
	case m.spoiled:
		c.endMulti()
		c.fail(execSpoiled)
	default:
		size := c.valuesOf(m)
		if size > c.srv.replyLimit() {
			c.endMulti()
			c.fail(c.execTooLong())
			return
		}
		if !c.awaitTransaction(m) {
			return
		}
		c.growOut(size + bulkOverhead*len(m.queue))
		c.endMulti()
		c.runTransaction(m)
	}
}

// checkRecord is why a record cannot be written whatever becomes of the others; empty where it can.
func (c *conn) checkRecord(t *cache.Topic, w cache.Write) string {
	if err := t.Check(w); err != nil {
		return c.errorText(t, err)
	}
	return ""
}

func checkSet(c *conn, t *cache.Topic, args [][]byte) string {
	for _, option := range args[3:] {
		if why := setOption(option); why != "" {
			return why
		}
	}
	return c.checkRecord(t, cache.Write{Key: args[1], Value: args[2]})
}

func checkMSet(c *conn, t *cache.Topic, args [][]byte) string {
	for i := 1; i+1 < len(args); i += 2 {
		if why := c.checkRecord(t, cache.Write{Key: args[i], Value: args[i+1]}); why != "" {
			return why
		}
	}
	return ""
}

func checkDel(c *conn, t *cache.Topic, args [][]byte) string {
	for _, key := range args[1:] {
		if why := c.checkRecord(t, cache.Write{Key: key, Delete: true}); why != "" {
			return why
		}
	}
	return ""
}

func checkKafkaSet(c *conn, t *cache.Topic, args [][]byte) string {
	w := cache.Write{Key: args[1], Value: args[2]}
	for i := 5; i < len(args); i += 3 {
		w.Headers = append(w.Headers, cache.Header{Key: args[i-1], Value: args[i]})
	}
	return c.checkRecord(t, w)
}

// checkClientReply refuses what would leave holes in EXEC's array.
func checkClientReply(_ *conn, _ *cache.Topic, args [][]byte) string {
	if is(args[2], "off") || is(args[2], "skip") {
		return "ERR CLIENT REPLY " + strings.ToUpper(string(args[2])) + " is not supported inside MULTI: EXEC's reply has an element for each command"
	}
	return ""
}
