package respserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// momentWait is how long EXEC waits for a commit that is under way, and for one like it of each further topic that it reads.
const momentWait = time.Second

// execLooks is after how many bytes of replies EXEC looks whether its client is still there.
const execLooks = 256 << 10

// execution is an EXEC that runs what was queued: in order, reads at one moment of the store with what the transaction's own writes make of it, writes
// gathered. Once all has run they are produced, and their replies filled in. It belongs to the connection's goroutine until
// then, and again when they are acknowledged.
type execution struct {
	conn      *conn
	db        int               // that the connection had chosen before
	fresh     time.Duration     // that it had asked for before
	checked   time.Duration     // under which the topics that are read were found to be fresh enough
	snapshots []*cache.Snapshot // by topic; nil where it is not read
	overlays  []overlay         // by topic
	writes    []cache.TopicWrite
	of        []*slot // that each write is told to
	queued    int64   // bytes of what was queued, with what its records take
	parts     []*slot // of the commands that write, in order, with the replies before each
	before    int     // bytes of those replies
	buffers   int64   // that those are in
	counted   int64   // of those, and of the replies after the last, what counts among the buffers of all connections
	tail      []byte  // the replies after the last
	lookedAt  int     // length when it was last looked whether the client is still there
	failed    error   // why the reads are not of one moment: nothing is answered but that
}

// runTransaction runs what was queued.
func (c *conn) runTransaction(m *multi) {
	ex := &execution{conn: c, db: c.db, fresh: c.fresh, queued: m.held(), snapshots: make([]*cache.Snapshot, len(c.srv.topics)), overlays: make([]overlay, len(c.srv.topics))}
	exec, runStart, runCount := c.run, c.runStart, c.runCount
	out := c.out
	if m.writes > 0 {
		c.out = nil // replies are parted by those that come later
	}
	mark := len(c.out)
	c.exec = ex
	defer func() { // also where a command panics
		if c.exec != nil {
			c.exec, c.out = nil, out
		}
		c.run, c.runStart, c.runCount = exec, runStart, runCount
	}()
	c.out = resp.AppendArray(c.out, len(m.queue))
	err := ex.runAll(m.queue)
	if err == nil && ex.length() > c.srv.replyLimit() {
		err = errTooLong
	}
	c.exec = nil
	switch {
	case err != nil:
		c.out = c.out[:mark]
		if m.writes > 0 {
			c.out = out
		}
		ex.undo()
		c.fail(ex.errorText(err))
	case m.writes == 0:
	case len(ex.writes) == 0: // all that would have written were wrong
		ex.tail, c.out = c.out, out
		for _, s := range ex.parts {
			c.out = append(c.out, s.before...)
			s.render(c, s)
		}
		c.out = append(c.out, ex.tail...)
	default:
		ex.tail, c.out = c.out, out
		c.run = exec // whose slot it is
		ex.produce(exec)
	}
}

// valuesOf is how many bytes of values an EXEC is about to answer that only reads, as far as they are looked at beforehand: the same ones as in awaitTransaction. What would be
// over the limit need not be made to be found so, by each of many that wait for each other.
func (c *conn) valuesOf(m *multi) (size int) {
	if m.writes > 0 {
		return 0 // which may make values smaller
	}
	keys := 0
	for i := range m.queue {
		q := &m.queue[i]
		switch {
		case q.cmd.name != "get" && q.cmd.name != "mget", !c.user.Load().full && !c.mayRead(q.db):
			continue
		}
		q.cmd.keys(q.args, func(key []byte) {
			if keys++; size <= c.srv.replyLimit() && (keys > fewKeys || c.srv.lane.expected()) {
				n, _, _ := c.srv.topics[q.db].ValueLen(key) // an error is answered by the command
				size += n
			}
		})
	}
	return size
}

func (c *conn) execTooLong() string {
	return "ERR the reply would be larger than the limit of " + bytesText(int64(c.srv.replyLimit())) + " that is held for one client; nothing was written"
}

// errGone is the error of an EXEC whose client has left. Nobody is told.
var errGone = errors.New("respserver: the client has left")

// errTooLong is the error of an EXEC whose replies are over the output limit.
var errTooLong = errors.New("respserver: the replies are too long")

// errNoRoom is the error of an EXEC whose replies would be more than all connections may hold together.
var errNoRoom = errors.New("respserver: there is no room for the replies")

