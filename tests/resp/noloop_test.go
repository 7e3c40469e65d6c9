package resp_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/respserver"
)

// TestNoLoopIsOfARecord: a connection is not told of the records that it wrote, in whatever way, and of each one of another, also of a key that it is writing and
// has not read since.
func TestNoLoopIsOfARecord(t *testing.T) {
	for _, reply := range []respserver.WriteReply{respserver.Applied, respserver.Acknowledged} {
		f := start(t, func(c *respserver.Config) { c.WriteReply = reply })
		for _, mode := range [][]string{nil, {"bcast"}, {"bcast", "prefix", "k"}} {
			p := f.dial()
			p.call("hello", "3")
			p.ask("+OK\r\n", append([]string{"client", "tracking", "on", "noloop"}, mode...)...)
			told := func(key string) {
				t.Helper()
				p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n" + fmt.Sprintf("$%d\r\n%s\r\n", len(key), key))
			}
			p.call("mget", "k1", "k2", "k3", "kend")
			p.ask("+OK\r\n", "set", "k1", fmt.Sprint(mode, reply, 1))
			p.ask("+OK\r\n", "mset", "k2", fmt.Sprint(mode, reply, 1), "k3", fmt.Sprint(mode, reply, 1))
			p.ask("+OK\r\n", "multi")
			p.call("set", "k1", fmt.Sprint(mode, reply, 2))
			p.call("del", "k2")
			p.ask("*2\r\n+OK\r\n:1\r\n", "exec")
			p.ask("+OK\r\n", "multi")
			p.call("set", "k2", fmt.Sprint(mode, reply, 2))
			p.ask("*1\r\n+OK\r\n", "exec")
			p.ask(":1\r\n", "del", "k3")
			p.call("get", "kend") // applied, in both kinds of replies
			f.produce("a", "k1", fmt.Sprint(mode, reply, 3))
			told("k1")
			f.produce("a", "k3", fmt.Sprint(mode, reply, 3)) // deleted before
			told("k3")
			f.produce("a", "kend", fmt.Sprint(mode, reply))
			told("kend")
			p.ask("+PONG\r\n", "ping")
			_ = p.nc.Close()
		}
	}
}

// TestNoLoopAmongWritersOfOneKey lets a NOLOOP connection and another producer write the same keys at the same time: of every record that is not its own it is told
// behind its last own one, since otherwise it would keep what it wrote.
func TestNoLoopAmongWritersOfOneKey(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	f := start(t, nil)
	p := f.dial()
	p.call("hello", "3")
	p.ask("+OK\r\n", "client", "tracking", "on", "noloop", "bcast")
	q := f.dial()
	const keys, rounds = 3, 400
	held := map[string]string{} // what p wrote last, or nothing
	pushes := 0
	take := func() {
		for {
			reply := p.reply()
			if !strings.HasPrefix(reply, ">") {
				return
			}
			for _, key := range bulks(reply)[1:] {
				pushes++
				delete(held, key)
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			q.call("set", fmt.Sprint("k", i%keys), fmt.Sprint("theirs", i))
		}
	})
	for i := range rounds {
		n := 1 + random.IntN(3)
		var b strings.Builder
		key, value := fmt.Sprint("k", random.IntN(keys)), ""
		for j := range n {
			value = fmt.Sprint("mine", i, ".", j)
			b.WriteString(frame("set", key, value))
		}
		p.send(b.String())
		for range n {
			take()
		}
		held[key] = value
	}
	wg.Wait()
	// What is told of the last records comes before the reply to a command that arrives after they were applied.
	p.send(frame("ping"))
	take()
	for key, value := range held {
		if now := q.call("get", key); now != fmt.Sprintf("$%d\r\n%s\r\n", len(value), value) {
			t.Errorf("%s: %q is held, and the log has %q", key, value, now)
		}
	}
	if pushes < rounds/4 || pushes > rounds {
		t.Errorf("%d messages about %d records of the other writer", pushes, rounds)
	}
}

// TestWhatNoLoopRemembersIsCounted among the buffers of all, and given back with NOLOOP or the connection.
func TestWhatNoLoopRemembersIsCounted(t *testing.T) {
	f := start(t, nil)
	p, admin := f.dial(), f.dial()
	held := func() int {
		_, rest, _ := strings.Cut(admin.call("info", "memory"), "clients_buffers_bytes:")
		n, err := strconv.Atoi(rest[:strings.Index(rest, "\r")])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const keys = 3000
	few := held() + keys*16
	for _, end := range []string{"off", "without", "close"} {
		p.ask("+OK\r\n", "client", "tracking", "on", "noloop")
		all := []string{"mset"}
		for i := range keys { // that it has not read: nothing tells it of them
			all = append(all, fmt.Sprint(end, i), "v")
		}
		p.ask("+OK\r\n", all...)
		p.ask("$1\r\nv\r\n", "get", end+"0")
		eventually(t, "what is remembered to be counted", func() bool { return held() > keys*64 })
		switch end {
		case "off":
			p.ask("+OK\r\n", "client", "tracking", "off")
		case "without":
			p.ask("+OK\r\n", "client", "tracking", "on")
		default:
			_ = p.nc.Close()
		}
		eventually(t, "what was remembered to be given back", func() bool { return held() < few })
	}
}
