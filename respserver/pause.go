package respserver

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What CLIENT PAUSE holds back; the later ones include those before.
const (
	pauseNothing int32 = iota
	pauseWrites
	pauseAll
)

// pausing is CLIENT PAUSE: commands that arrive until its end wait for it, apart from what they would be refused for at once, and from
// what other instances ask. What was taken before is not called back: a write that is on its way to Kafka goes on.
type pausing struct {
	mode atomic.Int32 // what is held back; read for every command

	mu    sync.Mutex
	until time.Duration // srv.now
	timer *time.Timer
}

// pause begins a pause, or makes the one that there is longer and holds back more, as in Redis: it never becomes less.
func (s *Server) pause(d time.Duration, mode int32) {
	p := &s.paused
	p.mu.Lock()
	defer p.mu.Unlock()
	now := s.now()
	if p.mode.Load() == pauseNothing {
		p.until = now
	}
	p.until = max(p.until, now+min(d, 1<<62))
	p.mode.Store(max(p.mode.Load(), mode))
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(p.until-now, func() { s.unpause(true) })
}

// unpause ends the pause, and lets go who waits for that. A timer's is ignored where a longer pause has taken its place.
func (s *Server) unpause(timer bool) {
	p := &s.paused
	p.mu.Lock()
	if timer && s.now() < p.until {
		p.mu.Unlock()
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.until, p.timer = 0, nil
	p.mode.Store(pauseNothing)
	p.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.waiting() {
			c.wake()
		}
	}
}

// left says what is paused, and for how long.
func (p *pausing) left(now time.Duration) (actions string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.mode.Load() {
	case pauseWrites:
		return "write", max(0, p.until-now)
	case pauseAll:
		return "all", max(0, p.until-now)
	}
	return "none", 0
}

// pauses reports whether a command that could run is held back.
func (s *Server) pauses(writes bool) bool {
	switch s.paused.mode.Load() {
	case pauseNothing:
		return false
	case pauseWrites:
		return writes && !s.draining.Load()
	}
	return !s.draining.Load()
}

// postponed reports whether the command at hand is held back by CLIENT PAUSE. Then the connection waits, and its frame is parsed again.
func (c *conn) postponed(cmd *command, args [][]byte) bool {
	if cmd.name == "kafka.applied" { // which other instances count on, as Redis's replicas
		return false
	}
	cmd, why := c.resolve(cmd, args)
	writes := cmd.flags&write != 0 || cmd.name == "exec" && c.multi != nil && c.multi.writes > 0
	if why != "" || !c.srv.pauses(writes) {
		return false
	}
	c.endRun()
	c.block, c.unblock = func() bool {
		if c.srv.pauses(writes) {
			return false
		}
		c.since.Store(int64(c.srv.now())) // it could not log in meanwhile: before it stops being one that waits
		c.setBlocked(false)
		return true
	}, func() {}
	c.setBlocked(true)
	c.parks = true
	if c.block() { // it has ended before those who wait were told
		c.block, c.unblock, c.parks = nil, nil, false
		return false
	}
	return true
}

func runClientPause(c *conn, args [][]byte) {
	mode := pauseAll
	switch {
	case len(args) > 4:
		c.failUsage(args)
		return
	case len(args) == 3, is(args[3], "all"):
	case is(args[3], "write"):
		mode = pauseWrites
	default:
		c.fail("ERR CLIENT PAUSE mode must be WRITE or ALL")
		return
	}
	d, ok := c.parseTimeout(args[2])
	if !ok {
		return
	}
	c.srv.pause(d, mode)
	c.ok()
}

func runClientUnpause(c *conn, _ [][]byte) {
	c.srv.unpause(false)
	c.ok()
}

// failUsage is Redis's answer to a subcommand with arguments that it does not take.
func (c *conn) failUsage(args [][]byte) {
	c.fail("ERR unknown subcommand or wrong number of arguments for '" + clip(args[1], 128) + "'. Try " + strings.ToUpper(string(args[0])) + " HELP.")
}
