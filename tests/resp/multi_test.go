package resp_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/respserver"
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

// execute sends commands between MULTI and EXEC, and returns EXEC's reply.
func (p *peer) execute(commands ...string) string {
	p.t.Helper()
	in := frame("multi")
	for _, c := range commands {
		in += frame(strings.Split(c, " ")...)
	}
	p.send(in + frame("exec"))
	p.want("+OK\r\n" + strings.Repeat("+QUEUED\r\n", len(commands)))
	return p.reply()
}

// TestExecReadsWhatItWrites in every way in which keys are found.
func TestExecReadsWhatItWrites(t *testing.T) {
	f := start(t, nil)
	for i := range 20 {
		f.produce("a", fmt.Sprintf("k%02d", i), "old")
	}
	p := f.dial()
	commands := []string{"del k03 k04 none", "mset k05 new x 1 k00a 1", "del x", "set x 2", "dbsize", "keys *", "kafka.range k02 k07", "kafka.range   LIMIT 3", "kafka.range k19 ", "scan 0 count 1000", "mget k03 k05 x"}
	cursorAt := len(commands)
	for i := range 10 {
		commands = append(commands, "get k"+strconv.Itoa(10+i))
	}
	got := p.execute(commands...)
	elements := split(t, got)
	sorted := func(reply string) string {
		all := bulks(reply)
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	var left []string
	for i := range 20 {
		if i != 3 && i != 4 {
			left = append(left, fmt.Sprintf("k%02d", i))
		}
	}
	all := append(slices.Clone(left), "k00a", "x")
	slices.Sort(all)
	for i, want := range []string{":2\r\n", "+OK\r\n", ":1\r\n", "+OK\r\n", ":20\r\n"} {
		if elements[i] != want {
			t.Errorf("%s: %q, want %q", commands[i], elements[i], want)
		}
	}
	if got := sorted(elements[5]); got != strings.Join(all, " ") {
		t.Errorf("KEYS: %s", got)
	}
	for i, want := range map[int]string{6: "k02 k05 k06", 7: "k00 k00a k01", 8: "k19 x"} {
		if got := strings.Join(bulks(elements[i]), " "); got != want {
			t.Errorf("%s: %s, want %s", commands[i], got, want)
		}
	}
	if got := sorted(elements[9]); got != "0 "+strings.Join(all, " ") {
		t.Errorf("SCAN: %s", got)
	}
	if want := "*3\r\n$-1\r\n" + bulk("new") + bulk("2"); elements[10] != want {
		t.Errorf("MGET: %q", elements[10])
	}
	for _, e := range elements[cursorAt:] {
		if e != bulk("old") {
			t.Errorf("GET: %q", e)
		}
	}
	// It is what the topic has now.
	p.ask(":20\r\n", "dbsize")
	// Small pages: each key once, wherever a page ends.
	seen := map[string]int{}
	for cursor := "0"; ; {
		e := split(t, p.execute("set y 1", "del k10", "scan "+cursor+" count 3", "set k10 old", "del y"))
		page := bulks(e[2])
		for _, key := range page[1:] {
			seen[key]++
		}
		if cursor = page[0]; cursor == "0" {
			break
		}
	}
	want := append(slices.DeleteFunc(slices.Clone(all), func(k string) bool { return k == "k10" }), "y")
	if len(seen) != len(want) {
		t.Errorf("SCAN in pages: %v, want %v", seen, want)
	}
	for _, key := range want {
		if seen[key] != 1 {
			t.Errorf("SCAN in pages tells %s %d times", key, seen[key])
		}
	}
	// Any key that is there, and no other, is picked.
	picked := map[string]bool{}
	all = append(all, "k03")
	for range 60 {
		e := split(t, p.execute("mset k03 1", "del "+strings.Join(left[3:], " "), "randomkey", "mset "+strings.Join(left[3:], " 1 ")+" 1", "del k03"))
		picked[bulks(e[2])[0]] = true
	}
	if want := "k00 k00a k01 k02 k03 x"; strings.Join(keysOf(picked), " ") != want {
		t.Errorf("RANDOMKEY: %v, want %s", keysOf(picked), want)
	}
	e := split(t, p.execute("kafka.set m v HEADER h 1", "kafka.meta m", "kafka.meta k05", "kafka.del k05", "kafka.meta k05", "kafka.lastwrite", "kafka.position"))
	if len(bulks(e[0])) != 1 || !strings.HasPrefix(e[0], "*3\r\n:") || !strings.HasPrefix(e[1], "-ERR the transaction writes that key itself") || !strings.HasPrefix(e[2], "*8\r\n") ||
		!strings.HasPrefix(e[3], "*3\r\n:") || e[4] != "*-1\r\n" || len(bulks(e[5])) != 1 || len(bulks(e[6])) != 1 {
		t.Errorf("the log's own commands: %q", e)
	}
	p.ask(":1\r\n", "kafka.wait", bulks(e[0])[0], "1000")
}

func keysOf(m map[string]bool) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// split parts an array's elements.
func split(t *testing.T, reply string) (elements []string) {
	t.Helper()
	head, rest, _ := strings.Cut(reply, "\r\n")
	if head[0] != '*' {
		t.Fatalf("%q is no array", reply)
	}
	a, b := net.Pipe()
	defer func() { _ = a.Close(); _ = b.Close() }()
	go func() { _, _ = a.Write([]byte(rest)) }()
	p := &peer{t, b, bufio.NewReader(b)}
	n, _ := strconv.Atoi(head[1:])
	for range n {
		elements = append(elements, p.reply())
	}
	return elements
}

// counted counts requests of a kind.
func (f *fixture) counted(key kmsg.Key) *atomic.Int64 {
	n := new(atomic.Int64)
	f.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.cluster.KeepControl()
		n.Add(1)
		return nil, nil, false
	})
	return n
}

