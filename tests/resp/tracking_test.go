package resp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/rueidis"
)

func TestTrackingInvalidates(t *testing.T) {
	f := start(t, nil)
	f.produce("a", "k", "1")
	p := f.dial()
	p.call("hello", "3")
	p.ask("+OK\r\n", "client", "tracking", "on")
	p.ask("$1\r\n1\r\n", "get", "k")
	p.ask("_\r\n", "get", "absent") // a key that is missing is tracked too
	f.produce("a", "other", "1")
	f.produce("a", "k", "2")
	p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
	f.produce("a", "k", "3") // told once
	f.produce("a", "absent", "1")
	p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\nabsent\r\n")
	// Its own write invalidates as well, and the push does not overtake what was known before it.
	p.send(frame("get", "k") + frame("set", "k", "4") + frame("echo", "x"))
	p.want("$1\r\n3\r\n+OK\r\n$1\r\nx\r\n")
	p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
	p.ask("%3\r\n$5\r\nflags\r\n~1\r\n$2\r\non\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n", "client", "trackinginfo")
	p.ask("+OK\r\n", "client", "tracking", "off")
	p.ask("$1\r\n4\r\n", "get", "k")
	f.produce("a", "k", "5")
	p.ask("+PONG\r\n", "ping")
}

func TestTrackingModes(t *testing.T) {
	f := start(t, nil)
	f.produce("a", "k", "1")
	optIn, optOut, bcast := f.dial(), f.dial(), f.dial()
	for _, p := range []*peer{optIn, optOut, bcast} {
		p.call("hello", "3")
	}
	optIn.ask("+OK\r\n", "client", "tracking", "on", "optin")
	optOut.ask("+OK\r\n", "client", "tracking", "on", "optout")
	bcast.ask("+OK\r\n", "client", "tracking", "on", "bcast", "prefix", "us", "prefix", "k")
	optIn.ask("$1\r\n1\r\n", "get", "k")
	optOut.ask("+OK\r\n", "client", "caching", "no")
	optOut.ask("$1\r\n1\r\n", "get", "k")
	f.produce("a", "k", "2")
	bcast.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
	optIn.ask("+PONG\r\n", "ping")
	optOut.ask("+PONG\r\n", "ping")
	optIn.ask("+OK\r\n", "client", "caching", "yes")
	optIn.ask("$1\r\n2\r\n", "get", "k")
	optOut.ask("$1\r\n2\r\n", "get", "k")
	f.produce("a", "k", "3")
	for _, p := range []*peer{optIn, optOut, bcast} {
		p.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
	}
	f.produce("a", "x", "1")
	bcast.ask("+PONG\r\n", "ping")
}

// TestTrackingNeverLeavesAStaleValue lets a client cache what it reads while another producer writes: once the writes end, what it holds
// is what the log says.
func TestTrackingNeverLeavesAStaleValue(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.call("hello", "3")
	p.ask("+OK\r\n", "client", "tracking", "on")
	const rounds = 300
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			f.produce("a", fmt.Sprint("k", i%3), fmt.Sprint(i))
		}
	}()
	held := map[string]string{}
	take := func(reply string) (push bool) {
		if strings.HasPrefix(reply, ">2") {
			delete(held, bulks(reply)[1])
			return true
		}
		return false
	}
	for i := 0; ; i++ {
		select {
		case <-done:
		default:
			key := fmt.Sprint("k", i%3)
			p.send(frame("get", key))
			reply := p.reply()
			for take(reply) {
				reply = p.reply()
			}
			held[key] = reply
			continue
		}
		break
	}
	// A key of its own, read and changed last, tells that all pushes have come.
	p.send(frame("get", "last"))
	for take(p.reply()) {
	}
	f.produce("a", "last", "1")
	for {
		reply := p.reply()
		if take(reply) && bulks(reply)[1] == "last" {
			break
		}
	}
	q := f.dial()
	q.call("hello", "3")
	for key, value := range held {
		if now := q.call("get", key); now != value {
			t.Errorf("%s is held as %q and is %q", key, value, now)
		}
	}
}

func TestRueidis(t *testing.T) {
	f := start(t, nil)
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{f.addr}, ForceSingleClient: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Do(ctx, c.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Do(ctx, c.B().Get().Key("k").Build()).ToString(); err != nil || v != "v" {
		t.Fatal(v, err)
	}
	for _, r := range c.DoMulti(ctx, c.B().Get().Key("k").Build(), c.B().Wait().Numreplicas(1).Timeout(1000).Build(), c.B().Exists().Key("k").Build()) {
		if r.Error() != nil {
			t.Error(r.Error())
		}
	}
}
