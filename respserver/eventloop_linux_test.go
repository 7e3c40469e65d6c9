package respserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func startLooped(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	return start(t, func(c *Config) {
		c.Driver = Epoll
		if change != nil {
			change(c)
		}
	})
}

// TestWhichDriver: INFO and the log say what waits for connections, also where it is not what was asked for.
func TestWhichDriver(t *testing.T) {
	info := func(f *fixture, p *peer, want string) {
		t.Helper()
		if got := f.srv.driver().String(); got != want {
			t.Errorf("the driver is %s, want %s", got, want)
		}
		p.send(frame("info", "server") + frame("quit"))
		var all strings.Builder
		_, _ = p.r.WriteTo(&all)
		if !strings.Contains(all.String(), "\r\nmultiplexing_api:"+want+"\r\n") {
			t.Errorf("INFO does not say %s: %s", want, all.String())
		}
	}
	t.Run("goroutines", func(t *testing.T) {
		f := start(t, func(c *Config) { c.Driver = Goroutines })
		info(f, f.dial(), "goroutines")
		if f.srv.clientsDriven() != 0 || !strings.Contains(f.log.String(), "driver=goroutines") {
			t.Error(f.log.String())
		}
	})
	t.Run("epoll", func(t *testing.T) {
		f := startLooped(t, nil)
		p := f.dial()
		p.ask(pong, "echo", "pong")
		if f.srv.clientsDriven() != 1 || !strings.Contains(f.log.String(), "driver=epoll") {
			t.Error(f.log.String())
		}
		info(f, p, "epoll")
	})
	t.Run("TLS", func(t *testing.T) {
		cert := selfSigned(t)
		f := startLooped(t, func(c *Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}} })
		nc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		_ = nc.SetDeadline(time.Now().Add(patience))
		p := newPeer(t, nc)
		p.ask(pong, "echo", "pong")
		info(f, p, "goroutines")
		if !strings.Contains(f.log.String(), "TLS have a goroutine each") {
			t.Error(f.log.String())
		}
	})
}

// clientsDriven is how many connections an event loop has.
func (s *Server) clientsDriven() (n int) {
	for _, c := range s.clients() {
		if c.driven != nil {
			n++
		}
	}
	return n
}

// TestWhatIsLongStallsNobody: while commands of one connection take long, others are answered, what the one has sent before it is answered, and what
// it has sent after it is answered in order.
func TestWhatIsLongStallsNobody(t *testing.T) {
	f := startLooped(t, nil)
	release := make(chan struct{})
	long := f.srv.table.byName["time"]
	long.flags &^= fast
	long.run = func(c *conn, _ [][]byte) { <-release; c.ok() }
	var once sync.Once
	end := func() { once.Do(func() { close(release) }) }
	defer end()
	stalled, other := f.dial(), f.dial()
	stalled.send(frame("echo", "a") + frame("time") + frame("echo", "b"))
	stalled.want("$1\r\na\r\n")
	stalled.send(frame("echo", "c")) // arrives while a worker has the connection
	for range 100 {
		other.ask(pong, "echo", "pong")
	}
	late := f.dial()
	late.ask(pong, "echo", "pong")
	end()
	stalled.want("+OK\r\n$1\r\nb\r\n$1\r\nc\r\n")
	for i := range 50 {
		stalled.send(frame("echo", fmt.Sprint(i)) + frame("time") + frame("getrange", "k", "0", "0") + frame("echo", fmt.Sprint(i)))
	}
	for i := range 50 {
		e := fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
		stalled.want(e + "+OK\r\n")
		if line, err := stalled.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "-LOADING") {
			t.Fatalf("%q, %v", line, err)
		}
		stalled.want(e)
	}
}

// TestAPeerThatLeavesAWorker: it leaves, or is killed, while a worker has its connection.
func TestAPeerThatLeavesAWorker(t *testing.T) {
	f := startLooped(t, nil)
	release, began := make(chan struct{}), make(chan struct{}, 2)
	long := f.srv.table.byName["time"]
	long.flags &^= fast
	long.run = func(c *conn, _ [][]byte) { began <- struct{}{}; <-release; c.ok() }
	var once sync.Once
	end := func() { once.Do(func() { close(release) }) }
	defer end()
	leaves, killed, other := f.dial(), f.dial(), f.dial()
	leaves.send(frame("time"))
	killed.send(frame("time"))
	<-began
	<-began
	_ = leaves.nc.Close()
	other.send(frame("client", "kill", killed.nc.LocalAddr().String()))
	other.want("+OK\r\n")
	killed.closed()
	if n := f.srv.connected(); n != 3 {
		t.Errorf("%d connections, of which workers have two", n)
	}
	end()
	eventually(t, "their end", func() bool { return f.srv.connected() == 1 })
	other.ask(pong, "echo", "pong")
}

