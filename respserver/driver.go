package respserver

import (
	"fmt"
	"net"
	"runtime"
)

// Driver says what waits for connections. What is answered, in which order, and what is bounded are the same with each.
type Driver int

const (
	// Goroutines gives each connection a goroutine, which waits in the runtime's poller.
	Goroutines Driver = iota
	// Epoll has one event loop wait for all connections and run what takes microseconds, the rest in goroutines. On Linux alone, and for connections
	// without TLS that are sockets; the others have Goroutines.
	Epoll
)

// String is the driver's name, as INFO and the configuration have it.
func (d Driver) String() string {
	if d == Epoll {
		return "epoll"
	}
	return "goroutines"
}

// driven is a connection's place in an event loop. It is looked at by the loop, or by the worker that the loop has handed the connection to.
type driven struct {
	loop  *eventLoop
	sock  *loopSocket
	away  bool // a worker has it
	over  bool // it is to be ended, as the worker found
	wants bool // it waits for bytes too, as the worker found
	ended bool // the loop has nothing to do with it any more
	reads bool // the loop is told of what arrives
	// leaves says that what comes next is for a worker: it may wait for others, or take longer than others are to wait for it.
	leaves bool
}

// What the loop runs itself has at most so many arguments, and bytes.
const (
	quickArgs  = 16
	quickFrame = 16 << 10
)

// quick reports whether a command is one for the loop: it waits for nobody, and takes microseconds whatever its arguments are. Those that write
// are encoded, and looked at by the rules of their topic: with most encodings, and no rule, that is quick as well.
func (c *conn) quick(m *command, args [][]byte) bool {
	return len(args) <= quickArgs && (m.flags&(fast|write) == fast || m.flags&submits != 0 && c.topic.SubmitsQuickly())
}

// onLoop reports whether it is the loop that runs the connection now: it waits for nobody.
func (c *conn) onLoop() bool { return c.driven != nil && !c.driven.away }

// leavesLoop reports whether the next command, a frame of n bytes, is for a worker. Then the connection is handed over, and the frame is parsed again.
func (c *conn) leavesLoop(cmd *command, args [][]byte, n int) bool {
	if !c.onLoop() || cmd == nil || c.quick(cmd, args) && n <= quickFrame && c.resident() && !c.answersMuch(cmd, args) {
		return false
	}
	c.driven.leaves = true
	return true
}

// resident reports whether what is read is in memory: otherwise it may wait for a disk, or for all keys to be there. A topic that is not served is waited for by nobody.
func (c *conn) resident() bool {
	_, all := c.topic.Resident()
	return all || !c.topic.Ready()
}

// answersMuch reports whether a reply will be made in the lane, which may have to be waited for.
func (c *conn) answersMuch(cmd *command, args [][]byte) bool {
	if !c.srv.lane.expected() || !cmd.readsStore() || c.multi != nil {
		return false
	}
	size := len(c.out)
	cmd.keys(args, func(key []byte) {
		n, _, _ := c.topic.ValueLen(key)
		size += n
	})
	return size >= largeReply
}

// driver is what waits for the connections that are accepted.
func (s *Server) driver() Driver {
	if s.cfg.Driver == Epoll && canLoop && s.cfg.TLS == nil {
		return Epoll
	}
	return Goroutines
}

// loops is how many event loops there are: half of the processors are left for those who send, apply records and collect garbage.
func loops() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// startLoops starts the event loops, where they are the driver, and says which driver it is.
func (s *Server) startLoops() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loopsStarted || s.closed {
		return nil
	}
	if s.driver() == Epoll {
		var all []*eventLoop
		for range loops() {
			l, err := newEventLoop(s)
			if err != nil {
				for _, l := range all {
					l.stop()
				}
				return fmt.Errorf("respserver: event loop: %w", err)
			}
			all = append(all, l)
			go l.run()
		}
		s.loops = all
	}
	s.loopsStarted = true
	switch {
	case s.cfg.Driver != Epoll || s.driver() == Epoll:
		s.cfg.Logger.Info("connection driver", "driver", s.driver().String(), "eventLoops", len(s.loops))
	case s.cfg.TLS != nil:
		s.cfg.Logger.Warn("connections with TLS have a goroutine each, the driver epoll is for those without")
	default:
		s.cfg.Logger.Warn("connections have a goroutine each, the driver epoll is for Linux alone")
	}
	return nil
}

// stopLoops is called when all connections have ended.
func (s *Server) stopLoops() {
	s.mu.Lock()
	all := s.loops
	s.loops = nil
	s.mu.Unlock()
	for _, l := range all {
		l.stop()
	}
}

// take has a loop wait for what was accepted, where there are loops, rather than the runtime.
func (s *Server) take(nc net.Conn) (net.Conn, error) {
	s.mu.Lock()
	all := s.loops
	s.mu.Unlock()
	if len(all) == 0 {
		return nc, nil
	}
	return all[s.stats.accepted.Load()%uint64(len(all))].take(nc)
}
