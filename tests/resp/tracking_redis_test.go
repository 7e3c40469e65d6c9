package resp_test

import (
	"fmt"
	"strings"
	"testing"
)

// pair sends the same to Redis and here, each side with its own ids where a word is one, and compares every byte.
type pair struct {
	t            *testing.T
	theirs, ours *peer
	ids          map[string][2]string // by the word that stands for one
}

func (p *pair) both(replies int, args ...string) {
	p.t.Helper()
	sides := [2]*peer{p.theirs, p.ours}
	var got [2][]string
	for side, peer := range sides {
		sent := make([]string, len(args))
		for i, a := range args {
			sent[i] = a
			if id, ok := p.ids[a]; ok {
				sent[i] = id[side]
			}
		}
		peer.send(frame(sent...))
		for range replies {
			got[side] = append(got[side], p.named(side, peer.reply()))
		}
	}
	p.same(got, fmt.Sprint(args))
}

// next compares what is told without a question.
func (p *pair) next(after string) {
	p.t.Helper()
	p.same([2][]string{{p.named(0, p.theirs.reply())}, {p.named(1, p.ours.reply())}}, after)
}

func (p *pair) same(got [2][]string, what string) {
	p.t.Helper()
	for i := range got[0] {
		if got[0][i] != got[1][i] {
			p.t.Fatalf("%s: %q, Redis %q", what, got[1][i], got[0][i])
		}
	}
}

// named replaces integers that are ids by the words that stand for them.
func (p *pair) named(side int, reply string) string {
	for word, id := range p.ids {
		reply = strings.ReplaceAll(reply, ":"+id[side]+"\r\n", ":"+word+"\r\n")
	}
	return reply
}

func (p *pair) id() [2]string {
	cut := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, ":"), "\r\n") }
	return [2]string{cut(p.theirs.call("client", "id")), cut(p.ours.call("client", "id"))}
}

