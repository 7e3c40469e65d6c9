package respserver

import (
	"slices"
	"strings"

	"github.com/yolean/kafka-cache/respserver/glob"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func introspectionCommands() []*command {
	const f = loadingOK
	return []*command{
		{name: "command", arity: -1, flags: f, group: "server", since: "2.8.13", complexity: "O(N)", summary: "Describes the commands that are offered.", run: runCommand, order: []*command{
			{name: "count", arity: 2, flags: f, complexity: "O(1)", summary: "Returns how many commands are offered.", run: func(c *conn, _ [][]byte) {
				c.out = resp.AppendInt(c.out, int64(len(c.srv.table.top)))
			}},
			{name: "info", arity: -2, flags: f | bulky, complexity: "O(N)", summary: "Describes some commands, or all.", run: runCommandInfo},
			{name: "docs", arity: -2, flags: f | bulky, since: "7.0.0", complexity: "O(N)", summary: "Documents some commands, or all.", run: runCommandDocs},
			{name: "list", arity: -2, flags: f, since: "7.0.0", complexity: "O(N)", summary: "Lists the names of the commands.", run: runCommandList},
			{name: "getkeys", arity: -4, flags: f, complexity: "O(N)", summary: "Returns the keys among a command's arguments.", run: runCommandGetKeys},
			{name: "getkeysandflags", arity: -4, flags: f, since: "7.0.0", complexity: "O(N)", summary: "Returns the keys among a command's arguments, and what becomes of them.", run: runCommandGetKeysAndFlags},
		}},
	}
}

var flagNames = []struct {
	flag flags
	name string
}{{readonly, "readonly"}, {write, "write"}, {admin, "admin"}, {noscript, "noscript"}, {blocking, "blocking"}, {loadingOK, "loading"}, {noAuth, "no_auth"}, {fast, "fast"}}

func (m *command) flagNames() (names []string) {
	for _, f := range flagNames {
		if m.flags&f.flag != 0 && (len(m.order) == 0 || m.run != nil) { // a container itself does nothing
			names = append(names, f.name)
		}
	}
	return names
}

// alsoOf are categories beside those that the flags and the group say, by the name of a command or a container.
var alsoOf = map[string][]string{
	"keys": {"@dangerous"}, "info": {"@dangerous"}, "lastsave": {"@admin", "@dangerous"}, "role": {"@admin", "@dangerous"}, "dbsize": {"@keyspace"},
	"wait": {"@connection"}, "waitaof": {"@connection"}, "readonly": {"@connection"}, "readwrite": {"@connection"}, "command": {"@connection"},
}

// categories are the ACL categories that Redis would put the command in.
func (m *command) categories() (names []string) {
	if len(m.order) > 0 && m.run == nil {
		return []string{"@slow"}
	}
	switch {
	case m.flags&write != 0:
		names = append(names, "@write")
	case m.first > 0 || m.flags&needsWrites != 0:
		names = append(names, "@read")
	}
	family, _, _ := strings.Cut(m.name, "|")
	names = append(names, alsoOf[family]...)
	switch m.group {
	case "generic":
		if m.flags&blocking == 0 { // as WAIT, which is about a connection's writes
			names = append(names, "@keyspace")
		}
	case "transactions":
		names = append(names, "@transaction")
	case "string", "connection", "bitmap", "pubsub":
		names = append(names, "@"+m.group)
	}
	if m.flags&admin != 0 {
		names = append(names, "@admin", "@dangerous")
	}
	if m.flags&blocking != 0 {
		names = append(names, "@blocking")
	}
	if m.flags&fast != 0 {
		return append(names, "@fast")
	}
	return append(names, "@slow")
}

// appendStatuses appends a set of simple strings.
func appendStatuses(dst []byte, v resp.Version, names []string) []byte {
	dst = resp.AppendSet(dst, v, len(names))
	for _, n := range names {
		dst = resp.AppendStatus(dst, n)
	}
	return dst
}

// appendInfo appends the ten elements of COMMAND INFO.
func (m *command) appendInfo(dst []byte, v resp.Version) []byte {
	dst = resp.AppendArray(dst, 10)
	dst = resp.AppendBulkString(dst, m.name)
	dst = resp.AppendInt(dst, int64(m.arity))
	dst = appendStatuses(dst, v, m.flagNames())
	for _, n := range []int{m.first, m.last, m.step} {
		dst = resp.AppendInt(dst, int64(n))
	}
	dst = appendStatuses(dst, v, m.categories())
	dst = resp.AppendArray(dst, 0) // tips
	if m.first == 0 {
		dst = resp.AppendArray(dst, 0)
	} else {
		dst = resp.AppendArray(dst, 1)
		dst = m.appendKeySpec(dst, v)
	}
	dst = resp.AppendArray(dst, len(m.order))
	for _, sub := range m.order {
		dst = sub.appendInfo(dst, v)
	}
	return dst
}

// access is what the command does with its keys, in Redis's words.
func (m *command) access() []string {
	switch {
	case m.name == "del", m.name == "unlink", m.name == "kafka.del":
		return []string{"RM", "delete"}
	case m.flags&write != 0:
		return []string{"OW", "update"}
	case m.group == "generic" || m.name == "strlen" || m.name == "memory|usage":
		return []string{"RO"} // what is not the value
	}
	return []string{"RO", "access"}
}

func (m *command) appendKeySpec(dst []byte, v resp.Version) []byte {
	access := m.access()
	last := m.last
	if last > 0 {
		last -= m.first // relative to the first
	}
	dst = resp.AppendMap(dst, v, 3)
	dst = resp.AppendBulkString(dst, "flags")
	dst = appendStatuses(dst, v, access)
	dst = resp.AppendBulkString(dst, "begin_search")
	dst = resp.AppendMap(dst, v, 2)
	dst = resp.AppendBulkString(dst, "type")
	dst = resp.AppendBulkString(dst, "index")
	dst = resp.AppendBulkString(dst, "spec")
	dst = resp.AppendMap(dst, v, 1)
	dst = resp.AppendBulkString(dst, "index")
	dst = resp.AppendInt(dst, int64(m.first))
	dst = resp.AppendBulkString(dst, "find_keys")
	dst = resp.AppendMap(dst, v, 2)
	dst = resp.AppendBulkString(dst, "type")
	dst = resp.AppendBulkString(dst, "range")
	dst = resp.AppendBulkString(dst, "spec")
	dst = resp.AppendMap(dst, v, 3)
	for _, kv := range []struct {
		name string
		n    int
	}{{"lastkey", last}, {"keystep", m.step}, {"limit", 0}} {
		dst = resp.AppendBulkString(dst, kv.name)
		dst = resp.AppendInt(dst, int64(kv.n))
	}
	return dst
}

// appendDocs appends the map of COMMAND DOCS.
func (m *command) appendDocs(dst []byte, v resp.Version) []byte {
	pairs := [][2]string{{"summary", m.summary}, {"since", m.since}, {"group", m.group}}
	if m.complexity != "" {
		pairs = append(pairs, [2]string{"complexity", m.complexity})
	}
	n := len(pairs)
	if len(m.arguments) > 0 {
		n++
	}
	if len(m.order) > 0 {
		n++
	}
	dst = resp.AppendMap(dst, v, n)
	for _, kv := range pairs {
		dst = resp.AppendBulkString(dst, kv[0])
		dst = resp.AppendBulkString(dst, kv[1])
	}
	if len(m.arguments) > 0 {
		dst = resp.AppendBulkString(dst, "arguments")
		dst = appendArguments(dst, v, m.arguments)
	}
	if len(m.order) > 0 {
		dst = resp.AppendBulkString(dst, "subcommands")
		dst = resp.AppendMap(dst, v, len(m.order))
		for _, sub := range m.order {
			dst = resp.AppendBulkString(dst, sub.name)
			dst = sub.appendDocs(dst, v)
		}
	}
	return dst
}

// named finds a command, or a subcommand by "config|get".
func (t *table) named(arg []byte) *command {
	name, sub, ok := strings.Cut(string(appendLower(nil, arg[:min(len(arg), 64)])), "|")
	c := t.byName[name]
	if ok && c != nil {
		return c.subs[sub]
	}
	return c
}

func runCommand(c *conn, _ [][]byte) {
	c.out = resp.AppendArray(c.out, len(c.srv.table.top))
	for _, m := range c.srv.table.top {
		c.out = m.appendInfo(c.out, c.proto)
	}
}

func runCommandInfo(c *conn, args [][]byte) {
	if len(args) == 2 {
		runCommand(c, args)
		return
	}
	mark := len(c.out)
	c.out = resp.AppendArray(c.out, len(args)-2)
	for _, a := range args[2:] {
		if m := c.srv.table.named(a); m != nil {
			c.out = m.appendInfo(c.out, c.proto)
		} else {
			c.out = resp.AppendNull(c.out, c.proto)
		}
		if c.over(mark) {
			return
		}
	}
}

func runCommandDocs(c *conn, args [][]byte) {
	named := c.srv.table.top
	if len(args) > 2 {
		named = nil
		for _, a := range args[2:] {
			if m := c.srv.table.named(a); m != nil {
				named = append(named, m)
			}
		}
	}
	mark := len(c.out)
	c.out = resp.AppendMap(c.out, c.proto, len(named))
	for _, m := range named {
		c.out = resp.AppendBulkString(c.out, m.name)
		c.out = m.appendDocs(c.out, c.proto)
		if c.over(mark) {
			return
		}
	}
}

func runCommandList(c *conn, args [][]byte) {
	keep := func(*command) bool { return true }
	steps := glob.Budget{Left: scanSteps, Fold: true}
	switch {
	case len(args) == 2:
	case len(args) == 5 && is(args[2], "filterby") && is(args[3], "pattern"):
		keep = func(m *command) bool { return steps.Match(args[4], []byte(m.name)) }
	case len(args) == 5 && is(args[2], "filterby") && is(args[3], "aclcat"):
		category := "@" + strings.ToLower(string(args[4]))
		keep = func(m *command) bool { return slices.Contains(m.categories(), category) }
	case len(args) == 5 && is(args[2], "filterby") && is(args[3], "module"):
		keep = func(*command) bool { return false }
	default:
		c.fail(syntax)
		return
	}
	var names []string
	for _, m := range c.srv.table.all {
		if keep(m) {
			names = append(names, m.name)
		}
	}
	if steps.Left < 0 {
		c.tooDear()
		return
	}
	c.out = resp.AppendArray(c.out, len(names))
	for _, n := range names {
		c.out = resp.AppendBulkString(c.out, n)
	}
}

func runCommandGetKeys(c *conn, args [][]byte) { c.commandKeys(args[2:], false) }

func runCommandGetKeysAndFlags(c *conn, args [][]byte) { c.commandKeys(args[2:], true) }

func (c *conn) commandKeys(args [][]byte, access bool) {
	m := c.srv.table.named(args[0])
	if m != nil && m.subs != nil && len(args) > 1 {
		m = m.subs[string(appendLower(nil, args[1][:min(len(args[1]), 32)]))]
	}
	switch {
	case m == nil:
		c.fail("ERR Invalid command specified")
		return
	case m.first == 0:
		c.fail("ERR The command has no key arguments")
		return
	case (m.arity > 0 && len(args) != m.arity) || len(args) < -m.arity:
		c.fail("ERR Invalid number of arguments specified for command")
		return
	}
	var keys [][]byte
	m.keys(args, func(key []byte) { keys = append(keys, key) })
	if !c.answersNames(keys) {
		return
	}
	c.out = resp.AppendArray(c.out, len(keys))
	for _, key := range keys {
		if access {
			c.out = resp.AppendArray(c.out, 2)
		}
		c.out = resp.AppendBulk(c.out, key)
		if access {
			c.out = appendStatuses(c.out, c.proto, m.access())
		}
	}
}
