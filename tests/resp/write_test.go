package resp_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/respserver"
)

func TestWritesAreReadByEveryConnection(t *testing.T) {
	f := start(t, nil)
	a, b := f.dial(), f.dial()
	for i := range 50 {
		v := strconv.Itoa(i)
		a.ask("+OK\r\n", "set", "k", v)
		b.ask(fmt.Sprintf("$%d\r\n%s\r\n", len(v), v), "get", "k")
	}
	a.ask("+OK\r\n", "mset", "x", "1", "y", "", "z", "3")
	b.ask("*5\r\n$1\r\n1\r\n$0\r\n\r\n$1\r\n3\r\n$-1\r\n$1\r\n1\r\n", "mget", "x", "y", "z", "none", "x")
	b.ask(":3\r\n", "exists", "x", "x", "y", "none")
	a.ask(":2\r\n", "del", "x", "none", "y", "y")
	b.ask(":0\r\n", "exists", "x", "y")
	a.ask(":0\r\n", "unlink", "x")
}

func TestPipelinedSetsCostOneRoundTrip(t *testing.T) {
	f := start(t, nil)
	// Each produce takes a while: a pipeline that waited for each would take n times as long.
	const delay, n = 20 * time.Millisecond, 500
	var produces atomic.Int64
	f.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.cluster.KeepControl()
		produces.Add(1)
		f.cluster.SleepControl(func() { time.Sleep(delay) })
		return nil, nil, false
	})
	p := f.dial()
	var in, out strings.Builder
	for i := range n {
		in.WriteString(frame("set", fmt.Sprintf("k%d", i), strconv.Itoa(i)))
		out.WriteString("+OK\r\n")
	}
	in.WriteString(frame("get", "k499") + frame("ping"))
	out.WriteString("$3\r\n499\r\n+PONG\r\n")
	begin := time.Now()
	p.send(in.String())
	p.want(out.String())
	if d := time.Since(begin); d > n*delay/4 {
		t.Errorf("%d pipelined SETs took %v and %d produce requests of %v", n, d, produces.Load(), delay)
	}
}

// TestOrderOfReplies mixes commands that are answered at once with those that Kafka answers later.
func TestOrderOfReplies(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	var in, out strings.Builder
	for i := range 300 {
		k, v := fmt.Sprintf("k%d", i%7), strconv.Itoa(i)
		in.WriteString(frame("set", k, v) + frame("echo", v) + frame("select", "0"))
		out.WriteString("+OK\r\n" + bulk(v) + "+OK\r\n")
		switch i % 10 {
		case 3:
			in.WriteString(frame("get", k))
			out.WriteString(bulk(v))
		case 5:
			in.WriteString(frame("del", k, "none") + frame("get", k))
			out.WriteString(":1\r\n$-1\r\n")
		case 7:
			in.WriteString(frame("set", k, v, "nx") + frame("nonsense") + frame("wait", "1", "1000"))
			out.WriteString("-ERR SET option NX is not supported: a log has no compare-and-set\r\n-ERR unknown command 'nonsense', with args beginning with: \r\n:1\r\n")
		}
	}
	go p.send(in.String())
	p.want(out.String())
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// TestAReplyBeforeAWriteIsSentAtOnce: what is known is not held back by what is not.
func TestAReplyBeforeAWriteIsSentAtOnce(t *testing.T) {
	f := start(t, nil)
	release := f.hold(kmsg.Produce)
	p := f.dial()
	p.send(frame("ping") + frame("set", "k", "v") + frame("ping") + frame("get", "k"))
	p.want("+PONG\r\n")
	release()
	p.want("+OK\r\n+PONG\r\n$1\r\nv\r\n")
}

func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	f := start(t, nil)
	hold := make(chan struct{})
	produced := make(chan struct{})
	f.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(produced)
		f.cluster.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	p := f.dial()
	p.send(frame("set", "k", "v") + frame("get", "k"))
	<-produced
	done := make(chan error, 1)
	go func() { done <- f.srv.Shutdown(context.Background()) }()
	close(hold)
	p.want("+OK\r\n$1\r\nv\r\n")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if rest, _ := p.r.Peek(1); len(rest) > 0 {
		t.Errorf("more was sent: %q", rest)
	}
}

