package respserver

import "github.com/yolean/kafka-cache/respserver/resp"

func slowLogCommands() []*command {
	const f = loadingOK | admin
	return []*command{
		{name: "slowlog", arity: -2, group: "server", since: "2.2.12", flags: f, summary: "Container of slow log commands.", order: []*command{
			{name: "get", arity: -2, flags: f | bulky, complexity: "O(N)", summary: "Returns the newest commands that took long.", run: runSlowLogGet},
			{name: "len", arity: 2, flags: f, complexity: "O(1)", summary: "Returns how many commands that took long are kept.", run: func(c *conn, _ [][]byte) {
				c.out = resp.AppendInt(c.out, int64(c.srv.slow.len()))
			}},
			{name: "reset", arity: 2, flags: f, complexity: "O(N)", summary: "Forgets the commands that took long.", run: func(c *conn, _ [][]byte) {
				c.srv.slow.reset()
				c.ok()
			}},
		}},
	}
}

func runSlowLogGet(c *conn, args [][]byte) {
	n := int64(10)
	if len(args) > 3 {
		c.fail("ERR unknown subcommand or wrong number of arguments for '" + clip(args[1], 128) + "'. Try SLOWLOG HELP.")
		return
	}
	if len(args) == 3 {
		var ok bool
		if n, ok = parseInt(args[2]); !ok || n < -1 {
			c.fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	entries := c.srv.slow.newest(n)
	c.out = resp.AppendArray(c.out, len(entries))
	for _, e := range entries {
		c.out = resp.AppendArray(c.out, 6)
		c.out = resp.AppendInt(c.out, e.id)
		c.out = resp.AppendInt(c.out, e.at.Unix())
		c.out = resp.AppendInt(c.out, e.took.Microseconds())
		args := e.shownTo(c)
		c.out = resp.AppendArray(c.out, len(args))
		for _, a := range args {
			c.out = resp.AppendBulkString(c.out, a)
		}
		c.out = resp.AppendBulkString(c.out, e.client)
		c.out = resp.AppendBulkString(c.out, e.name)
	}
}
