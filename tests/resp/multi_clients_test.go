package resp_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestWaitsInsideMultiDoNotWait(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "set", "k", "v")
	token := bulks(p.call("kafka.lastwrite"))[0]
	at := strings.LastIndex(token, ".")
	n, _ := strconv.Atoi(token[at+1:])
	future := token[:at+1] + strconv.Itoa(n+1000)
	began := time.Now()
	if got := p.execute("wait 1 0", "wait 5 0", "waitaof 1 1 0", "kafka.wait "+token+" 0", "kafka.wait "+future+" 0", "set k w", "kafka.wait "+future+" 60000"); got !=
		"*7\r\n:1\r\n:1\r\n*2\r\n:1\r\n:1\r\n:1\r\n:0\r\n+OK\r\n:0\r\n" {
		t.Errorf("%q", got)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	p.ask(bulk("w"), "get", "k")
}

// TestExecForAClientThatSendsNoMore still gets its reply.
func TestExecForAClientThatSendsNoMore(t *testing.T) {
	f := start(t, nil)
	release := f.hold(kmsg.AddPartitionsToTxn)
	p := f.dial()
	p.send(frame("multi") + frame("set", "k", "1") + frame("set", "l", "1") + frame("exec") + frame("get", "k"))
	if err := p.tcp().CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n")
	release()
	p.want("*2\r\n+OK\r\n+OK\r\n" + bulk("1"))
	if rest, _ := p.r.Peek(1); len(rest) > 0 {
		t.Errorf("more was sent: %q", rest)
	}
}

