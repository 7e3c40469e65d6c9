package respserver

import (
	"time"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func waitCommands() []*command {
	return []*command{
		{name: "wait", arity: 3, flags: blocking | loadingOK, group: "generic", since: "3.0.0", complexity: "O(1)",
			summary: "Waits until instances have applied what this connection wrote, and returns how many have.", run: runWait},
		{name: "waitaof", arity: 4, flags: blocking | loadingOK, group: "generic", since: "7.2.0", complexity: "O(1)",
			summary: "Waits until what this connection wrote is acknowledged by Kafka, and returns [1, instances that applied it].", run: runWaitAOF},
	}
}

// parseTimeout parses milliseconds as Redis does, and answers the error where it cannot.
func (c *conn) parseTimeout(arg []byte) (time.Duration, bool) {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	ms, ok := parseInt(arg)
	switch {
	case !ok || ms > most:
		c.fail("ERR timeout is not an integer or out of range")
	case ms < 0:
		c.fail("ERR timeout is negative")
	default:
		return time.Duration(ms) * time.Millisecond, true
	}
	return 0, false
}

func runWait(c *conn, args [][]byte) {
	n, ok := parseInt(args[1])
	if !ok {
		c.fail(notInteger)
		return
	}
	timeout, ok := c.parseTimeout(args[2])
	if !ok {
		return
	}
	c.waitForWrites(n, timeout, func(reached int64) { c.out = resp.AppendInt(c.out, reached) })
}

func runWaitAOF(c *conn, args [][]byte) {
	local, ok := parseInt(args[1])
	switch {
	case !ok:
		c.fail(notInteger)
		return
	case local < 0 || local > 1:
		c.fail("ERR value is out of range, must be between 0 and 1")
		return
	}
	n, ok := parseInt(args[2])
	if !ok || n < 0 {
		c.fail("ERR value is out of range, must be positive")
		return
	}
	timeout, ok := c.parseTimeout(args[3])
	if !ok {
		return
	}
	c.waitForWrites(n, timeout, func(reached int64) {
		durable := int64(1) // acks=all: what is acknowledged is on all in-sync replicas
		if len(c.slots) > 0 {
			durable = 0
		}
		c.out = resp.AppendArray(c.out, 2)
		c.out = resp.AppendInt(c.out, durable)
		c.out = resp.AppendInt(c.out, reached)
	})
}

// waitForWrites holds the connection until n instances have applied all that it wrote, or the time is over; 0 is for ever. answer gets how many
// have then: this one first, and once it has the connected peers that have told so. An instance that has not applied them here counts as none.
func (c *conn) waitForWrites(n int64, timeout time.Duration, answer func(reached int64)) {
	a := c.newAwait(timeout)
	var written []position.Position
	stop := a.stop
	c.hold(func() bool {
		// What is still on its way to Kafka has no position to wait for.
		if len(c.slots) == 0 && !a.started {
			own := c.written()
			for _, p := range own {
				written = append(written, p)
			}
			if c.srv.peers != nil && n > 1 && c.exec == nil {
				w := c.srv.peers.Wait(written, c.wake)
				a.cancels = append(a.cancels, w.Cancel)
			}
			a.start(own)
		}
		var reached int64
		switch ok, err := a.reached(); {
		case ok && err != nil: // it will never be reached
			a.stop()
			c.failErr(err)
			return true
		case ok:
			reached = 1
			if c.srv.peers != nil {
				reached += int64(c.srv.peers.Count(written))
			}
		}
		if reached < n && !a.over() && !(n <= 0 && a.started) {
			return false
		}
		a.stop()
		answer(reached)
		return true
	}, stop)
}

// written are the positions that cover all that the connection wrote, by topic.
func (c *conn) written() map[int]position.Position {
	all := map[int]position.Position{}
	for i, w := range c.writes {
		if !w.position.IsZero() {
			all[i] = w.position
		}
	}
	return all
}
