package resp_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startRedis starts a redis-server of its own. Where there is none the test fails rather than passing untested.
func startRedis(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v: the differential test compares with a real redis-server 7 (Debian: apt-get install redis-server)", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--databases", "3", "--dir", t.TempDir(),
		"--daemonize", "no")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	eventually(t, "redis-server", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		_ = nc.Close()
		return true
	})
	return addr
}

// sameBytes are commands whose replies have to be the same in each byte.
var sameBytes = [][]string{
	{"ping"}, {"PING", "x"}, {"ping", "a", "b"}, {"echo", "x\r\ny\x00z"}, {"echo"}, {"nonsense"}, {"NONSENSE", "a", "b c", "\r\n"}, {"x" + strings.Repeat("y", 200), "z"},
	{"nonsense", strings.Repeat("a", 100), strings.Repeat("b", 100), "c"}, {"get"}, {"get", "a", "b"}, {"client", "nonsense"}, {"config", "nonsense"}, {"client"},
	{"object", "encoding"}, {"config", "get"}, {"command", "nonsense"}, {"memory", "nonsense"}, {"object", "nonsense", "x"},
	{"get", "k"}, {"set", "k", "v"}, {"GET", "k"}, {"set", "k", "w", "keepttl"}, {"set", "k", "v", "nonsense"}, {"set", "k"}, {"get", "k"}, {"set", "k", ""}, {"get", "k"},
	{"strlen", "k"}, {"strlen", "none"}, {"mget", "k", "none", "k"}, {"mget"}, {"exists", "k", "k", "none"}, {"exists"}, {"type", "k"}, {"type", "none"}, {"ttl", "k"},
	{"ttl", "none"}, {"pttl", "k"}, {"pttl", "none"}, {"expiretime", "k"}, {"expiretime", "none"}, {"pexpiretime", "none"}, {"touch", "k", "none"}, {"mset", "a", "1", "b"},
	{"mset", "a", "1", "b", "2"}, {"mset"}, {"mget", "a", "b"}, {"del", "a", "none", "a"}, {"unlink", "b"}, {"del"}, {"dbsize"}, {"dbsize", "x"}, {"del", "k"}, {"randomkey"},
	{"set", "r", "Hello, world"}, {"getrange", "r", "0", "4"}, {"getrange", "r", "-5", "-1"}, {"getrange", "r", "-1", "-5"}, {"getrange", "r", "5", "100"}, {"getrange", "r", "100", "200"},
	{"getrange", "r", "-100", "3"}, {"getrange", "r", "x", "1"}, {"getrange", "none", "0", "1"}, {"getrange", "r", "-100", "-90"}, {"getrange", "r", "3", "-100"}, {"substr", "r", "1", "2"},
	{"getrange", "r", "0"}, {"getrange", "r", "01", "2"}, {"getrange", "r", "+1", "2"}, {"getrange", "r", "9223372036854775807", "1"}, {"getrange", "r", "9223372036854775808", "1"},
	{"getrange", "r", "0", "-9223372036854775808"}, {"getrange", "r", "-9223372036854775808", "-1"}, {"getrange", "r", "-0", "1"},
	{"set", "i", "12345"}, {"object", "encoding", "i"}, {"object", "encoding", "r"}, {"object", "encoding", "none"}, {"set", "l", strings.Repeat("x", 45)}, {"object", "encoding", "l"},
	{"set", "i", "012"}, {"object", "encoding", "i"}, {"set", "i", "-9223372036854775808"}, {"object", "encoding", "i"}, {"object", "refcount", "r"}, {"object", "refcount", "none"},
	{"select", "1"}, {"select", "0"}, {"select", "3"}, {"select", "-1"}, {"select", "x"}, {"select", "99999999999"}, {"select"},
	{"scan"}, {"scan", "x"}, {"scan", "0", "count"}, {"scan", "0", "count", "0"}, {"scan", "0", "count", "-1"}, {"scan", "0", "count", "x"}, {"scan", "0", "nonsense", "1"},
	{"scan", " 0"}, {"keys"}, {"keys", "nothing*"},
	{"client", "getname"}, {"client", "setname", "a b"}, {"client", "setname", "me"}, {"client", "getname"}, {"client", "setname", ""}, {"client", "getname"}, {"client", "setname", "a\xc3"},
	{"client", "reply"}, {"client", "reply", "x"}, {"client", "reply", "on"}, {"client", "no-evict", "on"}, {"client", "no-evict", "x"}, {"client", "kill", "1.2.3.4:5"}, {"client", "kill", "id", "x"},
	{"client", "kill", "id", "0"}, {"client", "kill", "nonsense", "x"}, {"client", "kill", "id"}, {"client", "kill", "type", "x"}, {"client", "kill", "id", "999999"}, {"client", "kill"},
	{"client", "kill", "skipme", "x"}, {"client", "kill", "user", "nobody"}, {"client", "kill", "addr", "1.2.3.4:5", "skipme", "no"},
	{"client", "list", "type", "x"}, {"client", "list", "type", "pubsub"}, {"client", "list", "id", "x"}, {"client", "list", "nonsense"}, {"client", "list", "id", "999999"},
	{"client", "getredir"}, {"client", "caching", "yes"}, {"client", "tracking"}, {"client", "tracking", "x"}, {"client", "trackinginfo"},
	{"client", "kill", "laddr", "1.2.3.4:5", "id", "99"}, {"client", "kill", "id", "1", "id", "x"}, {"client", "kill", "type", "master"}, {"client", "kill", "type", "pubsub", "skipme", "no"},
	{"client", "list", "type", "master"}, {"client", "list", "type"}, {"client", "list", "id"}, {"client", "list", "type", "normal", "x"}, {"client", "info", "x"},
	{"client", "unblock"}, {"client", "unblock", "x"}, {"client", "unblock", "999999"}, {"client", "unblock", "999999", "timeout"}, {"client", "unblock", "999999", "ERROR"},
	{"client", "unblock", "999999", "x"}, {"client", "unblock", "x", "error"}, {"client", "unblock", "1", "error", "x"},
	{"client", "pause"}, {"client", "pause", "x"}, {"client", "pause", "-1"}, {"client", "pause", "1.5"}, {"client", "pause", "99999999999999999999"}, {"client", "pause", "1", "x"},
	{"client", "pause", "1", "write", "x"}, {"client", "pause", "0"}, {"client", "pause", "60000", "WRITE"}, {"get", "r"}, {"set", "r"}, {"ping"}, {"client", "unpause"},
	{"client", "unpause", "x"}, {"client", "pause", "20"}, {"get", "r"}, {"client", "pause", "20", "all"}, {"multi"}, {"get", "r"}, {"exec"},
	{"client", "pause", "20", "write"}, {"set", "r", "Hello, world"}, {"client", "pause", "20", "write"}, {"multi"}, {"set", "r", "Hello, world"}, {"exec"},
	{"memory", "doctor", "x"}, {"memory", "stats", "x"}, {"memory", "purge"}, {"memory", "purge", "x"}, {"memory", "malloc-stats", "x"},
	{"latency", "history"}, {"latency", "history", "x"}, {"latency", "graph"}, {"latency", "graph", "x"}, {"latency", "graph", "x", "y"}, {"latency", "latest", "x"}, {"latency", "reset"}, {"latency", "reset", "x", "y"}, {"latency", "doctor", "x"},
	{"latency", "histogram", "nonsense"}, {"latency", "histogram", "nonsense", "geoadd"}, {"latency", "nonsense"}, {"latency"},
	{"config", "get", "latency-monitor-threshold"}, {"config", "set", "latency-monitor-threshold", "x"}, {"config", "set", "latency-monitor-threshold", "-1"},
	{"config", "set", "latency-monitor-threshold", "100000"}, {"config", "get", "latency-monitor-threshold"}, {"latency", "latest"}, {"config", "set", "latency-monitor-threshold", "0"},
	{"role", "x"}, {"wait", "x", "0"}, {"wait", "1", "-1"}, {"wait", "1", "x"}, {"wait", "1"},
	{"auth", "x"}, {"auth", "default", "x"}, {"auth", "me", "x"}, {"auth"}, {"auth", "a", "b", "c"}, {"hello", "4"}, {"hello", "x"}, {"hello", "3", "nonsense"}, {"hello", "3", "auth", "x"},
	{"hello", "2", "setname", "a b"}, {"hello", "3", "auth", "me", "x"},
	{"config", "get", "nonsense"}, {"config", "get", "appendonly"}, {"config", "get", "SAVE"}, {"config", "get", "databases"}, {"config", "get", "proto-max-bulk-len"},
	{"command", "info", "nonsense"}, {"command", "getkeys", "get", "k"}, {"command", "getkeys", "mset", "a", "1", "b", "2"}, {"command", "getkeys", "ping"}, {"command", "getkeys", "nonsense", "a"},
	{"command", "getkeys", "get"}, {"command", "getkeys"}, {"command", "getkeysandflags", "get", "k"}, {"command", "getkeysandflags", "del", "k", "l"}, {"command", "getkeysandflags", "mset", "a", "1"},
	{"command", "getkeysandflags", "mset", "a", "1", "b", "2"}, {"command", "getkeysandflags", "exists", "a", "b"}, {"command", "getkeysandflags", "strlen", "a"}, {"command", "getkeysandflags", "ping"},
	{"command", "getkeysandflags", "nonsense", "a"}, {"command", "getkeysandflags", "get"}, {"command", "getkeysandflags"}, {"command", "getkeysandflags", "memory", "usage", "k"},
	{"command", "getkeysandflags", "object", "encoding", "k"}, {"command", "getkeys", "object", "freq", "k"}, {"command", "getkeys", "object", "x", "k"}, {"command", "getkeys", "getex", "k"},
	{"command", "getkeys", "getrange", "k", "1", "2"}, {"command", "getkeys", "touch", "k", "l"}, {"command", "getkeys", "scan", "0"}, {"command", "getkeys", "keys", "x"},
	{"command", "list", "filterby", "module", "x"}, {"command", "list", "filterby", "aclcat", "nonsense"},
	{"command", "list", "filterby"}, {"command", "list", "filterby", "pattern"}, {"command", "list", "filterby", "nonsense", "x"}, {"command", "list", "filterby", "pattern", "x", "y"},
	{"command", "info", "client|nonsense"}, {"command", "docs", "client|nonsense"}, {"command", "list", "nonsense"}, {"command", "list", "filterby", "pattern", "xyz*"}, {"command", "docs", "nonsense"}, {"command", "count", "x"},
	{"cluster", "slots"}, {"cluster", "info"}, {"cluster", "shards"}, {"readonly"}, {"role", "x"}, {"time", "x"}, {"module", "list"}, {"config", "set", "slowlog-log-slower-than", "-1"}, // SLOWLOG RESET may take as long as that
	{"slowlog", "reset"}, {"slowlog", "len"}, {"config", "set", "slowlog-log-slower-than", "10000"}, {"latency", "latest"},
	{"memory", "usage", "none"}, {"memory", "usage", "r", "samples", "x"}, {"memory", "usage", "r", "x", "1"}, {"memory", "usage"}, {"info", "nonsense"},
	{"acl", "whoami"}, {"acl", "whoami", "x"}, {"acl", "cat", "nonsense"}, {"acl", "cat", "a", "b"}, {"acl", "getuser", "nobody"}, {"acl", "getuser"}, {"acl", "users"}, {"acl", "users", "x"},
	{"acl", "list", "x"}, {"acl", "setuser"}, {"acl", "deluser"}, {"acl", "load", "x"}, {"acl", "save", "x"}, {"acl", "dryrun"}, {"acl", "nonsense"}, {"acl"},
	{"cluster", "nodes"}, {"cluster", "myid"}, {"cluster", "myid", "x"}, {"cluster", "nonsense"}, {"cluster"}, {"readwrite"}, {"readwrite", "x"}, {"lastsave", "x"},
	{"config", "resetstat"}, {"config", "resetstat", "x"}, {"config", "rewrite"}, {"config", "rewrite", "x"}, {"module", "nonsense"}, {"module"},
	{"slowlog", "get", "0"}, {"slowlog", "get", "-2"}, {"slowlog", "get", "x"}, {"slowlog", "get", "1", "2"}, {"client", "id", "x"}, {"client", "help", "x"}, {"config", "help", "x"},
	{"object", "help", "x"}, {"memory", "help", "x"}, {"latency", "help", "x"}, {"pubsub", "help", "x"}, {"pubsub", "nonsense"}, {"pubsub", "numpat"}, {"pubsub", "numpat", "x"}, {"pubsub", "channels"},
	{"pubsub", "channels", "x*"}, {"pubsub", "channels", "x", "y"}, {"pubsub", "numsub"}, {"pubsub", "numsub", "a", "b", "a"},
	{"reset"}, {"get", "r"}, {"quit"},
}

