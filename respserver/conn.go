package respserver

import (
	"cmp"
	"container/list"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// Sizes of a connection's buffers.
const (
	firstBuffer           = 4 << 10   // what a workspace begins with
	idleBuffer            = 512       // what an idle connection holds that cannot wait without a buffer
	keptBuffer            = 64 << 10  // what a busy one keeps between batches
	readAhead             = 64 << 10  // read while commands wait for Kafka or the peer
	flushAt               = 32 << 10  // replies beyond this are sent though the input has not run dry
	slotBytes             = 16 << 20  // of records that wait for Kafka, and of replies behind them
	recordBytes           = 1 << 10   // that one of those takes beside its key and value: its slot, what the producer has of it, and what waits for it to be applied
	jointBytes            = 512       // that one takes more in a transaction
	slotsPressed          = 16 << 10  // of records, from where on no more writes are taken from a connection while much is held
	slotsUncounted        = 64 << 10  // of records that a turn of a connection submits before they count among the buffers of all connections
	unsentInKernel        = 256 << 10 // that the kernel takes of what it cannot send yet
	growAtLeast           = 1024      // room that is offered to a read
	unauthenticatedAhead  = 16 << 10  // read while the replies to a peer that has to log in are not taken
	unauthenticatedOutput = 16 << 10  // of replies for a peer that has to log in and does not read; then no more commands are taken from it
	hugeBuffer            = 256 << 10 // given back as soon as it is empty, however busy the connection is
)

// conn is one client. Its fields belong to its goroutine, apart from those that say otherwise. Ten thousand that wait are to cost little, so
// what is needed only while commands run is in the workspace, which a connection that waits does not have.
type conn struct {
	srv *Server
	id  int64
	nc  net.Conn        // what was accepted: for deadlines, addresses and closing
	tls net.Conn        // what is spoken over it; nil: nothing
	raw syscall.RawConn // nc's socket for reading without a buffer; nil where that cannot be
	net outbound

	*workspace
	reading reading
	driven  *driven // nil: it has a goroutine of its own

	slots        []*slot
	slotBytes    int
	slotsCounted int             // slotBytes when it was last accounted
	writes       []lastWrite     // by topic, nil before the first write
	lastBytes    int64           // bytes that those take, about
	feed         []cache.Applied // what KAFKA.APPLIED has told, by topic; nil: nothing yet
	waitBytes    int64           // that what KAFKA.WAIT waits for takes, about
	fresh        time.Duration   // what KAFKA.FRESH allows reads to be old; 0: anything
	block        func() bool     // nil: parsing goes on; otherwise asked after each wake, until it is true
	unblock      func()          // ends what block waits for, where it is given up

	db            int
	topic         *cache.Topic
	proto         resp.Version
	authenticated bool
	outputLimit   int64 // of the replies that are queued: until it has logged in a peer cannot make us hold much
	dry           bool  // the last process ended since no whole frame was left
	eof           bool
	parks         bool // a command waits, which may be long: it need not keep the stack that it has grown
	moves         bool // it goes on in another goroutine
	keysFailed    bool // what the command at hand has waited for will never be
	replies       replyMode
	closing       string // not empty: no more commands are taken; why
	kill          string // counted reason, where closing is the server's doing
	executing     *command
	ran           bool       // a command, in this turn
	multi         *multi     // what is queued since MULTI; nil: it was not called
	exec          *execution // while EXEC runs what was queued
	barrier       *slot      // of an EXEC that writes: what follows waits for it
	accounted     int64
	multiCounted  int64         // of that, what is queued since MULTI
	trimmedAt     int64         // active when it was last told to trim; cron's
	rateNext      time.Duration // when it would be through with what it has run, at the limited rate
	limited       bool          // it is held back by that
	stranger      *list.Element // nil: it is none. As leaving, the server's mu guards it
	leaving       bool          // it was closed for others
	owes          int64         // what it held when it was closed to make room; Server.mu's
	waited        time.Duration // for its turn in the lane, in all
	way           *way          // of the lane, that it was in last or waits for
	laneSince     time.Duration // since when it makes a reply there
	mark          int           // len(out) when the command began; less where replies before its own have been sent since
	markSlots     int           // the same of slots

	state  atomic.Int32  // running, inRead, sleeping, inLoop, woken
	wakeup chan struct{} // made before it first sleeps

	// Read by others.
	user       atomic.Pointer[account]
	needsAuth  atomic.Bool              // not authenticated
	since      atomic.Int64             // srv.now since when it needs to
	active     atomic.Int64             // srv.now of the last bytes
	wantsTrim  atomic.Bool              // it has been idle: large buffers, and a stack that has grown, are to be given back
	track      atomic.Pointer[tracking] // what it is to be told; nil: nothing. It changes it itself
	redirected atomic.Int64             // connections whose invalidations it is told
	subscribed atomic.Int64             // channels in the upper half, patterns in the lower one
	inLane     atomic.Bool              // set with lane.mu held, reset by its goroutine
	heldBack   atomic.Bool              // it waits in a command, and is not read since much is held
	killed     atomic.Pointer[string]
	lastCmd    atomic.Pointer[command]
	blocked    atomic.Int32 // whether CLIENT UNBLOCK may end the command that waits, and how it has
	kept       atomic.Int64 // of what is held, what is remembered
	bufferIn   atomic.Int64
	bufferOut  atomic.Int64
	names      atomic.Int64  // bytes of what the client has named itself and its library
	created    time.Duration // srv.now when it was accepted
	infoMu     sync.Mutex
	info       connInfo

	oob  outOfBand
	gone bool           // it has ended, and nobody redirects to it any more; the tracking table's
	subs *subscriptions // nil: none

	multiCount atomic.Int64 // commands that are queued, -1 outside MULTI
	multiBytes atomic.Int64
}

// newConn makes the connection of what was accepted.
func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, id: s.nextID.Add(1), nc: nc, raw: rawConn(nc), proto: resp.V2, created: s.now(), topic: s.topics[0]}
	c.info.proto, c.oob.proto = resp.V2, resp.V2
	c.net = outbound{conn: c, raw: c.raw}
	if c.raw != nil {
		boundUnsent(c.raw, unsentInKernel)
		c.net.attempt = c.net.try
	}
	if sock, ok := nc.(*loopSocket); ok {
		c.driven = &driven{loop: sock.loop, sock: sock}
	} else if c.raw != nil {
		c.reading.attempt, c.reading.shallow = c.tryRead, true
	}
	if s.cfg.TLS != nil {
		c.raw = nil // what it has decrypted already is not seen on the socket
	}
	c.active.Store(int64(c.created))
	return c
}

