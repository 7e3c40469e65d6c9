package resp_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/respserver/peers"
)

// pod is one of several instances on one cluster.
type pod struct {
	*fixture
	stop func() // at once, connections and all
}

// pods starts n instances on the cluster of the first, each with the addresses of all.
func pods(t *testing.T, n int, change func(*respserver.Config)) []*pod {
	t.Helper()
	listeners, addrs := make([]net.Listener, n), make([]string, n)
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], addrs[i] = l, l.Addr().String()
	}
	base := start(t, nil)
	all := make([]*pod, n)
	for i, l := range listeners {
		c, err := cache.Open(context.Background(), cache.Config{
			Kafka: kafka.Config{Bootstrap: base.cluster.ListenAddrs(), MaxWait: 100 * time.Millisecond}, NoCommit: true, Identity: "pod-" + strconv.Itoa(i),
			Topics: []cache.TopicConfig{{Name: "a", Writable: true, ValueEncoding: "binary", KeyEncoding: "binary"}, {Name: "b", Writable: true}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		cfg := respserver.Config{Cache: c, Driver: driver, Peers: peers.Config{Addrs: addrs, Heartbeat: 300 * time.Millisecond}}
		if change != nil {
			change(&cfg)
		}
		srv, err := respserver.NewServer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		asking, serving := make(chan struct{}), make(chan struct{})
		go func() { defer close(asking); _ = srv.RunPeers(ctx) }()
		go func() { defer close(serving); _ = srv.Serve(l) }()
		stop := func() {
			cancel()
			<-asking
			within, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_ = srv.Shutdown(within)
			<-serving
		}
		t.Cleanup(stop)
		if err := c.WaitReady(context.Background()); err != nil {
			t.Fatal(err)
		}
		all[i] = &pod{&fixture{t, base.cluster, base.client, c, srv, addrs[i]}, stop}
	}
	for _, p := range all {
		p.awaitPeers(n - 1)
	}
	return all
}

func (p *pod) awaitPeers(n int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d peers connected", n), func() bool { return p.srv.Peers().Connected == n })
}

func TestWaitCountsPeers(t *testing.T) {
	all := pods(t, 3, nil)
	c := all[0].dial()
	c.ask(":3\r\n", "WAIT", "0", "0") // nothing was written: all of them
	for i := range 50 {
		c.ask("+OK\r\n", "SET", "k", strconv.Itoa(i))
		c.ask(":3\r\n", "WAIT", "3", "10000")
		for _, other := range all[1:] {
			other.dial().ask("$"+strconv.Itoa(len(strconv.Itoa(i)))+"\r\n"+strconv.Itoa(i)+"\r\n", "GET", "k")
		}
	}
	c.ask("*2\r\n:1\r\n:3\r\n", "WAITAOF", "1", "3", "10000")
	if n, err := all[1].goRedis(nil).Wait(context.Background(), 2, time.Second).Result(); err != nil || n < 2 {
		t.Errorf("go-redis's Wait: %d, %v", n, err)
	}
	began := time.Now()
	c.ask(":3\r\n", "WAIT", "4", "50") // there are no four
	if time.Since(began) < 50*time.Millisecond {
		t.Error("WAIT for more than there are did not wait")
	}
	info := c.call("INFO", "replication")
	if !strings.Contains(info, "connected_slaves:2\r\n") || !strings.Contains(info, "slave0:ip=127.0.0.1,port=") || !strings.Contains(info, "slave1:ip=127.0.0.1,port=") {
		t.Errorf("INFO replication: %q", info)
	}
	if role := c.call("ROLE"); !strings.HasPrefix(role, "*3\r\n$6\r\nmaster\r\n:") || strings.Count(role, "$9\r\n127.0.0.1\r\n") != 2 {
		t.Errorf("ROLE: %q", role)
	}
	states := map[string]int{}
	for _, p := range all[0].srv.Peers().Addresses {
		states[p.State]++
	}
	if states[peers.Self] != 1 || states[peers.Connected] != 2 {
		t.Errorf("states of peers: %v", states)
	}
	all[2].stop()
	all[0].awaitPeers(1)
	c.ask(":2\r\n", "WAIT", "0", "0")
	c.ask("+OK\r\n", "SET", "k", "after")
	c.ask(":2\r\n", "WAIT", "3", "100")
}

// INFO, ROLE, WAIT and the status say the same of peers, in each state.
func TestInfoAndRoleAgree(t *testing.T) {
	all := pods(t, 3, nil)
	c := all[0].dial()
	agree := func(n int) {
		t.Helper()
		var info, role string
		eventually(t, "what peers have told is as far as this instance is", func() bool {
			info, role = c.call("INFO", "replication"), c.call("ROLE")
			return strings.Count(info, ",offset="+masterOffset(info)+",") == n
		})
		want := fmt.Sprintf("*3\r\n$6\r\nmaster\r\n:%s\r\n*%d\r\n", masterOffset(info), n)
		connected := 0
		for _, p := range all[0].srv.Peers().Addresses {
			if p.State != peers.Connected {
				continue
			}
			host, port, _ := net.SplitHostPort(p.Addr)
			if line := fmt.Sprintf("slave%d:ip=%s,port=%s,state=online,offset=%s,lag=", connected, host, port, masterOffset(info)); !strings.Contains(info, line) {
				t.Errorf("INFO lacks %q: %q", line, info)
			}
			want += fmt.Sprintf("*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port, len(masterOffset(info)), masterOffset(info))
			connected++
		}
		if role != want {
			t.Errorf("ROLE answers %q, want %q", role, want)
		}
		if connected != n || !strings.Contains(info, fmt.Sprintf("\r\nconnected_slaves:%d\r\n", n)) || strings.Contains(info, fmt.Sprintf("slave%d:", n)) {
			t.Errorf("%d are connected, want %d: %q", connected, n, info)
		}
		c.ask(fmt.Sprintf(":%d\r\n", n+1), "WAIT", "0", "0")
	}
	agree(2)
	c.ask("+OK\r\n", "SET", "k", "v")
	c.ask("+OK\r\n", "SELECT", "1")
	c.ask("+OK\r\n", "SET", "k", `"v"`)
	c.ask(":3\r\n", "WAIT", "3", "10000")
	agree(2)
	all[1].stop()
	all[0].awaitPeers(1)
	agree(1)
	c.ask("+OK\r\n", "SET", "k", `"w"`)
	c.ask(":2\r\n", "WAIT", "2", "10000")
	agree(1)
	all[2].stop()
	all[0].awaitPeers(0)
	agree(0)
}

func masterOffset(info string) string {
	_, rest, _ := strings.Cut(info, "master_repl_offset:")
	n, _, _ := strings.Cut(rest, "\r\n")
	return n
}

// Instances of another cluster that has topics of the same names count for nothing, also where it was given the same id, and their tokens are
// refused at once.
func TestPeersOfAnotherCluster(t *testing.T) {
	for id, state := range map[string]string{"another": peers.Unreachable, "kfake": peers.Connected} {
		t.Run(id, func(t *testing.T) {
			other := startOn(t, id, nil)
			far := other.dial()
			for range 10 {
				far.ask("+OK\r\n", "SET", "k", "far")
			}
			f := start(t, func(c *respserver.Config) {
				c.Peers = peers.Config{Addrs: []string{other.addr}, Heartbeat: 300 * time.Millisecond}
			})
			asks := f.srv
			ctx, cancel := context.WithCancel(context.Background())
			asking := make(chan struct{})
			go func() { defer close(asking); _ = asks.RunPeers(ctx) }()
			t.Cleanup(func() { cancel(); <-asking })
			eventually(t, "the peer is "+state, func() bool {
				p := asks.Peers().Addresses
				return len(p) == 1 && p[0].State == state && (p[0].Reason == "cluster") == (state == peers.Unreachable)
			})
			c := f.dial()
			c.ask("+OK\r\n", "SET", "k", "near")
			c.ask(":1\r\n", "WAIT", "2", "100")
			c.ask(":1\r\n", "WAIT", "0", "0")
			token := bulkOf(far.call("KAFKA.LASTWRITE"))
			began := time.Now()
			if r := c.call("KAFKA.WAIT", token, "0"); !strings.HasPrefix(r, "-") || !strings.Contains(r, "another topic") {
				t.Errorf("KAFKA.WAIT with the other's token: %q", r)
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("that took %v", took)
			}
		})
	}
}

func bulkOf(reply string) string { return strings.Split(reply, "\r\n")[1] }

// WAIT is about what a transaction wrote too, in all its topics, and about what came before it.
func TestWaitForATransaction(t *testing.T) {
	all := pods(t, 3, nil)
	c := all[0].dial()
	for i := range 20 {
		v := strconv.Itoa(i)
		c.ask("+OK\r\n", "SELECT", "0")
		c.ask("+OK\r\n", "MULTI")
		c.ask("+QUEUED\r\n", "SET", "k", v)
		c.ask("+QUEUED\r\n", "SELECT", "1")
		c.ask("+QUEUED\r\n", "SET", "k", v)
		c.ask("+QUEUED\r\n", "WAIT", "3", "0") // at once, within it
		c.send(frame("EXEC") + frame("WAIT", "3", "10000"))
		if r := c.reply(); !strings.HasPrefix(r, "*4\r\n+OK\r\n+OK\r\n+OK\r\n:") {
			t.Fatalf("EXEC answers %q", r)
		}
		c.want(":3\r\n")
		for _, other := range all[1:] {
			d := other.dial()
			d.ask("$"+strconv.Itoa(len(v))+"\r\n"+v+"\r\n", "GET", "k")
			d.ask("+OK\r\n", "SELECT", "1")
			d.ask("$"+strconv.Itoa(len(v))+"\r\n"+v+"\r\n", "GET", "k")
		}
	}
}

// Many waits at the same time use the connections that there are.
func TestManyWaits(t *testing.T) {
	const waits = 500
	all := pods(t, 2, nil)
	connections := all[1].srv.Peers()
	clients := make([]*peer, waits)
	for i := range clients {
		clients[i] = all[0].dial()
		clients[i].send(frame("SET", "k"+strconv.Itoa(i), "v") + frame("WAIT", "2", "15000"))
	}
	for _, c := range clients {
		c.want("+OK\r\n:2\r\n")
	}
	if connections.Connected != 1 {
		t.Errorf("%d connections to peers", connections.Connected)
	}
	if list := all[1].dial().call("CLIENT", "LIST"); strings.Count(list, "name=kafka-cache-peer") != 1 {
		t.Errorf("the other has these clients: %s", list)
	}
}

func TestWaitWithPasswords(t *testing.T) {
	all := pods(t, 2, func(c *respserver.Config) {
		c.Password = []byte("secret")
		c.Peers.Password = func() ([]byte, error) { return []byte("secret"), nil }
	})
	c := all[0].dial()
	c.ask("+OK\r\n", "AUTH", "secret")
	c.ask("+OK\r\n", "SET", "k", "v")
	c.ask(":2\r\n", "WAIT", "2", "10000")
}

func TestSync(t *testing.T) {
	f := start(t, nil)
	c := f.dial()
	for i := range 20 {
		v := strconv.Itoa(i)
		if err := f.client.ProduceSync(context.Background(), &kgo.Record{Topic: "a", Key: []byte("k"), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.send(frame("KAFKA.SYNC", "10000") + frame("GET", "k"))
		if r := c.reply(); !strings.Contains(r, "\r\n1:") {
			t.Fatalf("KAFKA.SYNC answers %q", r)
		}
		c.want("$" + strconv.Itoa(len(v)) + "\r\n" + v + "\r\n")
	}
	c.ask("-ERR timeout is negative\r\n", "KAFKA.SYNC", "-1")
	c.ask("+OK\r\n", "MULTI")
	c.ask("-ERR KAFKA.SYNC is not supported inside MULTI\r\n", "KAFKA.SYNC", "1")
}

func TestFresh(t *testing.T) {
	f := start(t, nil)
	f.produce("a", "k", "v")
	c := f.dial()
	c.ask("+OK\r\n", "KAFKA.FRESH", "20000")
	c.ask("$1\r\nv\r\n", "GET", "k")
	c.ask("-ERR value is not an integer or out of range\r\n", "KAFKA.FRESH", "x")
	c.ask("+OK\r\n", "KAFKA.FRESH", "400")
	f.cluster.Close() // the broker is gone for good
	eventually(t, "GET answers STALE", func() bool {
		return strings.HasPrefix(c.call("GET", "k"), "-STALE topic a: partition ")
	})
	for _, args := range [][]string{{"MGET", "k", "l"}, {"EXISTS", "k"}, {"SCAN", "0"}, {"KAFKA.RANGE", "", ""}, {"DBSIZE"}, {"TTL", "k"}, {"KAFKA.META", "k"}, {"OBJECT", "ENCODING", "k"},
		{"RANDOMKEY"}, {"KEYS", "*"}, {"STRLEN", "k"}, {"MEMORY", "USAGE", "k"}} {
		if r := c.call(args...); !strings.HasPrefix(r, "-STALE ") || !strings.Contains(r, " ms old here, and 400 ms are allowed") {
			t.Errorf("%v answers %q", args, r)
		}
	}
	c.ask("+OK\r\n", "MULTI")
	c.ask("+QUEUED\r\n", "GET", "k")
	if r := c.call("EXEC"); !strings.HasPrefix(r, "-STALE ") {
		t.Errorf("EXEC answers %q", r)
	}
	if r := c.call("KAFKA.SYNC", "100"); !strings.HasPrefix(r, "-TIMEOUT topic a: ") {
		t.Errorf("KAFKA.SYNC answers %q", r)
	}
	c.ask("+PONG\r\n", "PING")
	f.dial().ask("$1\r\nv\r\n", "GET", "k") // another connection has no bound
	c.ask("+OK\r\n", "KAFKA.FRESH", "OFF")
	c.ask("$1\r\nv\r\n", "GET", "k")
	// Within a transaction it holds from its place on; one that is refused leaves things as they were.
	c.ask("+OK\r\n", "MULTI")
	for _, args := range [][]string{{"GET", "k"}, {"KAFKA.FRESH", "1"}, {"EXISTS", "k"}} {
		c.ask("+QUEUED\r\n", args...)
	}
	if r := c.call("EXEC"); !strings.HasPrefix(r, "-STALE ") || !strings.HasSuffix(r, "; nothing was written\r\n") {
		t.Errorf("EXEC of a read behind KAFKA.FRESH answers %q", r)
	}
	c.ask("$1\r\nv\r\n", "GET", "k")
	c.ask("+OK\r\n", "MULTI")
	for _, args := range [][]string{{"GET", "k"}, {"KAFKA.FRESH", "1"}, {"ECHO", "x"}, {"KAFKA.FRESH", "OFF"}, {"STRLEN", "k"}, {"KAFKA.FRESH", "2"}} {
		c.ask("+QUEUED\r\n", args...)
	}
	c.ask("*6\r\n$1\r\nv\r\n+OK\r\n$1\r\nx\r\n+OK\r\n:1\r\n+OK\r\n", "EXEC")
	if r := c.call("GET", "k"); !strings.HasPrefix(r, "-STALE ") {
		t.Errorf("GET behind KAFKA.FRESH in a transaction answers %q", r)
	}
	c.ask("+RESET\r\n", "RESET")
	c.ask("$1\r\nv\r\n", "GET", "k")
}
