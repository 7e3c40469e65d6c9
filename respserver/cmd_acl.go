package respserver

import (
	"slices"
	"strings"

	"github.com/yolean/kafka-cache/respserver/resp"
)

// hidden stands for the hash of a password: a SHA-256 without salt tells a guesser whether it has guessed.
const hidden = "(hidden)"

func aclCommands() []*command {
	const f, g = loadingOK | noscript, "server"
	const configured = " is not supported: users are made of the configuration, at start"
	refused := func(name string, arity int, why string) *command {
		since := "6.0.0"
		if name == "dryrun" {
			since = "7.0.0"
		}
		return &command{name: name, arity: arity, flags: f | admin, since: since, complexity: "O(1)", summary: "Is answered with an error:" + strings.TrimPrefix(why, " is not supported:") + ".",
			run: func(c *conn, _ [][]byte) { c.fail("ERR ACL " + strings.ToUpper(name) + why) }}
	}
	return []*command{
		{name: "acl", arity: -2, flags: f, group: g, since: "6.0.0", summary: "Container of commands about users.", order: []*command{
			{name: "whoami", arity: 2, flags: f, since: "6.0.0", complexity: "O(1)", summary: "Returns the connection's user.", run: func(c *conn, _ [][]byte) {
				c.out = resp.AppendBulkString(c.out, c.user.Load().name)
			}},
			{name: "cat", arity: -2, flags: f, since: "6.0.0", complexity: "O(N)", summary: "Lists the categories of commands, or the commands of one.", run: runACLCat},
			{name: "users", arity: 2, flags: f | admin, since: "6.0.0", complexity: "O(N)", summary: "Lists the names of users.", run: runACLUsers},
			{name: "list", arity: 2, flags: f | admin, since: "6.0.0", complexity: "O(N)", summary: "Lists the users and their rights, without their passwords.", run: runACLList},
			{name: "getuser", arity: 3, flags: f | admin, since: "6.0.0", complexity: "O(N)", summary: "Describes a user, without its passwords.", run: runACLGetUser},
			refused("setuser", -3, configured), refused("deluser", -3, configured), refused("load", 2, configured), refused("save", 2, configured),
			refused("log", -2, " is not supported: what is denied is counted, in INFO and in the metrics"),
			refused("dryrun", -4, " is not supported: rights are on topics, ask with ACL GETUSER"),
			refused("genpass", -2, " is not supported: no user can be made here"),
		}},
	}
}

func runACLUsers(c *conn, _ [][]byte) {
	all := c.srv.users.Load().all
	c.out = resp.AppendArray(c.out, len(all))
	for _, a := range all {
		c.out = resp.AppendBulkString(c.out, a.name)
	}
}

// commands are the user's rights to commands, in Redis's notation.
func (a *account) commands() string {
	if a.admin {
		return "+@all"
	}
	return "+@all -@admin"
}

// topics are the user's rights to topics, by database.
func (a *account) topics(s *Server) []string {
	all := make([]string, len(a.rights))
	for i, r := range a.rights {
		all[i] = s.topics[i].Name() + "=" + r.String()
	}
	return all
}

func (a *account) flags() []string {
	switch {
	case a.off:
		return []string{"off"}
	case a.open:
		return []string{"on", "nopass"}
	}
	return []string{"on"}
}

func runACLList(c *conn, _ [][]byte) {
	all := c.srv.users.Load().all
	c.out = resp.AppendArray(c.out, len(all))
	for _, a := range all {
		words := append([]string{"user", a.name}, a.flags()...)
		for range a.passwords {
			words = append(words, "#"+hidden)
		}
		words = append(words, "~*", a.commands())
		words = append(words, a.topics(c.srv)...)
		c.out = resp.AppendBulkString(c.out, strings.Join(words, " "))
	}
}

// runACLGetUser answers Redis's fields, and topics, of which Redis has none.
func runACLGetUser(c *conn, args [][]byte) {
	a := c.srv.users.Load().byName[string(args[2])]
	if a == nil {
		c.out = resp.AppendNull(c.out, c.proto)
		return
	}
	field := func(name string, values []string) {
		c.out = resp.AppendBulkString(c.out, name)
		c.out = resp.AppendArray(c.out, len(values))
		for _, v := range values {
			c.out = resp.AppendBulkString(c.out, v)
		}
	}
	text := func(name, value string) {
		c.out = resp.AppendBulkString(c.out, name)
		c.out = resp.AppendBulkString(c.out, value)
	}
	c.out = resp.AppendMap(c.out, c.proto, 7)
	c.out = resp.AppendBulkString(c.out, "flags")
	c.out = resp.AppendSet(c.out, c.proto, len(a.flags()))
	for _, f := range a.flags() {
		c.out = resp.AppendBulkString(c.out, f)
	}
	field("passwords", slices.Repeat([]string{hidden}, a.passwords))
	text("commands", a.commands())
	text("keys", "~*")
	text("channels", "")
	field("selectors", nil)
	field("topics", a.topics(c.srv))
}

func runACLCat(c *conn, args [][]byte) {
	if len(args) > 3 {
		c.fail("ERR unknown subcommand or wrong number of arguments for '" + clip(args[1], 128) + "'. Try ACL HELP.")
		return
	}
	var names []string
	if len(args) == 2 {
		for _, m := range c.srv.table.all {
			for _, category := range m.categories() {
				if name := strings.TrimPrefix(category, "@"); !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
	} else {
		category := "@" + strings.ToLower(string(args[2]))
		for _, m := range c.srv.table.all {
			if slices.Contains(m.categories(), category) {
				names = append(names, m.name)
			}
		}
		if names == nil {
			c.fail("ERR Unknown category '" + clip(args[2], 128) + "'")
			return
		}
	}
	c.out = resp.AppendArray(c.out, len(names))
	for _, n := range names {
		c.out = resp.AppendBulkString(c.out, n)
	}
}
