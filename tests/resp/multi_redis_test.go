package resp_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMultiLikeRedis sends the same commands to both, in both protocols, and compares the bytes that come back.
func TestMultiLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	script := []string{
		"exec", "discard", "multi x", "exec y", "multi", "multi", "watch k", "set k v", "exec", "unwatch", "unwatch x", "multi", "exec", "exec",
		"multi", "get", "get k", "exec", "multi", "nonsense a b", "get k", "exec", "get k", "multi", "client nonsense", "client", "exec", "multi", "client id x", "config get", "exec",
		"multi", "set k v nonsense", "get k", "mset a 1 b", "mset a 1 b 2", "getrange k x 1", "scan x", "select x", "object encoding k", "exec", "mget k a b",
		"multi", "set k 1", "get k", "set k 2", "mget k k none", "strlen k", "exists k none k", "type k", "ttl k", "pttl none", "expiretime k", "touch k none", "del k", "get k", "exists k", "del k", "type k",
		"set k 3", "getrange k 0 -1", "object encoding k", "memory usage none", "set k hello", "object encoding k", "unlink k none", "dbsize", "exec", "dbsize",
		"multi", "discard", "get k", "multi", "get", "discard", "get k", "multi", "set k lost", "discard", "get k",
		"multi", "select 1", "set z 12", "dbsize", "get z", "select 0", "get z", "dbsize", "select 1", "exec", "get z", "dbsize", "del z", "select 0", "dbsize",
		"multi", "select 99", "select -1", "auth x", "auth a b", "ping", "ping x", "echo hello", "client getname", "client setname me", "client getname", "unwatch", "exec", "client getname",
		"multi", "wait 0 0", "wait 0 10", "wait x 1", "wait 0 -1", "time x", "exec", "multi", "wait x 1", "wait 0 -1", "exec",
		"multi", "multi x", "discard x", "watch", "get k", "exec", "multi", "exec x", "exec", "multi", "reset x", "exec", "multi", "set k v", "reset", "get k", "discard",
		"del k a b", "set e v", "multi", "set e w keepttl", "get e", "dbsize", "randomkey", "keys e", "keys nothing*", "del e", "randomkey", "keys e", "dbsize", "scan 0", "exec", "randomkey",
		"multi", "dbsize", "set e 1", "dbsize", "scan 0", "keys *", "scan 0 match x*", "scan 0 count 100 type string", "scan 0 type list", "randomkey", "exec", "del e", "dbsize",
		"multi", "command info nonsense", "command getkeys get k", "config get nonsense", "config get save", "cluster info", "readonly", "client reply on", "client no-evict on", "memory usage", "exec",
		"multi", "command info nonsense", "command getkeys get k", "config get nonsense", "config get save", "cluster info", "client reply on", "client no-evict on", "client getredir", "client caching yes",
		"client tracking x", "client kill 1.2.3.4:5", "exec",
		"command getkeys multi", "multi", "set k v", "quit",
	}
	for _, proto := range []string{"2", "3"} {
		theirs, ours := dial(t, redisAddr), f.dial()
		theirs.ask("+OK\r\n", "flushall")
		for _, key := range []string{"k", "a", "b", "e", "r"} {
			ours.call("del", key)
		}
		if proto == "3" {
			theirs.call("hello", "3")
			ours.call("hello", "3")
		}
		for i, line := range script {
			args := strings.Split(line, " ")
			if want, got := theirs.call(args...), ours.call(args...); got != want {
				t.Errorf("RESP%s, command %d, %q:\n theirs %.300q\n ours   %.300q", proto, i, line, want, got)
			}
		}
		for _, p := range []*peer{theirs, ours} { // QUIT has ended them, and nothing was run
			if rest, _ := p.r.Peek(1); len(rest) > 0 {
				t.Errorf("more was sent: %q", rest)
			}
		}
		other := f.dial()
		other.ask("$-1\r\n", "get", "k")
	}
	// HELLO within a transaction changes the protocol of what follows in it.
	theirs, ours := dial(t, redisAddr), f.dial()
	for _, line := range []string{"multi", "get none", "hello 3", "get none", "exec", "get none", "multi", "hello 2", "get none", "exec", "get none"} {
		args := strings.Split(line, " ")
		want, got := theirs.call(args...), ours.call(args...)
		if line == "exec" {
			want, got = want[strings.Index(want, "mode"):], got[strings.Index(got, "mode"):] // the version and id before it differ
		}
		if got != want {
			t.Errorf("%q:\n theirs %.300q\n ours   %.300q", line, want, got)
		}
	}
}

// TestRandomTransactionsLikeRedis runs the same random programs in both, in pipelines, over two databases.
func TestRandomTransactionsLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	theirs, ours := dial(t, redisAddr), f.dial()
	key := func() string { return "k" + strconv.Itoa(r.IntN(8)) }
	value := func() string { return strconv.Itoa(r.IntN(1000)) } // which is JSON as well
	command := func() []string {
		switch r.IntN(13) {
		case 0, 1, 2:
			return []string{"set", key(), value()}
		case 3:
			return []string{"del", key(), key()}
		case 4:
			return []string{"mset", key(), value(), key(), value()}
		case 5:
			return []string{"mget", key(), key(), key()}
		case 6:
			return []string{"exists", key(), key()}
		case 7:
			return []string{"dbsize"}
		case 8:
			return []string{"strlen", key()}
		case 9:
			return []string{"select", strconv.Itoa(r.IntN(2))}
		case 10:
			return []string{"keys", key()}
		case 11:
			return []string{"set", key(), value(), "nonsense"}
		}
		return []string{"get", key()}
	}
	for range 60 {
		var commands [][]string
		for range 1 + r.IntN(4) {
			commands = append(commands, []string{"multi"})
			for range r.IntN(12) {
				commands = append(commands, command())
			}
			if r.IntN(10) == 0 {
				commands = append(commands, []string{"get"})
			}
			commands = append(commands, []string{[]string{"exec", "exec", "exec", "exec", "discard"}[r.IntN(5)]})
			for range r.IntN(3) {
				commands = append(commands, command())
			}
		}
		var in strings.Builder
		for _, c := range commands {
			in.WriteString(frame(c...))
		}
		theirs.send(in.String())
		ours.send(in.String())
		for _, c := range commands {
			if want, got := theirs.reply(), ours.reply(); got != want {
				t.Fatalf("%q in %q:\n theirs %q\n ours   %q", c, commands, want, got)
			}
		}
	}
}
