package respserver

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/glob"
	"github.com/yolean/kafka-cache/respserver/resp"
)

const (
	messageLimit     = 8 << 20 // bytes of messages that wait for one subscriber; past it the connection is closed, since none may be lost silently
	subscriptionsMax = 10_000  // channels and patterns of one connection
	channelMost      = 64 << 10
)

// notifications knows who has subscribed to what, and tells them what is applied: keyspace notifications, see
// https://redis.io/docs/latest/develop/use/keyspace-notifications/. The watches of the topics run from the first subscription until the server
// ends. Its lock is above a connection's messages' and below nothing.
type notifications struct {
	srv *Server

	mu       sync.Mutex
	channels map[string]map[int64]*conn
	patterns map[string]map[int64]*conn
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// start makes sure that the topics are watched; it returns when all changes from now on are seen.
func (n *notifications) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.channels, n.patterns = map[string]map[int64]*conn{}, map[string]map[int64]*conn{}
	var attached sync.WaitGroup
	for i, topic := range n.srv.topics {
		attached.Add(1)
		n.done.Add(1)
		go func() {
			defer n.done.Done()
			var once sync.Once
			defer once.Do(attached.Done)
			err := topic.Watch(ctx, func(e cache.Event) {
				switch e.Kind {
				case cache.EventAttached:
					once.Do(attached.Done)
				case cache.EventSet:
					n.changed(i, e.Key, "set")
				case cache.EventDelete:
					n.changed(i, e.Key, "del")
				case cache.EventFlush:
					n.missed(i)
				}
			})
			if err != nil && ctx.Err() == nil && !errors.Is(err, cache.ErrClosed) {
				n.srv.cfg.Logger.Warn("watching for subscribers ended", "topic", topic.Name(), "error", err)
				n.missed(i)
			}
		}()
	}
	attached.Wait()
}

// close ends the watches and returns when they have ended.
func (n *notifications) close() {
	n.mu.Lock()
	cancel := n.cancel
	n.mu.Unlock()
	if cancel != nil {
		cancel()
		n.done.Wait()
	}
}

// changed tells of a change that was applied, to the key's channel first, as Redis does.
func (n *notifications) changed(db int, key []byte, event string) {
	at := strconv.Itoa(db) + "__:"
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.channels)+len(n.patterns) == 0 {
		return
	}
	n.publish(db, append([]byte("__keyspace@"+at), key...), []byte(event))
	n.publish(db, []byte("__keyevent@"+at+event), key)
}

// publish tells who subscribed to a channel, then who subscribed to a pattern that it matches.
func (n *notifications) publish(db int, channel, payload []byte) {
	for _, c := range n.channels[string(channel)] {
		if c.mayRead(db) {
			c.message([]byte("message"), channel, payload)
		}
	}
	for pattern, who := range n.patterns {
		if !glob.Match([]byte(pattern), channel) {
			continue
		}
		for _, c := range who {
			if c.mayRead(db) {
				c.message([]byte("pmessage"), []byte(pattern), channel, payload)
			}
		}
	}
}

// missed closes the connections of all who could have been told of a topic, since changes of it were not told one by one: they subscribe again, and
// know that they have to look. A subscription to something else is not concerned.
func (n *notifications) missed(db int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := func(name string, isPattern bool) bool {
		for _, kind := range []string{"__keyspace@", "__keyevent@"} {
			prefix := kind + strconv.Itoa(db) + "__:"
			if len(name) >= len(prefix) && name[:len(prefix)] == prefix {
				return true
			}
		}
		return isPattern // what else it could match is not worked out
	}
	for _, family := range []struct {
		names   map[string]map[int64]*conn
		pattern bool
	}{{n.channels, false}, {n.patterns, true}} {
		for name, who := range family.names {
			if !of(name, family.pattern) {
				continue
			}
			for _, c := range who {
				c.end("notifications")
			}
		}
	}
}

// subscriptions are a connection's. They belong to its goroutine.
type subscriptions struct{ channels, patterns map[string]struct{} }

func (s *subscriptions) count() int {
	if s == nil {
		return 0
	}
	return len(s.channels) + len(s.patterns)
}

// message queues a message for a subscriber and wakes it; who does not read is closed. Any goroutine may call it; it does not block.
func (c *conn) message(parts ...[]byte) {
	c.infoMu.Lock()
	proto := c.info.proto
	c.infoMu.Unlock()
	c.pushMu.Lock()
	before := len(c.messages)
	c.messages = resp.AppendPush(c.messages, proto, len(parts))
	for _, p := range parts {
		c.messages = resp.AppendBulk(c.messages, p)
	}
	more, queued := len(c.messages)-before, len(c.messages)
	c.srv.buffers.Add(int64(more))
	c.pushMu.Unlock()
	switch {
	case queued > messageLimit:
		c.end("pubsub")
	case c.srv.buffers.Load() > c.srv.cfg.BufferLimit:
		c.end("buffers")
	default:
		c.wake()
	}
}

// emitMessages puts what a subscriber has been told behind the replies that are known.
func (c *conn) emitMessages() {
	c.pushMu.Lock()
	defer c.pushMu.Unlock()
	c.out = append(c.out, c.messages...)
	c.srv.buffers.Add(-int64(len(c.messages)))
	if c.messages = c.messages[:0]; cap(c.messages) > keptBuffer {
		c.messages = nil
	}
}

// dropMessages forgets what waits to be sent.
func (c *conn) dropMessages() {
	c.pushMu.Lock()
	defer c.pushMu.Unlock()
	c.srv.buffers.Add(-int64(len(c.messages)))
	c.messages = nil
}

// unsubscribeAll ends all subscriptions of the connection without a reply.
func (c *conn) unsubscribeAll() {
	if c.subs == nil {
		return
	}
	n := &c.srv.notifications
	n.mu.Lock()
	for name := range c.subs.channels {
		leave(n.channels, name, c)
	}
	for name := range c.subs.patterns {
		leave(n.patterns, name, c)
	}
	n.mu.Unlock()
	c.subs = nil
	c.subscribed.Store(0)
	c.dropMessages()
}

func leave(names map[string]map[int64]*conn, name string, c *conn) {
	delete(names[name], c.id)
	if len(names[name]) == 0 {
		delete(names, name)
	}
}
