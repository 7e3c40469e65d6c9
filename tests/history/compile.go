package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// never is the return of what may happen at any later time.
const never = math.MaxInt64

// resolved is what the log says of a write.
type resolved struct {
	version int // of the key; 0 where it is not known or not there
	reason  string
}

// reach says that an instance has reached the position next of a partition.
type reach struct {
	call, ret time.Duration
	next      int64
	event     *Event
}

// reaches are all of one partition and instance, by call.
type reaches struct {
	reach []reach
	upTo  []int64 // the greatest next of each and those before it
}

func (r *reaches) sort() {
	slices.SortFunc(r.reach, func(a, b reach) int { return cmp.Compare(a.call, b.call) })
	greatest := int64(0)
	for _, one := range r.reach {
		greatest = max(greatest, one.next)
		r.upTo = append(r.upTo, greatest)
	}
}

// beyond are those from the first that is behind an offset on.
func (r *reaches) beyond(offset int64) []reach {
	i, _ := slices.BinarySearch(r.upTo, offset+1)
	return r.reach[i:]
}

// keyHistory is one key's operations.
type keyHistory struct {
	key   string
	log   *KeyLog
	model keyModel
	ops   []porcupine.Operation
}

// compiler turns a history and its log into the operations of each key.
type compiler struct {
	log     Log
	events  [][]Event // by client, each at its Seq
	byValue map[string]map[string][]int
	writes  map[*Event]resolved
	claims  map[string][]int // how many writes claim each version of a key
	reaches map[int32]*[most]reaches
	acks    map[int32]*acks
	deposed []span
	keys    map[string]*keyHistory
}

// compile makes the histories of all keys, in the order of their names.
func compile(events [][]Event, log Log, deposed []span) []*keyHistory {
	c := &compiler{log: log, events: events, byValue: map[string]map[string][]int{}, writes: map[*Event]resolved{}, claims: map[string][]int{},
		reaches: map[int32]*[most]reaches{}, acks: map[int32]*acks{}, deposed: deposed, keys: map[string]*keyHistory{}}
	for key, k := range log {
		versions := map[string][]int{}
		for i, r := range k.Records {
			if !r.Tombstone {
				versions[r.Value] = append(versions[r.Value], i+1)
			}
		}
		c.byValue[key], c.claims[key] = versions, make([]int, len(k.Records)+1)
		c.history(key)
	}
	c.each(func(e *Event) {
		if e.Kind == Write {
			r := c.resolve(e)
			c.writes[e] = r
			if r.version > 0 {
				c.claims[e.Key][r.version]++
			}
		}
	})
	c.acknowledged()
	c.each(func(e *Event) {
		switch e.Kind {
		case Write:
			c.write(e)
		case Read:
			c.read(e)
		}
		if e.Outcome == OK {
			for _, n := range c.promised(e) {
				if c.reaches[n.Partition] == nil {
					c.reaches[n.Partition] = new([most]reaches)
				}
				for _, i := range e.on() {
					all := &c.reaches[n.Partition][i]
					all.reach = append(all.reach, reach{call: e.Call, ret: e.Return, next: n.Offset, event: e})
				}
			}
		}
	})
	c.judgeWaits()
	for _, of := range c.reaches {
		for i := range of {
			of[i].sort()
		}
	}
	var all []*keyHistory
	for key, h := range c.keys {
		if h.log != nil {
			for v := range h.log.Records {
				h.model.claimed = append(h.model.claimed, c.claims[key][v+1] == 1)
			}
			h.model.records = h.log.Records
			c.reached(h)
		}
		h.ops = append(h.ops, porcupine.Operation{ClientId: len(events), Input: &op{kind: opEnd}, Call: never - 1, Return: never})
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b *keyHistory) int { return cmp.Compare(a.key, b.key) })
	return all
}

func (c *compiler) each(f func(*Event)) {
	for i := range c.events {
		for j := range c.events[i] {
			f(&c.events[i][j])
		}
	}
}

func (c *compiler) history(key string) *keyHistory {
	h := c.keys[key]
	if h == nil {
		h = &keyHistory{key: key, log: c.log[key]}
		c.keys[key] = h
	}
	return h
}

// resolve finds the version that a write made.
func (c *compiler) resolve(e *Event) (r resolved) {
	k := c.log[e.Key]
	if !e.Deleted {
		switch versions := c.byValue[e.Key][e.Value]; {
		case len(versions) > 1:
			return resolved{reason: fmt.Sprintf("it is in the log %d times", len(versions))}
		case len(versions) == 1:
			r.version = versions[0]
		}
		if e.Offset != none && (r.version == 0 || k.Records[r.version-1].Offset != e.Offset || k.Partition != e.Partition) {
			r.reason = fmt.Sprintf("the log does not have it at offset %d of partition %d", e.Offset, e.Partition)
		}
		return r
	}
	if e.Offset != none {
		if r.version = k.at(e.Offset); r.version == 0 || k.Partition != e.Partition || !k.Records[r.version-1].Tombstone {
			return resolved{reason: fmt.Sprintf("the log has no tombstone of it at offset %d of partition %d", e.Offset, e.Partition)}
		}
		return r
	}
	for _, n := range e.Covers { // a hint: the offset of a repeated write may be that of the partition's end
		if k != nil && n.Partition == k.Partition {
			if v := k.at(n.Offset - 1); v > 0 && k.Records[v-1].Tombstone {
				r.version = v
			}
		}
	}
	return r
}

