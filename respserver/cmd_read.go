package respserver

import (
	"strings"

	"github.com/yolean/kafka-cache/respserver/resp"
)

const reads = readonly | needsWrites

func readCommands() []*command {
	const s, g = "string", "generic"
	return []*command{
		{name: "get", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: s, since: "1.0.0", complexity: "O(1)", summary: "Returns the value of a key.", run: runGet},
		{name: "mget", arity: -2, flags: reads | fast, first: 1, last: -1, step: 1, group: s, since: "1.0.0", complexity: "O(N)", summary: "Returns the values of keys.", run: runMGet},
		{name: "strlen", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: s, since: "2.2.0", complexity: "O(1)", summary: "Returns the length of a value.", run: runStrlen},
		{name: "getrange", arity: 4, flags: reads, first: 1, last: 1, step: 1, group: s, since: "2.4.0", complexity: "O(N)", summary: "Returns a part of a value.", run: runGetRange},
		{name: "substr", arity: 4, flags: reads, first: 1, last: 1, step: 1, group: s, since: "1.0.0", complexity: "O(N)", summary: "Returns a part of a value.", run: runGetRange},
		{name: "exists", arity: -2, flags: reads | fast, first: 1, last: -1, step: 1, group: g, since: "1.0.0", complexity: "O(N)", summary: "Counts the keys that have a value.", run: runExists},
		{name: "touch", arity: -2, flags: reads | fast, first: 1, last: -1, step: 1, group: g, since: "3.2.1", complexity: "O(N)", summary: "Counts the keys that have a value.", run: runExists},
		{name: "type", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: g, since: "1.0.0", complexity: "O(1)", summary: "Returns string, or none.", run: runType},
		{name: "ttl", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: g, since: "1.0.0", complexity: "O(1)", summary: "Returns -1, or -2 for a missing key: nothing expires.", run: runTTL},
		{name: "pttl", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: g, since: "2.6.0", complexity: "O(1)", summary: "Returns -1, or -2 for a missing key: nothing expires.", run: runTTL},
		{name: "expiretime", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: g, since: "7.0.0", complexity: "O(1)", summary: "Returns -1, or -2 for a missing key: nothing expires.", run: runTTL},
		{name: "pexpiretime", arity: 2, flags: reads | fast, first: 1, last: 1, step: 1, group: g, since: "7.0.0", complexity: "O(1)", summary: "Returns -1, or -2 for a missing key: nothing expires.", run: runTTL},
		{name: "getex", arity: -2, flags: reads | fast, first: 1, last: 1, step: 1, group: s, since: "6.2.0", complexity: "O(1)", summary: "Returns the value of a key. Its options are refused: nothing expires.", run: runGetEx},
		{name: "getbit", arity: 3, flags: reads | fast, first: 1, last: 1, step: 1, group: "bitmap", since: "2.2.0", complexity: "O(N)", summary: "Returns a bit of a value.", run: runGetBit},
		{name: "object", arity: -2, group: g, since: "2.2.3", flags: reads, summary: "Container of commands that look at a value.", order: []*command{
			{name: "encoding", arity: 3, flags: reads, first: 2, last: 2, step: 1, since: "2.2.3", complexity: "O(N)", summary: "Returns how Redis would hold the value.", run: runObjectEncoding},
			{name: "freq", arity: 3, flags: reads, first: 2, last: 2, step: 1, since: "4.0.0", complexity: "O(1)", summary: "Is answered with Redis's error: use is not counted.", run: runObjectFreq},
			{name: "idletime", arity: 3, flags: reads, first: 2, last: 2, step: 1, since: "2.2.3", complexity: "O(1)", summary: "Is answered with an error: use is not noted.", run: runObjectIdleTime},
			{name: "refcount", arity: 3, flags: reads, first: 2, last: 2, step: 1, since: "2.2.3", complexity: "O(1)", summary: "Returns 1.", run: runObjectRefcount},
		}},
	}
}

