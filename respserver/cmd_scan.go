package respserver

import (
	"strconv"
	"strings"

	"github.com/yolean/kafka-cache/respserver/glob"
	"github.com/yolean/kafka-cache/respserver/resp"
)

const (
	scanCount = 10      // Redis's default
	scanMost  = 1 << 16 // keys looked at for one page, whatever COUNT asks for: it is a hint
	scanLong  = 1 << 12 // from here on a page is made in the lane
	scanSteps = 1 << 24 // of matching that a page may take, tens of milliseconds: it is made with a lock held that writes need
)

func scanCommands() []*command {
	const g = "generic"
	return []*command{
		{name: "scan", arity: -2, flags: reads | allKeys, group: g, since: "2.8.0", complexity: "O(1) for every call", summary: "Iterates over the keys.", run: runScan},
		{name: "keys", arity: 2, flags: reads | bulky | allKeys, group: g, since: "1.0.0", complexity: "O(N)", summary: "Returns all keys that match a pattern.", run: runKeys},
		{name: "dbsize", arity: 1, flags: reads | fast | needsTopic | allKeys, group: "server", since: "1.0.0", complexity: "O(1)", summary: "Returns the number of keys.", run: runDBSize},
		{name: "randomkey", arity: 1, flags: reads | allKeys, group: g, since: "1.0.0", complexity: "O(1)", summary: "Returns a key picked at random.", run: runRandomKey},
	}
}

// parseCursor takes what strtoul takes, as Redis does: nothing is 0, a sign is allowed, and a NUL ends it. What no SCAN has answered continues somewhere.
func parseCursor(b []byte) (uint64, bool) {
	s := clip(b, len(b))
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || len(s)-len(digits) > 1 {
		return 0, s == ""
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if s[0] == '-' {
		n = -n
	}
	return n, err == nil
}

// tooDear is the error of a pattern that takes too long to be matched.
func (c *conn) tooDear() {
	c.fail("ERR the pattern takes more than " + strconv.Itoa(scanSteps) + " steps to be matched: use a shorter one, with fewer repetitions behind a *")
}

// pageFor is how many of count keys are looked at for one page at first: fewer for a long pattern. Where it turns out to take too long all the same, fewer.
func pageFor(pattern []byte, count int) int {
	return max(1, min(count, scanSteps/max(1, len(pattern))))
}

// look is what is made of the keys of one page.
type look struct {
	pattern []byte // nil: all match
	steps   glob.Budget
	keys    int // that were matched, the last of them perhaps not to its end
}

func (l *look) match(key []byte) bool {
	if l.pattern == nil {
		return true
	}
	if l.steps.Left >= 0 {
		l.keys++
	}
	return l.steps.Match(l.pattern, key)
}

// fewer is how many keys to take for a page instead, where there were too many for the steps that it has.
func (l *look) fewer(page int) int { return max(1, min(page, l.keys)-1) }

func runScan(c *conn, args [][]byte) {
	cursor, ok := parseCursor(args[1])
	if !ok {
		c.fail("ERR invalid cursor")
		return
	}
	count, pattern, none := int64(scanCount), []byte(nil), false
	for i := 2; i < len(args); i += 2 {
		if i+1 >= len(args) {
			c.fail(syntax)
			return
		}
		switch {
		case is(args[i], "count"):
			n, ok := parseInt(args[i+1])
			switch {
			case !ok:
				c.fail(notInteger)
				return
			case n < 1:
				c.fail(syntax)
				return
			}
			count = min(n, scanMost)
		case is(args[i], "match"):
			pattern = args[i+1]
		case is(args[i], "type"):
			none = !is(args[i+1], "string")
		default:
			c.fail(syntax)
			return
		}
	}
	if len(pattern) == 1 && pattern[0] == '*' {
		pattern = nil
	}
	if count > scanLong && c.exec == nil && !c.enterLane(0) {
		return
	}
	// How many keys there are is known after they have been read: they are gathered aside.
	keys, n := c.scratch[:0], 0
	var next uint64
	most, page := c.srv.replyLimit(), pageFor(pattern, int(count))
	if c.exec == nil && !c.inLane.Load() {
		most = min(most, largeReply) // with long keys it is made anew in the lane
	}
	for {
		var err error
		keys, n = c.scratch[:0], 0
		looks := look{pattern: pattern, steps: glob.Budget{Left: scanSteps}}
		next, err = c.scan(cursor, page, func(key []byte) {
			if !none && len(keys) <= most && looks.match(key) {
				keys = resp.AppendBulk(keys, key)
				n++
			}
		})
		c.scratch = keys[:0]
		switch {
		case err != nil:
			c.failErr(err)
			return
		case looks.steps.Left < 0 && page == 1:
			c.tooDear()
			return
		case looks.steps.Left < 0:
			page = looks.fewer(page)
			continue
		case len(keys) > most && c.exec == nil && !c.inLane.Load():
			if !c.enterLane(0) {
				return
			}
			most = c.srv.replyLimit()
			continue
		case len(keys) > most && page > 1:
			page /= 2
			continue
		}
		break
	}
	c.out = resp.AppendArray(c.out, 2)
	var digits [20]byte
	c.out = resp.AppendBulk(c.out, strconv.AppendUint(digits[:0], next, 10))
	c.out = resp.AppendArray(c.out, n)
	c.out = append(c.out, keys...)
}

func runKeys(c *conn, args [][]byte) {
	pattern, limit := args[1], c.srv.replyLimit()
	keys, n := c.scratch[:0], 0
	page := pageFor(pattern, scanMost)
	for cursor := uint64(0); c.alive(); {
		end, found := len(keys), n
		looks := look{pattern: pattern, steps: glob.Budget{Left: scanSteps}}
		next, err := c.scan(cursor, page, func(key []byte) {
			if len(keys) <= limit && looks.match(key) {
				keys = resp.AppendBulk(keys, key)
				n++
			}
		})
		c.scratch = keys[:0]
		switch {
		case err != nil:
			c.failErr(err)
			return
		case len(keys) > limit:
			c.fail("ERR the reply would be larger than the limit of " + bytesText(int64(limit)) + " that is held for one client: use SCAN")
			return
		case looks.steps.Left < 0 && page == 1:
			c.tooDear()
			return
		case looks.steps.Left < 0:
			keys, n = keys[:end], found
			page = looks.fewer(page)
			continue
		}
		if next == 0 {
			break
		}
		cursor = next
	}
	c.out = resp.AppendArray(c.out, n)
	c.out = append(c.out, keys...)
}

func runDBSize(c *conn, _ [][]byte) {
	n, err := c.size()
	if err != nil {
		c.failErr(err)
		return
	}
	c.out = resp.AppendInt(c.out, n)
}

func runRandomKey(c *conn, _ [][]byte) {
	key, ok, err := c.randomKey(c.scratch[:0])
	c.scratch = key[:0]
	switch {
	case err != nil:
		c.failErr(err)
	case !ok:
		c.out = resp.AppendNull(c.out, c.proto)
	default:
		c.out = resp.AppendBulk(c.out, key)
	}
}
