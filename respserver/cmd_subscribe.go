package respserver

import (
	"bytes"
	"slices"

	"github.com/yolean/kafka-cache/respserver/glob"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func subscribeCommands() []*command {
	const f = loadingOK | noscript | noMulti | inSubscriber | announces
	const g = "pubsub"
	return []*command{
		{name: "subscribe", arity: -2, flags: f, group: g, since: "2.0.0", complexity: "O(N) in the channels", summary: "Listens for messages on channels.", run: runSubscribe},
		{name: "unsubscribe", arity: -1, flags: f, group: g, since: "2.0.0", complexity: "O(N) in the channels", summary: "Stops listening on channels.", run: runUnsubscribe},
		{name: "psubscribe", arity: -2, flags: f, group: g, since: "2.0.0", complexity: "O(N) in the patterns", summary: "Listens on channels that match patterns.", run: runPSubscribe},
		{name: "punsubscribe", arity: -1, flags: f, group: g, since: "2.0.0", complexity: "O(N) in the patterns", summary: "Stops listening on channels that match patterns.", run: runPUnsubscribe},
		{name: "pubsub", arity: -2, flags: loadingOK, group: g, since: "2.8.0", complexity: "Depends on the subcommand", summary: "A container for subscriptions.", order: []*command{
			{name: "channels", arity: -2, flags: loadingOK | admin | bulky, complexity: "O(N) in the channels", summary: "Lists channels that somebody listens on.", run: runPubSubChannels},
			{name: "numsub", arity: -2, flags: loadingOK | admin, complexity: "O(N) in the channels", summary: "Counts who listens on channels.", run: runPubSubNumSub},
			{name: "numpat", arity: 2, flags: loadingOK | admin, complexity: "O(1)", summary: "Counts the patterns that somebody listens on.", run: runPubSubNumPat},
		}},
	}
}

// onlyInSubscriber is Redis's text for what a subscriber of RESP2 may not run.
func onlyInSubscriber(cmd *command) string {
	return "ERR Can't execute '" + cmd.name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

// subscribing reports whether the connection is in the mode that subscriptions bring in RESP2.
func (c *conn) subscribing() bool { return c.subs != nil && c.proto == resp.V2 }

func runSubscribe(c *conn, args [][]byte)    { c.subscribe("subscribe", args[1:], false) }
func runPSubscribe(c *conn, args [][]byte)   { c.subscribe("psubscribe", args[1:], true) }
func runUnsubscribe(c *conn, args [][]byte)  { c.unsubscribe("unsubscribe", args[1:], false) }
func runPUnsubscribe(c *conn, args [][]byte) { c.unsubscribe("punsubscribe", args[1:], true) }

// answerSubscription answers one subscription that was made or ended; name is nil where there was none.
func (c *conn) answerSubscription(kind string, name []byte) {
	c.out = resp.AppendPush(c.out, c.proto, 3)
	c.out = resp.AppendBulkString(c.out, kind)
	if name == nil {
		c.out = resp.AppendNull(c.out, c.proto)
	} else {
		c.out = resp.AppendBulk(c.out, name)
	}
	c.out = resp.AppendInt(c.out, int64(c.subs.count()))
}

// answersNames reports whether a reply that repeats names is made now. Otherwise it has been answered that it would be too long, or the connection has been closed.
func (c *conn) answersNames(names [][]byte) bool {
	const beside = 48 // a name, of what is answered
	size := 0
	for _, name := range names {
		size += len(name) + beside
	}
	if size > c.srv.replyLimit() {
		c.tooLong()
		return false
	}
	return c.mayAnswer(size)
}

func (c *conn) subscribe(kind string, names [][]byte, patterns bool) {
	for _, name := range names {
		if len(name) > channelMost {
			c.fail("ERR a channel's name is longer than 65536 bytes")
			return
		}
	}
	if c.subs.count()+len(names) > subscriptionsMax {
		c.fail("ERR more than 10000 subscriptions of one connection")
		return
	}
	cost := 0
	for _, name := range names {
		cost += subscriptionCost + 2*len(name)
	}
	if !c.reserve(int64(cost)) {
		return
	}
	if !c.answersNames(names) {
		return
	}
	n := &c.srv.notifications
	if n.start() != nil {
		c.fail(errNoWatch.Error())
		return
	}
	if c.subs == nil {
		c.subs = &subscriptions{channels: map[string]struct{}{}, patterns: map[string]struct{}{}}
	}
	mine := c.subs.of(patterns)
	for _, name := range names {
		if _, ok := mine[string(name)]; !ok {
			c.subs.bytes += subscriptionCost + 2*len(name)
			mine[string(name)] = struct{}{}
			n.mu.Lock()
			n.join(string(name), c, patterns)
			n.mu.Unlock()
		}
		c.answerSubscription(kind, name)
	}
	c.recount()
}

func (c *conn) unsubscribe(kind string, names [][]byte, patterns bool) {
	mine := c.subs.of(patterns)
	if len(names) == 0 {
		for name := range mine {
			names = append(names, []byte(name))
		}
		slices.SortFunc(names, bytes.Compare)
	}
	if !c.answersNames(names) {
		return
	}
	n := &c.srv.notifications
	if len(names) == 0 {
		c.answerSubscription(kind, nil)
	}
	for _, name := range names {
		if _, ok := mine[string(name)]; ok {
			delete(mine, string(name))
			c.subs.bytes -= subscriptionCost + 2*len(name)
			n.mu.Lock()
			n.leave(string(name), c, patterns)
			n.mu.Unlock()
			c.recount() // no message follows the end of its subscription
		}
		c.answerSubscription(kind, name)
	}
	if c.subs.count() == 0 {
		c.subs = nil
	}
}

func runPubSubChannels(c *conn, args [][]byte) {
	if len(args) > 3 {
		c.failUsage(args)
		return
	}
	n := &c.srv.notifications
	var found []string
	size := 0
	steps := glob.Budget{Left: scanSteps} // with a lock held that messages need
	n.mu.Lock()
	for name := range n.channels {
		if !c.mayHear(name) {
			continue
		}
		if len(args) == 2 || steps.Match(args[2], []byte(name)) {
			found = append(found, name)
			size += len(name)
		}
	}
	n.mu.Unlock()
	if steps.Left < 0 {
		c.tooDear()
		return
	}
	if limit := c.srv.replyLimit(); size > limit {
		c.fail("ERR the reply would be larger than the limit of " + bytesText(int64(limit)) + " that is held for one client")
		return
	}
	slices.Sort(found)
	c.out = resp.AppendArray(c.out, len(found))
	for _, name := range found {
		c.out = resp.AppendBulkString(c.out, name)
	}
}

func runPubSubNumSub(c *conn, args [][]byte) {
	if !c.answersNames(args[2:]) {
		return
	}
	n := &c.srv.notifications
	n.mu.Lock()
	defer n.mu.Unlock()
	c.out = resp.AppendArray(c.out, 2*(len(args)-2))
	for _, name := range args[2:] {
		c.out = resp.AppendBulk(c.out, name)
		subscribers := 0
		if c.mayHear(string(name)) {
			subscribers = len(n.channels[string(name)])
		}
		c.out = resp.AppendInt(c.out, int64(subscribers))
	}
}

func runPubSubNumPat(c *conn, _ [][]byte) {
	_, patterns := c.srv.notifications.sizes()
	c.out = resp.AppendInt(c.out, int64(patterns))
}
