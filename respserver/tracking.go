package respserver

import (
	"sync"
	"sync/atomic"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

const (
	trackedKeysMost = 1_000_000 // Redis's default of tracking-table-max-keys
	trackedPart     = 8         // of BufferLimit is what the table takes at most: keys that are read and absent may be of any length
	trackedOverhead = 128       // bytes that a key takes beside its own, with its first reader
	readerOverhead  = 32        // and each further reader
	evictAtOnce     = 1000      // keys, under the table's lock
)

// tracking is what one connection wants to be told (CLIENT TRACKING). It is replaced as a whole; any goroutine may read what is not said to be otherwise.
type tracking struct {
	conn     *conn
	bcast    bool
	prefixes []string // sorted; [""] where BCAST names none
	bytes    int64    // that they take, about: they count among the connection's buffers
	optIn    bool
	optOut   bool
	redirect int64 // id of the connection that is told in this one's place; 0: none
	target   *conn // that connection
	broken   atomic.Bool
	own      *ownWrites // of NOLOOP; nil: without it. The table's lock guards it, apart from its ended

	caching int8 // of the next command, or transaction: 1 yes, -1 no, 0 by the mode. The connection's goroutine's
}

// trackingTable knows who has read which key, and tells them when it changes. The watches of the topics run from the first connection
// that tracks until the server ends. Its lock is above those of the server and of connections.
type trackingTable struct {
	srv  *Server
	most atomic.Int64 // keys; 0: bounded by their bytes alone

	mu       sync.Mutex
	keys     []map[string]*readers // by topic
	count    int                   // of keys
	items    int                   // of readers of keys
	bytes    int64                 // about what they take
	evicting int                   // topic that gives the next key, where there are too many
	trackers map[int64]*tracking   // by connection
	prefixes prefixTable

	watches topicWatches
	taking  atomic.Bool // changes have been taken, and are not all told
}

// readers are the ids of the connections that have read a key, of which some may have ended.
type readers struct {
	first int64
	more  map[int64]struct{} // nil: none
}

// add reports whether id is a new one.
func (r *readers) add(id int64) bool {
	if r.first == id {
		return false
	}
	if _, ok := r.more[id]; ok {
		return false
	}
	if r.more == nil {
		r.more = map[int64]struct{}{}
	}
	r.more[id] = struct{}{}
	return true
}

func (r *readers) count() int { return 1 + len(r.more) }

func (r *readers) each(fn func(id int64)) {
	fn(r.first)
	for id := range r.more {
		fn(id)
	}
}

// start makes sure that the topics are watched; it returns when all changes from now on are seen. mu is held.
func (t *trackingTable) start() error {
	if t.watches.started() {
		return nil
	}
	t.trackers = map[int64]*tracking{}
	t.prefixes = prefixTable{}
	t.keys = make([]map[string]*readers, len(t.srv.topics))
	for i := range t.keys {
		t.keys[i] = map[string]*readers{}
	}
	return t.watches.start(t.srv.topics, t.take)
}

func (t *trackingTable) close() { t.watches.close(&t.mu) }

// catchUp has told what every change means that was applied before the call.
func (t *trackingTable) catchUp() {
	for i, f := range t.watches.feeds {
		if f.Waiting() || t.taking.Load() { // in this order: what has been taken is being told
			t.take(i)
		}
	}
}

// take tells what a topic's changes mean.
func (t *trackingTable) take(topic int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taking.Store(true)
	t.changed(topic, t.watches.feeds[topic].Take())
	t.taking.Store(false)
}

func (t *trackingTable) changed(topic int, events []cache.Event) {
	for i := range events {
		e := &events[i]
		if e.Kind == cache.EventFlush {
			t.prefixes.forgetChanges()
			if !dropFlush {
				t.flushTopic(topic)
			}
			continue
		}
		if drops(e) {
			continue
		}
		t.tellReaders(topic, e)
		t.prefixes.changed(e)
	}
	t.tellPrefixes(topic)
}

// remember notes that a connection is about to read a key.
func (t *trackingTable) remember(id int64, topic int, key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.keys[topic][string(key)]; r == nil {
		t.keys[topic][string(key)] = &readers{first: id}
		t.count++
		t.items++
		t.bytes += trackedOverhead + int64(len(key))
	} else if r.add(id) {
		t.items++
		t.bytes += readerOverhead
	} else {
		return
	}
	for t.overfull() && t.evict() {
	}
}

// tellReaders tells who has read the key of a change, and forgets that they have: they are told once. Who made the change and does not want to hear of it stays, so
// that it hears of the next one.
func (t *trackingTable) tellReaders(topic int, e *cache.Event) {
	r := t.keys[topic][string(e.Key)]
	if r == nil {
		return
	}
	t.remove(topic, string(e.Key), r)
	var payload []byte
	r.each(func(id int64) {
		tr := t.trackers[id]
		if tr == nil || tr.bcast {
			return
		}
		if tr.own != nil && t.judge(tr, topic, e) != foreign {
			t.add(topic, string(e.Key), id)
			return
		}
		if payload == nil {
			payload = keysPayload(e.Key)
		}
		t.tell(tr, topic, payload)
	})
}

// add is remember without a bound: of a reader that was there a moment ago.
func (t *trackingTable) add(topic int, key string, id int64) {
	if r := t.keys[topic][key]; r != nil {
		if r.add(id) {
			t.items++
			t.bytes += readerOverhead
		}
		return
	}
	t.keys[topic][key] = &readers{first: id}
	t.count++
	t.items++
	t.bytes += trackedOverhead + int64(len(key))
}

func (t *trackingTable) remove(topic int, key string, r *readers) {
	delete(t.keys[topic], key)
	t.count--
	t.items -= r.count()
	t.bytes -= trackedOverhead + int64(len(key)) + readerOverhead*int64(len(r.more))
}

// overfull reports whether the table has more than it may.
func (t *trackingTable) overfull() bool {
	most := t.most.Load()
	return most > 0 && int64(t.count) > most || t.bytes > t.srv.bufferLimit.Load()/trackedPart
}

// evict invalidates any key, as if it had changed, and forgets it. It reports whether there was one.
func (t *trackingTable) evict() bool {
	for range t.keys {
		topic := t.evicting % len(t.keys)
		t.evicting++
		for key, r := range t.keys[topic] {
			t.remove(topic, key, r)
			payload := keysPayload([]byte(key))
			r.each(func(id int64) {
				if tr := t.trackers[id]; tr != nil && !tr.bcast {
					t.tell(tr, topic, payload)
				}
			})
			return true
		}
	}
	return false
}

// setMost is CONFIG SET tracking-table-max-keys.
func (t *trackingTable) setMost(n int64) {
	t.most.Store(n)
	for more := true; more; {
		more = t.evictSome()
	}
}

// evictSome evicts keys until no more are left than may be, for as long as the lock may be held. It reports whether there are more.
func (t *trackingTable) evictSome() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range evictAtOnce {
		if !t.overfull() || !t.evict() {
			return false
		}
	}
	return true
}

