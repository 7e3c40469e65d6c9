package respserver

import (
	"bytes"
	"sync"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

const (
	trackedKeys = 1_000_000 // Redis's tracking-table-max-keys
	pushLimit   = 1 << 20   // bytes of invalidations that wait for one connection; past it they become one flush
)

// tracking is what one connection wants to be told (CLIENT TRACKING). It belongs to the connection's goroutine, apart from what is said
// otherwise, and is replaced as a whole.
type tracking struct {
	bcast    bool
	prefixes [][]byte
	optIn    bool
	optOut   bool
	noLoop   bool
	caching  int8 // of the next command, or transaction: 1 yes, -1 no, 0 by the mode
}

// trackingTable knows who has read which key, and tells them when it changes. The watches of the topics run from the first connection
// that tracks until the server ends.
type trackingTable struct {
	srv *Server

	mu    sync.Mutex
	keys  []map[string]map[int64]struct{} // by topic: the ids of connections, of which some may have ended
	count int
	bcast map[int64]*tracking
	all   map[int64]*conn

	watches topicWatches
}

// start makes sure that the topics are watched; it returns when all changes from now on are seen.
func (t *trackingTable) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watches.started() {
		return
	}
	t.bcast, t.all = map[int64]*tracking{}, map[int64]*conn{}
	t.keys = make([]map[string]map[int64]struct{}, len(t.srv.topics))
	for i := range t.keys {
		t.keys[i] = map[string]map[int64]struct{}{}
	}
	t.watches.start(t.srv.topics, func(topic int, e cache.Event) {
		if e.Kind == cache.EventFlush {
			t.flush(topic)
		} else {
			t.invalidate(topic, e.Key)
		}
	}, func(topic int, err error) {
		t.srv.cfg.Logger.Warn("watching for client-side caches ended", "topic", t.srv.topics[topic].Name(), "error", err)
	})
}

func (t *trackingTable) close() { t.watches.close(&t.mu) }

// remember notes that a connection is about to read a key. Past the bound any other key is invalidated in its place.
func (t *trackingTable) remember(c *conn, topic int, key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	readers := t.keys[topic][string(key)]
	if readers == nil {
		if t.count >= trackedKeys {
			for k, who := range t.keys[topic] {
				delete(t.keys[topic], k)
				t.count--
				for id := range who {
					t.tell(topic, id, invalidation([]byte(k)))
				}
				break
			}
		}
		readers = map[int64]struct{}{}
		t.keys[topic][string(key)] = readers
		t.count++
	}
	readers[c.id] = struct{}{}
}

// invalidate tells who has read key, and forgets that they have: they are told once.
func (t *trackingTable) invalidate(topic int, key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	message := invalidation(key)
	if readers := t.keys[topic][string(key)]; readers != nil {
		delete(t.keys[topic], string(key))
		t.count--
		for id := range readers {
			t.tell(topic, id, message)
		}
	}
	for id, tr := range t.bcast {
		if tr.matches(key) {
			t.tell(topic, id, message)
		}
	}
}

// tell pushes a message about a topic's key to a connection that still tracks and may read the topic.
func (t *trackingTable) tell(topic int, id int64, message []byte) {
	if c := t.all[id]; c != nil && c.mayRead(topic) {
		c.push(message)
	}
}

// flush tells everyone that all they know may be outdated.
func (t *trackingTable) flush(topic int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count -= len(t.keys[topic])
	t.keys[topic] = map[string]map[int64]struct{}{}
	for _, c := range t.all {
		c.push(flushMessage)
	}
}

// forget removes a connection. The keys that it read are forgotten when they change.
func (t *trackingTable) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, c.id)
	delete(t.bcast, c.id)
}