// TestShutdownDuringExec answers it.
func TestShutdownDuringExec(t *testing.T) {
	f := start(t, nil)
	release := f.hold(kmsg.EndTxn)
	p := f.dial()
	p.send(frame("multi") + frame("set", "k", "1") + frame("set", "l", "1") + frame("exec"))
	p.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n")
	done := make(chan error, 1)
	go func() { done <- f.srv.Shutdown(context.Background()) }()
	release()
	p.want("*2\r\n+OK\r\n+OK\r\n")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestRepliesThatAreSwitchedOffAroundMulti(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send(frame("client", "reply", "off") + frame("multi") + frame("set", "k", "1") + frame("set", "l", "1") + frame("get", "k") + frame("nonsense") + frame("discard") +
		frame("multi") + frame("set", "k", "2") + frame("set", "l", "2") + frame("exec") + frame("multi") + frame("get", "k") + frame("exec") + frame("client", "reply", "on") + frame("mget", "k", "l"))
	p.want("+OK\r\n*2\r\n" + bulk("2") + bulk("2"))
	p.send(frame("client", "reply", "skip") + frame("multi") + frame("set", "k", "3") + frame("exec"))
	p.want("+QUEUED\r\n*1\r\n+OK\r\n")
}

func TestClientListShowsMulti(t *testing.T) {
	f := start(t, nil)
	p, other := f.dial(), f.dial()
	p.ask("+OK\r\n", "multi")
	p.ask("+QUEUED\r\n", "get", "k")
	p.ask("+QUEUED\r\n", "set", "k", "v")
	line := strings.Split(bulks(other.call("client", "list"))[0], "\n")[0]
	if !strings.Contains(line, " flags=x ") || !strings.Contains(line, " multi=2 ") || strings.Contains(line, " multi-mem=0 ") {
		t.Error(line)
	}
	p.ask("+OK\r\n", "discard")
	line = strings.Split(bulks(other.call("client", "list"))[0], "\n")[0]
	if !strings.Contains(line, " flags=N ") || !strings.Contains(line, " multi=-1 ") || !strings.Contains(line, " multi-mem=0 ") {
		t.Error(line)
	}
}

// TestTrackingInsideMulti: CLIENT CACHING before MULTI, or within it, is said of all that EXEC reads, as in Redis.
func TestTrackingInsideMulti(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	for name, addr := range map[string]string{"redis": redisAddr, "ours": f.addr} {
		t.Log(name)
		p, w, n := dial(t, addr), dial(t, addr), 0
		invalidated := func(keys ...string) {
			t.Helper()
			for _, key := range keys {
				n++ // a value that is the same invalidates nothing here
				w.ask("+OK\r\n", "set", key, strconv.Itoa(n))
				p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n" + bulk(key))
			}
			p.ask(bulk("nothing else"), "echo", "nothing else")
		}
		p.call("hello", "3")
		p.ask("+OK\r\n", "client", "tracking", "on", "optin")
		p.ask("+OK\r\n", "client", "caching", "yes")
		if got := p.execute("pttl a", "get b", "mget c d"); got != "*3\r\n:-2\r\n_\r\n*2\r\n_\r\n_\r\n" {
			t.Errorf("%s: %q", name, got)
		}
		invalidated("a", "b", "c", "d")
		p.execute("get a") // without CACHING
		p.execute("get a", "client caching yes", "get b", "get c")
		invalidated("b", "c")
		p.ask("+OK\r\n", "client", "caching", "yes")
		p.ask("+OK\r\n", "multi")
		p.ask("+QUEUED\r\n", "get", "a")
		p.ask("+OK\r\n", "discard")
		p.call("get", "a") // CACHING was said of what was discarded
		p.ask("+OK\r\n", "client", "caching", "yes")
		p.ask("+PONG\r\n", "ping")
		p.call("get", "a") // and here of PING
		w.ask("+OK\r\n", "set", "a", "newer")
		p.ask(bulk("nothing"), "echo", "nothing")
		p.call("client", "tracking", "off")
		p.ask("+OK\r\n", "client", "tracking", "on", "optout")
		p.ask("+OK\r\n", "client", "caching", "no")
		p.execute("get a", "get b")
		p.execute("get c")
		invalidated("c")
	}
}

func TestRueidisClientSideCache(t *testing.T) {
	f := start(t, nil)
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{f.addr}, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f.produce("a", "k", "v")
	read := func(key string) (string, bool) {
		t.Helper()
		r := c.DoCache(ctx, c.B().Get().Key(key).Cache(), time.Minute)
		v, err := r.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			t.Fatal(err)
		}
		return v, r.IsCacheHit()
	}
	if v, hit := read("k"); v != "v" || hit {
		t.Errorf("%s, from the cache %v", v, hit)
	}
	if v, hit := read("k"); v != "v" || !hit {
		t.Errorf("%s, from the cache %v", v, hit)
	}
	f.produce("a", "k", "w") // by somebody else
	eventually(t, "the change", func() bool { v, _ := read("k"); return v == "w" })
	if v, hit := read("k"); v != "w" || !hit {
		t.Errorf("%s, from the cache %v", v, hit)
	}
	for range 2 {
		var multi []rueidis.CacheableTTL
		for i := range 50 {
			multi = append(multi, rueidis.CT(c.B().Get().Key("m"+strconv.Itoa(i%40)).Cache(), time.Minute))
		}
		for i, r := range c.DoMultiCache(ctx, multi...) {
			if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
				t.Errorf("%d: %v", i, err)
			}
		}
	}
	if all, err := rueidis.MGetCache(c, ctx, time.Minute, []string{"k", "none"}); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestGoRedisTransactions(t *testing.T) {
	f := start(t, nil)
	for _, proto := range []int{2, 3} {
		r := f.goRedis(func(o *redis.Options) { o.Protocol = proto })
		var del *redis.IntCmd
		var get *redis.StringCmd
		commands, err := r.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
			p.Set(t.Context(), "x", 1, 0)
			get = p.Get(t.Context(), "x")
			p.MSet(t.Context(), "y", 2, "z", 3)
			del = p.Del(t.Context(), "y", "none")
			return nil
		})
		if err != nil || len(commands) != 4 || del.Val() != 1 || get.Val() != "1" {
			t.Errorf("RESP%d: %v, %v", proto, commands, err)
		}
		if got := r.MGet(t.Context(), "x", "y", "z").Val(); fmt.Sprint(got) != "[1 <nil> 3]" {
			t.Errorf("RESP%d: %v", proto, got)
		}
		_, err = r.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
			p.Set(t.Context(), "x", 2, 0)
			p.SetNX(t.Context(), "y", 2, 0)
			return nil
		})
		if err == nil || r.Get(t.Context(), "x").Val() != "1" {
			t.Errorf("RESP%d: %v", proto, err)
		}
		if err := r.Watch(t.Context(), func(*redis.Tx) error { return nil }, "x"); err == nil || !strings.Contains(err.Error(), "WATCH is not supported: a log has no compare-and-set") {
			t.Errorf("RESP%d: WATCH: %v", proto, err)
		}
		r.Del(t.Context(), "x", "z")
	}
}
