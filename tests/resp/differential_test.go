package resp_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// differentialFor is how long the random comparisons go on: a moment, or what RESP_DIFFERENTIAL says ("5m").
func differentialFor(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("RESP_DIFFERENTIAL")
	if s == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// byDesign are the replies of random commands that are not Redis's, and why. Nothing else may differ. docs/commands.md lists them.
var byDesign = []struct {
	why     string
	matches func(args []string, theirs, ours string) bool
}{
	{"options of SET and GETEX that a log cannot keep are refused", func(args []string, _, ours string) bool {
		return (args[0] == "set" || args[0] == "getex") && strings.Contains(ours, " option ") && strings.Contains(ours, "is not supported: ")
	}},
	{"Redis shares one value among the small integers", func(args []string, theirs, ours string) bool {
		return args[0] == "object" && theirs == ":2147483647\r\n" && ours == ":1\r\n"
	}},
	{"WAIT counts this instance", func(args []string, theirs, ours string) bool {
		return args[0] == "wait" && theirs == ":0\r\n" && ours == ":1\r\n"
	}},
	{"a record needs a key", func(args []string, _, ours string) bool {
		return ours == "-ERR a record needs a key that is not empty\r\n"
	}},
	{"when a key was read last is not noted", func(args []string, _, ours string) bool {
		return args[0] == "object" && strings.HasPrefix(ours, "-ERR OBJECT IDLETIME is not supported")
	}},
	{"a connection that the test has just closed may still be there to be killed", func(args []string, theirs, ours string) bool {
		return args[0] == "client" && args[1] == "kill" && theirs[0] == ':' && ours[0] == ':'
	}},
	{"what a key takes is this index's", func(args []string, theirs, ours string) bool {
		return args[0] == "memory" && theirs[0] == ':' && ours[0] == ':'
	}},
	{"the order of keys is another, and so are cursors: the sets are compared apart", func(args []string, theirs, ours string) bool {
		return (args[0] == "scan" || args[0] == "keys" || args[0] == "randomkey") && theirs[0] == ours[0] && theirs[0] != '-'
	}},
}

// stream makes random commands: right ones, and ones with wrong arguments. It keeps to names that both offer.
type stream struct{ *rand.Rand }

func (r stream) key() string {
	return []string{"a", "b", "c", "k1", "k2", "k:3", "Key", "\x00\xff", "with space", "x\r\ny"}[r.IntN(10)]
}

func (r stream) value() string {
	switch r.IntN(6) {
	case 0:
		return strconv.FormatInt(int64(r.Uint64()), 10)
	case 1:
		return strconv.Itoa(r.IntN(20000) - 10000)
	case 2:
		return strings.Repeat("x", 40+r.IntN(10))
	case 3:
		return []string{"", "0", "-0", "01", "+1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.5", " 1"}[r.IntN(10)]
	}
	b := make([]byte, r.IntN(80))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func (r stream) number() string {
	switch r.IntN(8) {
	case 0:
		return r.value()
	case 1:
		return []string{"", "-", "+1", "01", "1e3", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "4294967296", "2147483648"}[r.IntN(10)]
	}
	return strconv.Itoa(r.IntN(120) - 60)
}

// word is one of those given, or something else.
func (r stream) word(words ...string) string {
	if r.IntN(12) == 0 {
		return r.value()
	}
	return words[r.IntN(len(words))]
}

func (r stream) many(n int, f func() string) (all []string) {
	for range r.IntN(n) {
		all = append(all, f())
	}
	return all
}

func (r stream) command() []string {
	var args []string
	switch r.IntN(40) {
	case 0, 1, 2, 3:
		args = []string{"set", r.key(), r.value()}
		if r.IntN(4) == 0 {
			args = append(args, r.many(3, func() string { return r.word("keepttl", "nx", "xx", "get", "ex", "px", "10") })...)
		}
	case 4, 5, 6:
		args = []string{"get", r.key()}
	case 7:
		args = append([]string{"mget"}, r.many(6, r.key)...)
	case 8:
		args = append([]string{"mset"}, r.many(6, func() string { return r.key() })...)
	case 9:
		args = append([]string{"del"}, r.many(4, r.key)...)
	case 10:
		args = append([]string{"unlink"}, r.many(4, r.key)...)
	case 11:
		args = append([]string{r.word("exists", "touch")}, r.many(5, r.key)...)
	case 12:
		args = []string{"strlen", r.key()}
	case 13:
		args = []string{[]string{"getrange", "substr"}[r.IntN(2)], r.key(), r.number(), r.number()}
	case 14:
		args = []string{"getbit", r.key(), r.number()}
	case 15:
		args = append([]string{"getex", r.key()}, r.many(3, func() string { return r.word("persist", "ex", "px", "exat", "10", "0") })...)
	case 16:
		args = []string{[]string{"ttl", "pttl", "expiretime", "pexpiretime", "type"}[r.IntN(5)], r.key()}
	case 17:
		args = []string{"object", r.word("encoding", "refcount", "freq", "idletime"), r.key()}
	case 18:
		args = append([]string{"memory", "usage", r.key()}, r.many(3, func() string { return r.word("samples", "0", "5") })...)
	case 19:
		args = append([]string{"scan", r.word("0", "-1", "x")}, r.many(5, func() string { return r.word("match", "count", "type", "*", "k*", "10", "string") })...)
	case 20:
		args = []string{"keys", r.word("nothing*", "*", "[a-c]", "k[^1]", "\\")}
	case 21:
		args = []string{"dbsize"}
	case 22:
		args = []string{"select", r.word("0", "0", "3", "-1", "x", "99999999999")}
	case 23:
		args = append([]string{"ping"}, r.many(3, r.value)...)
	case 24:
		args = []string{"echo", r.value()}
	case 25:
		args = append([]string{"client", r.word("getname", "setname", "no-evict", "reply", "caching", "getredir")}, r.many(2, func() string { return r.word("on", "me", "a b", "") })...)
		if args[1] == "reply" {
			args = []string{"client", "reply", "on"}
		}
	case 26:
		args = append([]string{"command", r.word("getkeys", "getkeysandflags", "info")}, r.many(5, func() string { return r.word("get", "mset", "k", "exists", "del", "nothing") })...)
		if args[1] == "info" {
			args = []string{"command", "info", "nothing"}
		} else if len(args) > 3 && args[2] == "nothing" {
			args[2] = "none of that name"
		}
	case 27:
		args = []string{r.word("multi", "exec", "discard", "unwatch")}
	case 28:
		args = []string{"wait", []string{"0", "-1", "x", ""}[r.IntN(4)], []string{"0", "1", "-1", "x", "01"}[r.IntN(5)]}
	case 29:
		args = append([]string{"auth"}, r.many(4, r.value)...)
	case 30:
		args = []string{"hello", r.word("4", "x", "1", ""), r.word("auth", "setname", "x")}
	case 31:
		args = []string{"config", "get", r.word("save", "appendonly", "nothing", "database[s]", "SLOWLOG-log-slower-than")}
	case 32:
		args = []string{r.word("cluster", "readonly", "readwrite"), r.word("slots", "nodes", "info")}
	case 33: // nobody but the connection itself, which is left out
		args = append([]string{"client", "kill"}, r.many(7, func() string {
			return r.word("id", "type", "user", "addr", "laddr", "skipme", "yes", "0", "7", "normal", "master", "default")
		})...)
	case 34:
		args = append([]string{"client", "unblock", r.number()}, r.many(3, func() string { return r.word("timeout", "error") })...)
	case 35:
		args = append([]string{"client", "pause", []string{"0", "1", "-1", "x", "1.0", "", "99999999999999999999"}[r.IntN(7)]}, r.many(3, func() string { return r.word("write", "ALL") })...)
	case 36:
		args = append([]string{"client", "list", r.word("type", "id")}, r.many(3, func() string { return r.word("master", "replica", "pubsub", "-1", "x", "999999", "0") })...)
		if len(args) < 4 {
			args = []string{"client", "list", "type"}
		}
	case 37:
		args = append([]string{"latency", r.word("history", "reset", "latest", "histogram")}, r.many(3, func() string { return r.word("none", "fork", "geoadd") })...)
	case 38:
		args = append([]string{"command", "list"}, r.many(4, func() string { return r.word("filterby", "pattern", "module", "xyz*") })...)
		if len(args) == 2 {
			args = append(args, "x")
		}
	default:
		args = []string{"nothing" + r.number(), r.value(), r.value()}
	}
	switch r.IntN(25) {
	case 0:
		if args[0] == "del" || args[0] == "unlink" {
			args = append(args, r.key())
		} else {
			args = append(args, r.value())
		}
	case 1:
		if len(args) > 1 {
			args = args[:len(args)-1]
		}
	}
	return args
}

// anyCase is the name in mixed case.
func (r stream) anyCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && r.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// usable leaves out what would run for long, or of which both are known not to say the same before it has run.
func usable(args []string) bool {
	switch strings.ToLower(args[0]) {
	case "quit", "reset", "subscribe", "psubscribe", "monitor":
		return false
	case "command":
		return len(args) > 2 // all commands are others
	case "client":
		return len(args) != 2 || args[1] != "list" // a description of clients
	case "latency":
		return len(args) != 2 || args[1] != "histogram" // of all commands, whose durations differ
	}
	return true
}

// TestRandomStreamsLikeRedis sends random commands in pipelines over connections of both protocols, and compares the bytes of each reply.
func TestRandomStreamsLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RESP_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d (RESP_SEED), for %v (RESP_DIFFERENTIAL)", seed, differentialFor(t))
	r := stream{rand.New(rand.NewPCG(seed, 0))}
	same, different := 0, map[string]int{}
	for until := time.Now().Add(differentialFor(t)); time.Now().Before(until) && !t.Failed(); {
		theirs, ours := dial(t, redisAddr), f.dial()
		if r.IntN(2) == 0 {
			theirs.call("hello", "3")
			ours.call("hello", "3")
		}
		queues := false // what is refused when it is queued spoils the whole: no refusals by design there
		for range 20 {
			var in strings.Builder
			var commands [][]string
			for range 1 + r.IntN(20) {
				c := r.command()
				if !usable(c) || queues && (c[0] == "set" && len(c) > 3 || c[0] == "getex" && len(c) > 2 || c[0] == "scan" || c[0] == "keys" || c[0] == "randomkey" || c[0] == "memory" ||
					c[0] == "object" || c[0] == "select" || c[0] == "mset" || c[0] == "wait") {
					continue
				}
				switch c[0] {
				case "multi":
					queues = len(c) == 1 || queues
				case "exec", "discard":
					queues = queues && len(c) > 1
				}
				commands = append(commands, c)
				sent := append([]string{r.anyCase(c[0])}, c[1:]...)
				if strings.HasPrefix(c[0], "nothing") {
					sent[0] = c[0]
				}
				in.WriteString(frame(sent...))
				if c[0] == "set" && len(c) > 3 || c[0] == "getex" && len(c) > 2 {
					break // what Redis may do and a log cannot is undone before the next
				}
			}
			theirs.send(in.String())
			ours.send(in.String())
			for i, c := range commands {
				want, got := theirs.reply(), ours.reply()
				if want == got {
					same++
					continue
				}
				if why := allowed(c, want, got); why != "" {
					different[why]++
					if strings.Contains(why, "SET and GETEX") {
						theirs.settle(t, redisAddr, f.addr, c[1])
					}
					continue
				}
				if !strings.EqualFold(want, got) || !strings.Contains(want, "unknown command") { // the name's case differs in none
					t.Fatalf("seed %d, %q, after %q:\n theirs %.300q\n ours   %.300q", seed, c, commands[:i], want, got)
				}
			}
		}
		_, _ = theirs.nc.Close(), ours.nc.Close()
	}
	t.Logf("%d replies were the same; by design different: %v", same, different)
	if same < 200 {
		t.Errorf("only %d replies were compared", same)
	}
}

func allowed(args []string, theirs, ours string) string {
	for _, d := range byDesign {
		if d.matches(args, theirs, ours) {
			return d.why
		}
	}
	return ""
}

// TestRandomBrokenFramesLikeRedis breaks pipelines of reads at random: cut, with bytes changed, left out, or doubled.
func TestRandomBrokenFramesLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RESP_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seed %d (RESP_SEED)", seed)
	r := stream{rand.New(rand.NewPCG(seed, 1))}
	exact := 0
	for until := time.Now().Add(differentialFor(t)); time.Now().Before(until); {
		in := []byte(r.frames())
		for range r.IntN(4) {
			if len(in) == 0 {
				break
			}
			at := r.IntN(len(in))
			switch r.IntN(6) {
			case 0:
				in = in[:at]
			case 1:
				in[at] = byte(r.Uint32())
			case 2:
				in[at] = "0123456789-*$:+\r\n\x00\"' _"[r.IntN(22)]
			case 3:
				in = append(in[:at:at], in[at+1:]...)
			case 4:
				in = append(in[:at:at], append([]byte{in[at]}, in[at:]...)...)
			case 5:
				in = append(in[:at:at], append([]byte(r.insert()), in[at:]...)...)
			}
		}
		want, whole := answerTo(t, redisAddr, in)
		got, whole2 := answerTo(t, f.addr, in)
		switch {
		case want == got:
			exact++
		case !whole && strings.HasPrefix(got, want), !whole2 && strings.HasPrefix(want, got): // a reset took what had not been read
		case bytes.IndexByte(in, 0) >= 0: // in an inline request Redis waits for ever for a line's end behind a NUL; here the NUL ends the line's words
		case largeCount.Match(in) && strings.HasSuffix(got, "-ERR Protocol error: invalid multibulk length\r\n"): // more than 1,048,576 arguments, of which Redis 7 takes 2³¹-1
		case strings.Contains(got, " is not supported: "): // chance has made a command of those that are refused by name
		default:
			t.Fatalf("seed %d, %.500q:\n theirs %.300q\n ours   %.300q", seed, in, want, got)
		}
	}
	t.Logf("%d answers were the same", exact)
	if exact < 50 {
		t.Errorf("only %d answers were the same", exact)
	}
}

