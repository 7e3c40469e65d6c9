package respserver

import "time"

// Of what --resp-rate-limit allows a connection.
const (
	rateBurstLeast = 100              // commands at once, where a second's worth is less
	rateWaitLeast  = time.Millisecond // that a connection is held back, so that a fast one is not woken for each command
)

// rateLimit is how many commands a connection may run: interval apart in the long run, and after it has been idle as many at once as a second allows,
// 100 at least. What comes sooner is not refused, it is read later: see docs/design.md.
type rateLimit struct {
	interval, burst time.Duration // 0: no limit
}

func newRateLimit(perSecond int) rateLimit {
	if perSecond == 0 {
		return rateLimit{}
	}
	interval := max(time.Second/time.Duration(perSecond), 1)
	return rateLimit{interval, time.Duration(max(perSecond, rateBurstLeast)) * interval}
}

// inRate reports whether the connection may run its next command now. Otherwise a wake follows, and its frame is parsed again. Only where there is a limit.
func (c *conn) inRate(cmd *command) bool {
	r := c.srv.rate
	if c.srv.draining.Load() || cmd != nil && cmd.name == "kafka.applied" { // which is not to make WAIT of other instances late
		c.setLimited(false)
		return true
	}
	now := c.srv.now()
	next := max(c.rateNext, now)
	if wait := next + r.interval - r.burst - now; wait > 0 {
		if !c.limited {
			c.setLimited(true)
			c.srv.stats.rateDelays.Add(1)
			time.AfterFunc(max(wait, rateWaitLeast), c.wake)
		}
		return false
	}
	c.rateNext = next + r.interval
	if c.limited {
		c.active.Store(int64(now)) // it was not idle
		c.setLimited(false)
	}
	return true
}

// setLimited notes whether the connection is held back.
func (c *conn) setLimited(yes bool) {
	if c.limited == yes {
		return
	}
	c.limited = yes
	if yes {
		c.srv.stats.rateLimited.Add(1)
	} else {
		c.srv.stats.rateLimited.Add(-1)
	}
}