// TestHowExecWrites: one record is written as any other, several in one transaction over all their topics, and what is read alone asks Kafka nothing.
func TestHowExecWrites(t *testing.T) {
	f := start(t, nil)
	p, other := f.dial(), f.dial()
	commits, produces := f.counted(kmsg.EndTxn), f.counted(kmsg.Produce)
	if got := p.execute("set k 1"); got != "*1\r\n+OK\r\n" || commits.Load() != 0 || produces.Load() != 1 {
		t.Errorf("one: %q, %d transactions, %d produce requests", got, commits.Load(), produces.Load())
	}
	if got := p.execute("get k", "mget k l"); got != "*2\r\n"+bulk("1")+"*2\r\n"+bulk("1")+"$-1\r\n" || commits.Load() != 0 || produces.Load() != 1 {
		t.Errorf("reads: %q, %d transactions, %d produce requests", got, commits.Load(), produces.Load())
	}
	if got := p.execute("get k", "set k 2", "mset l 3 m 4", "get k", "select 1", "set k 5", "del none"); got != "*7\r\n"+bulk("1")+"+OK\r\n+OK\r\n"+bulk("2")+"+OK\r\n+OK\r\n:0\r\n" || commits.Load() != 1 {
		t.Errorf("several: %q, %d transactions", got, commits.Load())
	}
	other.ask("*3\r\n"+bulk("2")+bulk("3")+bulk("4"), "mget", "k", "l", "m")
	p.ask(bulk("5"), "get", "k") // SELECT has an effect
	if token := p.call("kafka.lastwrite"); !strings.HasPrefix(token, "$") || token == "$-1\r\n" {
		t.Errorf("last write: %q", token)
	}
}

// TestExecOfKafkasFailures: nothing of the transaction is written, EXEC says so as a whole, and nothing else of it happens.
func TestExecOfKafkasFailures(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	for e, want := range map[*kerr.Error]string{
		kerr.TopicAuthorizationFailed: "-NOPERM Kafka's ACLs do not allow this instance the transaction",
		kerr.NotEnoughReplicas:        "-NOREPLICAS too few in-sync replicas, nothing was written",
		kerr.RequestTimedOut:          "-TRYAGAIN the transaction could not be made, nothing was written",
		kerr.InvalidRecord:            "-ERR nothing was written: ",
	} {
		fault := f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "b", Err: e, Count: -1})
		if got := p.execute("set k 1", "get k", "select 1", "set k 1"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", e.Message, got)
		}
		fault.Remove()
		p.ask("$-1\r\n", "get", "k") // of database 0
		p.ask("+OK\r\n", "select", "1")
		p.ask("$-1\r\n", "get", "k")
		p.ask("+OK\r\n", "select", "0")
	}
	fault := f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn}, Err: kerr.TransactionalIDAuthorizationFailed, Count: -1})
	if got := p.execute("set k 1", "set l 1"); !strings.HasPrefix(got, "-NOPERM Kafka's ACLs do not allow this instance the transaction (Write on the topics, Write and Describe on its transactional ids)") {
		t.Errorf("%q", got)
	}
	fault.Remove()
	fault = f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	if got := p.execute("set k 1", "set l 1"); !strings.HasPrefix(got, "-UNKNOWN the outcome of the transaction is not known, either all that it writes is in the log or nothing: ") {
		t.Errorf("%q", got)
	}
	fault.Remove()
	f.failProduce(kerr.TopicAuthorizationFailed.Code)
	if got := p.execute("get k", "set k 1"); !strings.HasPrefix(got, "-NOPERM Kafka's ACLs do not allow this instance to write to topic a") {
		t.Errorf("one write: %q", got)
	}
	if got := p.execute("set k 1", "set l 1"); got != "*2\r\n+OK\r\n+OK\r\n" {
		t.Errorf("afterwards: %q", got)
	}
}