var largeCount = regexp.MustCompile(`\*[1-9][0-9]{6,9}\r`)

func (r stream) frames() string {
	var in strings.Builder
	for range 1 + r.IntN(4) {
		var c []string
		switch r.IntN(5) {
		case 0:
			c = []string{"PING"}
		case 1:
			c = []string{"echo", r.value()}
		case 2:
			c = []string{"get", "none"}
		case 3:
			c = []string{"mget", "none", "other"}
		default:
			c = []string{"strlen", "none"}
		}
		if r.IntN(3) > 0 {
			in.WriteString(frame(c...))
		} else {
			in.WriteString(strings.Join(c[:1], " ") + []string{"\r\n", "\n", " x\r\n", " \"a b\"\r\n", " 'a\\'b'\n"}[r.IntN(5)])
		}
	}
	return in.String()
}

// insert is what may stand between frames, or what no frame begins with.
func (r stream) insert() string {
	return []string{"*0\r\n", "*-1\r\n", "*-10\r\n", "\r\n", "*1\r\n$-1\r\n", "*2147483648\r\n", "*1\r\n$536870913\r\n", "$3\r\nabc\r\n", "*1\r\n:1\r\n", "\x00", "\"", "*2\r\n", "*1\r\n$0\r\n\r\n"}[r.IntN(13)]
}

// answerTo sends bytes and the end, and returns what came back, and whether the connection then ended without a reset.
func answerTo(t *testing.T, addr string, in []byte) (string, bool) {
	t.Helper()
	p := dial(t, addr)
	defer func() { _ = p.nc.Close() }()
	_, _ = p.nc.Write(in)
	_ = p.tcp().CloseWrite()
	b, err := io.ReadAll(p.r)
	return string(b), err == nil
}

// settle has both hold the same again.
func (p *peer) settle(t *testing.T, theirs, ours, key string) {
	t.Helper()
	for _, addr := range []string{theirs, ours} {
		q := dial(t, addr)
		q.call("del", key)
		_ = q.nc.Close()
	}
}