// TestDescriptorsAreGivenBack, however connections end.
func TestDescriptorsAreGivenBack(t *testing.T) {
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(all)
	}
	f := startLooped(t, func(c *Config) { c.MaxClients = 8 })
	first := f.dial()
	first.ask(pong, "echo", "pong")
	before := open()
	for i := range 200 {
		p := f.dial()
		switch i % 5 {
		case 0:
			p.ask(pong, "echo", "pong")
		case 1:
			p.send(frame("quit"))
			p.want("+OK\r\n")
			p.closed()
		case 2:
			p.send(frame("wait", "1", "0") + frame("wait", "1", "0"))
		case 3:
			p.send("*1\r\n$-5\r\n")
			p.want("-ERR Protocol error: invalid bulk length\r\n")
			p.closed()
		case 4:
			more := []*peer{f.dial(), f.dial(), f.dial(), f.dial(), f.dial(), f.dial(), f.dial()} // too many
			for _, m := range more {
				_, _ = io.WriteString(m.nc, frame("quit"))
				_, _ = io.Copy(io.Discard, m.r)
				_ = m.nc.Close()
			}
		}
		_ = p.nc.Close()
		eventually(t, "its end", func() bool { return f.srv.connected() == 1 })
	}
	eventually(t, "all descriptors to be closed", func() bool { return open() <= before })
	for _, l := range f.srv.loops {
		l.mu.Lock()
		if n := len(l.table); n > 9 {
			t.Errorf("a loop's table has %d slots", n)
		}
		l.mu.Unlock()
	}
}

// TestWakesAreNotLost: many connections wait, and are woken while they send, are with workers, and wait again.
func TestWakesAreNotLost(t *testing.T) {
	f := startLooped(t, nil)
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				f.idle()
			}
		}
	})
	var clients sync.WaitGroup
	for range 20 {
		p := f.dial()
		clients.Go(func() {
			want := ":1\r\n" + pong + "$-1\r\n"
			reply := make([]byte, len(want))
			for range 200 {
				if _, err := io.WriteString(p.nc, frame("wait", "2", "1")+frame("echo", "pong")+frame("client", "getname")); err != nil {
					t.Error(err)
					return
				}
				if n, err := io.ReadFull(p.r, reply); string(reply) != want {
					t.Errorf("read %q, %v", reply[:n], err)
					return
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	all.Wait()
}

// TestASocketThatNobodyWaitsFor: what a refused peer does not take at once is not waited for.
func TestASocketThatNobodyWaitsFor(t *testing.T) {
	f := startLooped(t, nil)
	l := listen(t)
	defer func() { _ = l.Close() }()
	to, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f.dial().ask(pong, "echo", "pong") // the loops have begun
	if nc, err = f.srv.take(nc); err != nil {
		t.Fatal(err)
	}
	s := nc.(*loopSocket)
	defer s.release()
	if n, err := s.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("a closed socket is written to")
	}
}

// TestWhichWritesRunInTheLoop: a SET of a value that nothing but a plain encoding looks at; not one that is long, or of several records.
func TestWhichWritesRunInTheLoop(t *testing.T) {
	f := startLooped(t, nil)
	var inLoop []bool
	for _, name := range []string{"set", "mset", "del"} {
		cmd := f.srv.table.byName[name]
		cmd.run = func(c *conn, _ [][]byte) {
			inLoop = append(inLoop, c.onLoop())
			c.ok()
		}
	}
	p := f.dial()
	p.ask("+OK\r\n", "set", "k", "1")
	p.ask("+OK\r\n", "set", "k", strings.Repeat("1", quickFrame))
	p.ask("+OK\r\n", "mset", "k", "1", "l", "2")
	p.ask("+OK\r\n", "del", "k")
	p.ask("+OK\r\n", "set", "k", "1")
	if want := []bool{true, false, false, false, true}; !slices.Equal(inLoop, want) {
		t.Errorf("in the loop were %v, want %v", inLoop, want)
	}
}