// TestTheSameBytesAsRedis sends the same commands to both, in both protocols, and compares the bytes that come back.
func TestTheSameBytesAsRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	for _, proto := range []int{2, 3} {
		theirs, ours := dial(t, redisAddr), f.dial()
		theirs.ask("+OK\r\n", "flushall")
		for _, topic := range []string{"r", "i", "l", "k", "a", "b"} {
			ours.call("del", topic)
		}
		if proto == 3 {
			theirs.call("hello", "3")
			ours.call("hello", "3")
		}
		for _, args := range sameBytes {
			if want, got := theirs.call(args...), ours.call(args...); got != want {
				t.Errorf("RESP%d %.60q:\n theirs %.200q\n ours   %.200q", proto, args, want, got)
			}
		}
	}
}

// TestBrokenFramesLikeRedis: good commands before a bad frame are answered, then its error, then the end.
func TestBrokenFramesLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	for _, in := range []string{
		"*1\r\n:1\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n", "*x\r\n", "*1\r\n$9999999999\r\n", "*99999999999999999999\r\n", "*-1\r\n*0\r\n\r\n\r\nPING\r\n*1\r\nPING\r\n", "get \"a\r\n", "'a'b\r\n",
		"PING\nPING\n*1\r\n\r\n", "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n*\r\n", "echo \"\\x41\\n\\q\\\"\" \r\necho 'a\\'b\\n'\r\n\"\r\n", "echo a\tb\r\necho \"a\"\r\n*01\r\n", "  \r\n ping \r\n*1\r\n@\r\n",
		strings.Repeat("x", 70_000), "*" + strings.Repeat("1", 70_000), "*1\r\n$" + strings.Repeat("1", 70_000),
	} {
		answer := func(addr string) string {
			p := dial(t, addr)
			p.send("PING\r\n" + in)
			_ = p.tcp().CloseWrite()
			b, _ := io.ReadAll(p.r) // a reset where the server did not read all
			return string(b)
		}
		if want, got := answer(redisAddr), answer(f.addr); got != want && want != "" {
			t.Errorf("%.60q:\n theirs %q\n ours   %q", in, want, got)
		}
	}
}

