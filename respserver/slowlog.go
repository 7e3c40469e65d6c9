package respserver

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Redis's defaults and bounds (slowlog.h, redis.conf).
const (
	slowDefault    = 10_000  // µs: slowlog-log-slower-than
	slowKeptMost   = 10_000  // of slowlog-max-len; Redis has no bound
	slowKept       = 128     // slowlog-max-len
	slowArguments  = 32      // kept of an entry
	slowBytes      = 128     // kept of an argument
	slowMemory     = 8 << 20 // of all entries, whatever slowlog-max-len says
	slowManyInputs = 16      // from so many arguments on a fast command is timed by itself too
)

// slowLog keeps the newest of the commands whose execution took long: what SLOWLOG GET lists. A command is timed by itself where what it does grows with
// its arguments or the data; the others, GET among them, are timed in runs of equal ones, as for the metrics, so that the log costs them nothing. The time in
// which Kafka or a peer is waited for does not count, as in Redis. It is safe for concurrent use.
type slowLog struct {
	threshold atomic.Int64 // µs; negative: nothing is logged
	most      atomic.Int64 // entries

	mu      sync.Mutex
	entries []slowEntry // the oldest first
	bytes   int         // of them, about
	next    int64
}

// slowEntry is one of them, clipped and without secrets.
type slowEntry struct {
	id     int64
	at     time.Time
	took   time.Duration
	args   []string
	client string
	name   string
	cmd    *command // that args are of; nil: they are nothing that a client sent
	db     int      // of the topic that it was about
}

// shownTo are the arguments as a connection may see them: what others sent may be keys and values of topics that its user may not read.
func (e *slowEntry) shownTo(c *conn) []string {
	if e.cmd == nil || c.mayReadAll() || e.cmd.flags&(readonly|write|ofTopic) != 0 && c.mayRead(e.db) {
		return e.args
	}
	words := strings.Count(e.cmd.name, "|") + 1
	if len(e.args) <= words {
		return e.args
	}
	return append(e.args[:words:words], redacted)
}

// redacted stands for what is not to be seen, in Redis's word.
const redacted = "(redacted)"

func (l *slowLog) init() {
	l.threshold.Store(slowDefault)
	l.most.Store(slowKept)
}

// slow reports whether d is to be logged.
func (l *slowLog) slow(d time.Duration) bool {
	t := l.threshold.Load()
	return t >= 0 && d.Microseconds() >= t
}

// add logs a command of a connection, nil: a run of them. The arguments are copies.
func (l *slowLog) add(c *conn, cmd *command, args []string, took time.Duration) {
	c.infoMu.Lock()
	name := c.info.name
	c.infoMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, slowEntry{l.next, time.Now(), took, args, c.nc.RemoteAddr().String(), name, cmd, c.db})
	l.next++
	l.bytes += l.entries[len(l.entries)-1].size()
	l.trim()
}

// trim is called with mu held.
func (l *slowLog) trim() {
	over := max(0, len(l.entries)-int(l.most.Load()))
	for i, e := range l.entries {
		if i >= over && l.bytes <= slowMemory {
			break
		}
		l.bytes -= e.size()
		over = max(over, i+1)
	}
	clear(l.entries[:over])
	l.entries = l.entries[over:] // what append moves when there is no room at the end is little for each
}

func (e *slowEntry) size() int {
	const overhead = 128 // of an entry, and about that of four arguments
	n := overhead + len(e.client) + len(e.name)
	for _, a := range e.args {
		n += overhead/4 + len(a)
	}
	return n
}

// newest are at most n entries, the newest first; a negative n is all.
func (l *slowLog) newest(n int64) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > int64(len(l.entries)) {
		n = int64(len(l.entries))
	}
	all := slices.Clone(l.entries[int64(len(l.entries))-n:])
	slices.Reverse(all)
	return all
}

func (l *slowLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *slowLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.bytes = nil, 0
}

// noteSlow logs a command that was timed by itself.
func (c *conn) noteSlow(cmd *command, args [][]byte, took time.Duration) {
	c.srv.latency.observe(cmd, took)
	if l := &c.srv.slow; l.slow(took) {
		l.add(c, cmd, loggable(cmd, args), took)
	}
}

// noteSlowRun logs a run of n equal commands that took each on average. What they were sent with is gone.
func (c *conn) noteSlowRun(cmd *command, n int, each time.Duration) {
	c.srv.latency.observe(cmd, each)
	if l := &c.srv.slow; l.slow(each) {
		args := strings.Split(cmd.name, "|")
		if n > 1 {
			args = append(args, fmt.Sprintf("... (%d commands, timed together)", n))
		}
		l.add(c, nil, args, each)
	}
}

// timed reports whether a command is timed by itself.
func (m *command) timed(args [][]byte) bool { return m.flags&fast == 0 || len(args) > slowManyInputs }

// secretSetting reports whether the value of a setting is not to be seen: all but those that can be set here, since a client may try to set a password.
func secretSetting(name []byte) bool {
	for _, known := range []string{"slowlog-", "latency-", "tracking-"} {
		if len(name) > len(known) && is(name[:len(known)], known) {
			return false
		}
	}
	return true
}

// loggable is a command with its arguments clipped as in Redis, and secrets redacted.
func loggable(cmd *command, args [][]byte) []string {
	n := min(len(args), slowArguments)
	out := make([]string, 0, n)
	secret := 0
	for i, a := range args[:n] {
		switch {
		case i == slowArguments-1 && len(args) > slowArguments:
			return append(out, fmt.Sprintf("... (%d more arguments)", len(args)-n+1))
		case secret > 0, cmd.name == "auth" && i > 0, cmd.name == "acl|setuser" && i > 2, cmd.name == "config|set" && i > 2 && i%2 == 1 && secretSetting(args[i-1]):
			secret--
			out = append(out, redacted)
			continue
		case cmd.name == "hello" && is(a, "auth"):
			secret = 2
		}
		if more := len(a) - slowBytes; more > 0 {
			out = append(out, string(a[:slowBytes])+"... ("+strconv.Itoa(more)+" more bytes)")
		} else {
			out = append(out, string(a))
		}
	}
	return out
}
