package respserver

import (
	"slices"
	"strings"

	"github.com/yolean/kafka-cache/respserver/resp"
)

// Redis's types of clients, of which there are two here: a replica is not connected to an instance, and there is no master.
const (
	typeNormal = "normal"
	typePubSub = "pubsub"
	typeNone   = "none" // that no client is of
)

// clientType parses what TYPE asks for, and answers the error where it cannot.
func (c *conn) clientType(arg []byte) (kind string, ok bool) {
	switch {
	case is(arg, typeNormal):
		return typeNormal, true
	case is(arg, typePubSub):
		return typePubSub, true
	case is(arg, "master"), is(arg, "replica"), is(arg, "slave"):
		return typeNone, true
	}
	c.fail("ERR Unknown client type '" + clip(arg, 128) + "'")
	return "", false
}

// kind is the type that the connection is of. Any goroutine may ask.
func (c *conn) kind() string {
	if c.subscribed.Load() != 0 {
		return typePubSub
	}
	return typeNormal
}

func runClientList(c *conn, args [][]byte) {
	all := c.srv.clients()
	switch {
	case len(args) == 4 && is(args[2], "type"):
		kind, ok := c.clientType(args[3])
		if !ok {
			return
		}
		all = slices.DeleteFunc(all, func(o *conn) bool { return o.kind() != kind })
	case len(args) > 3 && is(args[2], "id"):
		byID := map[int64]*conn{}
		for _, o := range all {
			byID[o.id] = o
		}
		all = nil
		for _, a := range args[3:] { // as they were asked for
			id, ok := parseInt(a)
			if !ok {
				c.fail("ERR Invalid client ID")
				return
			}
			if o := byID[id]; o != nil {
				all = append(all, o)
			}
		}
	case len(args) != 2:
		c.fail(syntax)
		return
	}
	c.described()
	var b strings.Builder
	for _, o := range all {
		b.WriteString(o.describe())
		b.WriteByte('\n')
		if b.Len() > c.srv.replyLimit() {
			c.tooLong()
			return
		}
	}
	c.out = resp.AppendVerbatim(c.out, c.proto, b.String())
}

// killing is which clients CLIENT KILL means. Of an option that is given twice the last one counts, as in Redis.
type killing struct {
	id                      int64 // 0: any, as of the others what is empty
	addr, laddr, kind, user string
	maxAge                  int64 // seconds
	skipMe                  bool
}

func (k *killing) matches(o *conn) bool {
	switch {
	case k.id != 0 && o.id != k.id,
		k.addr != "" && o.nc.RemoteAddr().String() != k.addr,
		k.laddr != "" && o.nc.LocalAddr().String() != k.laddr,
		k.kind != "" && o.kind() != k.kind,
		k.user != "" && (o.needsAuth.Load() || o.user.Load().name != k.user),
		k.maxAge != 0 && int64((o.srv.now()-o.created).Seconds()) < k.maxAge:
		return false
	}
	return true
}

// option takes one, and answers the error where it cannot.
func (k *killing) option(c *conn, name, v []byte) (ok bool) {
	switch {
	case is(name, "id"):
		if k.id, ok = parseInt(v); !ok || k.id < 1 {
			c.fail("ERR client-id should be greater than 0")
			return false
		}
	case is(name, "addr"):
		k.addr = string(v)
	case is(name, "laddr"):
		k.laddr = string(v)
	case is(name, "type"):
		k.kind, ok = c.clientType(v)
		return ok
	case is(name, "user"):
		if k.user = string(v); c.srv.users.Load().byName[k.user] == nil {
			c.fail("ERR No such user '" + clip(v, 128) + "'")
			return false
		}
	case is(name, "maxage"):
		switch k.maxAge, ok = parseInt(v); {
		case !ok:
			c.fail("ERR maxage is not an integer or out of range")
			return false
		case k.maxAge <= 0:
			c.fail("ERR maxage should be greater than 0")
			return false
		}
	case is(name, "skipme") && is(v, "yes"):
		k.skipMe = true
	case is(name, "skipme") && is(v, "no"):
		k.skipMe = false
	default:
		c.fail(syntax)
		return false
	}
	return true
}

func runClientKill(c *conn, args [][]byte) {
	k := killing{skipMe: true}
	old := len(args) == 3
	if old {
		k.addr, k.skipMe = string(args[2]), false
		if k.addr == "" {
			k.kind = typeNone // no address is empty
		}
	}
	for i := 2; i < len(args) && !old; i += 2 {
		if i+1 == len(args) {
			c.fail(syntax)
			return
		}
		if !k.option(c, args[i], args[i+1]) {
			return
		}
	}
	n := int64(0)
	for _, o := range c.srv.clients() {
		switch {
		case !k.matches(o), o == c && k.skipMe:
		case o == c:
			n++
			c.closing, c.kill = "killed", "client_kill" // after the reply
		default:
			n++
			o.end("client_kill")
		}
	}
	switch {
	case !old:
		c.out = resp.AppendInt(c.out, n)
	case n == 0:
		c.fail("ERR No such client")
	default:
		c.ok()
	}
}

// The states of a command that waits, as CLIENT UNBLOCK finds it.
const (
	notBlocked int32 = iota
	blockedFor       // its outcome: it may be told to end
	endsAsTimeout
	endsAsError
)

func runClientUnblock(c *conn, args [][]byte) {
	how := endsAsTimeout
	switch {
	case len(args) > 4:
		c.failUsage(args)
		return
	case len(args) == 3, is(args[3], "timeout"):
	case is(args[3], "error"):
		how = endsAsError
	default:
		c.fail("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, ok := parseInt(args[2])
	if !ok {
		c.fail(notInteger)
		return
	}
	c.srv.mu.Lock()
	o := c.srv.conns[id]
	c.srv.mu.Unlock()
	unblocked := int64(0)
	if o != nil && o.blocked.CompareAndSwap(blockedFor, how) {
		o.wake()
		unblocked = 1
	}
	c.out = resp.AppendInt(c.out, unblocked)
}