// flush tells everyone that all they know of some topics may be outdated.
func (t *trackingTable) flush(topics []*cache.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.watches.started() {
		return
	}
	for _, topic := range topics {
		t.forgetKeys(topic.Index())
	}
	for _, tr := range t.trackers {
		t.tell(tr, anyTopic, nil)
	}
}

// flushOf tells one connection that all it knows may be outdated.
func (t *trackingTable) flushOf(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr := t.trackers[c.id]; tr != nil {
		t.tell(tr, anyTopic, nil)
	}
}

func (t *trackingTable) flushTopic(topic int) {
	t.forgetKeys(topic)
	for _, tr := range t.trackers {
		if tr.own != nil {
			tr.own.forget() // the log may be another one
		}
		t.tell(tr, anyTopic, nil)
	}
}

func (t *trackingTable) forgetKeys(topic int) {
	for key, r := range t.keys[topic] {
		t.remove(topic, key, r)
	}
	t.keys[topic] = map[string]*readers{}
}

// anyTopic stands for what concerns a connection whatever it may read.
const anyTopic = -1

// tell pushes a message to a connection that tracks and may read the topic, or to the one that it redirects to. payload is an array of keys, nil: everything.
func (t *trackingTable) tell(tr *tracking, topic int, payload []byte) {
	c := tr.conn
	switch {
	case topic != anyTopic && !c.mayRead(topic), tr.broken.Load():
	case tr.target == nil:
		c.invalidated(payload, false)
	case tr.target.user.Load().name != c.user.Load().name || tr.target.needsAuth.Load():
		t.breakOff(tr) // who the other one is now need not be told what this one reads
	default:
		tr.target.invalidated(payload, true)
	}
}