// TestWhatIsRefusedInsideMulti spoils the transaction before anything is written.
func TestWhatIsRefusedInsideMulti(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.AllowFlush = true })
	p := f.dial()
	for line, want := range map[string]string{
		"set k v nx":             "-ERR SET option NX is not supported: a log has no compare-and-set\r\n",
		"set k v ex 10":          "-ERR SET option EX is not supported: records do not expire\r\n",
		"setnx k v":              "-ERR SETNX is not supported: a log has no compare-and-set\r\n",
		"subscribe k":            "-ERR SUBSCRIBE is not supported: keyspace notifications are not offered yet\r\n",
		"kafka.repair":           "-ERR KAFKA.REPAIR is not supported inside MULTI\r\n",
		"flushall":               "-ERR FLUSHALL is not supported inside MULTI\r\n",
		"flushdb":                "-ERR FLUSHDB is not supported inside MULTI\r\n",
		"client reply off":       "-ERR CLIENT REPLY OFF is not supported inside MULTI: EXEC's reply has an element for each command\r\n",
		"client reply skip":      "-ERR CLIENT REPLY SKIP is not supported inside MULTI: EXEC's reply has an element for each command\r\n",
		"set  v":                 "-ERR a record needs a key that is not empty\r\n",
		"del k ":                 "-ERR a record needs a key that is not empty\r\n",
		"kafka.del ":             "-ERR a record needs a key that is not empty\r\n",
		"select 1|set k x":       "-INVALID the value is not json, which --value-encoding of topic b asks for: ",
		"select 1|mset k 1 l x":  "-INVALID the value is not json, which --value-encoding of topic b asks for: ",
		"select 1|kafka.set k x": "-INVALID the value is not json, which --value-encoding of topic b asks for: ",
		"select 2|set k 1":       "-READONLY topic c is read-only here; --read-only=false, or read-only: false of the topic, allows writes\r\n",
		"select 2|del k":         "-READONLY topic c is read-only here; --read-only=false, or read-only: false of the topic, allows writes\r\n",
	} {
		p.ask("+OK\r\n", "multi")
		p.ask("+QUEUED\r\n", "set", "written", "1")
		commands := strings.Split(line, "|")
		for _, c := range commands[:len(commands)-1] {
			p.ask("+QUEUED\r\n", strings.Split(c, " ")...)
		}
		if got := p.call(strings.Split(commands[len(commands)-1], " ")...); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", line, got)
		}
		p.ask("+QUEUED\r\n", "get", "k")
		p.ask("-EXECABORT Transaction discarded because of previous errors.\r\n", "exec")
		p.ask(":0\r\n", "exists", "written")
	}
	p.ask("-ERR WATCH is not supported: a log has no compare-and-set, and no conditional produce\r\n", "watch", "k")
}

// TestExecIsBounded in commands, in bytes, in keys and in what it answers.
func TestExecIsBounded(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.OutputLimit = 1 << 20 })
	p := f.dial()
	tooMany := func(what, want string, n int, command ...string) {
		t.Helper()
		in := frame("multi") + strings.Repeat(frame(command...), n)
		go p.send(in + frame("exec") + frame("echo", "x"))
		p.want("+OK\r\n" + strings.Repeat("+QUEUED\r\n", n-1) + "-ERR a transaction has at most " + want + " of commands here\r\n-EXECABORT Transaction discarded because of previous errors.\r\n" + bulk("x"))
	}
	tooMany("bytes", "16.00M", 17, "set", "k", strings.Repeat("v", 1<<20-300))
	in := frame("multi") + strings.Repeat(frame("ping"), 1<<16+1) + frame("exec")
	go p.send(in)
	p.want("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 1<<16) + "-ERR a transaction has at most 65536 commands here\r\n-EXECABORT Transaction discarded because of previous errors.\r\n")
	many := []string{"mget"}
	for i := range 70_000 {
		many = append(many, strconv.Itoa(i))
	}
	p.send(frame("multi") + frame("set", "k", "v") + frame(many...) + frame("exec"))
	p.want("+OK\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: ERR topic a: cache: too many keys for one snapshot: it may look at 65536 of topic a; nothing was written\r\n")
	p.ask("$-1\r\n", "get", "k")
	f.produce("a", "large", strings.Repeat("v", 300<<10))
	if got := p.execute("set k v", "get large", "get large", "get large", "get large"); got != "-ERR the reply would be larger than the limit of 1.00M that is held for one client; nothing was written\r\n" {
		t.Errorf("%.200q", got)
	}
	if got := p.execute("get large", "get large", "get large", "get large"); got != "-ERR the reply would be larger than the limit of 1.00M that is held for one client; nothing was written\r\n" {
		t.Errorf("%.200q", got)
	}
	p.ask("$-1\r\n", "get", "k")
}

