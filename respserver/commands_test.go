package respserver

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestPasswords(t *testing.T) {
	f := start(t, func(c *Config) { c.Password = []byte("se cret\x00é") })
	p := f.dial()
	p.ask("-NOAUTH Authentication required.\r\n", "get", "k")
	p.ask("-NOAUTH Authentication required.\r\n", "client", "id")
	p.send(frame("hello", "3"))
	p.want("-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate " +
		"the client and select the RESP protocol version at the same time\r\n")
	p.ask("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "auth", "wrong")
	p.ask("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "auth", "other", "se cret\x00é")
	p.ask("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "hello", "3", "auth", "default", "wrong")
	p.ask("+OK\r\n", "auth", "default", "se cret\x00é")
	p.ask(pong, "echo", "pong")
	p.ask("+RESET\r\n", "reset")
	p.ask("-NOAUTH Authentication required.\r\n", "echo", "pong")
	p.ask("+OK\r\n", "AUTH", "se cret\x00é")
	p.ask("-ERR syntax error\r\n", "auth", "a", "b", "c")
	if log := f.log.String(); strings.Contains(log, "cret") || strings.Contains(log, "wrong") {
		t.Errorf("a secret is in the log: %s", log)
	}
	q := start(t, nil).dial()
	q.ask("-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n", "auth", "x")
	q.ask("+OK\r\n", "auth", "default", "anything")
	q.ask("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "auth", "me", "x")
}

func TestHello(t *testing.T) {
	p := start(t, nil).dial()
	p.ask("*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"+
		"$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n", "hello")
	p.ask("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"+
		"$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n", "HELLO", "3", "setname", "me")
	p.ask("$2\r\nme\r\n", "client", "getname")
	p.ask("-NOPROTO unsupported protocol version\r\n", "hello", "4")
	p.ask("-ERR Protocol version is not an integer or out of range\r\n", "hello", "x")
	p.ask("-ERR Syntax error in HELLO option 'foo'\r\n", "hello", "3", "foo")
	p.ask("+RESET\r\n", "reset")
	p.ask("$-1\r\n", "client", "getname")
}

func TestWhileLoading(t *testing.T) {
	p := start(t, nil).dial()
	loading := "-LOADING kafka-cache is loading topic a, state Starting: not started\r\n"
	p.ask("-LOADING kafka-cache has not caught up with its topics yet\r\n", "ping")
	for _, c := range [][]string{{"get", "k"}, {"mget", "k", "l"}, {"exists", "k"}, {"scan", "0"}, {"keys", "*"}, {"dbsize"}, {"randomkey"}, {"set", "k", "1"}, {"del", "k"},
		{"mset", "k", "1", "l", "2"}, {"ttl", "k"}, {"type", "k"}, {"strlen", "k"}, {"getrange", "k", "0", "1"}, {"kafka.meta", "k"}, {"kafka.range", "", ""}, {"memory", "usage", "k"}, {"kafka.repair"},
		{"kafka.repair", "count", "5"}} {
		p.ask(loading, c...)
	}
	p.ask("+OK\r\n", "select", "1")
	p.ask("-READONLY topic b is read-only here; --read-only=false, or read-only: false of the topic, allows writes\r\n", "set", "k", "v")
	p.ask("-READONLY topic b is read-only here; --read-only=false, or read-only: false of the topic, allows writes\r\n", "kafka.repair")
	p.send(frame("info", "persistence"))
	head, err := p.r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(head, "$%d", &n); err != nil {
		t.Fatal(head)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(p.r, b); err != nil {
		t.Fatal(err)
	}
	if s := string(b); !strings.Contains(s, "\r\nloading:1\r\n") || !strings.Contains(s, "loading_eta_seconds:-1") {
		t.Errorf("INFO: %s", s)
	}
}

func TestErrorTexts(t *testing.T) {
	p := start(t, nil).dial()
	for _, c := range []struct {
		want string
		args []string
	}{
		{"-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n", []string{"FOO", "a", "b"}},
		{"-ERR unknown command 'foo  x', with args beginning with: \r\n", []string{"foo\r\nx"}},
		{"-ERR unknown command 'f', with args beginning with: '" + strings.Repeat("x", 128) + "' \r\n", []string{"f", strings.Repeat("x", 300), "y"}},
		{"-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n", []string{"client", "FOO"}},
		{"-ERR wrong number of arguments for 'get' command\r\n", []string{"GET"}},
		{"-ERR wrong number of arguments for 'get' command\r\n", []string{"GET", "a", "b"}},
		{"-ERR wrong number of arguments for 'config|get' command\r\n", []string{"config", "get"}},
		{"-ERR wrong number of arguments for 'mset' command\r\n", []string{"mset", "a", "b", "c"}},
		{"-ERR wrong number of arguments for 'ping' command\r\n", []string{"ping", "a", "b"}},
		{"-ERR DB index is out of range\r\n", []string{"select", "2"}},
		{"-ERR DB index is out of range\r\n", []string{"select", "-1"}},
		{"-ERR value is not an integer or out of range\r\n", []string{"select", "x"}},
		{"-ERR invalid cursor\r\n", []string{"scan", "x"}},
		{"-ERR syntax error\r\n", []string{"scan", "0", "count", "0"}},
		{"-ERR syntax error\r\n", []string{"scan", "0", "foo", "0"}},
		{"-ERR syntax error\r\n", []string{"set", "k", "v", "foo"}},
		{"-ERR SET option NX is not supported: a log has no compare-and-set\r\n", []string{"set", "k", "v", "nx"}},
		{"-ERR SET option EX is not supported: records do not expire\r\n", []string{"set", "k", "v", "EX", "10"}},
		{"-ERR syntax error\r\n", []string{"kafka.repair", "count"}},
		{"-ERR syntax error\r\n", []string{"kafka.repair", "limit", "1"}},
		{"-ERR syntax error\r\n", []string{"kafka.repair", "count", "0"}},
		{"-ERR value is not an integer or out of range\r\n", []string{"kafka.repair", "count", "1x"}},
		{"-ERR value is not an integer or out of range\r\n", []string{"kafka.repair", "count", "4294967296"}},
		{"-ERR SETNX is not supported: a log has no compare-and-set\r\n", []string{"SETNX", "k", "v"}},
		{"-ERR FLUSHALL is not supported: it would write a tombstone for every key; --resp-allow-flush allows it, for test suites\r\n", []string{"flushall"}},
		{"-ERR WATCH is not supported: a log has no compare-and-set, and no conditional produce\r\n", []string{"watch", "k"}},
		{"-ERR This instance has cluster support disabled\r\n", []string{"cluster", "slots"}},
		{"-ERR maintenance notifications are not supported\r\n", []string{"client", "maint_notifications", "on", "moving-endpoint-type", "none"}},
		{"-ERR Client names cannot contain spaces, newlines or special characters.\r\n", []string{"client", "setname", "a b"}},
		{"-ERR invalid token: position: malformed token: \"x\" is not <version>:<topic id>:<offsets>\r\n", []string{"kafka.wait", "x", "1"}},
		{"+OK\r\n", []string{"client", "setinfo", "lib-name", "x"}},
		{"+OK\r\n", []string{"client", "setinfo", "LIB-VER", "1"}},
		{"-ERR Unrecognized option 'foo'\r\n", []string{"client", "setinfo", "foo", "1"}},
		{"*2\r\n$4\r\nSAVE\r\n$0\r\n\r\n", []string{"config", "get", "SAVE"}},
		{"*2\r\n$9\r\ndatabases\r\n$1\r\n2\r\n", []string{"config", "get", "data[a-b]ases"}},
		{"*0\r\n", []string{"config", "get", "nothing"}},
		{"*2\r\n$1\r\na\r\n$1\r\nc\r\n", []string{"command", "getkeys", "mset", "a", "b", "c", "d"}},
		{"$-1\r\n", []string{"kafka.lastwrite"}},
	} {
		p.ask(c.want, c.args...)
	}
}

func TestClientReply(t *testing.T) {
	p := start(t, nil).dial()
	p.send(frame("client", "reply", "off") + frame("echo", "no") + frame("foo") + frame("get") + frame("wait", "2", "1") + frame("set", "k", "v") + frame("client", "reply", "on"))
	p.want("+OK\r\n")
	p.send(frame("client", "reply", "skip") + frame("echo", "no") + frame("echo", "pong"))
	p.want(pong)
}

func TestClientListAndKill(t *testing.T) {
	f := start(t, nil)
	a, b := f.dial(), f.dial()
	a.ask("+OK\r\n", "client", "setname", "alice")
	a.ask("+OK\r\n", "client", "setinfo", "lib-name", "lib")
	b.send(frame("client", "list"))
	head, _ := b.r.ReadString('\n')
	first, _ := b.r.ReadString('\n')
	_, _ = b.r.ReadString('\n')
	_, _ = b.r.ReadString('\n')
	if head[0] != '$' || !strings.HasPrefix(first, "id=1 addr="+a.nc.LocalAddr().String()+" ") || !strings.Contains(first, " name=alice ") || !strings.Contains(first, "lib-name=lib") {
		t.Errorf("%q %q", head, first)
	}
	b.ask("-ERR No such client\r\n", "client", "kill", "1.2.3.4:5")
	b.ask(":1\r\n", "client", "kill", "id", "1")
	a.closed()
	b.ask(":0\r\n", "client", "kill", "type", "normal")
	b.send(frame("client", "kill", b.nc.LocalAddr().String()) + frame("echo", "no"))
	b.want("+OK\r\n")
	b.closed()
}

func TestEveryCommandIsDescribed(t *testing.T) {
	f := start(t, func(c *Config) { c.AllowFlush = true })
	seen := map[string]bool{}
	for _, m := range f.srv.table.all {
		if seen[m.name] || m.arity == 0 || m.summary == "" || m.group == "" || m.since == "" || (m.run == nil && len(m.order) == 0) || m.name != strings.ToLower(m.name) {
			t.Errorf("%s is described badly", m.name)
		}
		if (m.first > 0) != (m.step > 0) {
			t.Errorf("%s: keys %d, step %d", m.name, m.first, m.step)
		}
		own := 1 // words of its name
		if strings.Contains(m.name, "|") {
			own = 2
		}
		if takes := len(m.order) == 0 && m.arity != own; takes != (len(m.arguments) > 0) && m.name != "quit" {
			t.Errorf("%s: arity %d, arguments %q", m.name, m.arity, signature(m.arguments))
		}
		if f.srv.table.refused[m.name] != "" {
			t.Errorf("%s is offered and refused", m.name)
		}
		seen[m.name] = true
	}
	for name := range signatures {
		if !seen[name] {
			t.Errorf("there are arguments of %s, which is not offered", name)
		}
	}
	p := f.dial()
	p.ask(fmt.Sprintf(":%d\r\n", len(f.srv.table.top)), "command", "count")
	p.ask("*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n", "command", "info", "get", "nothing")
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	f := start(t, func(c *Config) { c.Registerer = registry })
	p := f.dial()
	for range 3 {
		p.send(strings.Repeat(frame("echo", "pong"), 10) + frame("nothing") + frame("client", "id"))
		p.want(strings.Repeat(pong, 10) + "-ERR unknown command 'nothing', with args beginning with: \r\n:1\r\n")
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, family := range families {
		if family.GetName() != "kafka_cache_command_duration_seconds" {
			continue
		}
		for _, m := range family.Metric {
			h := m.Histogram
			found[m.Label[0].GetValue()] = true
			var native, last int64
			for _, d := range h.PositiveDelta {
				last += d
				native += last
			}
			if uint64(native) != h.GetSampleCount() || h.Bucket[len(h.Bucket)-1].GetCumulativeCount() != h.GetSampleCount() || h.GetSampleSum() <= 0 {
				t.Errorf("%v", m)
			}
			if m.Label[0].GetValue() == "echo" && h.GetSampleCount() != 30 {
				t.Errorf("echo was counted %d times", h.GetSampleCount())
			}
		}
	}
	if !found["echo"] || !found["client|id"] || len(found) != 2 {
		t.Errorf("commands: %v", found)
	}
}

func TestNativeBuckets(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 59, 60, 100, 1000, 12345, time.Millisecond, time.Second, 90 * time.Second, time.Hour} {
		i := nativeIndex(d)
		upper := 1e9 * pow2(float64(i)/4+nativeLowest)
		lower := 1e9 * pow2(float64(i-1)/4+nativeLowest)
		if d > 60 && d < 100*time.Second && (float64(d) > upper*1.0001 || float64(d) <= lower*0.9999) {
			t.Errorf("%v is in bucket %d, (%v, %v]", d, i, lower, upper)
		}
		if i < 0 || i >= nativeBuckets {
			t.Errorf("%v: %d", d, i)
		}
	}
}

func TestTLS(t *testing.T) {
	cert := selfSigned(t)
	f := start(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		c.HandshakeTimeout = 200 * time.Millisecond
		c.OutputLimit = 64 << 20
	})
	plain := f.dial()
	plain.closed() // the handshake timed out
	nc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	p := f.dialed(nc)
	p.ask(pong, "echo", "pong")
	p.send(frame("wait", "2", "30") + frame("echo", "pong")) // a wake ends a read in the middle of TLS
	p.want(":1\r\n" + pong)
	body := strings.Repeat("y", 1<<20)
	p.send(strings.Repeat(frame("echo", body), 8)) // written whole before the first read
	for range 8 {
		p.want("$1048576\r\n" + body + "\r\n")
	}
	eventually(t, "the refused handshake is counted", func() bool { return f.srv.stats.rejectedTotal() == 1 })
}

func (f *fixture) dialed(nc net.Conn) *peer { return newPeer(f.t, nc) }