// staleError is the error of an EXEC that reads what KAFKA.FRESH does not allow.
type staleError string

func (e staleError) Error() string { return string(e) }

// undo takes back what was chosen within a transaction that does nothing.
func (ex *execution) undo() {
	ex.conn.selectDB(ex.db)
	ex.conn.fresh = ex.fresh
}

// length is what has been answered so far.
func (ex *execution) length() int {
	return ex.before + len(ex.conn.out)
}

// runAll runs the commands; from the first that reads the store to the last they run at one moment.
func (ex *execution) runAll(queue []queued) error {
	first, last := -1, -1
	var topics []*cache.Topic
	for i := range queue {
		q := &queue[i]
		if !q.readsStore() {
			continue
		}
		t := ex.conn.srv.topics[q.db]
		if q.cmd.flags&loadingOK != 0 && !t.Ready() {
			continue // it says something about a topic that is not served too
		}
		if first < 0 {
			first = i
		}
		last = i
		if !slices.Contains(topics, t) {
			topics = append(topics, t)
		}
	}
	if first < 0 {
		return ex.run(queue)
	}
	if err := ex.run(queue[:first]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), momentWait)
	defer cancel()
	err := ex.conn.srv.cfg.Cache.Snapshot(ctx, topics, func(all []*cache.Snapshot) error {
		for _, s := range all {
			ex.snapshots[s.Topic().Index()] = s
			if why := ex.conn.stale(s.Topic()); why != "" {
				return staleError(why)
			}
		}
		ex.checked = ex.conn.fresh
		defer clear(ex.snapshots)
		return ex.run(queue[first : last+1])
	})
	if err != nil {
		return err
	}
	return ex.run(queue[last+1:])
}

func (ex *execution) run(queue []queued) error {
	c := ex.conn
	for i := range queue {
		q := &queue[i]
		if ex.left() {
			return errGone
		}
		c.run = q.cmd
		if !c.user.Load().full {
			if why := c.forbiddenInExec(q.cmd, c.db); why != "" {
				q.cmd.rejected.Add(1)
				c.fail(why)
				continue
			}
		}
		if c.fresh != ex.checked && ex.snapshots[c.db] != nil && q.readsStore() { // KAFKA.FRESH came between
			if why := c.stale(c.topic); why != "" {
				return staleError(why)
			}
		}
		if tr := c.track.Load(); tr != nil && q.cmd.flags&readonly != 0 {
			tr.before(c, q.cmd, q.args)
		}
		start, at, parts := c.srv.now(), len(c.out), len(ex.parts)
		q.cmd.run(c, q.args)
		if ex.failed != nil {
			return ex.failed
		}
		if len(ex.parts) > parts {
			continue // counted when its reply is known
		}
		took := c.srv.now() - start
		q.cmd.observe(c.stripe(), 1, took)
		c.noteSlow(q.cmd, q.args, took)
		c.srv.stats.commands.Add(1)
		if len(c.out) > at && c.out[at] == '-' {
			q.cmd.failed.Add(1)
		}
		if ex.length() > c.srv.replyLimit() {
			return errTooLong
		}
		if !ex.count() {
			return errNoRoom
		}
	}
	return nil
}

// held is what it holds beside the connection's workspace.
func (ex *execution) held() int64 { return ex.queued + ex.buffers }

// count has the replies counted among the buffers of all connections while they are made: as many EXECs as connections may be at it. It reports whether there is room for them,
// which is made as for who cannot wait (makeRoom), since a View is held.
func (ex *execution) count() bool {
	c := ex.conn
	n := ex.buffers + int64(cap(c.out))
	if n < ex.counted+largeReply {
		return true
	}
	ex.counted = n
	c.account()
	s := c.srv
	for s.buffers.Load()-s.owed.Load() > s.bufferLimit.Load() {
		if !s.relieve(c, 0, false) {
			return false
		}
	}
	return true
}

// left reports whether the client was closed, or has reset the connection.
func (ex *execution) left() bool {
	c := ex.conn
	if n := ex.length(); n-ex.lookedAt >= execLooks {
		ex.lookedAt = n
		if c.net.raw != nil && isReset(c.net.raw) {
			c.end("")
		}
	}
	return !c.alive()
}

