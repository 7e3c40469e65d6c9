package peers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

var topicA = position.TopicID{1}

const patience = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// fake is a peer that answers each connection with answer, which gets the questions by line.
func fake(t *testing.T, answer func(w io.Writer, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				answer(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// question reads one command; "" is the end.
func question(r *bufio.Reader) string {
	var n int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return ""
	}
	var args []string
	for range n {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return ""
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return ""
		}
		args = append(args, string(b[:size]))
	}
	return strings.Join(args, " ")
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func tell(instance, cluster string, turn int, serving int, at position.Position) string {
	return "*5\r\n:1\r\n" + bulk(instance) + bulk("name") + bulk(cluster) + "*1\r\n*4\r\n" + bulk("a") + fmt.Sprintf(":%d\r\n:%d\r\n", serving, turn) + bulk(at.String())
}

func run(t *testing.T, change func(*Config), addrs ...string) *Set {
	t.Helper()
	cfg := Config{Addrs: addrs, Instance: "me", Cluster: func() string { return "c" }, Topics: []string{"a"}, Heartbeat: 50 * time.Millisecond, Refresh: 20 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// honest answers what state says, a question after the other.
func honest(instance, cluster string, at func() (turn, serving int, p position.Position)) func(io.Writer, *bufio.Reader) {
	return func(w io.Writer, r *bufio.Reader) {
		for {
			q := question(r)
			var err error
			switch {
			case q == "":
				return
			case strings.HasPrefix(q, "KAFKA.APPLIED"):
				time.Sleep(2 * time.Millisecond) // as one that waits for something to tell
				turn, serving, p := at()
				_, err = io.WriteString(w, tell(instance, cluster, turn, serving, p))
			default:
				_, err = io.WriteString(w, "+OK\r\n")
			}
			if err != nil {
				return
			}
		}
	}
}

func at(next int64) position.Position { return position.OfRecord(topicA, 0, next-1) }

func TestAPeerIsCountedForWhatItHasToldInThisTurn(t *testing.T) {
	var next, turn, serving atomic.Int64
	next.Store(5)
	serving.Store(1)
	addr := fake(t, honest("other", "c", func() (int, int, position.Position) {
		return int(turn.Load()), int(serving.Load()), at(next.Load())
	}))
	s := run(t, nil, addr)
	eventually(t, "it is connected", func() bool { return s.Report().Connected == 1 })
	want := []position.Position{at(10)}
	if n := s.Count(want); n != 0 {
		t.Fatalf("counted %d before it had told", n)
	}
	woken := make(chan struct{}, 100)
	w := s.Wait(want, func() { woken <- struct{}{} })
	defer w.Cancel()
	next.Store(10)
	select {
	case <-woken:
	case <-time.After(patience):
		t.Fatal("nobody was woken")
	}
	if n := s.Count(want); n != 1 {
		t.Errorf("counted %d", n)
	}
	if n := s.Count([]position.Position{position.OfRecord(position.TopicID{2}, 0, 1)}); n != 0 {
		t.Errorf("counted %d for another topic id", n)
	}
	turn.Store(1) // it has lost all, and reads its log again
	next.Store(1)
	eventually(t, "it is no longer counted", func() bool { return s.Count(want) == 0 })
	next.Store(20)
	select { // the same wait goes on
	case <-woken:
	case <-time.After(patience):
		t.Fatal("nobody was woken in the second turn")
	}
	turn.Store(2)
	serving.Store(0)
	eventually(t, "one that does not answer reads is not counted", func() bool { return s.Count(want) == 0 })
}

// Whatever a peer answers, it is not counted, the reason is told, and the others are asked on.
func TestHostilePeers(t *testing.T) {
	ok := func(rest string) func(io.Writer, *bufio.Reader) {
		return func(w io.Writer, r *bufio.Reader) {
			for q := question(r); q != ""; q = question(r) {
				if !strings.HasPrefix(q, "KAFKA.APPLIED") {
					_, _ = io.WriteString(w, "+OK\r\n")
					continue
				}
				_, _ = io.WriteString(w, rest)
				return
			}
		}
	}
	for name, c := range map[string]struct {
		answer func(io.Writer, *bufio.Reader)
		reason string
		state  string
	}{
		"garbage": {func(w io.Writer, _ *bufio.Reader) { _, _ = io.WriteString(w, "HTTP/1.1 400 Bad Request\r\n\r\n") }, reasonProtocol, Unreachable},
		"endless line": {func(w io.Writer, _ *bufio.Reader) {
			for {
				if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		}, reasonProtocol, Unreachable},
		"silent": {func(_ io.Writer, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }, reasonTimeout, Unreachable},
		"auth": {func(w io.Writer, r *bufio.Reader) {
			question(r)
			_, _ = io.WriteString(w, "-NOAUTH Authentication required.\r\n")
			_, _ = io.Copy(io.Discard, r)
		}, reasonAuth, Unreachable},
		"redis":          {ok("-ERR unknown command 'KAFKA.APPLIED', with args beginning with: \r\n"), reasonRefused, Unreachable},
		"mid-line":       {ok("*5\r\n:1\r\n$5"), reasonClosed, Unreachable},
		"huge bulk":      {ok("*5\r\n:1\r\n$9223372036854775807\r\n"), reasonProtocol, Unreachable},
		"huge array":     {ok("*5\r\n:1\r\n" + bulk("x") + bulk("x") + bulk("c") + "*1000000000\r\n"), reasonProtocol, Unreachable},
		"version":        {ok("*5\r\n:2\r\n"), reasonProtocol, Unreachable},
		"token":          {ok("*5\r\n:1\r\n" + bulk("x") + bulk("x") + bulk("c") + "*1\r\n*4\r\n" + bulk("a") + ":1\r\n:1\r\n" + bulk("nonsense")), reasonProtocol, Unreachable},
		"backwards":      {ok(tell("x", "c", 1, 1, at(9)) + tell("x", "c", 1, 1, at(3))), reasonProtocol, Unreachable},
		"not asked":      {ok(strings.Repeat(tell("x", "c", 1, 1, at(9)), 1000)), reasonProtocol, Unreachable},
		"a topic twice":  {ok("*5\r\n:1\r\n" + bulk("x") + bulk("x") + bulk("c") + "*2\r\n" + strings.Repeat("*4\r\n"+bulk("a")+":1\r\n:1\r\n"+bulk(at(9).String()), 2)), reasonProtocol, Unreachable},
		"changing":       {ok(tell("x", "c", 1, 1, at(9)) + tell("y", "c", 1, 1, at(9))), reasonProtocol, Unreachable},
		"other cluster":  {ok(tell("x", "d", 1, 1, at(9))), reasonCluster, Unreachable},
		"itself":         {ok(tell("me", "c", 1, 1, at(9))), "", Self},
		"no connections": {nil, reasonConnect, Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			addr := "127.0.0.1:1"
			if c.answer != nil {
				addr = fake(t, c.answer)
			}
			good := fake(t, honest("good", "c", func() (int, int, position.Position) { return 1, 1, at(7) }))
			s := run(t, nil, addr, good)
			eventually(t, "the state and the reason are told", func() bool {
				for _, p := range s.Report().Addresses {
					if p.Addr == addr && p.State == c.state && p.Reason == c.reason {
						return true
					}
				}
				return false
			})
			eventually(t, "the other is counted", func() bool { return s.Count([]position.Position{at(7)}) >= 1 })
		})
	}
}

func TestOneInstanceAtTwoAddressesIsCountedOnce(t *testing.T) {
	answer := honest("other", "c", func() (int, int, position.Position) { return 1, 1, at(7) })
	s := run(t, nil, fake(t, answer), fake(t, answer))
	eventually(t, "one is a duplicate", func() bool {
		states := map[string]int{}
		for _, p := range s.Report().Addresses {
			states[p.State]++
		}
		return states[Duplicate] == 1 && states[Connected] == 1
	})
	if n := s.Count([]position.Position{at(7)}); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// A peer that falls silent is told to be unreachable three heartbeats after it last said anything, also where waits have it asked meanwhile.
func TestASilentPeerIsLeftInTime(t *testing.T) {
	var silent atomic.Bool
	addr := fake(t, func(w io.Writer, r *bufio.Reader) {
		for q := question(r); q != ""; q = question(r) {
			switch {
			case silent.Load():
			case strings.HasPrefix(q, "KAFKA.APPLIED"):
				time.Sleep(2 * time.Millisecond)
				_, _ = io.WriteString(w, tell("other", "c", 1, 1, at(7)))
			default:
				_, _ = io.WriteString(w, "+OK\r\n")
			}
		}
	})
	const heartbeat = 300 * time.Millisecond
	s := run(t, func(c *Config) { c.Heartbeat = heartbeat }, addr)
	eventually(t, "it is connected", func() bool { return s.Report().Connected == 1 })
	silent.Store(true)
	began := time.Now()
	for s.Report().Connected == 1 { // late, and then all the time, somebody comes to wait
		if time.Since(began) > 2*heartbeat {
			s.Wait([]position.Position{at(100)}, func() {}).Cancel()
		}
		time.Sleep(time.Millisecond)
		if time.Since(began) > 4*heartbeat {
			t.Fatalf("it counts as connected after %v of silence", time.Since(began))
		}
	}
	if p := s.Report().Addresses[0]; p.Reason != reasonTimeout {
		t.Errorf("the reason is %q: %s", p.Reason, p.Error)
	}
}

// Where one of an instance's two addresses fails, the other takes its place before it would have been asked again.
func TestADuplicateTakesOver(t *testing.T) {
	var dead [2]atomic.Bool
	var open [2]atomic.Pointer[net.Conn]
	addrs := make([]string, 2)
	for i := range addrs {
		answer := honest("other", "c", func() (int, int, position.Position) { return 1, 1, at(7) })
		addrs[i] = fake(t, func(w io.Writer, r *bufio.Reader) {
			if dead[i].Load() {
				return
			}
			c := w.(net.Conn)
			open[i].Store(&c)
			answer(w, r)
		})
	}
	s := run(t, nil, addrs...)
	state := func(addr string) string {
		for _, p := range s.Report().Addresses {
			if p.Addr == addr {
				return p.State
			}
		}
		return ""
	}
	eventually(t, "one is connected and one a duplicate", func() bool {
		return state(addrs[0]) == Connected && state(addrs[1]) == Duplicate || state(addrs[1]) == Connected && state(addrs[0]) == Duplicate
	})
	first := 0
	if state(addrs[1]) == Connected {
		first = 1
	}
	dead[first].Store(true)
	_ = (*open[first].Load()).Close()
	began := time.Now()
	eventually(t, "the other is connected", func() bool { return state(addrs[1-first]) == Connected })
	if took := time.Since(began); took > backoffMax/2 {
		t.Errorf("that took %v", took)
	}
}

// Many waits that come, are woken and cancelled leave nothing behind.
func TestWaitsLeaveNothing(t *testing.T) {
	var next atomic.Int64
	next.Store(1)
	s := run(t, nil, fake(t, honest("other", "c", func() (int, int, position.Position) { return 1, 1, at(next.Load()) })))
	eventually(t, "it is connected", func() bool { return s.Report().Connected == 1 })
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	var missed atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		target := 2 + r.Int63n(100)
		wg.Go(func() {
			all, woken := []position.Position{at(target)}, make(chan struct{}, 10)
			w := s.Wait(all, func() { woken <- struct{}{} })
			defer w.Cancel()
			for s.Count(all) == 0 {
				select {
				case <-woken:
				case <-time.After(patience):
					missed.Add(1)
					return
				}
			}
		})
	}
	for n := next.Load(); n < 103; n = next.Add(1) {
		time.Sleep(time.Millisecond) // the load of a log that grows
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if missed.Load() > 0 || len(s.waits) > 0 {
		t.Errorf("%d were never woken, %d are left", missed.Load(), len(s.waits))
	}
	for _, p := range s.peers {
		if len(p.queues) > 0 || len(p.pending) > 0 {
			t.Errorf("queues %d, pending %d", len(p.queues), len(p.pending))
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(tell("x", "c", 1, 1, at(9)))
	f.Add("*5\r\n:1\r\n$-1\r\n")
	f.Fuzz(func(_ *testing.T, s string) {
		_, _ = reader{bufio.NewReader(strings.NewReader(s))}.applied([]string{"a"}) // must not panic, nor grow beyond what came
	})
}
