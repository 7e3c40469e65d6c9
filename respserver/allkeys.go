package respserver

import (
	"context"

	"github.com/yolean/kafka-cache/core/cache"
)

// knowsKeys reports whether the command at hand, or what EXEC is about to run, can be run without waiting for keys to be read into memory, which takes seconds after a restart with
// many of them: it waits here, where the client may leave, and an EXEC before it holds a moment. A wake follows.
func (c *conn) knowsKeys(cmd *command) bool {
	if c.keysFailed {
		c.keysFailed = false
		return true // the command answers why
	}
	switch {
	case !c.authenticated: // which the command answers
	case cmd.flags&everyTopic != 0:
		for _, t := range c.srv.topics {
			if !c.awaitKeys(t) {
				return false
			}
		}
	case cmd.flags&allKeys != 0:
		return c.awaitKeys(c.topic)
	case c.multi != nil && c.multi.endsWith(cmd):
		for i := range c.multi.queue {
			if q := &c.multi.queue[i]; q.cmd.flags&allKeys != 0 && !c.awaitKeys(c.srv.topics[q.db]) {
				return false
			}
		}
	}
	return true
}

// awaitKeys reports whether all keys of a topic are in memory, or it is not served, and has the connection wait for that otherwise.
func (c *conn) awaitKeys(t *cache.Topic) bool {
	if _, all := t.Resident(); all || !t.Ready() {
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	known := make(chan error, 1)
	go func() {
		known <- t.WaitResident(ctx)
		c.wake()
	}()
	c.hold(func() bool {
		select {
		case err := <-known:
			c.keysFailed = err != nil
			cancel()
			return true
		default:
			return false
		}
	}, cancel)
	return c.block == nil
}