// TestRandomCommandsLikeRedis runs the same random program in both, in pipelines.
func TestRandomCommandsLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	theirs, ours := dial(t, redisAddr), f.dial()
	key := func() string { return "k" + strconv.Itoa(r.IntN(20)) }
	value := func() string {
		b := make([]byte, r.IntN(60))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	number := func() string { return strconv.Itoa(r.IntN(60) - 30) }
	for range 60 {
		var commands [][]string
		for range 1 + r.IntN(20) {
			switch r.IntN(12) {
			case 0, 1, 2:
				commands = append(commands, []string{"SET", key(), value()})
			case 3:
				commands = append(commands, []string{"del", key(), key()})
			case 4:
				commands = append(commands, []string{"mset", key(), value(), key(), value()})
			case 5:
				commands = append(commands, []string{"mget", key(), key(), key()})
			case 6:
				commands = append(commands, []string{"getrange", key(), number(), number()})
			case 7:
				commands = append(commands, []string{"exists", key(), key()})
			case 8:
				commands = append(commands, []string{"strlen", key()}, []string{"dbsize"})
			case 9:
				commands = append(commands, []string{"ttl", key()}, []string{"type", key()}, []string{"object", "encoding", key()})
			case 10:
				commands = append(commands, []string{"hello", strconv.Itoa(2 + r.IntN(2)), "x"}, []string{"set", key(), value(), "bad"})
			default:
				commands = append(commands, []string{"get", key()})
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
				t.Fatalf("%q:\n theirs %q\n ours   %q", c, want, got)
			}
		}
	}
	for _, pattern := range []string{"*", "k1*", "k[2-4]", "k[^1]", "k?", `k\1`, "*[13]", "nothing"} {
		if want, got := keys(theirs, pattern), keys(ours, pattern); !slices.Equal(want, got) {
			t.Errorf("KEYS %s: %v and %v", pattern, want, got)
		}
		for _, count := range []string{"1", "3", "1000"} {
			if want, got := scan(t, theirs, pattern, count), scan(t, ours, pattern, count); !slices.Equal(want, got) {
				t.Errorf("SCAN MATCH %s COUNT %s: %v and %v", pattern, count, want, got)
			}
		}
	}
}

