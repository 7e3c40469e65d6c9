package respserver

import (
	"bytes"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// lookup finds a command by name, in any case; nil where there is none. A pipeline of the same command asks the table once.
func (c *conn) lookup(name []byte) *command {
	if c.nameCmd != nil && len(name) == c.nameLen && string(name) == string(c.name[:c.nameLen]) {
		return c.nameCmd
	}
	if len(name) > len(c.name) {
		return nil
	}
	var lower [len(c.name)]byte
	cmd := c.srv.table.byName[string(appendLower(lower[:0], name))]
	if cmd != nil {
		c.nameLen, c.nameCmd = copy(c.name[:], name), cmd
	}
	return cmd
}

// appendLower appends b with ASCII letters in lower case.
func appendLower(dst, b []byte) []byte {
	for _, x := range b {
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		dst = append(dst, x)
	}
	return dst
}

// is compares an argument with a word in lower case.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, x := range arg {
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		if x != word[i] {
			return false
		}
	}
	return true
}

// resolve finds the subcommand that is meant, and says what is wrong with how it was sent; empty where nothing is.
func (c *conn) resolve(cmd *command, args [][]byte) (_ *command, why string) {
	if cmd.subs != nil && len(args) > 1 {
		var lower [32]byte
		var sub *command
		if len(args[1]) <= len(lower) {
			sub = cmd.subs[string(appendLower(lower[:0], args[1]))]
		}
		if sub == nil {
			return cmd, "ERR unknown subcommand '" + clip(args[1], 128) + "'. Try " + strings.ToUpper(cmd.name) + " HELP."
		}
		cmd = sub
	}
	switch {
	case (cmd.arity > 0 && len(args) != cmd.arity) || len(args) < -cmd.arity:
		return cmd, "ERR wrong number of arguments for '" + cmd.name + "' command"
	case !c.authenticated && cmd.flags&noAuth == 0:
		return cmd, "NOAUTH Authentication required."
	}
	return cmd, ""
}

// admit is resolve, and says why else the command cannot run.
func (c *conn) admit(cmd *command, args [][]byte, t *cache.Topic) (_ *command, why string) {
	switch cmd, why = c.resolve(cmd, args); {
	case why != "":
		return cmd, why
	case !c.user.Load().full:
		if why := c.forbidden(cmd, t.Index()); why != "" {
			return cmd, why
		}
	}
	if c.subs != nil && c.subscribing() && cmd.flags&inSubscriber == 0 {
		return cmd, onlyInSubscriber(cmd)
	}
	if cmd.flags&needsTopic != 0 && !t.Ready() {
		return cmd, c.srv.loadingText(t)
	}
	return cmd, ""
}

// execute runs one command, or answers why it cannot.
func (c *conn) execute(cmd *command, args [][]byte) {
	cmd, why := c.admit(cmd, args, c.topic)
	if why != "" {
		c.refuse(cmd, why)
		return
	}
	if cmd.flags&bulky != 0 && !c.enterLane(0) {
		return
	}
	if cmd != c.run {
		c.endRun()
		c.run = cmd
		c.runStart = c.srv.now()
		c.runTimes = false
	}
	c.runCount++
	tr := c.track.Load()
	if tr != nil && cmd.flags&readonly != 0 && !rememberLate {
		tr.before(c, cmd, args)
	}
	at, slots := len(c.out), len(c.slots)
	if c.fresh != 0 && cmd.readsStore() {
		if why := c.stale(c.topic); why != "" {
			c.fail(why)
			cmd.failed.Add(1)
			c.forgetCaching(cmd)
			if c.replies != replyOn {
				c.muffle(at, slots)
			}
			return
		}
	}
	if cmd.timed(args) {
		c.runTimed(cmd, args)
	} else {
		cmd.run(c, args)
	}
	at, slots = c.mark, c.markSlots
	if rememberLate && tr != nil && cmd.flags&readonly != 0 {
		beLate()
		tr.before(c, cmd, args)
	}
	c.forgetCaching(cmd)
	if len(c.out) > at && c.out[at] == '-' && len(c.slots) == slots {
		cmd.failed.Add(1)
	}
	if len(c.slots) > slots {
		c.runCount-- // counted when its reply is known
	}
	if c.replies != replyOn {
		if cmd.flags&announces != 0 {
			at = len(c.out)
		}
		c.muffle(at, slots)
	}
}

