package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// attack is what each of many connections does until its deadline, or until the daemon closes it.
type attack struct {
	name  string
	conns int // in the short form
	do    func(c net.Conn, r *rand.Rand)
	once  bool // the connection is not opened again when it has been closed
}

var frame = wire.Frame

// repeat writes s until that fails, and reads nothing.
func repeat(c net.Conn, s string) {
	for {
		if _, err := io.WriteString(c, s); err != nil {
			return
		}
	}
}

// hold reads until the connection ends.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// drip writes s in pieces of one byte, forever.
func drip(c net.Conn, s string, pause time.Duration) {
	for i := 0; ; i = (i + 1) % len(s) {
		if _, err := c.Write([]byte{s[i]}); err != nil {
			return
		}
		time.Sleep(pause) // what a slow loris is
	}
}

func small(c net.Conn) {
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	_ = c.(*net.TCPConn).SetNoDelay(true)
}

var attacks = []attack{
	{name: "idle connections", conns: 1500, once: true, do: func(c net.Conn, _ *rand.Rand) { hold(c) }},
	{name: "connects that end at once", conns: 50, do: func(net.Conn, *rand.Rand) {}},
	{name: "slow loris", conns: 500, do: func(c net.Conn, _ *rand.Rand) { drip(c, frame("ECHO", strings.Repeat("x", 1000)), 20*time.Millisecond) }},
	{name: "one byte at a time", conns: 20, do: func(c net.Conn, _ *rand.Rand) {
		small(c)
		go hold(c)
		drip(c, frame("ECHO", strings.Repeat("x", 100_000)), 0)
	}},
	{name: "half open", conns: 200, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, frame("ECHO", "x")+"*2\r\n$4\r\nEC")
		_ = c.(*net.TCPConn).CloseWrite()
		hold(c)
	}},
	{name: "replies that are never read", conns: 200, do: func(c net.Conn, _ *rand.Rand) {
		small(c)
		repeat(c, frame("ECHO", strings.Repeat("x", 1<<20)))
	}},
	{name: "many small replies that are never read", conns: 200, do: func(c net.Conn, _ *rand.Rand) {
		small(c)
		repeat(c, strings.Repeat(frame("INFO"), 1000))
	}},
	{name: "announcements", conns: 200, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, "*1048576\r\n$536870912\r\n"+strings.Repeat("x", 20_000))
		hold(c)
	}},
	{name: "large arguments", conns: 30, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, "*2\r\n$4\r\nECHO\r\n$500000000\r\n")
		repeat(c, strings.Repeat("x", 1<<20))
	}},
	{name: "many arguments", conns: 30, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, "*1048576\r\n")
		repeat(c, strings.Repeat("$0\r\n\r\n", 10_000))
	}},
	{name: "an endless line", conns: 100, do: func(c net.Conn, _ *rand.Rand) { repeat(c, strings.Repeat("x", 4096)) }},
	{name: "an endless MULTI", conns: 50, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, frame("MULTI"))
		go hold(c)
		repeat(c, frame("ECHO", strings.Repeat("x", 10_000)))
	}},
	{name: "SCAN of everything", conns: 20, do: func(c net.Conn, _ *rand.Rand) {
		go hold(c)
		repeat(c, frame("SCAN", "0", "COUNT", "9223372036854775807", "MATCH", strings.Repeat("*a", 30))+frame("KEYS", "*")+frame("KAFKA.RANGE", "", ""))
	}},
	{name: "SUBSCRIBE to everything", conns: 20, do: func(c net.Conn, r *rand.Rand) {
		go hold(c)
		for {
			names := []string{"SUBSCRIBE"}
			for range 1000 {
				names = append(names, fmt.Sprintf("__keyspace@0__:%d", r.Uint64()))
			}
			if _, err := io.WriteString(c, frame(names...)); err != nil {
				return
			}
		}
	}},
	{name: "tracking of everything", conns: 50, do: func(c net.Conn, r *rand.Rand) {
		small(c)
		_, _ = io.WriteString(c, frame("HELLO", "3")+frame("CLIENT", "TRACKING", "ON"))
		for {
			if _, err := io.WriteString(c, frame("GET", fmt.Sprint(r.Uint64()))); err != nil {
				return
			}
		}
	}},
	{name: "WAIT for ever", conns: 500, once: true, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, frame("WAIT", "9", "0")+frame("ECHO", "x"))
		hold(c)
	}},
	{name: "random bytes", conns: 50, do: func(c net.Conn, r *rand.Rand) {
		b := make([]byte, 1+r.IntN(2000))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] = "*$+P\r"[r.IntN(5)]
		_, _ = c.Write(b)
		_ = c.(*net.TCPConn).CloseWrite()
		hold(c)
	}},
	{name: "a browser", conns: 50, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n")
		hold(c)
	}},
}
