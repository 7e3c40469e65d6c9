package respserver

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// blocked waits until n connections wait.
func (f *fixture) blocked(n int64) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%d blocked clients", n), func() bool { return f.srv.stats.blocked.Load() == n })
}

// bulk reads a bulk or verbatim string.
func (p *peer) bulk() string {
	p.t.Helper()
	head, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(head[1:], "%d", &n); err != nil || n < 0 {
		p.t.Fatalf("%q is no bulk", head)
	}
	b := make([]byte, n+2)
	for at := 0; at < len(b); {
		m, err := p.r.Read(b[at:])
		if err != nil {
			p.t.Fatal(err)
		}
		at += m
	}
	return string(b[:n])
}

func (p *peer) text(args ...string) string {
	p.t.Helper()
	p.send(frame(args...))
	return p.bulk()
}

func TestClientUnblock(t *testing.T) {
	f := start(t, nil)
	waiting, p := f.dial(), f.dial()
	waiting.ask(":1\r\n", "client", "id")
	for _, c := range []struct {
		how   []string
		want  string
		waits []string
	}{
		{nil, ":1\r\n", []string{"wait", "5", "0"}},
		{[]string{"timeout"}, "*2\r\n:1\r\n:1\r\n", []string{"waitaof", "0", "5", "0"}},
		{[]string{"ERROR"}, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", []string{"wait", "5", "0"}},
		{[]string{"error"}, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", []string{"kafka.sync", "0"}},
		{nil, ":1\r\n", []string{"wait", "5", "0"}},
	} {
		p.ask(":0\r\n", "client", "unblock", "1") // it does not wait
		waiting.send(frame(c.waits...) + frame("echo", "pong"))
		f.blocked(1)
		p.ask(":1\r\n", append([]string{"client", "unblock", "1"}, c.how...)...)
		waiting.want(c.want + pong)
	}
	// KAFKA.APPLIED tells again what it would have told.
	q := f.dial()
	q.ask(":3\r\n", "client", "id")
	q.send(frame("kafka.applied", "0") + frame("kafka.applied", "0"))
	eventually(t, "KAFKA.APPLIED waits", f.srv.clients()[2].waiting)
	if info := p.text("info", "clients"); !strings.Contains(info, "\r\nblocked_clients:0\r\n") {
		t.Errorf("another instance that asks is counted: %s", info)
	}
	p.ask(":1\r\n", "client", "unblock", "3", "error")
	q.bulkUntil("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")
	q.ask("*5\r\n", "kafka.applied", "0")
	p.ask("-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n", "client", "unblock", "1", "x")
	p.ask(":0\r\n", "client", "unblock", "99")
}

func TestClientPause(t *testing.T) {
	f := start(t, nil)
	p, boss := f.dial(), f.dial()
	boss.ask("+OK\r\n", "client", "pause", "100000", "write")
	// Reads, what is wrong, and what is refused are answered; writes wait, also where they are to be queued.
	p.ask(pong, "echo", "pong")
	p.ask("-ERR wrong number of arguments for 'set' command\r\n", "set", "k")
	p.ask("-ERR APPEND is not supported: a record is written as a whole: read the value and SET the new one\r\n", "append", "k", "v")
	p.send(frame("multi") + frame("echo", "pong") + frame("exec") + frame("kafka.repair") + frame("echo", "pong"))
	p.want("+OK\r\n+QUEUED\r\n*1\r\n" + pong)
	f.blocked(1)
	if info := boss.text("info", "clients"); !strings.Contains(info, "blocked_clients:1\r\n") || !strings.Contains(info, "paused_actions:write\r\n") {
		t.Errorf("INFO: %s", info)
	}
	boss.ask(":0\r\n", "client", "unblock", "1") // which is for what waits for something of its own
	boss.ask("+OK\r\n", "client", "unpause")
	p.want("-LOADING kafka-cache is loading topic a, state Starting: not started\r\n" + pong)
	f.blocked(0)

	// A shorter one does not make it shorter, nor a lesser one less.
	boss.ask("+OK\r\n", "client", "pause", "100")
	boss.ask("+OK\r\n", "client", "pause", "1", "write") // after the first has ended, since it is held back too
	p.ask(pong, "echo", "pong")
	begin := time.Now()
	boss.send(frame("multi") + frame("client", "pause", "200", "all") + frame("client", "pause", "1", "write") + frame("exec"))
	boss.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n")
	p.ask(pong, "echo", "pong")
	if d := time.Since(begin); d < 200*time.Millisecond {
		t.Errorf("a pause of 200 ms held back for %v", d)
	}
	if s, _ := f.srv.paused.left(f.srv.now()); s != "none" {
		t.Errorf("%s is still paused", s)
	}
}

func TestAPauseHoldsNoShutdown(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "client", "pause", "9000000", "all")
	p.send(frame("echo", "pong"))
	f.blocked(1)
	go func() { _ = f.srv.Shutdown(t.Context()) }()
	p.want(pong)
	p.closed()
}

func TestAPauseIsNoReasonToCloseWhoHasNotLoggedIn(t *testing.T) {
	f := start(t, func(c *Config) { someUsers(c); c.AuthTimeout = 300 * time.Millisecond })
	boss, p := f.dial(), f.dial()
	boss.ask("+OK\r\n", "auth", "boss", "b")
	boss.ask("+OK\r\n", "client", "pause", "1000")
	begin := time.Now()
	p.ask("+OK\r\n", "auth", "writer", "w")
	if d := time.Since(begin); d < 500*time.Millisecond {
		t.Errorf("logged in after %v", d)
	}

	// What the pause took is given back: it is not closed between the pause's end and its answer.
	late := f.dial()
	boss.ask("+OK\r\n", "client", "pause", "9000000", "write") // which holds back no log-in
	boss.ask("+OK\r\n", "client", "unpause")
	boss.ask("+OK\r\n", "client", "pause", "200", "all")
	ended := f.srv.now() + 150*time.Millisecond
	late.ask("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "auth", "writer", "x")
	f.srv.mu.Lock()
	defer f.srv.mu.Unlock()
	for _, c := range f.srv.conns {
		if c.needsAuth.Load() && time.Duration(c.since.Load()) < ended {
			t.Errorf("its time to log in ran during the pause: since %v, which ended after %v", time.Duration(c.since.Load()), ended)
		}
	}
}

func TestClientKillFilters(t *testing.T) {
	f := start(t, someUsers)
	boss := f.dial()
	boss.ask("+OK\r\n", "auth", "boss", "b")
	dial := func() *peer {
		p := f.dial()
		p.ask("+OK\r\n", "auth", "reader", "r1")
		return p
	}
	for _, c := range []struct {
		subscribes bool
		filter     []string
		kills      bool
	}{
		{false, []string{"type", "normal"}, true}, {true, []string{"type", "normal"}, false}, {true, []string{"type", "pubsub"}, true}, {false, []string{"type", "replica"}, false},
		{false, []string{"user", "reader"}, true}, {false, []string{"user", "writer"}, false}, {false, []string{"laddr", f.addr}, true}, {false, []string{"laddr", "1.2.3.4:5"}, false},
		{false, []string{"addr", "1.2.3.4:5"}, false}, {false, []string{"maxage", "1000"}, false}, {false, []string{"user", "writer", "user", "reader"}, true}, // the last one counts
		{false, []string{"user", "reader", "type", "pubsub"}, false},
	} {
		p := dial()
		if c.subscribes {
			p.ask("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n", "subscribe", "x")
		}
		list := boss.text("client", "list", "type", "pubsub")
		if c.subscribes != strings.Contains(list, "id=") {
			t.Errorf("CLIENT LIST TYPE pubsub: %q", list)
		}
		if c.kills {
			boss.ask(":1\r\n", append([]string{"client", "kill"}, c.filter...)...)
			p.closed()
		} else {
			boss.ask(":0\r\n", append([]string{"client", "kill"}, c.filter...)...)
			if !c.subscribes {
				p.ask(pong, "echo", "pong")
			}
		}
		_ = p.nc.Close()
		eventually(t, "its end", func() bool { return f.srv.connected() == 1 })
	}
	boss.ask("-ERR maxage should be greater than 0\r\n", "client", "kill", "maxage", "0")
	boss.ask("-ERR maxage is not an integer or out of range\r\n", "client", "kill", "maxage", "x")
	boss.ask("-ERR No such client\r\n", "client", "kill", "")
}

// TestNoEvict: who is exempt is not closed for what others hold.
func TestNoEvict(t *testing.T) {
	f := start(t, nil)
	exempt, other := f.dial(), f.dial()
	exempt.ask("+OK\r\n", "client", "no-evict", "on")
	other.ask(pong, "echo", "pong")
	all := f.srv.clients()
	all[0].multiBytes.Add(1 << 20)
	all[1].multiBytes.Add(1 << 10)
	asks := newConn(f.srv, all[0].nc)
	if !f.srv.relieve(asks, 1, true) {
		t.Fatal("nobody was closed")
	}
	other.closed()
	all[1].multiBytes.Add(-1 << 10)
	if f.srv.relieve(asks, 1, true) {
		t.Error("who is exempt was closed")
	}
	exempt.ask("+OK\r\n", "client", "no-evict", "off")
	if !f.srv.relieve(asks, 1, true) {
		t.Error("who is not exempt any more was not closed")
	}
	exempt.closed()
}