func TestRefusedValuesNameTheOption(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "select", "1")
	got := p.call("set", "k", "hello")
	if !strings.HasPrefix(got, "-INVALID the value is not json, which --value-encoding of topic b asks for: ") {
		t.Error(got)
	}
	p.ask("+OK\r\n", "set", "k", `{"a": 1}`)
	p.ask(bulk(`{"a": 1}`), "get", "k")
	if got := p.call("set", "\xff", "1"); !strings.HasPrefix(got, "-INVALID the key is not utf-8, which --key-encoding") {
		t.Error(got)
	}
	if got := p.call("set", "", "1"); !strings.HasPrefix(got, "-ERR a record needs a key") {
		t.Error(got)
	}
	got = p.call("mset", "m1", "1", "m2", "nope", "m3", "3")
	if !strings.HasPrefix(got, "-PARTIAL 2 of 3 records were acknowledged; the first error: INVALID the value is not json") {
		t.Error(got)
	}
	if n := f.end("b"); n != 3 {
		t.Errorf("%d records are in the log", n)
	}
	p.ask("+OK\r\n", "select", "2")
	for _, c := range [][]string{{"set", "k", "1"}, {"del", "k"}, {"mset", "k", "1"}, {"kafka.set", "k", "1"}, {"kafka.del", "k"}} {
		if got := p.call(c...); !strings.HasPrefix(got, "-READONLY topic c is read-only here") {
			t.Errorf("%v: %s", c, got)
		}
	}
	if n := f.end("c"); n != 0 {
		t.Errorf("%d records are in the log of the read-only topic", n)
	}
}

func TestFailuresOfKafka(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "set", "k", "v")
	for code, want := range map[int16]string{
		kerr.TopicAuthorizationFailed.Code: "-NOPERM Kafka's ACLs",
	} {
		f.failProduce(code)
		if got := p.call("set", "k", "w"); !strings.HasPrefix(got, want) {
			t.Errorf("code %d: %s", code, got)
		}
	}
	p.ask("$1\r\nv\r\n", "get", "k")
}

// failProduce answers the next produce request with an error code.
func (f *fixture) failProduce(code int16) {
	f.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r := req.(*kmsg.ProduceRequest)
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

var tokenForm = regexp.MustCompile(`1:[A-Za-z0-9_-]{22}:[0-9.,]+`)

// hold keeps requests of a kind unanswered until release is called.
func (f *fixture) hold(key kmsg.Key) (release func()) {
	hold := make(chan struct{})
	f.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.cluster.KeepControl()
		select {
		case <-hold:
		default:
			f.cluster.SleepControl(func() { <-hold })
		}
		return nil, nil, false
	})
	return func() { close(hold) }
}

func TestPending(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.ApplyTimeout = 100 * time.Millisecond })
	p := f.dial()
	p.ask("+OK\r\n", "set", "k", "v")
	release := f.hold(kmsg.Fetch)
	var got string
	eventually(t, "a write that is not applied", func() bool { got = p.call("set", "k", "w"); return got[0] == '-' })
	token := tokenForm.FindString(got)
	if !strings.HasPrefix(got, "-PENDING "+token+" ") || token == "" {
		t.Fatal(got)
	}
	p.ask(":0\r\n", "kafka.wait", token, "20")
	p.ask(":0\r\n", "wait", "1", "20")
	p.ask(":0\r\n", "wait", "0", "0")
	if last := p.call("kafka.lastwrite"); !strings.Contains(last, token[:24]) {
		t.Errorf("last write %q, token %q", last, token)
	}
	p.send(frame("ping") + frame("wait", "1", "0") + frame("get", "k"))
	p.want("+PONG\r\n")
	release()
	p.want(":1\r\n$1\r\nw\r\n")
	p.ask(":1\r\n", "kafka.wait", token, "0")
}

func TestAcknowledgedOnly(t *testing.T) {
	f := start(t, func(c *respserver.Config) {
		c.WriteReply, c.ApplyTimeout = respserver.Acknowledged, 200*time.Millisecond
	})
	p, other := f.dial(), f.dial()
	p.ask("+OK\r\n", "set", "k", "v")
	p.ask("$1\r\nv\r\n", "get", "k")
	release := f.hold(kmsg.Fetch)
	defer release()
	eventually(t, "a write that is not applied", func() bool {
		p.ask("+OK\r\n", "set", "k", "w")
		return other.call("get", "k") == "$1\r\nv\r\n"
	})
	// Its own read waits for the write, and not for ever.
	begin := time.Now()
	p.ask("$1\r\nv\r\n", "get", "k")
	if d := time.Since(begin); d < 100*time.Millisecond {
		t.Errorf("the read did not wait: %v", d)
	}
}

