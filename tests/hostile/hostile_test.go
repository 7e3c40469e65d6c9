package hostile

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

var long = flag.Bool("long", false, "each attack for 30 seconds, and with up to 9,500 connections")

func TestMain(m *testing.M) { os.Exit(daemontest.Main(m.Run)) }

const (
	memoryLimit = 256 << 20
	shortTime   = 1500 * time.Millisecond
	longTime    = 30 * time.Second
	patience    = 20 * time.Second // for one reply to a client that behaves
	slowMost    = 5 * time.Second  // that it may take: the attackers are in this process, and share the machine with the daemon
)

// residentMemory is what the process holds of the machine's memory.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatalf("the daemon's memory (is it alive?): %v", err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// client is one that behaves.
type client struct {
	t  *testing.T
	c  net.Conn
	r  *bufio.Reader
	in string
}

func connect(t *testing.T, addr string, wrap func(net.Conn) net.Conn) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if wrap != nil {
		c = wrap(c)
	}
	return &client{t, c, bufio.NewReader(c), frame("ECHO", "pong")}
}

// order sends a command that is to be answered with want.
func (c *client) order(command, want string) {
	c.t.Helper()
	_ = c.c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.c, command); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c.r, b); err != nil || string(b) != want {
		c.t.Fatalf("%.40q is answered %q, %v", command, b, err)
	}
}

// ask reports how long a reply took.
func (c *client) ask() time.Duration {
	c.t.Helper()
	begin := time.Now()
	_ = c.c.SetDeadline(begin.Add(patience))
	if _, err := io.WriteString(c.c, c.in); err != nil {
		c.t.Fatalf("a client that behaves: %v", err)
	}
	const want = "$4\r\npong\r\n"
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c.r, b); err != nil || string(b) != want {
		c.t.Fatalf("a client that behaves is answered %q, %v", b, err)
	}
	return time.Since(begin)
}

// wage runs an attack for d while a client is served, and returns the most memory that the daemon had and the longest that the client waited.
func wage(t *testing.T, a attack, addr string, pid, conns int, seed uint64, d time.Duration, good *client) (memory int64, slowest time.Duration, opened int64) {
	var all sync.WaitGroup
	var count atomic.Int64
	until := time.Now().Add(d)
	for i := range conns {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(until) {
				c, err := net.DialTimeout("tcp", addr, time.Until(until)+time.Millisecond)
				if err != nil {
					time.Sleep(10 * time.Millisecond) // the attacker's own limits; the client shows whether the daemon is there
					continue
				}
				count.Add(1)
				_ = c.SetDeadline(until)
				a.do(c, r)
				_ = c.Close()
				if a.once {
					return
				}
			}
		})
	}
	for time.Now().Before(until) {
		slowest = max(slowest, good.ask())
		memory = max(memory, residentMemory(t, pid))
		time.Sleep(5 * time.Millisecond) // a sample's distance
	}
	all.Wait()
	return memory, slowest, count.Load()
}

// endure runs attacks on a daemon, one after the other, and checks after each that it has not grown, and after all that nothing of them is left.
func endure(t *testing.T, d *daemontest.Daemon, good *client, all []attack) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	duration, factor := shortTime, 1
	if *long {
		duration, factor = longTime, 5
	}
	base := residentMemory(t, d.PID())
	goroutines, files := d.Metric("go_goroutines"), d.Metric("process_open_fds")
	for _, a := range all {
		t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) {
			conns := a.conns * factor
			if a.once {
				conns = min(9500, conns*2)
			}
			most := int64(memoryLimit) * memoryFactor
			memory, slowest, opened := wage(t, a, d.RESPAddr, d.PID(), conns, seed, duration, good)
			ended := time.Now()
			d.Await("all attackers to be gone", func() bool { return d.Metric("kafka_cache_resp_connections") == 1 })
			t.Logf("%d connections at a time, %d in all: memory %d MB (before any attack %d, allowed %d), the slowest reply to another took %v, gone after %v", conns, opened, memory>>20, base>>20, most>>20,
				slowest.Round(time.Millisecond), time.Since(ended).Round(time.Millisecond))
			if memory > most {
				t.Errorf("memory grew to %d MB", memory>>20)
			}
			if slowest > slowMost {
				t.Errorf("another client waited %v for a reply", slowest)
			}
		})
	}
	if n := d.Metric("kafka_cache_resp_panics_total"); n != 0 {
		t.Errorf("%v commands panicked", n)
	}
	// A goroutine or two come and go by themselves.
	d.Await("goroutines and files to be as many as before", func() bool {
		return d.Metric("go_goroutines") <= goroutines+5 && d.Metric("process_open_fds") <= files+2
	})
	good.ask()
	if code := d.Stop(); code != 0 {
		t.Errorf("the daemon ended with %d", code)
	}
}

