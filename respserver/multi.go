package respserver

import (
	"strconv"
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
)

// Bounds of what one connection queues between MULTI and EXEC.
const (
	maxQueued      = 1 << 16
	maxQueuedBytes = 16 << 20
	queuedOverhead = 64 // that a command, and each of its arguments, take beside what was sent
)

// buffersFull refuses what would take more than all connections may hold.
const buffersFull = "ERR the buffers of all connections have reached their limit"

// multi is what a connection has queued since MULTI.
type multi struct {
	db      int // the database that SELECT has chosen by then
	queue   []queued
	bytes   int
	records int          // that those which write would write
	spoiled bool         // a command was refused: EXEC runs nothing
	reads   map[int]bool // the databases that are read
	writes  int          // commands that write
}

// queued is a command that waits for EXEC. Its arguments are copies.
type queued struct {
	cmd  *command
	args [][]byte
	db   int
}

// readsStore reports whether the command reads the store.
func (q *queued) readsStore() bool { return q.cmd.flags&(readonly|needsWrites) == readonly|needsWrites }

// endsWith reports whether the command is EXEC, which runs what is queued.
func (m *multi) endsWith(cmd *command) bool { return cmd.name == "exec" }

// endMulti leaves MULTI, and forgets what was queued.
func (c *conn) endMulti() {
	c.multi = nil
	c.multiCount.Store(-1)
	c.multiBytes.Store(0)
}

// spoil has EXEC run nothing, and lets go of what was queued.
func (m *multi) spoil(c *conn) {
	m.spoiled = true
	m.queue, m.bytes, m.records = nil, 0, 0
	c.multiBytes.Store(0)
}

// queue takes a command inside MULTI, or says why it cannot run.
func (c *conn) queue(cmd *command, args [][]byte) {
	c.endRun()
	m := c.multi
	topic := c.srv.topics[m.db]
	cmd, why := c.admit(cmd, args, topic)
	if why == "" {
		why = c.queueable(cmd, args, topic)
	}
	if why != "" {
		c.refuse(cmd, why)
		return
	}
	at := len(c.out)
	c.out = append(c.out, "+QUEUED\r\n"...)
	if c.replies != replyOn {
		c.muffle(at, len(c.slots))
	}
	if m.spoiled {
		return
	}
	q := queued{cmd: cmd, args: cloneArgs(args), db: m.db}
	m.queue = append(m.queue, q)
	m.bytes += sizeOf(args)
	if q.readsStore() {
		m.reads[m.db] = true
	}
	if cmd.flags&write != 0 {
		m.writes++
		m.records += cmd.countKeys(args)
	}
	if cmd.name == "select" {
		if n, ok := parseInt(args[1]); ok && n >= 0 && n < int64(len(c.srv.topics)) {
			m.db = int(n)
		}
	}
	c.multiCount.Store(int64(len(m.queue)))
	c.multiBytes.Store(m.held())
}

// held is what it takes, with what its records will take until they are written.
func (m *multi) held() int64 { return int64(m.bytes) + int64(m.records)*(recordBytes+jointBytes) }

// queueable says why a command is not queued; empty where it is. What Redis finds out only when the command runs, it finds out then here too, and the other
// commands run; what a log cannot do, and what is no record of the topic, spoils all of them before anything is written.
func (c *conn) queueable(cmd *command, args [][]byte, t *cache.Topic) string {
	m := c.multi
	switch {
	case cmd.flags&noMulti != 0:
		return "ERR " + strings.ToUpper(cmd.name) + " is not supported inside MULTI"
	case cmd.flags&loadingOK == 0 && cmd.flags&(readonly|needsWrites) == readonly|needsWrites && !t.Ready():
		return c.srv.loadingText(t)
	case cmd.flags&write != 0 && !t.Writable():
		return c.errorText(t, cache.ErrReadOnly)
	case cmd.check != nil:
		if why := cmd.check(c, t, args); why != "" {
			return why
		}
	}
	size, more := sizeOf(args), int64(sizeOf(args))
	if cmd.flags&write != 0 {
		more += int64(cmd.countKeys(args)) * (recordBytes + jointBytes)
	}
	switch {
	case m.spoiled:
	case len(m.queue) >= maxQueued:
		return "ERR a transaction has at most " + strconv.Itoa(maxQueued) + " commands here"
	case m.bytes+size > maxQueuedBytes:
		return "ERR a transaction has at most " + bytesText(maxQueuedBytes) + " of commands here"
	case c.srv.buffers.Load()-c.multiCounted+m.held()+more > c.srv.bufferLimit.Load():
		return buffersFull
	}
	return ""
}

func sizeOf(args [][]byte) int {
	n := queuedOverhead
	for _, a := range args {
		n += queuedOverhead + len(a)
	}
	return n
}

// cloneArgs copies arguments out of the connection's buffer.
func cloneArgs(args [][]byte) [][]byte {
	n := 0
	for _, a := range args {
		n += len(a)
	}
	buf := make([]byte, 0, n)
	all := make([][]byte, len(args))
	for i, a := range args {
		buf = append(buf, a...)
		all[i] = buf[len(buf)-len(a) : len(buf) : len(buf)]
	}
	return all
}
