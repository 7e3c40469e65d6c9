package respserver

import (
	"github.com/yolean/kafka-cache/respserver/resp"
)

// runKafkaInvalid lists what the topic's rules have refused. It is answered while the topic loads, which may be because one of these records
// has stopped it.
func runKafkaInvalid(c *conn, args [][]byte) {
	limit := 0 // all that are kept
	switch {
	case len(args) == 1:
	case len(args) == 3 && is(args[1], "limit"):
		n, ok := parseInt(args[2])
		if !ok || n < 1 || n != int64(int32(n)) {
			c.fail(notInteger)
			return
		}
		limit = int(n)
	default:
		c.fail(syntax)
		return
	}
	list := c.topic.Invalid(limit)
	c.out = resp.AppendArray(c.out, len(list))
	for _, r := range list {
		c.out = resp.AppendMap(c.out, c.proto, 8)
		number := func(name string, n int64) {
			c.out = resp.AppendBulkString(c.out, name)
			c.out = resp.AppendInt(c.out, n)
		}
		number("partition", int64(r.Partition))
		number("offset", r.Offset)
		c.out = resp.AppendBulkString(c.out, "key")
		c.out = resp.AppendBulk(c.out, r.Key)
		for _, f := range [...][2]string{{"rule", r.Rule}, {"outcome", r.Outcome}, {"path", r.Path}, {"reason", r.Reason}} {
			c.out = resp.AppendBulkString(c.out, f[0])
			c.out = resp.AppendBulkString(c.out, f[1])
		}
		number("time", r.Time.UnixMilli())
	}
}
