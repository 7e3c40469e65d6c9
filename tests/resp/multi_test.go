package resp_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/respserver"
)

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
		"subscribe k":            "-ERR SUBSCRIBE is not supported inside MULTI\r\n",
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