// write takes a write that is to be produced with the others.
func (ex *execution) write(w cache.Write, s *slot) {
	c := ex.conn
	ex.writes = append(ex.writes, cache.TopicWrite{Topic: c.topic, Write: w})
	ex.of = append(ex.of, s)
	ex.overlays[c.db].set(w)
}

// produce writes what was gathered, and opens the slot of EXEC's reply. What follows EXEC waits for it.
func (ex *execution) produce(exec *command) {
	c := ex.conn
	size := cap(ex.tail) + len(ex.writes)*jointBytes
	for _, s := range ex.parts {
		size += s.bytes
	}
	outer := c.open(exec, 1, size, ex.render)
	c.barrier = outer
	own := make([]func(cache.Written, error), len(ex.writes))
	for i := range ex.writes {
		own[i] = c.submitting(ex.writes[i].Topic.Index(), &ex.writes[i].Write)
	}
	c.srv.cfg.Cache.SubmitAll(ex.writes, func(all []cache.Outcome, err error) {
		if err != nil {
			outer.mu.Lock()
			outer.err = err
			outer.mu.Unlock()
		}
		for i, ended := range own {
			switch {
			case ended == nil:
			case err != nil:
				ended(cache.Written{}, err)
			default:
				ended(all[i].Written, all[i].Err)
			}
		}
		for i, o := range all {
			ex.of[i].done(o.Written, o.Err)
		}
		outer.told()
	})
}

// render answers EXEC once its writes are decided.
func (ex *execution) render(c *conn, s *slot) {
	c.barrier = nil
	if s.err != nil {
		ex.undo()
		c.fail(ex.errorText(s.err))
		return
	}
	for _, part := range ex.parts {
		c.out = append(c.out, part.before...)
		c.wrote(part)
		at := len(c.out)
		part.render(c, part)
		part.cmd.observe(c.stripe(), 1, c.srv.now()-part.start)
		c.srv.stats.commands.Add(1)
		if c.out[at] == '-' {
			part.cmd.failed.Add(1)
		}
	}
	c.out = append(c.out, ex.tail...)
}

// errorText is what EXEC answers where it has done nothing, or does not know whether it has.
func (ex *execution) errorText(err error) string {
	c := ex.conn
	t := c.srv.topics[ex.db]
	var of *cache.TopicError
	if errors.As(err, &of) {
		t = of.Topic
	}
	var stale staleError
	switch {
	case errors.As(err, &stale):
		return err.Error() + "; nothing was written"
	case errors.Is(err, errTooLong):
		return c.execTooLong()
	case errors.Is(err, errNoRoom):
		return buffersFull + "; nothing was written"
	case errors.Is(err, cache.ErrSnapshotTooLarge), errors.Is(err, cache.ErrSnapshotExpired):
		return execAborted + "ERR " + err.Error() + "; nothing was written"
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, cache.ErrUnknownOutcome) && !errors.Is(err, cache.ErrUnavailable):
		return execAborted + "TRYAGAIN topic " + t.Name() + " is being written to, and no moment of it could be had within " + momentWait.String() + "; nothing was written"
	case errors.Is(err, cache.ErrNotReady):
		return execAborted + c.srv.loadingText(t)
	case of != nil:
		return c.errorText(t, of.Err)
	case errors.Is(err, cache.ErrUnknownOutcome):
		return "UNKNOWN the outcome of the transaction is not known, either all that it writes is in the log or nothing: " + err.Error()
	case errors.Is(err, cache.ErrNotEnoughReplicas):
		return "NOREPLICAS too few in-sync replicas, nothing was written: " + err.Error()
	case errors.Is(err, cache.ErrUnauthenticated):
		return "NOPERM Kafka does not take this instance's credentials, nothing was written: " + err.Error()
	case errors.Is(err, cache.ErrNotAuthorized):
		return "NOPERM Kafka's ACLs do not allow this instance the transaction (Write on the topics, Write and Describe on its transactional ids), nothing was written: " + err.Error()
	case errors.Is(err, cache.ErrUnavailable):
		return "TRYAGAIN the transaction could not be made, nothing was written: " + err.Error()
	case errors.Is(err, cache.ErrClosed):
		return "ERR the instance is shutting down, nothing was written"
	}
	return "ERR nothing was written: " + err.Error()
}