func (tr *tracking) matches(key []byte) bool {
	if len(tr.prefixes) == 0 {
		return true
	}
	for _, p := range tr.prefixes {
		if bytes.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// flushMessage is RESP3's invalidation of everything.
var flushMessage = []byte(">2\r\n$10\r\ninvalidate\r\n_\r\n")

func invalidation(key []byte) []byte {
	b := append(make([]byte, 0, len(key)+48), ">2\r\n$10\r\ninvalidate\r\n*1\r\n"...)
	return resp.AppendBulk(b, key)
}

// push queues an out-of-band message and wakes the connection. Any goroutine may call it; it does not block.
func (c *conn) push(message []byte) {
	c.pushMu.Lock()
	if len(c.pushes)+len(message) > pushLimit {
		c.pushes = c.pushes[:0]
		message = flushMessage
	}
	c.pushes = append(c.pushes, message...)
	c.pushMu.Unlock()
	c.wake()
}

// emitPushes puts what was pushed behind the replies that are known, which it never overtakes. It is called between commands.
func (c *conn) emitPushes() {
	if !c.tracked.Load() && c.subscribed.Load() == 0 || c.full() {
		return // what is queued is bounded
	}
	if c.subscribed.Load() != 0 {
		c.emitMessages()
	}
	c.pushMu.Lock()
	c.out = append(c.out, c.pushes...)
	c.pushes = c.pushes[:0]
	if cap(c.pushes) > keptBuffer {
		c.pushes = nil
	}
	c.pushMu.Unlock()
}

// before registers the keys of a command ahead of reading them, so that no change falls between.
func (tr *tracking) before(c *conn, cmd *command, args [][]byte) {
	if tr.bcast {
		return
	}
	wanted := !tr.optIn || tr.caching > 0
	if tr.optOut && tr.caching < 0 {
		wanted = false
	}
	if wanted {
		cmd.keys(args, func(key []byte) { c.srv.tracking.remember(c, c.db, key) })
	}
}

// forgetCaching ends what CLIENT CACHING said, after the command that it was said of; where that is MULTI, after EXEC.
func (c *conn) forgetCaching(cmd *command) {
	if c.track != nil && c.multi == nil && cmd.flags&keepsCaching == 0 {
		c.track.caching = 0
	}
}

// untrack ends the connection's tracking.
func (c *conn) untrack() {
	if c.track != nil {
		c.track = nil
		c.tracked.Store(false)
		c.srv.tracking.forget(c)
		c.pushMu.Lock()
		c.pushes = nil
		c.pushMu.Unlock()
	}
}

func runClientTracking(c *conn, args [][]byte) {
	var tr tracking
	on := is(args[2], "on")
	if !on && !is(args[2], "off") {
		c.fail(syntax)
		return
	}
	for i := 3; i < len(args); i++ {
		switch {
		case is(args[i], "bcast"):
			tr.bcast = true
		case is(args[i], "optin"):
			tr.optIn = true
		case is(args[i], "optout"):
			tr.optOut = true
		case is(args[i], "noloop"):
			tr.noLoop = true
		case is(args[i], "prefix") && i+1 < len(args):
			i++
			tr.prefixes = append(tr.prefixes, bytes.Clone(args[i]))
		case is(args[i], "redirect"):
			c.fail("ERR CLIENT TRACKING option REDIRECT is not supported yet: use RESP3")
			return
		default:
			c.fail(syntax)
			return
		}
	}
	switch {
	case !on:
		c.untrack()
		c.ok()
		return
	case tr.noLoop:
		c.fail("ERR CLIENT TRACKING option NOLOOP is not supported yet: a change that is read back from the log does not say which connection made it")
		return
	case c.proto != resp.V3:
		c.fail("ERR CLIENT TRACKING needs RESP3 here (HELLO 3): REDIRECT is not supported yet")
		return
	case len(tr.prefixes) > 0 && !tr.bcast:
		c.fail("ERR PREFIX option requires BCAST mode to be enabled")
		return
	case tr.optIn && tr.optOut:
		c.fail("ERR You can't specify both OPTIN mode and OPTOUT mode")
		return
	case tr.bcast && (tr.optIn || tr.optOut):
		c.fail("ERR OPTIN and OPTOUT are not compatible with BCAST")
		return
	case c.track != nil && c.track.bcast != tr.bcast:
		c.fail("ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.")
		return
	case c.track != nil && (c.track.optIn != tr.optIn || c.track.optOut != tr.optOut):
		c.fail("ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.")
		return
	}
	if c.track != nil {
		tr.prefixes = append(tr.prefixes, c.track.prefixes...)
	}
	t := &c.srv.tracking
	t.start()
	c.track = &tr
	c.tracked.Store(true)
	t.mu.Lock()
	t.all[c.id] = c
	if tr.bcast {
		t.bcast[c.id] = &tr
	}
	t.mu.Unlock()
	c.ok()
}

func runClientCaching(c *conn, args [][]byte) {
	yes := is(args[2], "yes")
	switch {
	case c.track == nil:
		c.fail("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
		return
	case !yes && !is(args[2], "no"):
		c.fail(syntax)
		return
	case yes && !c.track.optIn:
		c.fail("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
		return
	case !yes && !c.track.optOut:
		c.fail("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
		return
	case yes:
		c.track.caching = 1
	default:
		c.track.caching = -1
	}
	c.ok()
}

func runClientTrackingInfo(c *conn, _ [][]byte) {
	flags, prefixes, redirect := []string{"off"}, [][]byte(nil), int64(-1)
	if tr := c.track; tr != nil {
		flags, prefixes, redirect = []string{"on"}, tr.prefixes, 0
		for _, f := range []struct {
			name string
			on   bool
		}{{"bcast", tr.bcast}, {"optin", tr.optIn}, {"optout", tr.optOut}, {"caching-yes", tr.caching > 0}, {"caching-no", tr.caching < 0}} {
			if f.on {
				flags = append(flags, f.name)
			}
		}
	}
	c.out = resp.AppendMap(c.out, c.proto, 3)
	c.out = resp.AppendBulkString(c.out, "flags")
	c.out = resp.AppendSet(c.out, c.proto, len(flags))
	for _, f := range flags {
		c.out = resp.AppendBulkString(c.out, f)
	}
	c.out = resp.AppendBulkString(c.out, "redirect")
	c.out = resp.AppendInt(c.out, redirect)
	c.out = resp.AppendBulkString(c.out, "prefixes")
	c.out = resp.AppendArray(c.out, len(prefixes))
	for _, p := range prefixes {
		c.out = resp.AppendBulk(c.out, p)
	}
}

func runClientGetRedir(c *conn, _ [][]byte) {
	if c.track == nil {
		c.out = resp.AppendInt(c.out, -1)
		return
	}
	c.out = resp.AppendInt(c.out, 0)
}