// stream is where bytes are read.
func (c *conn) stream() net.Conn {
	if c.tls != nil {
		return c.tls
	}
	return c.nc
}

func (c *conn) stripe() int { return int(c.id % stripes) }

// connInfo is what CLIENT LIST tells of what the client said.
type connInfo struct {
	name, libName, libVer string
	db                    int
	proto                 resp.Version
	noEvict, noTouch      bool
	blocked               bool
	counted               bool // among blocked_clients
}

// size is how many bytes the client has named.
func (i *connInfo) size() int64 { return int64(len(i.name) + len(i.libName) + len(i.libVer)) }

type replyMode int

const (
	replyOn replyMode = iota
	replyOff
	replySkip // nothing for the next command
	replySkipped
)

// The states that decide how a connection is woken.
const (
	running  int32 = iota
	inRead         // ended by a deadline in the past
	sleeping       // waiting for wakeup
	inLoop         // waiting in its event loop
	woken
)

var longAgo = time.Unix(1, 0)

// wake makes the connection's goroutine look at its slots, block and flags soon. Any goroutine may call it.
func (c *conn) wake() {
	for {
		s := c.state.Load()
		if s == woken {
			return
		}
		if !c.state.CompareAndSwap(s, woken) {
			continue
		}
		switch s {
		case inRead:
			_ = c.nc.SetReadDeadline(longAgo)
		case sleeping:
			c.wakeup <- struct{}{} // has room: one send a sleep
		case inLoop:
			c.driven.loop.post(c)
		}
		return
	}
}

