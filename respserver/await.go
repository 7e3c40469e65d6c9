package respserver

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// await is a wait of a connection for positions to be applied here. Its outcome is looked at by the connection's goroutine, which
// it wakes when there is one.
type await struct {
	conn    *conn
	left    atomic.Int64
	expired atomic.Bool
	timer   *time.Timer
	started bool
	cancels []func()

	mu  sync.Mutex
	err error
}

// newAwait arms the time-out; 0 is none.
func (c *conn) newAwait(timeout time.Duration) *await {
	a := &await{conn: c}
	if timeout > 0 {
		a.timer = time.AfterFunc(timeout, func() {
			a.expired.Store(true)
			c.wake()
		})
	}
	return a
}

// start begins to wait for the positions, each of the topic with its index.
func (a *await) start(positions map[int]position.Position) {
	a.started = true
	a.left.Store(int64(len(positions)))
	for i, p := range positions {
		a.cancels = append(a.cancels, a.conn.srv.topics[i].NotifyAt(p, func(err error) {
			if err != nil {
				a.mu.Lock()
				a.err = err
				a.mu.Unlock()
			}
			if a.left.Add(-1) == 0 {
				a.conn.wake()
			}
		}))
	}
}

// reached reports whether all positions are applied, or will never be: then with the error.
func (a *await) reached() (bool, error) {
	if !a.started || a.left.Load() > 0 {
		return false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return true, a.err
}

// over reports whether the wait is to be given up, as on a time-out. Within EXEC nothing waits. At Shutdown other instances, which wait all the time, are let go at once.
func (a *await) over() bool {
	s := a.conn.srv
	return a.expired.Load() || s.draining.Load() && (a.conn.feed != nil || s.hurries()) || a.conn.exec != nil || a.conn.blocked.Load() > blockedFor
}

func (a *await) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
	for _, cancel := range a.cancels {
		cancel()
	}
}

// hold stops parsing until ready is true, for the command at hand or, where there is none, before the next. unblock is called where
// the connection ends first.
func (c *conn) hold(ready func() bool, unblock func()) {
	cmd := c.executing
	if ready() || c.exec != nil {
		return
	}
	if cmd == nil {
		c.block, c.unblock = ready, unblock
		return
	}
	// Its duration includes the wait, and its reply comes after CLIENT REPLY has been looked at.
	c.runCount--
	c.endRun()
	start, silent := c.srv.now(), c.replies == replyOff || c.replies == replySkipped
	if cmd.flags&blocking != 0 {
		c.blocked.Store(blockedFor)
	}
	c.block, c.unblock = func() bool {
		at := len(c.out)
		if !ready() {
			return false
		}
		if c.blocked.Swap(notBlocked) == endsAsError {
			c.out = c.out[:at]
			c.fail("UNBLOCKED client unblocked via CLIENT UNBLOCK")
			cmd.failed.Add(1)
			c.feed = nil // what KAFKA.APPLIED would have told is to be told again
		}
		if silent {
			c.out = c.out[:at]
		}
		cmd.observe(c.stripe(), 1, c.srv.now()-start)
		c.srv.stats.commands.Add(1)
		c.setBlocked(false)
		return true
	}, unblock
	c.setBlocked(true)
	c.parks = true
}