// TestTrackingLikeRedis compares the options of CLIENT TRACKING, what describes them, and the messages of each mode with Redis's, byte for byte.
func TestTrackingLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	dialPair := func() *pair {
		return &pair{t: t, theirs: dial(t, redisAddr), ours: f.dial(), ids: map[string][2]string{}}
	}
	writer := dialPair()
	n := 0 // what changes nothing is not told here
	for _, proto := range []string{"2", "3"} {
		target, p := dialPair(), dialPair()
		p.ids["target"] = target.id()
		p.ids["self"] = p.id()
		p.theirs.call("hello", proto)
		p.ours.call("hello", proto)
		for _, options := range []string{
			"", "x", "on x", "off x", "on redirect", "on redirect x", "on redirect 99999", "on redirect target redirect target", "on redirect 0", "on redirect -1", "on prefix a", "on prefix", "on optin optout",
			"on bcast optin", "on bcast optout", "on bcast prefix ab prefix a", "on bcast prefix a prefix ab", "on bcast prefix a prefix a", "on redirect target", "on redirect self", "on redirect target noloop",
			"on bcast", "off", "off bcast", "on", "on optin", "on optout", "on", "on optout", "off", "on bcast", "on", "on bcast prefix b", "on bcast prefix bc", "on bcast prefix b", "on optin",
			"on bcast noloop redirect target prefix c", "off", "off",
		} {
			p.both(1, append([]string{"client", "tracking"}, strings.Fields(options)...)...)
			p.both(1, "client", "trackinginfo")
			p.both(1, "client", "getredir")
			for _, yes := range []string{"yes", "no", "x"} {
				p.both(1, "client", "caching", yes)
				p.both(1, "client", "trackinginfo")
			}
			p.both(1, "echo", "x") // ends what CACHING said; in Redis it would go on in another mode otherwise
		}
		flags := func() {
			t.Helper()
			var got [2]string
			for side, peer := range []*peer{p.theirs, p.ours} {
				for _, field := range strings.Fields(peer.call("client", "info")) {
					if name, value, _ := strings.Cut(field, "="); name == "flags" || name == "redir" {
						got[side] += field + " "
						if name == "redir" && value == p.ids["target"][side] {
							got[side] = strings.TrimSuffix(got[side], value+" ") + "target "
						}
					}
				}
			}
			if got[0] != got[1] {
				t.Errorf("RESP%s: CLIENT INFO: %q, Redis %q", proto, got[1], got[0])
			}
		}
		flags()
		change := func(key string) {
			n++
			writer.both(1, "set", key, fmt.Sprint(n))
		}
		// RESP2's messages go to a subscriber of any channel, RESP3's to anybody.
		if proto == "3" {
			target.both(1, "client", "getname")
			target.theirs.call("hello", "3")
			target.ours.call("hello", "3")
		} else {
			target.both(1, "subscribe", "__redis__:invalidate")
		}
		p.both(1, "client", "tracking", "on", "redirect", "target")
		flags()
		p.both(1, "get", "k")
		change("k")
		target.next("SET of a key that was read")
		p.both(1, "client", "tracking", "on", "noloop", "redirect", "target")
		p.both(1, "get", "k")
		p.both(1, "set", "k", "mine"+proto)
		p.both(1, "get", "k")
		change("k")
		target.next("SET of another connection, NOLOOP")
		p.both(1, "client", "tracking", "off")
		p.both(1, "client", "tracking", "on", "bcast", "prefix", "k", "redirect", "target")
		flags()
		change("x")
		change("k2")
		target.next("SET of a key with the prefix")
		p.both(1, "client", "tracking", "off")
		p.both(1, "client", "tracking", "on", "redirect", "target")
		p.both(1, "get", "k")
		p.both(1, "get", "l")
		// Redis notices at the next change that the target is gone, and says so at each of them.
		_ = target.theirs.nc.Close()
		_ = target.ours.nc.Close()
		eventually(t, "both notice", func() bool {
			return !strings.Contains(writer.theirs.call("client", "list"), "id="+p.ids["target"][0]+" ") && !strings.Contains(writer.ours.call("client", "list"), "id="+p.ids["target"][1]+" ")
		})
		change("k")
		if proto == "3" {
			p.next("SET after the target has left")
		}
		flags()
		p.both(1, "client", "trackinginfo")
		p.both(1, "client", "getredir")
		p.both(1, "client", "tracking", "off")
		flags()
	}
}

// TestTrackingTableLikeRedis: of a table that has become too small keys are told until what is left fits.
func TestTrackingTableLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	p := &pair{t: t, theirs: dial(t, redisAddr), ours: f.dial()}
	p.theirs.call("hello", "3")
	p.ours.call("hello", "3")
	p.both(1, "config", "get", "tracking-table-max-keys")
	p.both(1, "config", "set", "tracking-table-max-keys", "-1")
	p.both(1, "config", "set", "tracking-table-max-keys", "x")
	p.both(1, "client", "tracking", "on")
	p.both(1, "mget", "a", "b", "c")
	p.both(1, "config", "set", "tracking-table-max-keys", "0") // none
	p.both(1, "mget", "d", "e")
	admin := &pair{t: t, theirs: dial(t, redisAddr), ours: f.dial()}
	admin.both(1, "config", "set", "tracking-table-max-keys", "2")
	for _, side := range []*peer{p.theirs, p.ours} {
		told := map[string]bool{}
		for range 3 {
			reply := side.reply()
			if !strings.HasPrefix(reply, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\n") {
				t.Fatalf("%q", reply)
			}
			told[reply] = true
		}
		if len(told) != 3 {
			t.Errorf("told %v", told)
		}
		side.ask("+PONG\r\n", "ping")
		if info := side.call("info", "stats"); !strings.Contains(info, "\r\ntracking_total_keys:2\r\ntracking_total_items:2\r\ntracking_total_prefixes:0\r\n") {
			t.Errorf("INFO: %q", info)
		}
	}
}