// TestExecWaitsForWhatCameBefore, and what comes after waits for it.
func TestExecWaitsForWhatCameBefore(t *testing.T) {
	f := start(t, nil)
	release := f.hold(kmsg.Produce)
	p := f.dial()
	var in, out strings.Builder
	for i := range 10 {
		v := strconv.Itoa(i)
		in.WriteString(frame("set", "k", "a"+v) + frame("multi") + frame("get", "k") + frame("set", "k", "b"+v) + frame("set", "l", v) + frame("get", "k") + frame("exec") + frame("set", "k", "c"+v) +
			frame("echo", v) + frame("multi") + frame("get", "k") + frame("set", "k", "d"+v) + frame("exec") + frame("get", "k"))
		out.WriteString("+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n" + bulk("a"+v) + "+OK\r\n+OK\r\n" + bulk("b"+v) + "+OK\r\n" + bulk(v) +
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + bulk("c"+v) + "+OK\r\n" + bulk("d"+v))
	}
	p.send("*1\r\n$4\r\nPING\r\n" + in.String())
	p.want("+PONG\r\n") // which waits for nothing
	release()
	p.want(out.String())
	var values []string
	r, err := kgo.NewClient(kgo.SeedBrokers(f.cluster.ListenAddrs()...), kgo.ConsumeTopics("a"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	eventually(t, "all that was written to k", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			if string(rec.Key) == "k" {
				values = append(values, string(rec.Value))
			}
		})
		return len(values) >= 40
	})
	for i, v := range values {
		if want := string("abcd"[i%4]) + strconv.Itoa(i/4); v != want {
			t.Fatalf("record %d of k is %s, want %s: %v", i, v, want, values)
		}
	}
}

// TestExecIsPending: the transaction is in the log, and its partition is held back by one of another producer.
func TestExecIsPending(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.ApplyTimeout = 200 * time.Millisecond })
	p := f.dial()
	p.ask("+OK\r\n", "select", "1")
	p.ask("+OK\r\n", "set", "k", "1")
	w, err := kgo.NewClient(kgo.SeedBrokers(f.cluster.ListenAddrs()...), kgo.TransactionalID("another"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: "b", Key: []byte("x"), Value: []byte("1")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e := split(t, p.execute("get k", "set k 2", "mset k 3 l 3", "del k", "get k", "kafka.set k 4", "select 0", "set k 5"))
	for i, want := range []string{bulk("1"), "-PENDING 1:", "-PENDING 1:", "-PENDING 1:", "$-1\r\n", "-PENDING 1:", "+OK\r\n", "+OK\r\n"} {
		if !strings.HasPrefix(e[i], want) {
			t.Errorf("element %d: %q, want %q", i, e[i], want)
		}
	}
	token := tokenForm.FindString(e[5])
	p.ask(bulk("5"), "get", "k")
	p.ask("+OK\r\n", "select", "1")
	p.ask(bulk("1"), "get", "k")
	p.ask(":0\r\n", "kafka.wait", token, "10")
	if err := w.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	p.ask(":1\r\n", "kafka.wait", token, "0")
	p.ask("*2\r\n"+bulk("4")+bulk("3"), "mget", "k", "l")
}

// TestExecOfAcknowledgedWrites does not wait for them to be applied, but for deletes; the connection's own reads do.
func TestExecOfAcknowledgedWrites(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.WriteReply, c.ApplyTimeout = respserver.Acknowledged, 5*time.Second })
	p := f.dial()
	for i := range 20 {
		v := strconv.Itoa(i)
		if got := p.execute("set k "+v, "select 1", "set k "+v); got != "*3\r\n+OK\r\n+OK\r\n+OK\r\n" {
			t.Errorf("%q", got)
		}
		// Reads of both databases wait for what was written to them.
		if got := p.execute("get k", "select 0", "get k"); got != "*3\r\n"+bulk(v)+"+OK\r\n"+bulk(v) {
			t.Errorf("%d: %q", i, got)
		}
	}
	if got := p.execute("del k", "set l 1", "del l none"); got != "*3\r\n:1\r\n+OK\r\n:1\r\n" {
		t.Errorf("%q", got)
	}
}

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
	if err := p.nc.(*net.TCPConn).CloseWrite(); err != nil {
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