// serve runs the connection and reports whether it has ended. Otherwise it has been idle and is to be served on by another goroutine: a stack
// that has grown for a command does not become as small again as that of a goroutine that has just begun. The caller closes nc.
func (c *conn) serve() (ended bool) {
	for c.fill() {
		if c.moves {
			c.moves, c.reading.shallow = false, true
			return false
		}
		c.reading.shallow = false
		if !c.turn() {
			break
		}
	}
	c.conclude()
	return true
}

// turn runs what has arrived, and sends what is known. It reports whether the connection goes on.
func (c *conn) turn() bool {
	c.enter()
	c.ran = false
	c.catchUp()
	c.emitOutOfBand()
	for c.process() {
	}
	c.endRun()
	if c.srv.draining.Load() {
		c.drain()
		if c.departs() {
			c.holdLast()
			c.closing = departed
		}
	}
	if !c.flush() {
		return false
	}
	if c.block != nil || len(c.slots) > 0 {
		return true
	}
	if c.closing == "" && c.dry && c.eof {
		c.closing = "done"
	}
	return c.closing == ""
}

// conclude gives up what the connection waits for, and lets go what is to be sent.
func (c *conn) conclude() {
	c.leave()
	c.setLimited(false)
	c.leaveLane()
	if c.unblock != nil {
		c.unblock()
		c.setBlocked(false)
	}
	if why := c.killed.Load(); why != nil {
		c.kill = cmp.Or(c.kill, *why)
	} else if c.closing != "" {
		c.net.wait() // bounded by the write timeout and by the server's deadline
		if c.closing == departed {
			c.takeLeave()
		}
	}
}

// process runs what has arrived, until the input runs dry, something has to be waited for, or the connection is to be closed. It
// reports whether it should be called again: after a panic.
func (c *conn) process() (again bool) {
	c.executing = nil
	c.mark, c.markSlots = 0, 0
	defer func() {
		if p := recover(); p != nil {
			again = c.panicked(p)
		}
	}()
	for c.closing == "" {
		c.drain()
		c.dry = false
		if c.block != nil {
			if !c.block() {
				return false
			}
			c.block, c.unblock, c.parks = nil, nil, false
			c.heldBack.Store(false)
		}
		if c.barrier != nil {
			return false
		}
		if len(c.out)+len(c.wire) >= flushAt && len(c.slots) == 0 && !c.flush() {
			return false
		}
		if c.full() {
			return false
		}
		n, args, err := c.parser.Next(c.in[c.r:c.w])
		if err != nil {
			c.srv.stats.protocolErrors.Add(1)
			c.out = resp.AppendError(c.out, "ERR "+err.Error())
			c.closing, c.kill = "protocol", "protocol"
			return false
		}
		if n == 0 {
			c.dry = true
			return false
		}
		if len(args) == 0 {
			c.r += n
			continue
		}
		cmd := c.lookup(args[0])
		queues := c.multi != nil && (cmd == nil || cmd.flags&atOnce == 0)
		if cmd != nil && !queues && (cmd.flags&needsWrites != 0 || cmd.flags&atOnce != 0 && c.multi != nil && c.multi.endsWith(cmd)) && !c.settled() {
			return false // the frame is parsed again
		}
		if cmd != nil && !queues && !c.knowsKeys(cmd) {
			return false // as above
		}
		if c.driven != nil && c.leavesLoop(cmd, args, n) {
			return false
		}
		if cmd != nil && c.srv.paused.mode.Load() != pauseNothing && c.postponed(cmd, args) {
			return false
		}
		if c.srv.rate.interval > 0 && !c.inRate(cmd) {
			return false
		}
		c.r += n
		c.mark, c.markSlots = len(c.out), len(c.slots)
		if cmd == nil {
			c.endRun()
			c.unknown(args)
			continue
		}
		c.executing, c.ran = cmd, true
		if queues {
			c.queue(cmd, args)
		} else {
			c.execute(cmd, args)
		}
		c.executing = nil
		if c.inLane.Load() && !c.sendLarge() {
			return false
		}
	}
	return false
}

