package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// mostAwaited bounds what is kept of a connection's writes for its next WAIT.
const mostAwaited = 64

// waitWrites is WAIT for n instances, about all that the connection has written.
func (c *client) waitWrites(instance, n int, timeout time.Duration) command {
	return command{args: []string{"WAIT", fmt.Sprint(n), millis(timeout)}, after: none, event: Event{Kind: Reach}, answer: func(e *Event, r reply) {
		s := c.conns[instance]
		e.Counted = int(r.n)
		if r.n < 1 {
			return // it promises nothing
		}
		e.Writes = slices.Clone(s.writes)
		if r.n >= instances {
			s.writes = nil
		}
	}}
}

// sync is KAFKA.SYNC: the instance says where the log ended, and that it has applied that.
func (c *client) sync(timeout time.Duration) command {
	return command{args: []string{"KAFKA.SYNC", millis(timeout)}, after: none, event: Event{Kind: Reach, Sync: true}, answer: func(e *Event, r reply) {
		e.Covers = covers(r.text)
	}}
}

// fresh is KAFKA.FRESH.
func (c *client) fresh(bound string) command {
	return command{args: []string{"KAFKA.FRESH", bound}, after: none, event: Event{Kind: Reach}, answer: func(*Event, reply) {}}
}

// getFresh is a read whose connection has been given a bound by the command at its place in the pipeline.
func (c *client) getFresh(key string, bound time.Duration, by int) command {
	cmd := c.get(key, by)
	answer := cmd.answer
	cmd.answer = func(e *Event, r reply) {
		answer(e, r)
		if c.events[e.After].Outcome == OK {
			e.Fresh = bound
		}
	}
	return cmd
}

// waitToken is KAFKA.WAIT.
func (c *client) waitToken(token string, timeout time.Duration) command {
	return command{args: []string{"KAFKA.WAIT", token, millis(timeout)}, after: none, event: Event{Kind: Reach}, answer: func(e *Event, r reply) {
		if r.n == 1 {
			e.Covers = covers(token)
		}
	}}
}

// position is KAFKA.POSITION: the instance says what it has applied.
func (c *client) position(token *string) command {
	return command{args: []string{"KAFKA.POSITION"}, after: none, event: Event{Kind: Reach}, answer: func(e *Event, r reply) {
		*token, e.Covers = r.text, covers(r.text)
	}}
}

// lastWrite is KAFKA.LASTWRITE. It promises nothing about the instance, and tells the offset of a DEL before it.
func (c *client) lastWrite(token *string) command {
	return command{args: []string{"KAFKA.LASTWRITE"}, after: none, event: Event{Kind: Reach}, answer: func(e *Event, r reply) {
		if token != nil {
			*token = r.text
		}
		if before := &c.events[e.Seq-1]; before.Kind == Write && before.Deleted && before.Outcome == OK {
			before.Covers = covers(r.text)
		}
	}}
}

func covers(token string) (all []Next) {
	p, err := position.Parse(token)
	if err != nil {
		return nil
	}
	for _, o := range p.Offsets() {
		all = append(all, Next{Partition: o.Partition, Offset: o.Next})
	}
	return all
}

func millis(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