// bulks are the bulk strings of a reply.
func bulks(reply string) (all []string) {
	for reply != "" {
		line, rest, _ := strings.Cut(reply, "\r\n")
		reply = rest
		if line[0] == '$' {
			n, _ := strconv.Atoi(line[1:])
			if n >= 0 {
				all = append(all, rest[:n])
				reply = rest[n+2:]
			}
		}
	}
	return all
}

func keys(p *peer, pattern string) []string {
	all := bulks(p.call("keys", pattern))
	slices.Sort(all)
	return all
}

func scan(t *testing.T, p *peer, pattern, count string) []string {
	t.Helper()
	seen := map[string]bool{}
	cursor := "0"
	for range 1000 {
		page := bulks(p.call("scan", cursor, "match", pattern, "count", count, "type", "string"))
		cursor = page[0]
		for _, k := range page[1:] {
			seen[k] = true
		}
		if cursor == "0" {
			var all []string
			for k := range seen {
				all = append(all, k)
			}
			slices.Sort(all)
			return all
		}
	}
	t.Fatal("SCAN does not end")
	return nil
}

// TestBlockedClientsLikeRedis: what ends the wait of another client, and what a pause holds back.
func TestBlockedClientsLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	for _, c := range []struct {
		name   string
		before [][]string
		waits  []string
		ends   []string // by another client; "id" stands for the id of the one that waits
		own    bool     // WAIT counts this instance, so that Redis's number is one less
	}{
		{"unblock", nil, []string{"wait", "7", "0"}, []string{"client", "unblock", "id"}, true},
		{"unblock timeout", nil, []string{"wait", "7", "0"}, []string{"client", "unblock", "id", "timeout"}, true},
		{"unblock error", nil, []string{"wait", "7", "0"}, []string{"client", "unblock", "id", "error"}, false},
		{"write", [][]string{{"client", "pause", "60000", "write"}}, []string{"set", "k", "v"}, []string{"client", "unpause"}, false},
		{"write in multi", [][]string{{"client", "pause", "60000", "write"}, {"multi"}}, []string{"set", "k", "v"}, []string{"client", "unpause"}, false},
		{"exec", [][]string{{"multi"}, {"set", "k", "v"}, {"client", "pause", "60000", "write"}, {"exec"}}, []string{"del", "k"}, []string{"client", "unpause"}, false},
		{"unlink", [][]string{{"client", "pause", "60000", "write"}}, []string{"unlink", "k"}, []string{"client", "unpause"}, false},
		{"kill", nil, []string{"wait", "7", "0"}, []string{"client", "kill", "id", "id"}, false},
	} {
		var all [2]string
		for i, addr := range []string{redisAddr, f.addr} {
			waiting, p := dial(t, addr), dial(t, addr)
			id := strings.Trim(waiting.call("client", "id"), ":\r\n")
			var b strings.Builder
			for _, args := range c.before {
				b.WriteString(waiting.call(args...))
			}
			waiting.send(frame(c.waits...))
			eventually(t, "a blocked client", func() bool { return strings.Contains(p.call("info", "clients"), "\r\nblocked_clients:1\r\n") })
			line := p.call("client", "list", "id", id)
			_, flags, _ := strings.Cut(line, " flags=")
			flags, _, _ = strings.Cut(flags, " ")
			b.WriteString(flags + "|")
			args := slices.Clone(c.ends)
			for j, a := range args {
				if a == "id" && j > 0 && args[j-1] != "kill" {
					args[j] = id
				}
			}
			b.WriteString(p.call(args...))
			if c.ends[1] == "kill" {
				rest, err := io.ReadAll(waiting.r)
				fmt.Fprintf(&b, "%q %v", rest, err)
			} else {
				b.WriteString(waiting.reply())
			}
			all[i] = b.String()
			_, _ = waiting.nc.Close(), p.nc.Close()
		}
		if c.own {
			all[0] = strings.TrimSuffix(all[0], ":0\r\n") + ":1\r\n"
		}
		if all[0] != all[1] {
			t.Errorf("%s:\n theirs %q\n ours   %q", c.name, all[0], all[1])
		}
	}
}
