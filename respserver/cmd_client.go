package respserver

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/respserver/resp"
)

const badName = "ERR Client names cannot contain spaces, newlines or special characters."

func clientCommands() []*command {
	const f = loadingOK | noscript | keepsCaching // whatever CLIENT command comes between, as in Redis
	return []*command{
		{name: "client", arity: -2, group: "connection", since: "2.4.0", flags: f, summary: "Container of commands about connections.", order: []*command{
			{name: "id", arity: 2, flags: f, since: "5.0.0", complexity: "O(1)", summary: "Returns the connection's id.", run: func(c *conn, _ [][]byte) { c.out = resp.AppendInt(c.out, c.id) }},
			{name: "info", arity: 2, flags: f, since: "6.2.0", complexity: "O(1)", summary: "Describes the connection.", run: func(c *conn, _ [][]byte) {
				if !c.mayAnswer(int(c.names.Load())) {
					return
				}
				c.described()
				c.out = resp.AppendVerbatim(c.out, c.proto, c.describe()+"\n")
			}},
			{name: "list", arity: -2, flags: f | admin | bulky, since: "2.4.0", complexity: "O(N)", summary: "Describes all connections.", run: runClientList},
			{name: "kill", arity: -3, flags: f | admin, since: "2.4.0", complexity: "O(N)", summary: "Closes connections.", run: runClientKill},
			{name: "getname", arity: 2, flags: f, since: "2.6.9", complexity: "O(1)", summary: "Returns the connection's name.", run: runClientGetName},
			{name: "setname", arity: 3, flags: f, since: "2.6.9", complexity: "O(1)", summary: "Names the connection.", run: runClientSetName},
			{name: "setinfo", arity: 4, flags: f, since: "7.2.0", complexity: "O(1)", summary: "Notes the client library's name or version.", run: runClientSetInfo},
			{name: "reply", arity: 3, flags: f, since: "3.2.0", complexity: "O(1)", summary: "Switches replies off and on.", run: runClientReply, check: checkClientReply},
			{name: "unblock", arity: -3, flags: f | admin, since: "5.0.0", complexity: "O(1)", summary: "Ends what another connection waits in, as on a time-out or with an error.", run: runClientUnblock},
			{name: "pause", arity: -3, flags: f | admin, since: "2.9.50", complexity: "O(1)", summary: "Holds back all commands that come, or those that write, for so many milliseconds.", run: runClientPause},
			{name: "unpause", arity: 2, flags: f | admin, since: "6.2.0", complexity: "O(N)", summary: "Ends a pause.", run: runClientUnpause},
			{name: "no-evict", arity: 3, flags: f | admin, since: "7.0.0", complexity: "O(1)", summary: "Exempts the connection from being closed for the buffers of all connections.", run: runClientNoEvict},
			{name: "no-touch", arity: 3, flags: f, since: "7.2.0", complexity: "O(1)", summary: "Notes that reads do not count as use; none do.", run: runClientNoTouch},
			{name: "tracking", arity: -3, flags: f, since: "6.0.0", complexity: "O(1)", summary: "Switches invalidation messages for keys that were read on and off.", run: runClientTracking},
			{name: "caching", arity: 3, flags: f, since: "6.0.0", complexity: "O(1)", summary: "Says whether the next command's keys are tracked.", run: runClientCaching},
			{name: "trackinginfo", arity: 2, flags: f, since: "6.2.0", complexity: "O(1)", summary: "Describes the connection's tracking.", run: runClientTrackingInfo},
			{name: "getredir", arity: 2, flags: f, since: "6.0.0", complexity: "O(1)", summary: "Returns the id of the connection that invalidations are redirected to, 0 for none, or -1 where tracking is off.", run: runClientGetRedir},
			{name: "maint_notifications", arity: -3, flags: f, since: "8.4.0", complexity: "O(1)", summary: "Is answered with an error: there are no maintenance notifications.", run: func(c *conn, _ [][]byte) {
				c.fail("ERR maintenance notifications are not supported")
			}},
		}},
	}
}

