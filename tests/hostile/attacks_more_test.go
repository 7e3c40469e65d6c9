package hostile

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// largeValue is a key with a value of 1 MB, in largeDB.
const (
	largeValue = "large"
	largeDB    = "0"
)

// insist writes s until that fails, and reads what comes.
func insist(c net.Conn, s string) {
	go hold(c)
	repeat(c, s)
}

// silent has the kernel take little, sends s once and reads nothing.
func silent(c net.Conn, s string) {
	small(c)
	_, _ = io.WriteString(c, s)
	var b [1]byte
	for { // until it has been closed, which only what is sent shows
		if _, err := c.Write(b[:0]); err != nil {
			return
		}
		if _, err := io.WriteString(c, frame("PING")); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // between looks
	}
}

// moreAttacks ask for what is large, grows, or takes long, by few bytes.
var moreAttacks = []attack{
	{name: "large values that are not read", conns: 200, do: func(c net.Conn, _ *rand.Rand) { silent(c, strings.Repeat(frame("GET", largeValue), 100)) }},
	{name: "MGET of large values", conns: 100, do: func(c net.Conn, _ *rand.Rand) {
		small(c)
		repeat(c, frame(append([]string{"MGET"}, strings.Split(strings.Repeat(largeValue+" ", 10_000), " ")...)...))
	}},
	{name: "EXEC of large values", conns: 50, do: func(c net.Conn, _ *rand.Rand) {
		insist(c, frame("MULTI")+strings.Repeat(frame("GET", largeValue), 1000)+frame("EXEC"))
	}},
	{name: "parts of large values", conns: 50, do: func(c net.Conn, _ *rand.Rand) {
		insist(c, strings.Repeat(frame("GETRANGE", largeValue, "0", "0")+frame("GETBIT", largeValue, "7"), 200))
	}},
	{name: "MGET of a million keys", conns: 10, do: func(c net.Conn, _ *rand.Rand) {
		go hold(c)
		repeat(c, "*1000001\r\n$4\r\nMGET\r\n"+strings.Repeat("$1\r\nk\r\n", 1_000_000))
	}},
	{name: "a million commands at once", conns: 20, do: func(c net.Conn, _ *rand.Rand) { insist(c, strings.Repeat(frame("GET", "k"), 10_000)) }},
	{name: "lines of 64 KB", conns: 50, do: func(c net.Conn, _ *rand.Rand) { insist(c, "ECHO "+strings.Repeat("x", 64<<10-10)+"\r\n") }},
	{name: "frames within frames", conns: 50, do: func(c net.Conn, _ *rand.Rand) { insist(c, strings.Repeat("*1\r\n", 10_000)) }},
	{name: "a large pattern", conns: 20, do: func(c net.Conn, _ *rand.Rand) {
		insist(c, frame("SCAN", "0", "COUNT", "65536", "MATCH", "["+strings.Repeat("xyz", 300_000)+"]*")+frame("KEYS", strings.Repeat("*?", 100_000)))
	}},
	{name: "a hundred thousand WAITs", conns: 20, do: func(c net.Conn, _ *rand.Rand) {
		_, _ = io.WriteString(c, strings.Repeat(frame("WAIT", "9", "0"), 100_000))
		hold(c)
	}},
	{name: "tokens", conns: 20, do: func(c net.Conn, _ *rand.Rand) {
		insist(c, frame("KAFKA.WAIT", "1:"+strings.Repeat("a:0.1,", 100_000), "1")+frame("KAFKA.META", strings.Repeat("k", 1<<20))+frame("KAFKA.RANGE", strings.Repeat("a", 1<<20), "", "LIMIT", "9223372036854775807")+
			frame("KAFKA.FRESH", strings.Repeat("9", 1000))+frame("KAFKA.INVALID", "LIMIT", "9223372036854775807"))
	}},
	{name: "names", conns: 200, do: func(c net.Conn, r *rand.Rand) {
		go hold(c)
		for {
			name := strings.Repeat(string(rune('a'+r.IntN(26))), 100_000)
			if _, err := io.WriteString(c, frame("CLIENT", "SETNAME", name)+frame("CLIENT", "SETINFO", "lib-name", name)+frame("CLIENT", "SETINFO", "lib-ver", name)+frame("HELLO", "3", "SETNAME", name)); err != nil {
				return
			}
		}
	}},
	{name: "lists of clients", conns: 200, do: func(c net.Conn, _ *rand.Rand) {
		insist(c, frame("CLIENT", "LIST")+frame("COMMAND", "DOCS")+frame("COMMAND")+frame("INFO", "everything"))
	}},
	{name: "HELLO", conns: 50, do: func(c net.Conn, _ *rand.Rand) { insist(c, frame("HELLO", "3")+frame("HELLO", "2")+frame("RESET")) }},
	{name: "a slow log of everything", conns: 50, do: func(c net.Conn, r *rand.Rand) {
		_, _ = io.WriteString(c, frame("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "10000"))
		large := []string{"EXISTS"}
		for range 40 {
			large = append(large, strings.Repeat("x", 1000))
		}
		insist(c, strings.Repeat(frame(large...), 50)+frame("SLOWLOG", "GET", "-1"))
	}},
	{name: "subscriptions by pattern", conns: 20, do: func(c net.Conn, r *rand.Rand) {
		go hold(c)
		for i := 0; ; i++ {
			names := []string{"PSUBSCRIBE"}
			for range 1000 {
				names = append(names, fmt.Sprintf("__key*__:%d*", r.Uint64()))
			}
			if _, err := io.WriteString(c, frame(names...)); err != nil {
				return
			}
		}
	}},
	{name: "writes where that is not allowed", conns: 20, do: func(c net.Conn, _ *rand.Rand) {
		insist(c, frame("SELECT", "0")+frame("FLUSHALL")+frame("DEBUG", "SLEEP", "100")+frame("CONFIG", "SET", "maxmemory", "1")+frame("SHUTDOWN")+frame("REPLICAOF", "a", "1")+frame("MONITOR"))
	}},
}
