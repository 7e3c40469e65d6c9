package respserver

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is a peer that sends given pieces, of which no two arrive together, and then the end, and keeps what it is sent.
type scripted struct {
	mu     sync.Mutex
	pieces [][]byte
	sent   bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func (s *scripted) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	return n, nil
}

func (s *scripted) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.Write(b)
}

func (s *scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// converseLooped is converse with event loops, where there are some.
var converseLooped func(f *fixture, t *testing.T, pieces ...[]byte) string

// converse is what a peer that sends the pieces is answered, until the server has closed.
func (f *fixture) converse(t *testing.T, pieces ...[]byte) string {
	t.Helper()
	if driver == Epoll {
		return converseLooped(f, t, pieces...)
	}
	s := &scripted{pieces: pieces, closed: make(chan struct{})}
	f.srv.accept(s)
	select {
	case <-s.closed:
	case <-time.After(patience):
		t.Fatalf("%q: the connection does not end", pieces)
	}
	eventually(t, "the end of the connection", func() bool { return f.srv.connected() == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent.String()
}

// changing are words of commands whose replies differ from one connection to the next: they tell the time, ids and addresses, or what has happened before. Of what has
// one of them anywhere the replies are not compared.
var changing = []string{"time", "lastsave", "info", "list", "id", "hello", "histogram", "latency", "stats", "doctor", "slowlog", "config", "wait", "pause", "unblock", "sync", "applied", "getredir", "tracking", "usage"}

// commandsOf makes commands of any bytes, so that all of the table are come across: a line for each, its first byte the command, and its arguments parted by commas.
func (f *fixture) commandsOf(data []byte) []byte {
	var out strings.Builder
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if len(line) == 0 {
			continue
		}
		args := strings.Split(f.srv.table.all[int(line[0])%len(f.srv.table.all)].name, "|")
		if len(line) > 1 {
			args = append(args, strings.Split(string(line[1:]), ",")...)
		}
		out.WriteString(frame(args...))
	}
	return []byte(out.String())
}

// FuzzConversation sends any bytes over a whole connection: no command panics, the connection ends when its peer has, nothing of it stays, and where the bytes are cut makes
// no difference to the replies.
func FuzzConversation(f *testing.F) {
	for _, s := range []string{
		frame("get", "k") + frame("echo", "x") + frame("select", "1") + frame("dbsize"), "PING\r\necho 'a b'\r\n\"\r\n", frame("multi") + frame("echo", "x") + frame("get", "k") + frame("exec") + frame("discard"),
		frame("client", "reply", "skip") + frame("echo", "no") + frame("client", "reply", "off") + frame("foo") + frame("client", "reply", "on"), frame("auth", "u", "p") + frame("reset") + frame("acl", "whoami"),
		"*1\r\n$4\r\nECHO\r\n*3\r\n$4\r\necho\r\n$-1\r\n", "*0\r\n*-1\r\n\r\n" + frame("command", "docs", "get") + frame("command", "getkeys", "mset", "a", "b", "c", "d"), frame("quit") + frame("echo", "no"),
		frame("subscribe", "a", "b") + frame("ping") + frame("unsubscribe") + frame("echo", "x"), frame("hello", "3") + frame("client", "tracking", "on") + frame("get", "k"), frame("scan", "0", "match", "[a-", "count", "3"),
		frame("set", "k", "v") + frame("kafka.set", "k", "v", "header", "a", "b") + frame("kafka.meta", "k"), frame("wait", "2", "1") + frame("kafka.wait", "x", "1"), frame("client", "pause", "1") + frame("get", "k"),
		frame("memory", "doctor") + frame("latency", "histogram") + frame("latency", "reset"), frame("client", "kill", "skipme", "no") + frame("echo", "x"), "POST / HTTP/1.1\r\nHost: x\r\n",
	} {
		f.Add([]byte(s), uint64(len(s)), false)
	}
	f.Add([]byte("akey,value\nbkey\nc0,match,*,count,7\nd\ne1,2,3\nfon\ngoptin\n"), uint64(1), true)
	fixture := start(f, func(c *Config) {
		c.Unprotected, c.MaxBulk, c.BufferLimit, c.ApplyTimeout = true, 1<<20, 32<<20, time.Millisecond
	})
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, commands bool) {
		if commands {
			data = fixture.commandsOf(data)
		}
		lower := strings.ToLower(string(data))
		if strings.Contains(lower, "pause") && len(data) > 0 {
			defer fixture.srv.unpause(false)
		}
		whole := fixture.converse(t, bytes.Clone(data))
		r := rand.New(rand.NewPCG(seed, 0))
		var pieces [][]byte
		for rest := bytes.Clone(data); len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 1+r.IntN(40)))
			pieces = append(pieces, rest[:n:n])
			rest = rest[n:]
		}
		cut := fixture.converse(t, pieces...)
		compared := true
		for _, w := range changing {
			compared = compared && !strings.Contains(lower, w)
		}
		if compared && whole != cut {
			t.Errorf("%q (seed %d):\nwhole %q\ncut   %q", data, seed, whole, cut)
		}
		s := fixture.srv
		if n := s.stats.panics.Load(); n != 0 {
			t.Fatalf("%q: a command panicked: %s", data, fixture.log)
		}
		if n := s.buffers.Load(); n != 0 {
			t.Fatalf("%q: %d bytes are still counted as held", data, n)
		}
		if n, b := s.stats.blocked.Load(), s.strangersNow(); n != 0 || b != 0 {
			t.Fatalf("%q: %d are still blocked, %d have not logged in", data, n, b)
		}
	})
}