// appendValue appends the value of key as a bulk string. It reports whether there is one; nothing is appended otherwise.
//
// The length precedes the value and is known only once the value was copied, under the store's lock. Room for the header is left
// according to the length of the connection's last value, and the value is moved where it turns out to have more or fewer digits.
func (c *conn) appendValue(key []byte) (bool, error) {
	const longest = len("$") + 19 + len("\r\n")
	if c.srv.lane.expected() && c.exec == nil {
		large, err := c.awaitTurn(key)
		if err != nil {
			return false, err
		}
		c.growOut(large + bulkOverhead)
		if large > 0 { // whose length is known: the value is not moved for its header
			var header [longest]byte
			c.headerLen = len(resp.AppendBulkHeader(header[:0], large))
		}
	}
	at := len(c.out)
	room := c.headerLen
	if room == 0 {
		room = len("$200\r\n")
	}
	var blank [longest]byte
	out, ok, err := c.get(append(c.out, blank[:room]...), key)
	if err != nil || !ok {
		c.out = out[:at]
		return false, err
	}
	n := len(out) - at - room
	var header [longest]byte
	h := resp.AppendBulkHeader(header[:0], n)
	if len(h) != room {
		c.headerLen = len(h)
		if grow := len(h) - room; grow > 0 {
			out = append(out, blank[:grow]...)
		}
		copy(out[at+len(h):], out[at+room:at+room+n])
		out = out[:at+len(h)+n]
	}
	copy(out[at:], h)
	c.out = append(out, '\r', '\n')
	if len(c.out) >= largeReply {
		c.srv.lane.last.Store(int64(c.srv.now()))
	}
	return true, nil
}

func runGet(c *conn, args [][]byte) {
	ok, err := c.appendValue(args[1])
	switch {
	case err != nil:
		c.failErr(err)
	case !ok:
		c.misses++
		c.out = resp.AppendNull(c.out, c.proto)
	default:
		c.hits++
	}
}

// over reports whether a reply that began at mark has become too large to be held; then it is replaced by an error.
func (c *conn) over(mark int) bool {
	if len(c.out)-mark <= c.srv.replyLimit() {
		return false
	}
	c.out = c.out[:mark]
	c.tooLong()
	return true
}

func (c *conn) tooLong() {
	c.fail("ERR the reply would be larger than the limit of " + bytesText(int64(c.srv.replyLimit())) + " that is held for one client")
}

func runMGet(c *conn, args [][]byte) {
	size, err := c.awaitValues(args[1:])
	if err != nil {
		c.failErr(err)
		return
	}
	if size > c.srv.replyLimit() {
		c.tooLong()
		return
	}
	c.growOut(size + bulkOverhead*len(args))
	mark := len(c.out)
	c.out = resp.AppendArray(c.out, len(args)-1)
	for _, key := range args[1:] {
		ok, err := c.appendValue(key)
		switch {
		case err != nil:
			c.out = c.out[:mark]
			c.failErr(err)
			return
		case !ok:
			c.misses++
			c.out = resp.AppendNull(c.out, c.proto)
		default:
			c.hits++
			if c.over(mark) {
				return
			}
		}
	}
}

// length is a value's length. Where there is no value, or an error was answered, ok is false.
func (c *conn) length(key []byte) (n int, ok, answered bool) {
	n, ok, err := c.valueLen(key)
	if err != nil {
		c.failErr(err)
		return 0, false, true
	}
	if ok {
		c.hits++
	} else {
		c.misses++
	}
	return n, ok, false
}

func runStrlen(c *conn, args [][]byte) {
	if n, _, answered := c.length(args[1]); !answered {
		c.out = resp.AppendInt(c.out, int64(n))
	}
}

func runExists(c *conn, args [][]byte) {
	found := int64(0)
	for _, key := range args[1:] {
		_, ok, answered := c.length(key)
		if answered {
			return
		}
		if ok {
			found++
		}
	}
	c.out = resp.AppendInt(c.out, found)
}

func runType(c *conn, args [][]byte) {
	switch _, ok, answered := c.length(args[1]); {
	case answered:
	case ok:
		c.out = resp.AppendStatus(c.out, "string")
	default:
		c.out = resp.AppendStatus(c.out, "none")
	}
}

func runTTL(c *conn, args [][]byte) {
	switch _, ok, answered := c.length(args[1]); {
	case answered:
	case ok:
		c.out = resp.AppendInt(c.out, -1)
	default:
		c.out = resp.AppendInt(c.out, -2)
	}
}

