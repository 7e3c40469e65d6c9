package history

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// client runs steps against all instances and records what it sees. It is one goroutine's.
type client struct {
	id        int
	began     time.Time
	instances []*instance
	patience  time.Duration // for an answer
	conns     []*session
	events    []Event
	values    int // written so far
	payload   string
}

// session is a connection to one life of an instance.
type session struct {
	*conn
	acknowledged bool
	writes       []int // the client's events that this connection wrote and that were acknowledged, since the last WAIT that counted all instances
}

func newClient(id int, began time.Time, instances []*instance) *client {
	c := &client{id: id, began: began, instances: instances, conns: make([]*session, len(instances)), patience: 3 * time.Second}
	if id == 0 {
		c.patience = 12 * time.Second // long enough to be told that an outcome is not known
	}
	c.payload = strings.Repeat(string(rune('a'+id)), valueLength)
	return c
}

// command is what is sent, and what its event is before the answer.
type command struct {
	args  []string
	event Event
	// answer takes what of the reply is the command's own; a reply that is an error does not get there.
	answer func(e *Event, r reply)
	// after is the command in the same pipeline whose promise this read must show, or none.
	after int
}

// run runs the steps of each phase while ctx lasts.
func (c *client) run(ctx context.Context, plan *Plan) {
	defer c.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for at := 0; ; at++ {
		steps := plan.steps(c.id, at)
		for time.Since(c.began) < time.Duration(at+1)*phase {
			st := steps.next()
			timer.Reset(st.think)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			c.do(st)
		}
	}
}

// do runs one step.
func (c *client) do(st step) {
	here, there := st.instance, st.other
	switch st.action {
	case actGet:
		c.send(here, c.get(st.key, none))
	case actMeta:
		c.send(here, c.meta(st.key))
	case actSet:
		c.send(here, c.set(st.key))
	case actDel:
		c.send(here, c.del(st.key))
	case actKafkaSet:
		c.send(here, c.kafkaSet(st.key))
	case actKafkaDel:
		c.send(here, c.kafkaDel(st.key))
	case actSetGet:
		c.send(here, c.set(st.key), c.get(st.key, 0))
	case actDelGet:
		c.send(here, c.del(st.key), c.lastWrite(nil), c.get(st.key, 0))
	case actWaitGet:
		if c.send(here, c.set(st.key)) {
			c.send(here, c.waitWrites(here, 1, st.wait), c.get(st.key, 0))
		}
	case actWaitPeersGet:
		if c.send(here, c.set(st.key), c.waitWrites(here, st.count, st.wait), c.get(st.key, 1)) {
			for i := range instances - 1 {
				c.send((here+1+i)%instances, c.get(st.key, none))
			}
		}
	case actTokenGet, actTokenDelGet:
		write := c.kafkaSet(st.key)
		if st.action == actTokenDelGet {
			write = c.kafkaDel(st.key)
		}
		token, answer := "", write.answer
		write.answer = func(e *Event, r reply) {
			answer(e, r)
			if len(r.items) == 3 {
				token = r.items[2].text
			}
		}
		if c.send(here, write) && token != "" {
			c.send(there, c.waitToken(token, st.wait), c.get(st.key, 0), c.get(st.others[0], 0))
		}
	case actLastWriteGet:
		var token string
		if c.send(here, c.set(st.key), c.lastWrite(&token)) && token != "" {
			c.send(there, c.waitToken(token, st.wait), c.get(st.key, 0))
		}
	case actPosition:
		var token string
		if c.send(here, c.get(st.key, none), c.position(&token)) && token != "" {
			c.send(there, c.waitToken(token, st.wait), c.get(st.key, 0), c.get(st.others[0], 0), c.get(st.others[1], 0))
		}
	case actSyncGet:
		c.send(here, c.sync(st.wait), c.get(st.key, 0), c.get(st.others[0], 0), c.get(st.others[1], 0))
	case actFreshGet:
		c.send(here, c.fresh(millis(st.fresh)), c.getFresh(st.key, st.fresh, 0), c.getFresh(st.others[0], st.fresh, 0), c.fresh("OFF"))
	case actCut:
		c.sendAndCut(here, c.set(st.key))
	}
}

func (c *client) get(key string, after int) command {
	return command{args: []string{"GET", key}, after: after, event: Event{Kind: Read, Key: key}, answer: func(e *Event, r reply) {
		e.Value, e.Deleted = r.text, r.null
	}}
}

// meta reads which record a key's value is of.
func (c *client) meta(key string) command {
	return command{args: []string{"KAFKA.META", key}, after: none, event: Event{Kind: Read, Key: key}, answer: func(e *Event, r reply) {
		if r.null {
			e.Deleted = true
			return
		}
		for i := 0; i+1 < len(r.items); i += 2 {
			switch r.items[i].text {
			case "partition":
				e.Partition = int32(r.items[i+1].n)
			case "offset":
				e.Offset = r.items[i+1].n
			}
		}
	}}
}

