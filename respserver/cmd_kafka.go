package respserver

import (
	"errors"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func kafkaCommands() []*command {
	const g = "kafka"
	return []*command{
		{name: "kafka.set", arity: -3, flags: write, first: 1, last: 1, step: 1, group: g, since: "7.4.0", complexity: "O(1)",
			summary: "Writes a record, with headers, and returns its partition, its offset, and a token that covers it.", run: runKafkaSet, check: checkKafkaSet},
		{name: "kafka.del", arity: 2, flags: write, first: 1, last: 1, step: 1, group: g, since: "7.4.0", complexity: "O(1)",
			summary: "Writes a tombstone, and returns its partition, its offset, and a token that covers it.", run: runKafkaDel, check: checkDel},
		{name: "kafka.position", arity: 1, flags: readonly | fast | needsWrites | loadingOK, group: g, since: "7.4.0", complexity: "O(partitions)",
			summary: "Returns the token of what this instance has applied of the topic.", run: runKafkaPosition},
		{name: "kafka.lastwrite", arity: 1, flags: readonly | fast | needsWrites | loadingOK, group: g, since: "7.4.0", complexity: "O(partitions)",
			summary: "Returns the token that covers what this connection wrote to the topic; null where it wrote nothing.", run: runKafkaLastWrite},
		{name: "kafka.wait", arity: 3, flags: blocking | loadingOK | ofTopic, group: g, since: "7.4.0", complexity: "O(partitions)",
			summary: "Waits until this instance has applied what a token covers: 1, or 0 on a time-out.", run: runKafkaWait},
		{name: "kafka.meta", arity: 2, flags: reads, first: 1, last: 1, step: 1, group: g, since: "7.4.0", complexity: "O(1)",
			summary: "Returns partition, offset, timestamp and headers of the record that gave a key its value.", run: runKafkaMeta},
		{name: "kafka.invalid", arity: -1, flags: readonly | needsWrites | loadingOK, group: g, since: "7.4.0", complexity: "O(N)",
			summary: "Returns the newest records and writes that the topic's rules have refused, the newest first.", run: runKafkaInvalid},
		{name: "kafka.range", arity: -3, flags: reads | bulky, group: g, since: "7.4.0", complexity: "O(N)",
			summary: "Returns keys in the order of their bytes, from start to below end; an empty bound is open.", run: runKafkaRange},
		{name: "kafka.repair", arity: -1, flags: write | needsWrites | noMulti, group: g, since: "7.4.0", complexity: "O(N) in the topic's split keys",
			summary: "Writes tombstones to the partitions that hold outdated records of keys, and returns of how many keys.", run: runKafkaRepair},
	}
}

func runKafkaSet(c *conn, args [][]byte) {
	var headers []cache.Header
	size := len(args[1]) + len(args[2])
	for i := 3; i < len(args); i += 3 {
		if !is(args[i], "header") || i+2 >= len(args) {
			c.fail(syntax)
			return
		}
		headers = append(headers, cache.Header{Key: args[i+1], Value: args[i+2]})
		size += len(args[i+1]) + len(args[i+2])
	}
	s := c.open(c.run, 1, size, renderWritten)
	c.submit(cache.Write{Key: args[1], Value: args[2], Headers: headers, Apply: c.applyFor()}, s)
}

func runKafkaDel(c *conn, args [][]byte) {
	s := c.open(c.run, 1, len(args[1]), renderWritten)
	c.submit(cache.Write{Key: args[1], Delete: true, Apply: c.applyFor()}, s)
}

func renderWritten(c *conn, s *slot) {
	if s.err != nil {
		c.fail(c.errorText(c.srv.topics[s.topic], s.err))
		return
	}
	c.out = resp.AppendArray(c.out, 3)
	c.out = resp.AppendInt(c.out, int64(s.written.Partition))
	c.out = resp.AppendInt(c.out, s.written.Offset)
	c.out = c.appendToken(c.out, s.written.Position)
}

func (c *conn) appendToken(dst []byte, p position.Position) []byte {
	c.scratch = p.AppendToken(c.scratch[:0])
	return resp.AppendBulk(dst, c.scratch)
}

func runKafkaPosition(c *conn, _ [][]byte) {
	p, err := c.position()
	if err != nil {
		c.failErr(err)
		return
	}
	c.out = c.appendToken(c.out, p)
}

func runKafkaLastWrite(c *conn, _ [][]byte) {
	if c.writes == nil || c.writes[c.db].position.IsZero() {
		c.out = resp.AppendNull(c.out, c.proto)
		return
	}
	c.out = c.appendToken(c.out, c.writes[c.db].position)
}

// offsetCost is what waiting for one of the offsets of a token takes, about.
const offsetCost = 128

func runKafkaWait(c *conn, args [][]byte) {
	p, err := position.Parse(string(args[1]))
	if err != nil {
		c.fail("ERR invalid token: " + err.Error())
		return
	}
	timeout, ok := c.parseTimeout(args[2])
	if !ok {
		return
	}
	bytes := int64(len(p.Offsets())) * offsetCost
	if bytes >= largeReply && !c.reserve(bytes) {
		return
	}
	topic := c.topic
	a := c.newAwait(timeout)
	c.waitBytes = bytes
	a.cancels = append(a.cancels, func() { c.waitBytes = 0 })
	a.start(map[int]position.Position{c.db: p})
	c.hold(func() bool {
		reached, err := a.reached()
		switch {
		case reached && err != nil:
			c.fail(c.errorText(topic, err))
		case reached:
			c.out = resp.AppendInt(c.out, 1)
		case a.over():
			c.out = resp.AppendInt(c.out, 0)
		default:
			return false
		}
		a.stop()
		return true
	}, a.stop)
}

func runKafkaMeta(c *conn, args [][]byte) {
	m, err := c.meta(args[1])
	switch {
	case errors.Is(err, cache.ErrNotFound):
		c.misses++
		c.out = resp.AppendNullArray(c.out, c.proto)
		return
	case err != nil:
		c.failErr(err)
		return
	}
	c.hits++
	fields := 4
	if m.Source != nil {
		fields++
	}
	if m.Held > 0 {
		fields++
	}
	c.out = resp.AppendMap(c.out, c.proto, fields)
	for _, f := range []struct {
		name string
		v    int64
	}{{"partition", int64(m.Partition)}, {"offset", m.Offset}, {"timestamp", m.Timestamp}} {
		c.out = resp.AppendBulkString(c.out, f.name)
		c.out = resp.AppendInt(c.out, f.v)
	}
	if m.Held > 0 {
		c.out = resp.AppendBulkString(c.out, "heldOver")
		c.out = resp.AppendInt(c.out, m.Held)
	}
	if m.Source != nil {
		c.out = resp.AppendBulkString(c.out, "source")
		c.out = resp.AppendBulk(c.out, m.Source)
	}
	// A record may have several headers of one name, so they are no map.
	c.out = resp.AppendBulkString(c.out, "headers")
	c.out = resp.AppendArray(c.out, len(m.Headers))
	for _, h := range m.Headers {
		c.out = resp.AppendArray(c.out, 2)
		c.out = resp.AppendBulk(c.out, h.Key)
		if h.Value == nil {
			c.out = resp.AppendNull(c.out, c.proto)
		} else {
			c.out = resp.AppendBulk(c.out, h.Value)
		}
	}
}

func runKafkaRange(c *conn, args [][]byte) {
	limit := int64(-1)
	switch {
	case len(args) == 3:
	case len(args) == 5 && is(args[3], "limit"):
		n, ok := parseInt(args[4])
		if !ok || n < 0 {
			c.fail(notInteger)
			return
		}
		limit = n
	default:
		c.fail(syntax)
		return
	}
	keys, n, most := c.scratch[:0], 0, c.srv.replyLimit()
	var err error
	if limit != 0 {
		err = c.rangeKeys(open(args[1]), open(args[2]), func(key []byte) bool {
			keys = resp.AppendBulk(keys, key)
			n++
			return int64(n) != limit && len(keys) <= most && c.alive()
		})
	}
	c.scratch = keys[:0]
	switch {
	case err != nil:
		c.failErr(err)
		return
	case len(keys) > most:
		c.fail("ERR the reply would be larger than the limit of " + bytesText(int64(most)) + " that is held for one client: use LIMIT")
		return
	}
	c.out = resp.AppendArray(c.out, n)
	c.out = append(c.out, keys...)
}

// open makes an empty bound the open one.
func open(bound []byte) []byte {
	if len(bound) == 0 {
		return nil
	}
	return bound
}