// validName is Redis's rule: printable, without blanks.
func validName(name []byte) bool {
	for _, b := range name {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

func runClientGetName(c *conn, _ [][]byte) {
	if c.info.name == "" {
		c.out = resp.AppendNull(c.out, c.proto)
		return
	}
	if c.mayAnswer(len(c.info.name)) {
		c.out = resp.AppendBulkString(c.out, c.info.name)
	}
}

// edit changes what others read of the connection.
func (c *conn) edit(f func(i *connInfo)) {
	c.infoMu.Lock()
	defer c.infoMu.Unlock()
	f(&c.info)
	c.names.Store(c.info.size())
}

func runClientSetName(c *conn, args [][]byte) {
	if !validName(args[2]) {
		c.fail(badName)
		return
	}
	c.edit(func(i *connInfo) { i.name = string(args[2]) })
	c.ok()
}

func runClientSetInfo(c *conn, args [][]byte) {
	if !validName(args[3]) {
		c.fail("ERR " + strings.ToLower(clip(args[2], 128)) + " cannot contain spaces, newlines or special characters.")
		return
	}
	switch {
	case is(args[2], "lib-name"):
		c.edit(func(i *connInfo) { i.libName = string(args[3]) })
	case is(args[2], "lib-ver"):
		c.edit(func(i *connInfo) { i.libVer = string(args[3]) })
	default:
		c.fail("ERR Unrecognized option '" + clip(args[2], 128) + "'")
		return
	}
	c.ok()
}

func runClientReply(c *conn, args [][]byte) {
	switch {
	case is(args[2], "on"):
		c.replies = replyOn
		c.ok()
	case is(args[2], "off"):
		c.replies = replyOff
	case is(args[2], "skip"):
		if c.replies != replyOff {
			c.replies = replySkip
		}
	default:
		c.fail(syntax)
	}
}

func runClientNoEvict(c *conn, args [][]byte) {
	c.toggle(args[2], func(i *connInfo, on bool) { i.noEvict = on })
}

func runClientNoTouch(c *conn, args [][]byte) {
	c.toggle(args[2], func(i *connInfo, on bool) { i.noTouch = on })
}

func (c *conn) toggle(arg []byte, set func(i *connInfo, on bool)) {
	on := is(arg, "on")
	if !on && !is(arg, "off") {
		c.fail(syntax)
		return
	}
	c.edit(func(i *connInfo) { set(i, on) })
	c.ok()
}

// described brings what others know of the connection to where the command is that runs.
func (c *conn) described() {
	c.lastCmd.Store(c.run)
	c.bufferIn.Store(int64(c.w)) // with this command, as in Redis
}

// describe is one line of CLIENT LIST. Any goroutine may call it.
func (c *conn) describe() string {
	c.infoMu.Lock()
	i := c.info
	c.infoMu.Unlock()
	now := c.srv.now()
	tr := c.track.Load()
	subscribed := c.subscribed.Load()
	mode := ""
	for _, f := range []struct { // in Redis's order
		letter string
		on     bool
	}{
		{"P", subscribed != 0}, {"x", c.multiCount.Load() >= 0}, {"b", i.blocked}, {"t", tr != nil}, {"R", tr != nil && tr.broken.Load()}, {"B", tr != nil && tr.bcast},
		{"e", i.noEvict}, {"T", i.noTouch},
	} {
		if f.on {
			mode += f.letter
		}
	}
	if mode == "" {
		mode = "N"
	}
	last := "NULL"
	if cmd := c.lastCmd.Load(); cmd != nil {
		last = cmd.name
	}
	redir := int64(-1)
	if tr != nil {
		redir = tr.redirect
	}
	queued := c.net.size.Load() + c.oob.bytes.Load()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=0 multi=%d watch=0 qbuf=%d qbuf-free=0 "+
		"argv-mem=0 multi-mem=%d rbs=%d rbp=%d obl=0 oll=%d omem=%d tot-mem=%d events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		c.id, c.nc.RemoteAddr(), c.nc.LocalAddr(), i.name, int((now - c.created).Seconds()), int((now - time.Duration(c.active.Load())).Seconds()), mode, i.db, subscribed>>32, subscribed&(1<<32-1), c.multiCount.Load(),
		c.bufferIn.Load(), c.multiBytes.Load(), c.bufferOut.Load(), c.bufferOut.Load(), min(queued, 1), queued, c.bufferIn.Load()+c.bufferOut.Load()+queued, last, c.user.Load().name, redir, i.proto,
		i.libName, i.libVer)
}

// clients are all connections in the order of their ids, without those that are being closed from elsewhere.
func (s *Server) clients() []*conn {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		if c.alive() {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *conn) int { return int(a.id - b.id) })
	return all
}

// port is a local port, for INFO.
func port(a net.Addr) string {
	if _, p, err := net.SplitHostPort(a.String()); err == nil {
		return p
	}
	return strconv.Itoa(0)
}
