package resp_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/respserver"
)

// TestInvalidationsComeBeforeLaterReplies: once a write is answered, a reply to a command that another connection sends afterwards comes behind the write's invalidation, in
// the connection that is told.
func TestInvalidationsComeBeforeLaterReplies(t *testing.T) {
	f := start(t, nil)
	p, b, redirected, target, writer := f.dial(), f.dial(), f.dial(), f.dial(), f.dial()
	for _, q := range []*peer{p, b, target} {
		q.call("hello", "3")
	}
	id := strings.TrimSuffix(target.call("client", "id")[1:], "\r\n")
	p.ask("+OK\r\n", "client", "tracking", "on")
	b.ask("+OK\r\n", "client", "tracking", "on", "bcast")
	redirected.ask("+OK\r\n", "client", "tracking", "on", "redirect", id)
	told := ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
	for i := range 300 {
		p.call("get", "k")
		redirected.call("get", "k")
		if reply := writer.call("set", "k", fmt.Sprint(i)); reply != "+OK\r\n" {
			t.Fatal(reply)
		}
		for _, q := range []*peer{p, b, target} {
			q.send(frame("ping"))
			q.want(told + "+PONG\r\n")
		}
	}
}

// TestATrackerThatDoesNotRead costs no more than what is allowed for its output and for one connection's invalidations; once it reads, it finds the
// message that everything it knows may be outdated.
func TestATrackerThatDoesNotRead(t *testing.T) {
	const limit, pushLimit, kernel = 2 << 20, 1 << 20, 8 << 20
	f := start(t, func(c *respserver.Config) { c.OutputLimit = limit })
	deaf, target, tracker, writer, admin := f.dial(), f.dial(), f.dial(), f.dial(), f.dial()
	deaf.call("hello", "3")
	deaf.ask("+OK\r\n", "client", "tracking", "on", "bcast", "noloop")
	id := strings.TrimSuffix(target.call("client", "id")[1:], "\r\n")
	target.call("subscribe", "__redis__:invalidate")
	tracker.ask("+OK\r\n", "client", "tracking", "on", "bcast", "redirect", id)
	held := func() int {
		_, rest, _ := strings.Cut(admin.call("info", "memory"), "clients_buffers_bytes:")
		n, err := strconv.Atoi(rest[:strings.Index(rest, "\r")])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	key, most := strings.Repeat("k", 60_000), 0
	for i := range (kernel + 3*limit) / len(key) {
		writer.call("set", key+strconv.Itoa(i), "x")
		most = max(most, held())
	}
	if most < limit/2 || most > 2*(limit+2*pushLimit)+1<<20 {
		t.Errorf("%d bytes were held for two that do not read", most)
	}
	for everything, p := range map[string]*peer{">2\r\n$10\r\ninvalidate\r\n_\r\n": deaf, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n": target} {
		for p.reply() != everything {
		}
	}
	eventually(t, "the buffers to be given back", func() bool { return held() < 1<<20 })
}

// TestManyAbsentKeys: who reads long keys that are absent does not make the table of who has read what grow past its part of the buffers.
func TestManyAbsentKeys(t *testing.T) {
	const limit = 8 << 20
	f := start(t, func(c *respserver.Config) { c.BufferLimit = limit })
	p, admin := f.dial(), f.dial()
	p.call("hello", "3")
	p.ask("+OK\r\n", "client", "tracking", "on")
	pushes := 0
	for i := range 40 {
		p.send(frame("get", strings.Repeat("k", 100_000)+strconv.Itoa(i)))
		for strings.HasPrefix(p.reply(), ">") {
			pushes++
		}
	}
	p.send(frame("ping"))
	for strings.HasPrefix(p.reply(), ">") {
		pushes++
	}
	_, rest, _ := strings.Cut(admin.call("info", "stats"), "tracking_total_keys:")
	n, err := strconv.Atoi(rest[:strings.Index(rest, "\r")])
	if err != nil || n == 0 || n > limit/8/100_000 || n+pushes != 40 {
		t.Errorf("%d keys of 100 KB are remembered, and %d were told (%v)", n, pushes, err)
	}
}

// TestRightsOfTrackers: who may read less than before is told to forget everything, or closed where it subscribes; and invalidations go to the same user alone.
func TestRightsOfTrackers(t *testing.T) {
	users := func(others respserver.Right) []respserver.User {
		return []respserver.User{
			{Name: "me", Passwords: [][32]byte{respserver.HashPassword([]byte("p"))}, Others: others},
			{Name: "other", Passwords: [][32]byte{respserver.HashPassword([]byte("q"))}, Others: respserver.MayRead},
		}
	}
	f := start(t, func(c *respserver.Config) { c.Users, c.Password = users(respserver.MayWrite), []byte("root") })
	p, mine, others, subscriber, stranger := f.dial(), f.dial(), f.dial(), f.dial(), f.dial()
	id := func(q *peer) string { return strings.TrimSuffix(q.call("client", "id")[1:], "\r\n") }
	for _, q := range []*peer{p, mine, subscriber} {
		q.call("hello", "3", "auth", "me", "p")
	}
	others.call("hello", "3", "auth", "other", "q")
	const none = "-ERR The client ID you want redirect to does not exist\r\n"
	p.ask(none, "client", "tracking", "on", "redirect", id(others))
	n, err := strconv.Atoi(id(others))
	if err != nil {
		t.Fatal(err)
	}
	stranger.ask("-NOAUTH Authentication required.\r\n", "client", "id")
	p.ask(none, "client", "tracking", "on", "redirect", strconv.Itoa(n+2)) // the stranger's
	target := id(mine)
	p.ask("+OK\r\n", "client", "tracking", "on", "redirect", target)
	p.call("get", "k")
	p.ask("+OK\r\n", "set", "k", "1")
	mine.want(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
	// The target becomes another one: it is told nothing, and the tracker that it is.
	mine.ask("+OK\r\n", "auth", "other", "q")
	p.call("get", "k")
	p.ask("+OK\r\n", "set", "k", "2")
	p.want(">2\r\n$21\r\ntracking-redir-broken\r\n:" + target + "\r\n")
	mine.ask("+PONG\r\n", "ping")
	// Its user may read no more.
	p.ask("+OK\r\n", "client", "tracking", "on")
	p.call("get", "k")
	subscriber.call("psubscribe", "*")
	if err := f.srv.SetUsers(users(respserver.MayNothing), []byte("root")); err != nil {
		t.Fatal(err)
	}
	p.want(">2\r\n$10\r\ninvalidate\r\n_\r\n")
	if _, err := subscriber.r.ReadByte(); err == nil {
		t.Error("a subscriber whose right was taken is not closed")
	}
}