// runTimed runs a command that is timed by itself, for the slow log.
func (c *conn) runTimed(cmd *command, args [][]byte) {
	c.runTimes = true
	start := c.srv.now() - c.waited
	cmd.run(c, args)
	if len(c.slots) <= c.markSlots && c.block == nil { // it was not only begun
		c.noteSlow(cmd, args, c.srv.now()-c.waited-start)
	}
}

// endRun counts the commands that were timed together.
func (c *conn) endRun() {
	if c.run == nil {
		return
	}
	if c.runCount > 0 {
		each := (c.srv.now() - c.runStart) / time.Duration(c.runCount)
		c.run.observe(c.stripe(), c.runCount, each)
		if !c.runTimes {
			c.noteSlowRun(c.run, c.runCount, each)
		}
	}
	n := uint64(c.runCount)
	c.srv.stats.commands.Add(n)
	c.lastCmd.Store(c.run)
	c.run, c.runCount = nil, 0
	if c.hits > 0 {
		c.srv.stats.hits.Add(c.hits)
		c.hits = 0
	}
	if c.misses > 0 {
		c.srv.stats.misses.Add(c.misses)
		c.misses = 0
	}
}

// muffle takes back what CLIENT REPLY OFF or SKIP says is not to be sent.
func (c *conn) muffle(at, slots int) {
	switch c.replies {
	case replySkip:
		c.replies = replySkipped // the SKIP itself, which answered nothing
		return
	case replySkipped:
		c.replies = replyOn
	}
	if len(c.slots) > slots {
		for _, s := range c.slots[slots:] {
			s.silent = true
		}
		return
	}
	c.out = c.out[:at]
}

// refuse answers an error of a command that was not run. Inside MULTI nothing is run then.
func (c *conn) refuse(cmd *command, text string) {
	cmd.rejected.Add(1)
	switch {
	case cmd.name == "exec":
		c.endMulti()
		text = execAborted + strings.TrimPrefix(text, "ERR ")
	case c.multi != nil:
		c.multi.spoil(c)
	}
	c.forgetCaching(cmd)
	at := len(c.out)
	c.out = resp.AppendError(c.out, text)
	if c.replies != replyOn {
		c.muffle(at, len(c.slots))
	}
}

// unknown answers a command that the table does not have.
func (c *conn) unknown(args [][]byte) {
	name := args[0]
	if is(name, "post") || is(name, "host:") {
		// A browser that was made to talk to this port (cross-protocol scripting): nothing that follows is to be run.
		c.srv.cfg.Logger.Warn("possible cross-protocol attack: an HTTP request was sent to the Redis port", "remote", c.nc.RemoteAddr().String())
		c.closing, c.kill = "security", "security"
		return
	}
	at := len(c.out)
	var text string
	switch watch := is(name, "watch") && c.authenticated; {
	case watch && len(args) > 1 && c.multi != nil:
		text = "ERR WATCH inside MULTI is not allowed" // which goes on
	default:
		if text = c.refusal(name); text == "" {
			text = unknownText(args)
		} else if watch && len(args) == 1 {
			text = "ERR wrong number of arguments for 'watch' command"
		}
		if c.multi != nil {
			c.multi.spoil(c)
		}
	}
	c.out = resp.AppendError(c.out, text)
	if c.replies != replyOn {
		c.muffle(at, len(c.slots))
	}
}

// refusal is why a command that Redis has is not offered here; empty where it is simply unknown.
func (c *conn) refusal(name []byte) string {
	if !c.authenticated {
		return ""
	}
	why, ok := c.srv.table.refused[string(appendLower(nil, name[:min(len(name), 32)]))]
	if !ok {
		return ""
	}
	return "ERR " + strings.ToUpper(clip(name, 128)) + " is not supported: " + why
}

// unknownText is Redis's: the name as it was sent, and arguments up to 128 bytes of them.
func unknownText(args [][]byte) string {
	var b strings.Builder
	b.WriteString("ERR unknown command '" + clip(args[0], 128) + "', with args beginning with: ")
	from := b.Len()
	for _, a := range args[1:] {
		left := 128 - (b.Len() - from)
		if left <= 0 {
			break
		}
		b.WriteString("'" + clip(a, left) + "' ")
	}
	return b.String()
}

// clip is C's %.*s: at most n bytes, up to a NUL.
func clip(b []byte, n int) string {
	b = b[:min(len(b), n)]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// select makes database n the connection's.
func (c *conn) selectDB(n int) {
	c.db, c.topic = n, c.srv.topics[n]
	c.infoMu.Lock()
	c.info.db = n
	c.infoMu.Unlock()
}
