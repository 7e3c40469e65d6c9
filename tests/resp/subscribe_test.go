package resp_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/yolean/kafka-cache/respserver"
)

// message is what a subscriber of RESP2 or RESP3 reads.
func message(proto string, parts ...string) string {
	kind := "*"
	if proto == "3" {
		kind = ">"
	}
	return kind + frame(parts...)[1:]
}

// TestSubscriptionsLikeRedis sends the same to Redis and here, while another connection writes the same to both, and compares every byte.
func TestSubscriptionsLikeRedis(t *testing.T) {
	redisAddr := startRedis(t)
	f := start(t, nil)
	for _, proto := range []string{"2", "3"} {
		for _, end := range []string{"reset", "quit"} {
			theirs, ours, theirWriter, ourWriter := dial(t, redisAddr), f.dial(), dial(t, redisAddr), f.dial()
			theirs.ask("+OK\r\n", "config", "set", "notify-keyspace-events", "g$KE")
			for _, p := range []*peer{theirs, ours} {
				p.call("hello", proto)
			}
			both := func(replies int, args ...string) {
				t.Helper()
				theirs.send(frame(args...))
				ours.send(frame(args...))
				for range replies {
					if want, got := theirs.reply(), ours.reply(); got != want {
						t.Fatalf("RESP%s %q: %q, Redis %q", proto, args, got, want)
					}
				}
			}
			written := func(messages int, args ...string) {
				t.Helper()
				if want, got := theirWriter.call(args...), ourWriter.call(args...); got != want {
					t.Fatalf("%q: %q, Redis %q", args, got, want)
				}
				for range messages {
					if want, got := theirs.reply(), ours.reply(); got != want {
						t.Fatalf("RESP%s, after %q: %q, Redis %q", proto, args, got, want)
					}
				}
			}
			both(1, "config", "get", "notify-keyspace-events")
			both(1, "subscribe")
			both(1, "unsubscribe")
			both(2, "unsubscribe", "x", "y")
			both(1, "punsubscribe")
			both(2, "subscribe", "__keyspace@0__:k", "__keyevent@0__:del")
			both(1, "subscribe", "__keyspace@0__:k")
			both(1, "ping")
			both(1, "ping", "hello")
			both(1, "get", "k")
			both(1, "nonsense", "a")
			both(1, "client", "getname")
			both(1, "set", "a")
			written(1, "set", "k", "1")
			written(0, "set", "other", "1")
			written(1, "del", "other")
			both(1, "psubscribe", "__key*@0__:[kdq]*")
			written(0, "pubsub", "numsub", "__keyspace@0__:k", "none", "__keyspace@0__:k")
			written(0, "pubsub", "numpat")
			written(0, "pubsub", "channels", "__keys*")
			written(0, "pubsub", "channels", "none*")
			written(2, "set", "k", "2")  // the channel, then the pattern
			written(4, "del", "k")       // both channels, each with the pattern
			written(1, "mset", "q", "1") // the pattern alone
			both(1, "unsubscribe", "__keyspace@0__:k")
			both(1, "unsubscribe")
			both(1, "unsubscribe")
			written(1, "set", "q", "2")
			both(1, "punsubscribe", "nothing")
			both(1, "punsubscribe")
			written(0, "set", "q", "3")
			both(1, "echo", "x")
			both(2, "subscribe", "a", "b")
			both(1, end)
			if end == "reset" {
				both(1, "echo", "x")
				both(1, "unsubscribe")
			}
			written(0, "del", "q")
		}
	}
}

// TestNotificationsOfTheLog: what another producer writes is told, of the database alone that was asked for, and in the order of the log.
func TestNotificationsOfTheLog(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.call("subscribe", "__keyspace@0__:k")
	f.produce("b", "k", "1")
	for i := range 50 {
		f.produce("a", "k", strconv.Itoa(i))
	}
	for range 50 {
		p.want(message("2", "message", "__keyspace@0__:k", "set"))
	}
	p.ask("*2\r\n$4\r\npong\r\n$0\r\n\r\n", "ping")
	q := f.dial()
	q.ask("*1\r\n$16\r\n__keyspace@0__:k\r\n", "pubsub", "channels")
	q.ask("*4\r\n$16\r\n__keyspace@0__:k\r\n:1\r\n$1\r\nx\r\n:0\r\n", "pubsub", "numsub", "__keyspace@0__:k", "x")
	q.ask(":0\r\n", "pubsub", "numpat")
	if list := q.call("client", "list"); !strings.Contains(list, " flags=P db=0 sub=1 psub=0 ") {
		t.Errorf("CLIENT LIST: %q", list)
	}
	_ = p.nc.Close()
	eventually(t, "its end", func() bool { return q.call("pubsub", "channels") == "*0\r\n" })
}