// settled is resolve's answer without a hint that two writes were given.
func (c *compiler) settled(e *Event) resolved {
	r := c.writes[e]
	if r.version > 0 && c.claims[e.Key][r.version] > 1 && e.Deleted && e.Offset == none {
		r.version = 0
	}
	return r
}

// promised are the positions that the answer of e says its instance has reached.
func (c *compiler) promised(e *Event) []Next {
	switch {
	case e.Kind == Write && e.Applied:
		return c.record(nil, e)
	case e.Kind == Reach:
		all := slices.Clone(e.Covers)
		for _, w := range e.Writes {
			all = c.record(all, &c.events[e.Client][w])
		}
		return all
	}
	return nil
}

// record appends the position behind the record that a write made.
func (c *compiler) record(all []Next, e *Event) []Next {
	if v := c.settled(e).version; v > 0 {
		k := c.log[e.Key]
		return append(all, Next{Partition: k.Partition, Offset: k.Records[v-1].Offset + 1})
	}
	return all
}

func (c *compiler) add(e *Event, o *op, ret int64) {
	o.event, o.instance = e, e.Instance
	h := c.history(e.Key)
	h.ops = append(h.ops, porcupine.Operation{ClientId: e.Client, Input: o, Call: int64(e.Call), Return: ret})
}

func (c *compiler) write(e *Event) {
	r := c.settled(e)
	o := &op{kind: opAppend, version: r.version, removed: e.Removed}
	ret := int64(e.Return)
	switch {
	case r.reason != "":
		o.kind, o.reason = opNever, r.reason
	case e.Outcome == Refused && r.version > 0:
		o.kind, o.reason = opNever, "it was refused as not written, and is in the log"
	case e.Outcome == Refused:
		return
	case r.version > 0:
		if e.Outcome == Unknown {
			ret = never
		}
	case e.Outcome == Unknown && e.Deleted:
		o.kind, ret = opAppendMay, never
	case e.Outcome == Unknown:
		return
	case e.Deleted:
		o.kind = opAppendSome
	default:
		o.kind, o.reason = opNever, "it was acknowledged, and is not in the log"
	}
	c.add(e, o, ret)
}

func (c *compiler) read(e *Event) {
	if e.Outcome != OK {
		return
	}
	o := &op{kind: opReadNone}
	k := c.log[e.Key]
	if !e.Deleted {
		o.kind = opRead
		if e.Offset != none {
			if o.version = k.at(e.Offset); o.version == 0 || k.Partition != e.Partition {
				o.kind, o.reason = opNever, "the log has no record of it at this offset"
			} else if k.Records[o.version-1].Tombstone {
				o.kind, o.reason = opNever, "the log has a tombstone at this offset"
			}
		} else if versions := c.byValue[e.Key][e.Value]; len(versions) > 0 {
			o.version = versions[0]
		} else {
			o.kind, o.reason = opNever, "nobody wrote this value: the log does not have it"
		}
	}
	if e.After != none {
		if before := &c.events[e.Client][e.After]; before.Outcome == OK {
			for _, n := range c.promised(before) {
				o.floor = max(o.floor, k.versions(n))
			}
		}
	}
	if e.Fresh > 0 && k != nil && !c.deceived(e) {
		if known, ok := c.acks[k.Partition].before(e.Call - e.Fresh); ok {
			o.floor = max(o.floor, k.versions(known.next))
		}
	}
	c.add(e, o, int64(e.Return))
}

// reached adds what the instances have reached of a key, without what follows from what they had reached before.
func (c *compiler) reached(h *keyHistory) {
	of := c.reaches[h.log.Partition]
	if of == nil {
		return
	}
	for i := range of {
		type known struct {
			ret     time.Duration
			version int
		}
		var recent []known // those kept that had not returned when the last one was called
		sure := 0          // the newest version of those that had
		for _, r := range of[i].beyond(h.log.Records[0].Offset) {
			v := h.log.versions(Next{Partition: h.log.Partition, Offset: r.next})
			if v <= sure {
				continue
			}
			recent = slices.DeleteFunc(recent, func(k known) bool {
				if k.ret < r.call {
					sure = max(sure, k.version)
					return true
				}
				return false
			})
			if v <= sure || slices.ContainsFunc(recent, func(k known) bool { return k.version >= v && k.ret <= r.ret }) {
				continue
			}
			recent = append(recent, known{r.ret, v})
			h.ops = append(h.ops, porcupine.Operation{ClientId: r.event.Client, Call: int64(r.call), Return: int64(r.ret),
				Input: &op{kind: opReach, instance: i, version: v, removed: none, event: r.event}})
			if sure == len(h.log.Records) {
				break
			}
		}
	}
}