func TestKafkaCommands(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("$-1\r\n", "kafka.lastwrite")
	got := p.call("KAFKA.SET", "k", "v", "HEADER", "h", "1", "header", "h", "2")
	token := tokenForm.FindString(got)
	if !regexp.MustCompile(`^\*3\r\n:[0-2]\r\n:0\r\n\$\d+\r\n1:`).MatchString(got) {
		t.Fatal(got)
	}
	p.ask(bulk(token), "kafka.lastwrite")
	f.dial().ask(":1\r\n", "kafka.wait", token, "1000")
	if got := p.call("kafka.position"); !tokenForm.MatchString(got) {
		t.Error(got)
	}
	meta := p.call("kafka.meta", "k")
	if !strings.Contains(meta, "$7\r\nheaders\r\n*2\r\n*2\r\n$1\r\nh\r\n$1\r\n1\r\n*2\r\n$1\r\nh\r\n$1\r\n2\r\n") || !strings.Contains(meta, "$6\r\noffset\r\n:0\r\n") ||
		!strings.HasPrefix(meta, "*8\r\n$9\r\npartition\r\n:") {
		t.Errorf("%q", meta)
	}
	p.ask("*-1\r\n", "kafka.meta", "none")
	for _, c := range [][]string{{"kafka.set", "k", "v", "header", "h"}, {"kafka.set", "k", "v", "foo"}, {"kafka.range", "", "", "limit"}, {"kafka.range", "", "", "foo", "1"}} {
		p.ask("-ERR syntax error\r\n", c...)
	}
	p.ask("+OK\r\n", "mset", "b", "1", "a", "1", "d", "1", "c", "1", "ab", "1")
	p.ask("*6\r\n$1\r\na\r\n$2\r\nab\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\nk\r\n", "kafka.range", "", "")
	p.ask("*3\r\n$1\r\na\r\n$2\r\nab\r\n$1\r\nb\r\n", "kafka.range", "a", "c")
	p.ask("*2\r\n$1\r\nb\r\n$1\r\nc\r\n", "kafka.range", "b", "", "LIMIT", "2")
	p.ask("*0\r\n", "kafka.range", "b", "", "LIMIT", "0")
	if got := p.call("kafka.del", "k"); !tokenForm.MatchString(got) || !strings.HasPrefix(got, "*3\r\n") {
		t.Error(got)
	}
	p.ask("$-1\r\n", "get", "k")
	p.ask("+OK\r\n", "select", "1")
	p.ask("-ERR the token belongs to another topic, or to an earlier topic of the same name as b\r\n", "kafka.wait", token, "0")
}

func TestFlush(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.AllowFlush = true })
	r := f.goRedis(nil)
	pipe := r.Pipeline()
	const n = 3000
	for i := range n {
		pipe.Set(t.Context(), fmt.Sprint("k", i), i, 0)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.DBSize(t.Context()).Val(); got != n {
		t.Fatalf("%d keys", got)
	}
	p := f.dial()
	p.ask("-READONLY topic c is read-only here; --read-only=false, or read-only: false of the topic, allows writes\r\n", "flushall")
	p.send(frame("flushdb") + frame("dbsize"))
	p.want("+OK\r\n:0\r\n")
	if got := f.end("a"); got != 2*n {
		t.Errorf("%d records in the log, want a tombstone for each of %d keys", got, n)
	}
}

func TestGoRedis(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.Password = []byte("secret") })
	for _, protocol := range []int{2, 3} {
		r := f.goRedis(func(o *redis.Options) { o.Protocol, o.Password, o.DB, o.ClientName = protocol, "secret", 1, "tester" })
		ctx := t.Context()
		if err := r.Set(ctx, "k", `"v"`, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if v, err := r.Get(ctx, "k").Result(); err != nil || v != `"v"` {
			t.Fatal(v, err)
		}
		if err := r.Get(ctx, "none").Err(); err != redis.Nil {
			t.Error(err)
		}
		if n, err := r.Wait(ctx, 1, time.Second).Result(); err != nil || n != 1 {
			t.Error(n, err)
		}
		if v, err := r.MGet(ctx, "k", "none").Result(); err != nil || fmt.Sprint(v) != `["v" <nil>]` {
			t.Error(v, err)
		}
		if m, err := r.ConfigGet(ctx, "databases").Result(); err != nil || m["databases"] != "3" {
			t.Error(m, err)
		}
		if s, err := r.Info(ctx, "kafka").Result(); err != nil || !strings.Contains(s, "topic1:name=b,") {
			t.Error(s, err)
		}
		if i, err := r.ClientInfo(ctx).Result(); err != nil || i.Name != "tester" || i.DB != 1 {
			t.Error(i, err)
		}
		if cmds, err := r.Command(ctx).Result(); err != nil || cmds["get"].FirstKeyPos != 1 {
			t.Error(len(cmds), err)
		}
		if d, err := r.TTL(ctx, "k").Result(); err != nil || d != -1 {
			t.Error(d, err)
		}
		if err := r.SetNX(ctx, "k", "v", 0).Err(); err == nil || !strings.Contains(err.Error(), "compare-and-set") {
			t.Error(err)
		}
		iter, seen := r.Scan(ctx, 0, "k*", 1).Iterator(), 0
		for iter.Next(ctx) {
			seen++
		}
		if iter.Err() != nil || seen != 1 {
			t.Error(seen, iter.Err())
		}
		if n, err := r.Del(ctx, "k", "none").Result(); err != nil || n != 1 {
			t.Error(n, err)
		}
	}
}