// TestMessagesDoNotOvertakeReplies: a connection that subscribes and writes in one pipeline reads the replies in order, and each of its own changes once.
func TestMessagesDoNotOvertakeReplies(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.call("hello", "3")
	p.call("psubscribe", "__keyspace@0__:*")
	const n = 200
	var b strings.Builder
	for i := range n {
		b.WriteString(frame("set", fmt.Sprint("k", i), "v") + frame("echo", fmt.Sprint(i)))
	}
	p.send(b.String())
	told, replies := map[string]bool{}, 0
	for len(told) < n || replies < 2*n {
		switch r := p.reply(); {
		case strings.HasPrefix(r, ">"): // in the order of each partition
			parts := bulks(r)
			if len(parts) != 4 || r != message("3", "pmessage", "__keyspace@0__:*", parts[2], "set") || told[parts[2]] {
				t.Fatalf("%q", r)
			}
			told[parts[2]] = true
		default:
			want := "+OK\r\n"
			if replies%2 == 1 {
				s := fmt.Sprint(replies / 2)
				want = fmt.Sprintf("$%d\r\n%s\r\n", len(s), s)
			}
			if r != want {
				t.Fatalf("reply %d: %q", replies, r)
			}
			replies++
		}
	}
}

// TestASubscriberThatDoesNotRead is closed and does not cost more than its bound; the others are told everything.
func TestASubscriberThatDoesNotRead(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.OutputLimit = 4 << 20 })
	deaf, good, writer := f.dial(), f.dial(), f.dial()
	for _, p := range []*peer{deaf, good} {
		p.call("subscribe", "__keyevent@0__:set")
	}
	key := strings.Repeat("k", 60_000)
	const n = 500 // 30 MB: past what the kernel holds, and both bounds
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			writer.call("set", key+strconv.Itoa(i), "") // +OK, or -PENDING on a busy machine
		}
	})
	for i := range n {
		good.want(message("2", "message", "__keyevent@0__:set", key+strconv.Itoa(i)))
	}
	wg.Wait()
	eventually(t, "the end of the one that does not read", func() bool {
		return writer.call("pubsub", "numsub", "__keyevent@0__:set") == "*2\r\n$18\r\n__keyevent@0__:set\r\n:1\r\n"
	})
}

// TestManySubscriptions: thousands of patterns cost a change little, and INFO counts them.
func TestManySubscriptions(t *testing.T) {
	f := start(t, nil)
	p, writer := f.dial(), f.dial()
	const patterns = 9000
	args := []string{"psubscribe"}
	for i := range patterns {
		args = append(args, fmt.Sprintf("__keyspace@0__:user:%d:*", i))
	}
	p.send(frame(args...))
	for range patterns {
		p.reply()
	}
	for i := range 200 {
		if reply := writer.call("set", fmt.Sprintf("user:%d:name", i), "x"); reply != "+OK\r\n" {
			t.Fatal(reply)
		}
		p.want(message("2", "pmessage", fmt.Sprintf("__keyspace@0__:user:%d:*", i), fmt.Sprintf("__keyspace@0__:user:%d:name", i), "set"))
	}
	args = args[:1]
	for i := range 1001 {
		args = append(args, fmt.Sprint(i))
	}
	p.ask("-ERR more than 10000 subscriptions of one connection\r\n", args...)
	if info := writer.call("info", "stats"); !strings.Contains(info, "\r\npubsub_channels:0\r\npubsub_patterns:9000\r\n") {
		t.Errorf("INFO: %q", info)
	}
}
