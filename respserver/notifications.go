package respserver

import (
	"strconv"
	"strings"
	"sync"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

const (
	messageLimit     = 8 << 20 // bytes of messages that wait for one subscriber; past it the connection is closed, since none may be lost silently
	subscriptionsMax = 10_000  // channels and patterns of one connection
	channelMost      = 64 << 10
	subscriptionCost = 512 // bytes that one takes beside its name, which is held twice
)

// notifications knows who has subscribed to what, and tells them what is applied: keyspace notifications, see
// https://redis.io/docs/latest/develop/use/keyspace-notifications/. The watches of the topics run from the first subscription until the server
// ends. Its lock is above a connection's messages' and below nothing.
type notifications struct {
	srv *Server

	mu       sync.Mutex
	channels map[string]map[int64]*conn
	patterns patternTable
	watches  topicWatches
}

// start makes sure that the topics are watched; it returns when all changes from now on are seen.
func (n *notifications) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watches.started() {
		return nil
	}
	n.channels = map[string]map[int64]*conn{}
	return n.watches.start(n.srv.topics, n.take)
}

// take tells of a topic's changes.
func (n *notifications) take(topic int) {
	for _, e := range n.watches.feeds[topic].Take() {
		switch e.Kind {
		case cache.EventSet:
			n.changed(topic, e.Key, "set")
		case cache.EventDelete:
			n.changed(topic, e.Key, "del")
		case cache.EventFlush:
			n.missed(topic)
		}
	}
}

func (n *notifications) close() { n.watches.close(&n.mu) }

// changed tells of a change that was applied, to the key's channel first, as Redis does.
func (n *notifications) changed(db int, key []byte, event string) {
	at := strconv.Itoa(db) + "__:"
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.channels)+len(n.patterns.all) == 0 {
		return
	}
	n.publish(db, append([]byte("__keyspace@"+at), key...), []byte(event))
	n.publish(db, []byte("__keyevent@"+at+event), key)
}

// publish tells who subscribed to a channel, then who subscribed to a pattern that it matches.
func (n *notifications) publish(db int, channel, payload []byte) {
	tell(db, n.channels[string(channel)], []byte("message"), channel, payload)
	n.patterns.matching(channel, func(p *pattern) {
		tell(db, p.who, []byte("pmessage"), p.text, channel, payload)
	}, func(p *pattern) {
		endAll(p.who, "pubsub")
	})
}

// tell sends a message to those who may read the database, made once for each protocol that they speak.
func tell(db int, who map[int64]*conn, parts ...[]byte) {
	made, proto := map[resp.Version][]byte{}, resp.V2
	for _, c := range who {
		if !c.mayRead(db) {
			continue
		}
		for {
			if made[proto] == nil {
				b := resp.AppendPush(nil, proto, len(parts))
				for _, p := range parts {
					b = resp.AppendBulk(b, p)
				}
				made[proto] = b
			}
			spoken := c.message(proto, made[proto])
			if spoken == proto {
				break
			}
			proto = spoken // most speak the same
		}
	}
}

// missed closes the connections of all who could have been told of a topic, since changes of it were not told one by one: they subscribe again, and
// know that they have to look. What a pattern could match is not worked out: each concerns every topic.
func (n *notifications) missed(db int) {
	at := strconv.Itoa(db) + "__:"
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, who := range n.channels {
		if strings.HasPrefix(name, "__keyspace@"+at) || strings.HasPrefix(name, "__keyevent@"+at) {
			endAll(who, "notifications")
		}
	}
	for _, p := range n.patterns.all {
		endAll(p.who, "notifications")
	}
}

func endAll(who map[int64]*conn, why string) {
	for _, c := range who {
		c.end(why)
	}
}

// subscriptions are a connection's. They belong to its goroutine.
type subscriptions struct {
	channels, patterns map[string]struct{}
	bytes              int // that they take, about
}

// of are those to patterns, or to channels; nil where there are none.
func (s *subscriptions) of(patterns bool) map[string]struct{} {
	switch {
	case s == nil:
		return nil
	case patterns:
		return s.patterns
	}
	return s.channels
}

func (s *subscriptions) count() int {
	if s == nil {
		return 0
	}
	return len(s.channels) + len(s.patterns)
}

// unsubscribeAll ends all subscriptions of the connection without a reply.
func (c *conn) unsubscribeAll() {
	if c.subs == nil {
		return
	}
	n := &c.srv.notifications
	n.mu.Lock()
	for name := range c.subs.channels {
		n.leave(name, c, false)
	}
	for name := range c.subs.patterns {
		n.leave(name, c, true)
	}
	n.mu.Unlock()
	c.subs = nil
	c.dropMessages()
}

// join and leave are called with mu held.
func (n *notifications) join(name string, c *conn, isPattern bool) {
	if isPattern {
		n.patterns.add(name, c)
		return
	}
	if n.channels[name] == nil {
		n.channels[name] = map[int64]*conn{}
	}
	n.channels[name][c.id] = c
}

func (n *notifications) leave(name string, c *conn, isPattern bool) {
	if isPattern {
		n.patterns.remove(name, c)
		return
	}
	delete(n.channels[name], c.id)
	if len(n.channels[name]) == 0 {
		delete(n.channels, name)
	}
}

// sizes are what INFO tells.
func (n *notifications) sizes() (channels, patterns int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.channels), len(n.patterns.all)
}