// breakOff ends a redirection, whose target is gone, and says so where the protocol can.
func (t *trackingTable) breakOff(tr *tracking) {
	if !tr.broken.Swap(true) {
		tr.target.redirected.Add(-1)
		tr.conn.redirectionBroken(tr.redirect)
	}
}

// set makes tr what its connection wants to be told.
func (t *trackingTable) set(tr *tracking) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.start(); err != nil {
		return errNoWatch
	}
	c := tr.conn
	if tr.target != nil {
		if tr.target.gone { // since it was looked up
			return errNoTarget
		}
		tr.target.redirected.Add(1)
	}
	if before := t.trackers[c.id]; before != nil {
		t.let(before)
		switch {
		case before.own == nil:
		case tr.own != nil:
			tr.own = before.own
		default:
			before.own.end()
		}
	}
	t.trackers[c.id] = tr
	t.prefixes.add(tr)
	c.track.Store(tr)
	return nil
}

// let ends what a tracking holds of the table, the keys apart that its connection has read: they are forgotten when they change.
func (t *trackingTable) let(tr *tracking) {
	t.prefixes.remove(tr)
	if tr.target != nil && !tr.broken.Load() {
		tr.target.redirected.Add(-1)
	}
}

// forget ends a connection's tracking.
func (t *trackingTable) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr := t.trackers[c.id]; tr != nil {
		t.let(tr)
		if tr.own != nil {
			tr.own.end()
		}
		delete(t.trackers, c.id)
		c.track.Store(nil)
	}
}

// left tells those that redirect to a connection that it is gone.
func (t *trackingTable) left(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.gone = true
	if c.redirected.Load() == 0 {
		return
	}
	for _, tr := range t.trackers {
		if tr.target == c {
			t.breakOff(tr)
		}
	}
}

// sizes are what INFO tells.
func (t *trackingTable) sizes() (clients, keys, items, prefixes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.trackers), t.count, t.items, len(t.prefixes.all)
}

// keysPayload is an array of keys.
func keysPayload(keys ...[]byte) []byte {
	size := 16
	for _, k := range keys {
		size += len(k) + 16
	}
	b := resp.AppendArray(make([]byte, 0, size), len(keys))
	for _, k := range keys {
		b = resp.AppendBulk(b, k)
	}
	return b
}

// wants reports whether the keys of what is about to be read are to be remembered.
func (tr *tracking) wants() bool {
	switch {
	case tr.bcast:
		return false
	case tr.optIn:
		return tr.caching > 0
	case tr.optOut:
		return tr.caching >= 0
	}
	return true
}

// before registers the keys of a command ahead of reading them, so that no change falls between.
func (tr *tracking) before(c *conn, cmd *command, args [][]byte) {
	if tr.wants() {
		cmd.keys(args, func(key []byte) { c.srv.tracking.remember(c.id, c.db, key) })
	}
}

// catchUp sees to it that what is said from now on comes after the invalidation of what has been applied by now.
func (c *conn) catchUp() {
	tr := c.track.Load()
	if tr == nil && c.redirected.Load() == 0 {
		return
	}
	t := &c.srv.tracking
	t.catchUp()
	if tr != nil && tr.own != nil && tr.own.waiting.Load() {
		t.mu.Lock()
		t.settle(tr)
		t.mu.Unlock()
	}
}

// forgetCaching ends what CLIENT CACHING said, after the command that it was said of; where that is MULTI, after EXEC.
func (c *conn) forgetCaching(cmd *command) {
	if tr := c.track.Load(); tr != nil && c.multi == nil && cmd.flags&keepsCaching == 0 {
		tr.caching = 0
	}
}

// untrack ends the connection's tracking.
func (c *conn) untrack() {
	if c.track.Load() != nil {
		c.srv.tracking.forget(c)
	}
}