func TestHostileClients(t *testing.T) {
	// The buffers' limit is left to follow from the memory limit, as it does where nothing is set.
	d := daemontest.Start(t, "--dev", "--read-only=false", "--memory-limit=256Mi", "--resp-write-timeout=5s")
	d.WaitReady()
	good := connect(t, d.RESPAddr, nil)
	good.ask()
	good.order(frame("SET", largeValue, `"`+strings.Repeat("x", 1_000_000-2)+`"`), "+OK\r\n")
	endure(t, d, good, slices.Concat(attacks, moreAttacks))
}

// TestHostileHandshakes: who does not log in and who does not speak TLS is closed in time, whatever it does, and others get in meanwhile.
func TestHostileHandshakes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cert, key, password := secrets(t)
	for _, over := range []string{"TCP", "TLS"} {
		t.Run(over, func(t *testing.T) {
			args := []string{"--dev", "--resp-password-file", password, "--resp-auth-timeout=500ms", "--resp-maxclients=2000"}
			var wrap func(net.Conn) net.Conn
			if over == "TLS" {
				args = append(args, "--resp-tls-cert", cert, "--resp-tls-key", key)
				wrap = func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) } //nolint:gosec // it made the certificate itself
			}
			d := daemontest.Start(t, args...)
			good := connect(t, d.RESPAddr, wrap)
			if _, err := io.WriteString(good.c, frame("AUTH", "secret")); err != nil {
				t.Fatal(err)
			}
			if line, err := good.r.ReadString('\n'); line != "+OK\r\n" {
				t.Fatal(line, err)
			}
			good.ask()
			base, most := residentMemory(t, d.PID()), int64(0)
			for _, a := range []attack{
				{name: "silence", conns: 500, do: func(c net.Conn, _ *rand.Rand) { hold(c) }},
				{name: "a handshake that stalls", conns: 300, do: func(c net.Conn, _ *rand.Rand) {
					drip(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("x", 490), 10*time.Millisecond)
				}},
				{name: "commands without reading", conns: 300, do: func(c net.Conn, _ *rand.Rand) { small(c); repeat(c, strings.Repeat(frame("GET", "k"), 500)) }},
				{name: "guesses", conns: 20, do: func(c net.Conn, _ *rand.Rand) { go hold(c); repeat(c, frame("AUTH", "default", "guess")) }},
				{name: "random bytes", conns: 100, do: func(c net.Conn, r *rand.Rand) {
					b := make([]byte, 1+r.IntN(500))
					for i := range b {
						b[i] = byte(r.Uint32())
					}
					_, _ = c.Write(b)
					hold(c)
				}},
			} {
				t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) {
					began := residentMemory(t, d.PID())
					memory, slowest, opened := wage(t, a, d.RESPAddr, d.PID(), a.conns, seed, shortTime, good)
					// What an earlier attack was allowed the runtime may still have: without a limit it gives memory back over minutes.
					most = max(most, (base+int64(a.conns)*128<<10+64<<20)*memoryFactor)
					t.Logf("%d connections, memory %d MB (at first %d, before the attack %d, allowed %d), the slowest reply to another took %v", opened, memory>>20, base>>20, began>>20, most>>20, slowest.Round(time.Millisecond))
					if memory > most {
						t.Errorf("memory grew to %d MB", memory>>20)
					}
				})
			}
			d.Await("all attackers to be gone", func() bool { return d.Metric("kafka_cache_resp_connections") == 1 })
			good.ask()
		})
	}
}
