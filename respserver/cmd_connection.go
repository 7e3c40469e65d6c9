package respserver

import (
	"slices"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// redisVersion is the version of Redis whose commands and replies are followed, as clients ask for it: redis-py's client-side cache
// wants at least 7.4.0.
const redisVersion = "7.4.0"

func connectionCommands() []*command {
	const g = "connection"
	return []*command{
		{name: "auth", arity: -2, flags: fast | loadingOK | noAuth | noscript, group: g, since: "1.0.0", complexity: "O(1)", summary: "Authenticates the connection.", run: runAuth},
		{name: "hello", arity: -1, flags: fast | loadingOK | noAuth | noscript, group: g, since: "6.0.0", complexity: "O(1)", summary: "Handshakes, and chooses the protocol version.", run: runHello},
		{name: "ping", arity: -1, flags: fast | inSubscriber, group: g, since: "1.0.0", complexity: "O(1)", summary: "Returns PONG or its argument; an error until the instance was ready once.", run: runPing},
		{name: "echo", arity: 2, flags: fast | loadingOK, group: g, since: "1.0.0", complexity: "O(1)", summary: "Returns its argument.", run: runEcho},
		{name: "select", arity: 2, flags: fast | loadingOK, group: g, since: "1.0.0", complexity: "O(1)", summary: "Selects a database: the n-th configured topic.", run: runSelect, check: checkSelect},
		{name: "quit", arity: -1, flags: fast | loadingOK | noAuth | atOnce | inSubscriber, group: g, since: "1.0.0", complexity: "O(1)", summary: "Closes the connection.", run: runQuit},
		{name: "reset", arity: 1, flags: fast | loadingOK | noAuth | atOnce | inSubscriber, group: g, since: "6.2.0", complexity: "O(1)", summary: "Resets the connection.", run: runReset},
	}
}

func (c *conn) ok() { c.out = append(c.out, "+OK\r\n"...) }

func runPing(c *conn, args [][]byte) {
	switch {
	case len(args) > 2:
		c.fail("ERR wrong number of arguments for 'ping' command")
	case c.subscribing():
		if len(args) == 2 && !c.mayAnswer(len(args[1])) {
			return
		}
		c.out = resp.AppendArray(c.out, 2)
		c.out = resp.AppendBulkString(c.out, "pong")
		c.out = resp.AppendBulk(c.out, slices.Concat(args[1:]...))
	case c.srv.loading():
		c.fail("LOADING kafka-cache has not caught up with its topics yet")
	case len(args) == 2:
		runEcho(c, args)
	default:
		c.out = append(c.out, "+PONG\r\n"...)
	}
}

func runEcho(c *conn, args [][]byte) {
	if c.mayAnswer(len(args[1])) {
		c.growOut(len(args[1]) + bulkOverhead)
		c.out = resp.AppendBulk(c.out, args[1])
	}
}

func runSelect(c *conn, args [][]byte) {
	n, ok := parseInt(args[1])
	switch {
	case !ok:
		c.fail(notInteger)
	case n != int64(int32(n)):
		c.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n < 0 || n >= int64(len(c.srv.topics)):
		c.fail("ERR DB index is out of range")
	case !c.mayRead(int(n)):
		c.srv.stats.deniedCommands.Add(1)
		c.fail(noCommand(c.run))
	default:
		c.selectDB(int(n))
		c.ok()
	}
}

// checkSelect has MULTI refuse at once what the user may not read.
func checkSelect(c *conn, _ *cache.Topic, args [][]byte) string {
	if n, ok := parseInt(args[1]); ok && n >= 0 && n < int64(len(c.srv.topics)) && !c.mayRead(int(n)) {
		c.srv.stats.deniedCommands.Add(1)
		return noCommand(c.srv.table.byName["select"])
	}
	return ""
}

func runQuit(c *conn, _ [][]byte) {
	c.ok()
	c.closing = "quit"
}

func runReset(c *conn, _ [][]byte) {
	c.untrack()
	c.unsubscribeAll()
	c.speak(resp.V2)
	c.replies = replyOn
	c.fresh, c.feed = 0, nil
	c.endMulti()
	c.selectDB(0)
	c.edit(func(i *connInfo) { i.name, i.noEvict, i.noTouch, i.proto = "", false, false, resp.V2 })
	c.logout()
	c.out = append(c.out, "+RESET\r\n"...)
}

func (c *conn) setAuthenticated(yes bool) {
	c.authenticated = yes
	was := c.needsAuth.Swap(!yes)
	c.outputLimit = unauthenticatedOutput
	switch {
	case yes:
		c.outputLimit = int64(c.srv.cfg.OutputLimit)
		c.srv.know(c)
	case !was: // who had not logged in either has not become a newcomer by RESET
		c.since.Store(int64(c.srv.now()))
		c.srv.relapse(c)
	}
	if c.workspace != nil {
		c.parser.SetLimits(c.limits())
	}
}

const wrongPass = "WRONGPASS invalid username-password pair or user is disabled."

func runAuth(c *conn, args [][]byte) {
	switch {
	case len(args) > 3:
		c.fail(syntax)
	case len(args) == 2 && !c.srv.users.Load().asks():
		c.fail("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	case len(args) == 2 && c.login([]byte(DefaultUser), args[1]), len(args) == 3 && c.login(args[1], args[2]):
		c.ok()
	default:
		c.fail(wrongPass)
	}
}

func runHello(c *conn, args [][]byte) {
	proto := c.proto
	if len(args) > 1 {
		n, ok := parseInt(args[1])
		switch {
		case !ok:
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		case n != 2 && n != 3:
			c.fail("NOPROTO unsupported protocol version")
			return
		}
		proto = resp.Version(n)
	}
	var user, password, name []byte
	login, rename := false, false
	for i := 2; i < len(args); i++ {
		left := len(args) - 1 - i
		switch {
		case is(args[i], "auth") && left >= 2:
			user, password, login = args[i+1], args[i+2], true
			i += 2
		case is(args[i], "setname") && left >= 1:
			name, rename = args[i+1], true
			if !validName(name) {
				c.fail(badName)
				return
			}
			i++
		default:
			c.fail("ERR Syntax error in HELLO option '" + clip(args[i], 128) + "'")
			return
		}
	}
	if login && !c.login(user, password) {
		c.fail(wrongPass)
		return
	}
	if !c.authenticated {
		c.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to " +
			"authenticate the client and select the RESP protocol version at the same time")
		return
	}
	c.infoMu.Lock()
	if rename {
		c.info.name = string(name)
	}
	c.info.proto = proto
	c.names.Store(c.info.size())
	c.infoMu.Unlock()
	c.speak(proto)
	c.out = resp.AppendMap(c.out, proto, 7)
	for _, kv := range [][2]string{{"server", "redis"}, {"version", redisVersion}} {
		c.out = resp.AppendBulkString(c.out, kv[0])
		c.out = resp.AppendBulkString(c.out, kv[1])
	}
	c.out = resp.AppendBulkString(c.out, "proto")
	c.out = resp.AppendInt(c.out, int64(proto))
	c.out = resp.AppendBulkString(c.out, "id")
	c.out = resp.AppendInt(c.out, c.id)
	for _, kv := range [][2]string{{"mode", "standalone"}, {"role", "master"}} {
		c.out = resp.AppendBulkString(c.out, kv[0])
		c.out = resp.AppendBulkString(c.out, kv[1])
	}
	c.out = resp.AppendBulkString(c.out, "modules")
	c.out = resp.AppendArray(c.out, 0)
}