// panicked answers an error in place of the command that panicked, and reports whether the connection goes on.
func (c *conn) panicked(p any) bool {
	name := "none"
	if c.executing != nil {
		name = c.executing.name
	}
	c.srv.cfg.Logger.Error("a command panicked", "command", name, "panic", p, "stack", string(debug.Stack()))
	c.srv.stats.panics.Add(1)
	c.leaveLane()
	if c.executing == nil || len(c.slots) > c.markSlots || c.block != nil {
		// What was begun cannot be taken back in order.
		c.closing, c.kill = "panic", "panic"
		c.abandonSlots()
		c.block, c.barrier, c.out, c.wire, c.run = nil, nil, nil, nil, nil
		return false
	}
	c.out = append(c.out[:c.mark], "-ERR internal error, see the server's log\r\n"...)
	c.run = nil
	return true
}

// full reports whether no more commands may be taken for now, since too much waits to be sent or to be known.
func (c *conn) full() bool {
	queued := c.net.size.Load()
	if queued > 0 && (queued >= c.outputLimit || c.srv.pressed()) {
		return true // the end of what is queued wakes the connection
	}
	// The end of a write wakes the connection too: where much is held, writers wait for what they have under way, and nobody is closed for it.
	return len(c.slots) >= c.srv.cfg.MaxPending || c.slotBytes >= slotBytes || (c.slotBytes >= slotsPressed && c.srv.pressed()) ||
		(len(c.slots) > 0 && len(c.out) >= c.srv.cfg.OutputLimit/2)
}

// settled reports whether the connection's earlier writes are decided, so that a command that reads them can run. Otherwise a wake
// follows. Where +OK only means acknowledged, it also waits for the write to be applied here, for at most ApplyTimeout.
func (c *conn) settled() bool {
	if len(c.slots) > 0 {
		return false
	}
	if c.writes == nil {
		return true
	}
	var behind map[int]position.Position
	for db := range c.writes {
		w := &c.writes[db]
		if !w.dirty || !c.reads(db) {
			continue
		}
		w.dirty = false
		if c.srv.topics[db].Position().Covers(w.position) {
			continue
		}
		if behind == nil {
			behind = map[int]position.Position{}
		}
		behind[db] = w.position
	}
	if behind == nil {
		return true
	}
	a := c.newAwait(c.srv.cfg.ApplyTimeout)
	a.start(behind)
	c.hold(func() bool {
		if reached, _ := a.reached(); !reached && !a.over() {
			return false
		}
		a.stop()
		return true
	}, a.stop)
	return c.block == nil
}

// reads reports whether what is about to run reads the topic of a database.
func (c *conn) reads(db int) bool {
	if m := c.multi; m != nil {
		return m.reads[db]
	}
	return db == c.db
}

func (c *conn) alive() bool { return c.killed.Load() == nil }

// end closes the connection, from any goroutine, without an answer.
func (c *conn) end(why string) {
	c.killed.CompareAndSwap(nil, &why)
	_ = c.nc.Close()
	c.wake()
}

// waiting reports whether the client is in a WAIT, which is no idleness.
func (c *conn) waiting() bool {
	c.infoMu.Lock()
	defer c.infoMu.Unlock()
	return c.info.blocked
}

// setBlocked is what CLIENT LIST and INFO show. INFO does not count who asks KAFKA.APPLIED: other instances, as Redis's replicas, wait all the time.
// Who has waited was not idle: it is not closed between the end of that and its reply.
func (c *conn) setBlocked(b bool) {
	c.infoMu.Lock()
	changed := c.info.blocked != b
	if changed && !b {
		c.active.Store(int64(c.srv.now()))
	}
	c.info.blocked = b
	if b && changed {
		c.info.counted = c.feed == nil
	}
	counted := c.info.counted
	c.infoMu.Unlock()
	switch {
	case !changed || !counted:
	case b:
		c.srv.stats.blocked.Add(1)
	default:
		c.srv.stats.blocked.Add(-1)
	}
}