// value is one that no other write has.
func (c *client) value() string {
	c.values++
	return fmt.Sprintf("%d.%d.%s", c.id, c.values, c.payload)
}

func (c *client) set(key string) command {
	v := c.value()
	return command{args: []string{"SET", key, v}, after: none, event: Event{Kind: Write, Key: key, Value: v}, answer: func(*Event, reply) {}}
}

func (c *client) del(key string) command {
	return command{args: []string{"DEL", key}, after: none, event: Event{Kind: Write, Key: key, Deleted: true}, answer: func(e *Event, r reply) {
		e.Removed = int(r.n)
	}}
}

func (c *client) kafkaSet(key string) command {
	v := c.value()
	return command{args: []string{"KAFKA.SET", key, v}, after: none, event: Event{Kind: Write, Key: key, Value: v}, answer: written}
}

func (c *client) kafkaDel(key string) command {
	return command{args: []string{"KAFKA.DEL", key}, after: none, event: Event{Kind: Write, Key: key, Deleted: true}, answer: written}
}

func written(e *Event, r reply) {
	if len(r.items) == 3 && r.items[1].n >= 0 {
		e.Partition, e.Offset = int32(r.items[0].n), r.items[1].n
	}
}

func (c *client) now() time.Duration { return time.Since(c.began) }

// session is the connection to an instance, made where there is none.
func (c *client) session(instance int) *session {
	if s := c.conns[instance]; s != nil {
		return s
	}
	l := c.instances[instance].current()
	if l == nil {
		return nil
	}
	conn, err := dial(l.resp, time.Second)
	if err != nil {
		return nil
	}
	c.conns[instance] = &session{conn: conn, acknowledged: l.acknowledged}
	return c.conns[instance]
}

func (c *client) drop(instance int) {
	if s := c.conns[instance]; s != nil {
		s.Close()
		c.conns[instance] = nil
	}
}

// retryDelay is how long a client waits after a connection that could not be made.
const retryDelay = 20 * time.Millisecond

// send sends the commands in one piece, records an event for each, and reports whether all were answered, errors included.
func (c *client) send(instance int, commands ...command) bool {
	s := c.session(instance)
	call := c.now()
	first := len(c.events)
	if s == nil {
		for _, cmd := range commands {
			c.record(cmd, instance, first, call, call, Refused, "no connection")
		}
		time.Sleep(retryDelay)
		return false
	}
	all := make([][]string, len(commands))
	for i, cmd := range commands {
		all[i] = cmd.args
	}
	call = c.now()
	err := s.send(time.Now().Add(c.patience), all...)
	for _, cmd := range commands {
		var r reply
		if err == nil {
			r, err = s.receive()
		}
		now := c.now()
		if err != nil {
			c.record(cmd, instance, first, call, now, Unknown, err.Error())
			continue
		}
		e := c.record(cmd, instance, first, call, now, OK, r.String())
		if r.kind == '-' {
			e.fail(r.text)
		} else {
			e.Applied = e.Kind == Write && (!s.acknowledged || cmd.args[0] == "DEL")
			cmd.answer(e, r)
		}
		if e.Kind == Write && (e.Outcome == OK || e.Outcome == Pending) {
			s.writes = append(s.writes, e.Seq)
			s.writes = s.writes[max(0, len(s.writes)-mostAwaited):]
		}
	}
	if err != nil {
		c.drop(instance)
	}
	return err == nil
}

// sendAndCut sends a command and closes the connection without waiting for the answer.
func (c *client) sendAndCut(instance int, cmd command) {
	s := c.session(instance)
	call := c.now()
	if s == nil {
		c.record(cmd, instance, len(c.events), call, call, Refused, "no connection")
		return
	}
	_ = s.send(time.Now().Add(c.patience), cmd.args) // its outcome is unknown either way
	c.drop(instance)
	c.record(cmd, instance, len(c.events), call, c.now(), Unknown, "connection closed")
}

func (c *client) record(cmd command, instance, first int, call, ret time.Duration, outcome Outcome, reply string) *Event {
	e := cmd.event
	e.Client, e.Seq, e.Instance, e.Command, e.Reply, e.Outcome = c.id, len(c.events), instance, strings.Join(cmd.args, " "), reply, outcome
	e.Call, e.Return = call, ret
	e.Offset, e.Removed, e.After = none, none, none
	if cmd.after != none {
		e.After = first + cmd.after
	}
	c.events = append(c.events, e)
	return &c.events[len(c.events)-1]
}

// fail takes the outcome from an error's first word, as docs/commands.md has them.
func (e *Event) fail(text string) {
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "PENDING":
		e.Outcome = Pending
		token, _, _ := strings.Cut(rest, " ")
		e.Covers = covers(token)
	case "UNKNOWN", "PARTIAL":
		e.Outcome = Unknown
	default:
		e.Outcome = Refused
	}
}

func (c *client) close() {
	for i := range c.conns {
		c.drop(i)
	}
}