// peek is a value of which a part is answered. It is valid until the scratch is used again.
func (c *conn) peek(key []byte) ([]byte, bool, error) {
	if c.srv.lane.expected() && c.exec == nil {
		large, err := c.awaitTurn(key)
		if err != nil {
			return nil, false, err
		}
		if large > cap(c.scratch) {
			c.srv.spare(c.scratch)
			c.scratch = c.srv.spares.take(large)
		}
	}
	v, found, err := c.get(c.scratch[:0], key)
	c.scratch = v[:0]
	if len(v) >= largeReply {
		c.srv.lane.last.Store(int64(c.srv.now()))
	}
	return v, found, err
}

func runGetRange(c *conn, args [][]byte) {
	start, ok := parseInt(args[2])
	end, ok2 := parseInt(args[3])
	if !ok || !ok2 {
		c.fail(notInteger)
		return
	}
	v, found, err := c.peek(args[1])
	switch {
	case err != nil:
		c.failErr(err)
		return
	case !found:
		c.misses++
		c.out = resp.AppendBulk(c.out, nil)
		return
	}
	c.hits++
	n := int64(len(v))
	if start < 0 && end < 0 && start > end {
		c.out = resp.AppendBulk(c.out, nil)
		return
	}
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end = max(n+end, 0)
	}
	end = min(end, n-1)
	if start > end || n == 0 {
		c.out = resp.AppendBulk(c.out, nil)
		return
	}
	c.out = resp.AppendBulk(c.out, v[start:end+1])
}

func runObjectEncoding(c *conn, args [][]byte) {
	const embedded = 44 // OBJ_ENCODING_EMBSTR_SIZE_LIMIT
	n, ok, answered := c.length(args[2])
	switch {
	case answered:
		return
	case !ok:
		c.out = resp.AppendNull(c.out, c.proto)
		return
	}
	encoding := "raw"
	if n <= embedded {
		encoding = "embstr"
		v, found, err := c.get(c.scratch[:0], args[2])
		c.scratch = v[:0]
		if err != nil {
			c.failErr(err)
			return
		}
		if _, isInt := parseInt(v); found && isInt {
			encoding = "int"
		}
	}
	c.out = resp.AppendBulkString(c.out, encoding)
}

func runObjectRefcount(c *conn, args [][]byte) {
	switch _, ok, answered := c.length(args[2]); {
	case answered:
	case ok:
		c.out = resp.AppendInt(c.out, 1)
	default:
		c.out = resp.AppendNull(c.out, c.proto)
	}
}

func runObjectFreq(c *conn, args [][]byte) {
	c.noUse(args[2], "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data "+
		"will take some time to adjust.")
}

func runObjectIdleTime(c *conn, args [][]byte) {
	c.noUse(args[2], "ERR OBJECT IDLETIME is not supported: nothing is evicted here, and when a key was read last is not noted")
}

// noUse answers that how a key is used is not known.
func (c *conn) noUse(key []byte, text string) {
	switch _, ok, answered := c.length(key); {
	case answered:
	case ok:
		c.fail(text)
	default:
		c.out = resp.AppendNull(c.out, c.proto)
	}
}

// runGetEx is GET. An option of Redis is refused; what is none is a syntax error, as there.
func runGetEx(c *conn, args [][]byte) {
	if len(args) == 2 {
		runGet(c, args)
		return
	}
	switch string(appendLower(nil, args[2][:min(len(args[2]), 8)])) {
	case "persist", "ex", "px", "exat", "pxat":
		c.fail("ERR GETEX option " + strings.ToUpper(string(args[2])) + " is not supported: records do not expire")
	default:
		c.fail(syntax)
	}
}

func runGetBit(c *conn, args [][]byte) {
	bit, ok := parseInt(args[2])
	if !ok || bit < 0 || bit>>3 >= int64(c.srv.cfg.MaxBulk) {
		c.fail("ERR bit offset is not an integer or out of range")
		return
	}
	v, found, err := c.peek(args[1])
	if err != nil {
		c.failErr(err)
		return
	}
	if found {
		c.hits++
	} else {
		c.misses++
	}
	n := int64(0)
	if at := bit >> 3; at < int64(len(v)) {
		n = int64(v[at] >> (7 - bit&7) & 1)
	}
	c.out = resp.AppendInt(c.out, n)
}
