package respserver

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/respserver/peers"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func peerCommands() []*command {
	const g = "kafka"
	return []*command{
		{name: "kafka.applied", arity: -2, flags: readonly | blocking | loadingOK | noMulti | ofEveryTopic, group: g, since: "7.4.0", complexity: "O(partitions)",
			summary: "For other instances: waits until there is more to tell than this connection was told, and returns what this instance has applied.", run: runKafkaApplied},
		{name: "kafka.fresh", arity: 2, flags: fast | loadingOK, group: g, since: "7.4.0", complexity: "O(1)",
			summary: "Has reads of this connection answered with -STALE where what they would read is older than so many milliseconds; 0 or OFF ends it.", run: runKafkaFresh},
		{name: "kafka.sync", arity: 2, flags: blocking | loadingOK | noMulti | ofTopic, group: g, since: "7.4.0", complexity: "O(partitions)",
			summary: "Waits until this instance has applied the log's end as it is now, and returns the token of that end.", run: runKafkaSync},
	}
}

// runKafkaApplied answers at once what the connection was not told yet. Where there is nothing it waits: for anything more, with QUIET only until what
// was told no longer counts, and in any case no longer than until the time is over or the connection has sent another command.
func runKafkaApplied(c *conn, args [][]byte) {
	quiet := len(args) == 3 && is(args[2], "quiet")
	if len(args) > 2 && !quiet {
		c.fail(syntax)
		return
	}
	timeout, ok := c.parseTimeout(args[1])
	if !ok {
		return
	}
	a := c.newAwait(timeout)
	first := c.feed == nil
	if first {
		c.feed = make([]cache.Applied, len(c.srv.topics))
	}
	changed := func() bool {
		for i, t := range c.srv.topics {
			if now, was := t.Applied(), &c.feed[i]; now.Turn != was.Turn || !quiet && now.Version != was.Version {
				return true
			}
		}
		return false
	}
	c.hold(func() bool {
		if !first && !changed() && !a.over() && c.r == c.w {
			if a.cancels == nil {
				for i, t := range c.srv.topics {
					a.cancels = append(a.cancels, t.Follow(c.feed[i], quiet, c.wake))
				}
			}
			return false
		}
		a.stop()
		c.tellApplied(first)
		return true
	}, a.stop)
}

// tellApplied answers what has changed since the connection was told.
func (c *conn) tellApplied(all bool) {
	c.out = resp.AppendArray(c.out, 5)
	c.out = resp.AppendInt(c.out, peers.Version)
	for _, s := range []string{c.srv.runID, c.srv.cfg.Cache.Identity(), c.srv.cfg.Cache.ClusterID()} {
		c.out = resp.AppendBulkString(c.out, s)
	}
	var changed []*cache.Topic
	for i, t := range c.srv.topics {
		now := t.Applied()
		if all || now.Version != c.feed[i].Version {
			c.feed[i] = now
			changed = append(changed, t)
		}
	}
	c.out = resp.AppendArray(c.out, len(changed))
	for _, t := range changed {
		now := &c.feed[t.Index()]
		serving := int64(0)
		if now.Serving {
			serving = 1
		}
		c.out = resp.AppendArray(c.out, 4)
		c.out = resp.AppendBulkString(c.out, t.Name())
		c.out = resp.AppendInt(c.out, serving)
		c.out = resp.AppendInt(c.out, int64(now.Turn))
		c.out = c.appendToken(c.out, now.Position)
	}
}

func runKafkaFresh(c *conn, args [][]byte) {
	if is(args[1], "off") {
		c.fresh = 0
		c.ok()
		return
	}
	const most = int64(1<<63-1) / int64(time.Millisecond)
	ms, ok := parseInt(args[1])
	switch {
	case !ok || ms > most:
		c.fail(notInteger)
	case ms < 0:
		c.fail("ERR milliseconds is negative")
	default:
		c.fresh = time.Duration(ms) * time.Millisecond
		c.ok()
	}
}

// readsStore reports whether a command reads what the log has of keys.
func (m *command) readsStore() bool {
	return m.flags&(readonly|needsWrites|loadingOK) == readonly|needsWrites
}

