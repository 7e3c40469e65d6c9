package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// ack is an acknowledged write of a partition: from ret on its record is in the log.
type ack struct {
	ret   time.Duration
	next  Next
	event *Event
}

// acks are a partition's, by their return, each replaced by the one before it where that has the greater offset.
type acks struct{ all []ack }

// before is the greatest position that had been acknowledged before a time.
func (a *acks) before(at time.Duration) (ack, bool) {
	if a == nil {
		return ack{}, false
	}
	i, _ := slices.BinarySearchFunc(a.all, at, func(one ack, at time.Duration) int { return cmp.Compare(one.ret, at) })
	if i == 0 {
		return ack{}, false
	}
	return a.all[i-1], true
}

// acknowledged gathers the acknowledged writes of each partition.
func (c *compiler) acknowledged() {
	c.each(func(e *Event) {
		if e.Kind != Write || e.Outcome != OK && e.Outcome != Pending {
			return
		}
		for _, n := range c.record(nil, e) {
			of := c.acks[n.Partition]
			if of == nil {
				of = &acks{}
				c.acks[n.Partition] = of
			}
			of.all = append(of.all, ack{e.Return, n, e})
		}
	})
	for _, of := range c.acks {
		slices.SortFunc(of.all, func(a, b ack) int { return cmp.Compare(a.ret, b.ret) })
		for i := range of.all {
			if i > 0 && of.all[i-1].next.Offset > of.all[i].next.Offset {
				of.all[i].next, of.all[i].event = of.all[i-1].next, of.all[i-1].event
			}
		}
	}
}

// span is a time, from the run's beginning.
type span struct{ from, to time.Duration }

// deposedFor is how long a broker that was paused may take until it knows that it leads nothing any more.
const deposedFor = 2 * time.Second

// deceived reports whether where the log ends may have been told by a broker that did not know yet that another one leads.
func (c *compiler) deceived(e *Event) bool {
	return slices.ContainsFunc(c.deposed, func(s span) bool { return e.Return >= s.from && e.Call-e.Fresh <= s.to })
}

// judgeWaits makes impossible what no order of one key's operations shows to be wrong.
func (c *compiler) judgeWaits() {
	shown := c.shownBy()
	c.each(func(e *Event) {
		switch {
		case e.Outcome != OK:
		case e.Sync && c.deceived(e): // the position that it tells is held to as every other
		case e.Sync:
			c.judgeSync(e)
		case e.Counted > 1:
			c.judgeCount(e, shown)
		}
	})
}

// judgeSync finds a write that had been acknowledged when KAFKA.SYNC was called, and that what it answered does not cover.
func (c *compiler) judgeSync(e *Event) {
	for _, n := range e.Covers {
		if known, ok := c.acks[n.Partition].before(e.Call); ok && known.next.Offset > n.Offset {
			c.impossible(known.event.Key, e, fmt.Sprintf("it knows partition %d up to %d, and %s was acknowledged before at %v, at offset %d",
				n.Partition, n.Offset, known.event.Command, known.event.Return, known.next.Offset-1))
		}
	}
}

// judgeCount finds a WAIT that counted more instances than can have had the writes, as what they showed later tells.
func (c *compiler) judgeCount(e *Event, shown map[string]*[most]shownLater) {
	var without []string
	key := ""
	for _, w := range e.Writes {
		key = c.events[e.Client][w].Key
	}
	if e.Counted > instances {
		c.impossible(key, e, fmt.Sprintf("there are %d instances", instances))
		return
	}
	for i := range instances {
		for _, w := range e.Writes {
			write := &c.events[e.Client][w]
			if v := c.settled(write).version; v > 0 && shown[write.Key] != nil && shown[write.Key][i].after(e.Return) < v {
				without, key = append(without, instanceName(i)), write.Key
				break
			}
		}
	}
	if instances-len(without) < e.Counted {
		c.impossible(key, e, "afterwards an older version was shown by "+strings.Join(without, " and "))
	}
}

func (c *compiler) impossible(key string, e *Event, reason string) {
	h := c.history(key)
	h.ops = append(h.ops, porcupine.Operation{ClientId: e.Client, Call: int64(e.Call), Return: int64(e.Return),
		Input: &op{kind: opNever, instance: e.Instance, removed: none, reason: reason, event: e}})
}

// shownLater are the reads of a key on an instance, by their call, each with the newest version that it and all later ones can have shown.
type shownLater struct {
	calls  []time.Duration
	newest []int
}

// after is the newest version that the oldest of the reads called after a time can have shown.
func (s *shownLater) after(at time.Duration) int {
	i, _ := slices.BinarySearch(s.calls, at+1)
	if i == len(s.calls) {
		return never
	}
	return s.newest[i]
}

// shownBy gathers what reads have shown, by key and instance.
func (c *compiler) shownBy() map[string]*[most]shownLater {
	type read struct {
		call    time.Duration
		version int
	}
	reads := map[string]*[most][]read{}
	c.each(func(e *Event) {
		k := c.log[e.Key]
		if e.Kind != Read || e.Outcome != OK || k == nil {
			return
		}
		v := len(k.Records) // of what cannot be, which is found elsewhere
		switch {
		case e.Deleted:
			for v > 0 && !k.Records[v-1].Tombstone {
				v--
			}
		case e.Offset != none:
			v = k.at(e.Offset)
		default:
			if versions := c.byValue[e.Key][e.Value]; len(versions) > 0 {
				v = versions[len(versions)-1]
			}
		}
		if reads[e.Key] == nil {
			reads[e.Key] = new([most][]read)
		}
		reads[e.Key][e.Instance] = append(reads[e.Key][e.Instance], read{e.Call, v})
	})
	all := map[string]*[most]shownLater{}
	for key, of := range reads {
		all[key] = new([most]shownLater)
		for i, some := range of {
			slices.SortFunc(some, func(a, b read) int { return cmp.Compare(a.call, b.call) })
			s := &all[key][i]
			s.calls, s.newest = make([]time.Duration, len(some)), make([]int, len(some))
			newest := never
			for j := len(some) - 1; j >= 0; j-- {
				newest = min(newest, some[j].version)
				s.calls[j], s.newest[j] = some[j].call, newest
			}
		}
	}
	return all
}
