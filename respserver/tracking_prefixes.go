package respserver

import "github.com/yolean/kafka-cache/core/cache"

// Bounds of one connection's prefixes, which Redis does not have: each change is looked up once for each length of a prefix that there is.
const (
	prefixesMost = 1000
	prefixMost   = 1 << 10 // bytes
	prefixCost   = 512     // bytes that one takes beside its own
)

// prefixTable are the prefixes of those that track by them (BCAST). The tracking table's lock guards it.
type prefixTable struct {
	all     map[string]*prefix
	lengths lengths
	touched []*prefix // by the batch at hand
}

// prefix is one, and what has changed under it in the batch at hand.
type prefix struct {
	trackers map[int64]*tracking // by connection
	events   []*cache.Event
}

// prefixBytes is about what the prefixes take.
func (tr *tracking) prefixBytes() (n int64) {
	for _, name := range tr.prefixes {
		n += prefixCost + int64(len(name))
	}
	return n
}

func (p *prefixTable) add(tr *tracking) {
	for _, name := range tr.prefixes {
		of := p.all[name]
		if of == nil {
			of = &prefix{trackers: map[int64]*tracking{}}
			if p.all == nil {
				p.all = map[string]*prefix{}
			}
			p.all[name] = of
			p.lengths.add(len(name))
		}
		of.trackers[tr.conn.id] = tr
	}
}

func (p *prefixTable) remove(tr *tracking) {
	for _, name := range tr.prefixes {
		of := p.all[name]
		delete(of.trackers, tr.conn.id)
		if len(of.trackers) > 0 {
			continue
		}
		delete(p.all, name)
		p.lengths.remove(len(name))
	}
}

// changed notes a change for those whose prefix its key has.
func (p *prefixTable) changed(e *cache.Event) {
	for _, l := range p.lengths {
		if l.bytes > len(e.Key) {
			return
		}
		if of := p.all[string(e.Key[:l.bytes])]; of != nil {
			if len(of.events) == 0 {
				p.touched = append(p.touched, of)
			}
			of.events = append(of.events, e)
		}
	}
}

// forgetChanges is called where everything is invalidated anyway.
func (p *prefixTable) forgetChanges() {
	for _, of := range p.touched {
		of.events = nil
	}
	p.touched = p.touched[:0]
}

// tellPrefixes sends what changed under each prefix: one message of all its keys to each connection, as in Redis.
func (t *trackingTable) tellPrefixes(topic int) {
	for _, of := range t.prefixes.touched {
		payload := changedPayload(of.events)
		for _, tr := range of.trackers {
			if tr.own == nil {
				t.tell(tr, topic, payload)
				continue
			}
			var others []*cache.Event
			for _, e := range of.events {
				if t.judge(tr, topic, e) == foreign {
					others = append(others, e)
				}
			}
			if len(others) > 0 {
				t.tell(tr, topic, changedPayload(others))
			}
		}
	}
	t.prefixes.forgetChanges()
}

// changedPayload are the keys of changes, each once.
func changedPayload(events []*cache.Event) []byte {
	keys := make([][]byte, 0, len(events))
	if len(events) == 1 {
		return keysPayload(append(keys, events[0].Key)...)
	}
	seen := make(map[string]struct{}, len(events))
	for _, e := range events {
		if _, ok := seen[string(e.Key)]; !ok {
			seen[string(e.Key)] = struct{}{}
			keys = append(keys, e.Key)
		}
	}
	return keysPayload(keys...)
}
