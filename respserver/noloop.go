package respserver

import (
	"sync"
	"sync/atomic"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
)

// Bounds of what is known of one connection's own writes. Past them it is told of more than it has asked for, and never of less.
const (
	heldMost  = 256  // changes that wait until it is known whose they are
	lateMost  = 4096 // own records whose change has not been seen
	lateLeast = 64   // the same, while much is held
)

// What those take, about. A change that waits has its key in common with the write that it waits for.
const (
	flightBytes = 128 // and the key
	endedBytes  = 256 // of each write whose outcome is not known, or has not been looked at
	heldBytes   = 96
	lateBytes   = 96
)

// ownWrites are the writes of a connection that does not want to be told of them (CLIENT TRACKING … NOLOOP). What is told comes from the log, which does not say who
// wrote a record; the acknowledgement of a write does say which record it is. It often comes after the change has been seen: a change of a key
// that the connection is writing waits until it is known whether the record is one of its own. What another one wrote is always told.
//
// What it takes counts among the buffers of all connections until it ends, and what writes take that are under way then until their outcome is known.
//
// The tracking table's lock guards it, apart from bytes and what mu does.
type ownWrites struct {
	srv    *Server
	flying map[ownKey]flight      // writes whose outcome is not known
	held   []heldChange           // of their keys
	late   map[ownRecord]struct{} // written, and their change not seen yet
	bytes  atomic.Int64           // that all of it takes, about

	waiting atomic.Bool // ended has something
	mu      sync.Mutex  // guards what follows; taken with the table's lock held
	ended   []endedWrite
	over    bool // it has ended: nobody asks any more
}

type ownKey struct {
	topic int
	key   string
}

// ownRecord is one record of one incarnation of a topic.
type ownRecord struct {
	topic     position.TopicID
	partition int32
	offset    int64
	deletes   bool
}

// flight is how many writes of a key are under way, and the key, which is kept once.
type flight struct {
	key    string
	writes int
}

type heldChange struct {
	ownKey
	record ownRecord
}

type endedWrite struct {
	ownKey
	record ownRecord
	known  bool // record is
}

func newOwnWrites(s *Server) *ownWrites {
	return &ownWrites{srv: s, flying: map[ownKey]flight{}, late: map[ownRecord]struct{}{}}
}

// count notes that it takes n bytes more.
func (o *ownWrites) count(n int) {
	o.bytes.Add(int64(n))
	o.srv.buffers.Add(int64(n))
}

// end forgets everything, also what comes later.
func (o *ownWrites) end() {
	o.forget()
	o.mu.Lock()
	ended := o.ended
	o.ended, o.over = nil, true
	o.mu.Unlock()
	for i := range ended {
		o.count(-endedBytes)
		o.landed(ended[i].ownKey)
	}
}

// whose is a verdict on a change.
type whose int

const (
	foreign   whose = iota
	mine            // it is not told
	undecided       // it is held
)

// judge says whose a change is, as tr's connection sees it.
func (t *trackingTable) judge(tr *tracking, topic int, e *cache.Event) whose {
	t.settle(tr)
	o := tr.own
	record, ok := recordOf(e)
	if !ok {
		return foreign
	}
	if _, ok := o.late[record]; ok {
		delete(o.late, record)
		o.count(-lateBytes)
		return mine
	}
	f := o.flying[ownKey{topic, string(e.Key)}]
	switch {
	case f.writes == 0:
		return foreign
	case noLoopByKey:
		return mine
	case len(o.held) >= heldMost:
		return foreign
	}
	o.held = append(o.held, heldChange{ownKey{topic, f.key}, record})
	o.count(heldBytes)
	return undecided
}

// recordOf is the record that a change was made by; false where that is not the one whose value there is now, or the tombstone, alone.
func recordOf(e *cache.Event) (ownRecord, bool) {
	offsets := e.Position.Offsets()
	if len(offsets) != 1 || offsets[0].Partition != e.Partition || offsets[0].Next != e.Offset+1 {
		return ownRecord{}, false
	}
	return ownRecord{e.Position.Topic(), e.Partition, e.Offset, e.Kind == cache.EventDelete}, true
}

// settle takes what has become of writes, and tells of changes that turn out to be others'.
func (t *trackingTable) settle(tr *tracking) {
	o := tr.own
	if !o.waiting.Load() {
		return
	}
	o.mu.Lock()
	ended := o.ended
	o.ended = nil
	o.waiting.Store(false)
	o.mu.Unlock()
	for i := range ended {
		w := &ended[i]
		o.count(-endedBytes)
		if !noLoopByKey {
			o.landed(w.ownKey)
		}
		seen := false
		kept := o.held[:0]
		for _, h := range o.held {
			switch {
			case h.ownKey != w.ownKey:
				kept = append(kept, h)
			case w.known && h.record == w.record:
				seen = true
			case o.flying[h.ownKey].writes > 0 && !(w.known && h.record.partition == w.record.partition && h.record.offset < w.record.offset):
				kept = append(kept, h)
			default: // a connection's writes of one key are acknowledged in the order of the log
				t.tell(tr, h.topic, keysPayload([]byte(h.key)))
			}
		}
		o.count((len(kept) - len(o.held)) * heldBytes)
		clear(o.held[len(kept):])
		o.held = kept
		if w.known && !seen {
			if n := len(o.late); n >= lateMost || n >= lateLeast && o.srv.pressed() {
				o.forgetLate()
			}
			if _, ok := o.late[w.record]; !ok {
				o.late[w.record] = struct{}{}
				o.count(lateBytes)
			}
		}
	}
}

// landed notes that the outcome of a write is known.
func (o *ownWrites) landed(k ownKey) {
	f := o.flying[k]
	if f.writes--; f.writes > 0 {
		o.flying[k] = f
		return
	}
	delete(o.flying, k)
	o.count(-flightBytes - len(k.key))
}

// forget is for when everything is invalidated: what is held is told by that, and offsets may come to mean other records.
func (o *ownWrites) forget() {
	o.count(-len(o.held) * heldBytes)
	o.held = nil
	o.forgetLate()
}

// forgetLate gives the map's memory back too.
func (o *ownWrites) forgetLate() {
	o.count(-len(o.late) * lateBytes)
	o.late = map[ownRecord]struct{}{}
}

// submitting notes that the connection is about to write, where it does not want to be told of that. ended has to be called once with what came of it; nil: it need not.
func (c *conn) submitting(topic int, w *cache.Write) (ended func(w cache.Written, err error)) {
	tr := c.track.Load()
	if tr == nil || tr.own == nil {
		return nil
	}
	t, o, deletes := &c.srv.tracking, tr.own, w.Delete
	t.mu.Lock()
	f, ok := o.flying[ownKey{topic, string(w.Key)}]
	if !ok {
		f.key = string(w.Key)
		o.count(flightBytes + len(f.key))
	}
	f.writes++
	key := ownKey{topic, f.key}
	o.flying[key] = f
	o.count(endedBytes)
	t.mu.Unlock()
	return func(w cache.Written, err error) {
		written, there := inLog(err)
		if there {
			w = written
		}
		e := endedWrite{ownKey: key, known: (there || err == nil) && w.Offset >= 0}
		if e.known {
			e.record = ownRecord{w.Position.Topic(), w.Partition, w.Offset, deletes}
		}
		o.mu.Lock()
		over := o.over
		if !over {
			o.ended = append(o.ended, e)
			o.waiting.Store(true)
		}
		o.mu.Unlock()
		if over {
			t.mu.Lock()
			o.count(-endedBytes)
			o.landed(key)
			t.mu.Unlock()
		}
	}
}