// stale says why a topic is not to be read, where KAFKA.FRESH has set a bound that it is older than.
func (c *conn) stale(t *cache.Topic) string {
	if c.fresh == 0 || !t.Ready() { // which is answered with LOADING
		return ""
	}
	age, partition, known := t.Age()
	switch {
	case !known:
		return fmt.Sprintf("STALE topic %s: how old partition %d is here is not known yet, and %d ms are allowed", t.Name(), partition, c.fresh.Milliseconds())
	case age > c.fresh:
		return fmt.Sprintf("STALE topic %s: partition %d is %d ms old here, and %d ms are allowed", t.Name(), partition, age.Milliseconds(), c.fresh.Milliseconds())
	}
	return ""
}

func runKafkaSync(c *conn, args [][]byte) {
	timeout, ok := c.parseTimeout(args[1])
	if !ok {
		return
	}
	topic, a := c.topic, c.newAwait(timeout)
	a.started = true
	a.left.Store(1)
	var reached position.Position
	syncing := topic.NotifySync(func(p position.Position, err error) {
		a.mu.Lock()
		reached, a.err = p, err
		a.mu.Unlock()
		a.left.Add(-1)
		c.wake()
	})
	a.cancels = append(a.cancels, syncing.Cancel)
	c.hold(func() bool {
		done, err := a.reached()
		switch {
		case done && err != nil:
			c.fail(c.errorText(topic, err))
		case done:
			a.mu.Lock()
			p := reached
			a.mu.Unlock()
			c.out = c.appendToken(c.out, p)
		case a.over():
			c.fail("TIMEOUT topic " + topic.Name() + ": " + clipReason(syncing.Missing()))
		default:
			return false
		}
		a.stop()
		return true
	}, a.stop)
}

// offset is the sum of the topics' positions, which stands for Redis's replication offset; of the topics that the connection's user may read, since it
// grows with what is written to them.
func (c *conn) offset() (n int64) {
	for i, t := range c.srv.topics {
		if !c.mayRead(i) {
			continue
		}
		for _, o := range t.Position().Offsets() {
			n += o.Next
		}
	}
	return n
}

// offsetOf is offset as a peer has told.
func (c *conn) offsetOf(p *peers.Status) (n int64) {
	for i, t := range c.srv.topics {
		if c.mayRead(i) {
			n += p.Offset(t.Name())
		}
	}
	return n
}

// replicas are the connected peers.
func (s *Server) replicas() (all []peers.Status) {
	if s.peers == nil {
		return nil
	}
	for _, p := range s.peers.Report().Addresses {
		if p.State == peers.Connected {
			all = append(all, p)
		}
	}
	return all
}

func infoReplication(s *Server, c *conn, b *strings.Builder) {
	all := s.replicas()
	fmt.Fprintf(b, "role:master\r\nconnected_slaves:%d\r\n", len(all))
	for i := range all {
		p := &all[i]
		host, port, _ := net.SplitHostPort(p.Addr)
		fmt.Fprintf(b, "slave%d:ip=%s,port=%s,state=online,offset=%d,lag=%d\r\n", i, host, port, c.offsetOf(p), int(p.AgeSeconds))
	}
	fmt.Fprintf(b, "master_failover_state:no-failover\r\nmaster_replid:%s\r\nmaster_repl_offset:%d\r\n", s.runID, c.offset())
}

func runRole(c *conn, _ [][]byte) {
	all := c.srv.replicas()
	c.out = resp.AppendArray(c.out, 3)
	c.out = resp.AppendBulkString(c.out, "master")
	c.out = resp.AppendInt(c.out, c.offset())
	c.out = resp.AppendArray(c.out, len(all))
	for i := range all {
		p := &all[i]
		host, port, _ := net.SplitHostPort(p.Addr)
		c.out = resp.AppendArray(c.out, 3)
		c.out = resp.AppendBulkString(c.out, host)
		c.out = resp.AppendBulkString(c.out, port)
		c.out = resp.AppendBulkString(c.out, fmt.Sprint(c.offsetOf(p)))
	}
}
