package respserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestHugeLengthsAreRefusedBeforeAuthentication(t *testing.T) {
	f := start(t, func(c *Config) { c.Password = []byte("secret") })
	for in, want := range map[string]string{
		"*1\r\n$9223372036854775807\r\n": "-ERR Protocol error: invalid bulk length\r\n",
		"*9223372036854775807\r\n":       "-ERR Protocol error: invalid multibulk length\r\n",
		"*1000000\r\n":                   "-ERR Protocol error: unauthenticated multibulk length\r\n",
		"*1\r\n$100000\r\n":              "-ERR Protocol error: unauthenticated bulk length\r\n",
	} {
		p := f.dial()
		p.send(in)
		p.want(want)
		p.closed()
	}
	if n := f.srv.stats.protocolErrors.Load(); n != 4 {
		t.Errorf("%d protocol errors are counted", n)
	}
}

func TestAnnouncedLengthsAreNotBelieved(t *testing.T) {
	f := start(t, nil)
	before := heap()
	for range 50 {
		p := f.dial()
		p.send("*1048576\r\n$500000000\r\nabc")
	}
	eventually(t, "all bytes to arrive", func() bool { return f.srv.connected() == 50 && f.srv.stats.inputBytes.Load() == 50*25 })
	if grown := int64(heap() - before); grown > 16<<20 {
		t.Errorf("50 connections that announce 500 MB hold %d bytes", grown)
	}
	if n := f.srv.buffers.Load(); n > 1<<20 {
		t.Errorf("%d bytes of buffers", n)
	}
}

func TestAMillionWritesOfOneByte(t *testing.T) {
	if testing.Short() {
		t.Skip("a million system calls")
	}
	f := start(t, nil)
	p := f.dial()
	_ = p.tcp().SetNoDelay(true)
	body := strings.Repeat("x", 1_000_000)
	cmd := frame("echo", body)
	for i := range len(cmd) {
		if _, err := p.nc.Write([]byte{cmd[i]}); err != nil {
			t.Fatal(err)
		}
	}
	p.want("$1000000\r\n" + body + "\r\n")
}

func TestAnInlineRequestWithoutNewline(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	go func() { _, _ = io.WriteString(p.nc, strings.Repeat("x", 2<<20)) }() // fails when the server closes
	p.want("-ERR Protocol error: too big inline request\r\n")
}

// TestRepliesOfAPeerThatDoesNotRead: what is held for it stays bounded, and it is closed and counted.
func TestRepliesOfAPeerThatDoesNotRead(t *testing.T) {
	const limit = 4 << 20
	f := start(t, func(c *Config) { c.OutputLimit, c.WriteTimeout = limit, 200*time.Millisecond })
	p := f.dial()
	_ = p.tcp().SetReadBuffer(4096)
	cmd := frame("echo", strings.Repeat("x", 1<<20))
	var peak atomic.Int64
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			default:
				peak.Store(max(peak.Load(), f.srv.buffers.Load()))
				runtime.Gosched()
			}
		}
	}()
	for range 1000 {
		if _, err := io.WriteString(p.nc, cmd); err != nil {
			break // closed by the server
		}
	}
	eventually(t, "the end of the connection", func() bool { return f.srv.connected() == 0 })
	close(stop)
	<-watched
	if p := peak.Load(); p > 4*limit {
		t.Errorf("%d bytes were held at a limit of %d", p, limit)
	}
	f.srv.stats.mu.Lock()
	defer f.srv.stats.mu.Unlock()
	if f.srv.stats.killed["output"] != 1 {
		t.Errorf("killed: %v", f.srv.stats.killed)
	}
}

// TestALongPipelineBeforeTheFirstRead is what clients do: they write all of it, then read. It must not lock up, as it would where the
// server stopped reading while its replies are not taken.
func TestALongPipelineBeforeTheFirstRead(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	body := strings.Repeat("y", 10_000)
	one := "$10000\r\n" + body + "\r\n"
	const n = 3000
	cmds := strings.Repeat(frame("echo", body), n)
	if _, err := io.WriteString(p.nc, cmds); err != nil {
		t.Fatal(err)
	}
	for range n {
		p.want(one)
	}
	eventually(t, "buffers given back", func() bool { return f.srv.buffers.Load() < 1<<20 })
}

func TestConnectionsThatAreNoSockets(t *testing.T) {
	f := startOn(t, elsewhere{listen(t)}, func(c *Config) { c.Unprotected = true })
	p := f.dial()
	body := strings.Repeat("z", 3<<20)
	for range 3 {
		p.send(frame("echo", body) + frame("echo", "pong"))
		p.want(fmt.Sprintf("$%d\r\n%s\r\n", len(body), body) + pong)
	}
}

func TestBuffersAreGivenBack(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	body := strings.Repeat("z", 20<<20)
	p.send(frame("echo", body))
	p.want(fmt.Sprintf("$%d\r\n%s\r\n", len(body), body))
	eventually(t, "buffers given back", func() bool { return f.srv.buffers.Load() <= 2*firstBuffer })
	p.ask(pong, "echo", "pong")
}

func TestGlobalBufferLimit(t *testing.T) {
	f := start(t, func(c *Config) { c.BufferLimit = 8 << 20 })
	p := f.dial()
	go func() { _, _ = io.WriteString(p.nc, frame("echo", strings.Repeat("x", 64<<20))) }()
	f.endsFor("buffers")
}

func TestQueryLimit(t *testing.T) {
	f := start(t, func(c *Config) { c.QueryLimit = 1 << 20 })
	p := f.dial()
	go func() { _, _ = io.WriteString(p.nc, frame("echo", strings.Repeat("x", 8<<20))) }()
	f.endsFor("query")
}

// endsFor waits until the server has closed the only connection for a reason.
func (f *fixture) endsFor(why string) {
	f.t.Helper()
	eventually(f.t, "the end of the connection, for "+why, func() bool {
		f.srv.stats.mu.Lock()
		killed := f.srv.stats.killed[why]
		f.srv.stats.mu.Unlock()
		return killed == 1 && f.srv.connected() == 0
	})
}

func TestAReplyBeforeABlockingCommandIsSentAtOnce(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	// A token of a topic that is not known yet cannot be waited for, so WAIT for two instances it is.
	p.send(frame("echo", "pong") + frame("wait", "2", "0") + frame("echo", "late"))
	p.want(pong)
	p.send(strings.Repeat(frame("echo", "more"), 20_000))
	_ = p.nc.Close()
	eventually(t, "a client that left during a wait is noticed", func() bool { return f.srv.connected() == 0 })
	if n := f.srv.stats.blocked.Load(); n != 0 {
		t.Errorf("%d blocked", n)
	}
}

func TestWaitTimesOut(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	begin := time.Now()
	p.send(frame("WAIT", "2", "50") + frame("echo", "pong"))
	p.want(":1\r\n" + pong)
	if d := time.Since(begin); d < 50*time.Millisecond {
		t.Errorf("after %v", d)
	}
	p.ask(":1\r\n", "wait", "0", "0")
	p.ask(":1\r\n", "wait", "1", "0")
	p.ask("-ERR timeout is negative\r\n", "wait", "1", "-1")
	p.ask("-ERR timeout is not an integer or out of range\r\n", "wait", "1", "x")
	p.ask("-ERR value is not an integer or out of range\r\n", "wait", "x", "1")
	// WAITAOF is younger than the redis-server that is compared with; these are its texts.
	for _, c := range []struct{ want, local, replicas, timeout string }{
		{"*2\r\n:1\r\n:1\r\n", "1", "0", "0"}, {"*2\r\n:1\r\n:1\r\n", "0", "1", "0"}, {"*2\r\n:1\r\n:1\r\n", "1", "2", "1"},
		{"-ERR value is not an integer or out of range\r\n", "x", "x", "x"}, {"-ERR value is out of range, must be between 0 and 1\r\n", "2", "x", "x"},
		{"-ERR value is out of range, must be between 0 and 1\r\n", "-1", "0", "0"}, {"-ERR value is out of range, must be positive\r\n", "0", "x", "0"},
		{"-ERR value is out of range, must be positive\r\n", "0", "-1", "x"}, {"-ERR timeout is not an integer or out of range\r\n", "0", "0", "x"},
		{"-ERR timeout is negative\r\n", "1", "0", "-1"},
	} {
		p.ask(c.want, "waitaof", c.local, c.replicas, c.timeout)
	}
}

func TestNothingRunsAfterQuit(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send(frame("echo", "pong") + frame("quit") + frame("echo", "no"))
	p.want(pong + "+OK\r\n")
	p.closed()
}

func TestEmptyFramesAreIgnored(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send("*0\r\n*-1\r\n\r\n" + frame("echo", "pong"))
	p.want(pong)
}

func TestGoodCommandsBeforeABadFrame(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send(frame("echo", "pong") + frame("echo", "pong") + "*1\r\n:1\r\n" + frame("echo", "no"))
	p.want(pong + pong + "-ERR Protocol error: expected '$', got ':'\r\n")
	p.closed()
}

func TestCrossProtocolScripting(t *testing.T) {
	f := start(t, nil)
	for _, first := range []string{"POST / HTTP/1.1\r\n", "GET-ish\r\nHost: localhost\r\n"} {
		p := f.dial()
		p.send(first + "\r\nset k v\r\n")
		b, _ := io.ReadAll(p.r)
		if strings.Contains(string(b), "OK") || strings.Contains(string(b), "LOADING") {
			t.Errorf("%q: %q", first, b)
		}
	}
}

// flakyListener fails for a while, as when file descriptors have run out.
type flakyListener struct {
	net.Listener
	failures atomic.Int64
	calls    atomic.Int64
}

func (l *flakyListener) Accept() (net.Conn, error) {
	l.calls.Add(1)
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsBackOff(t *testing.T) {
	l := &flakyListener{Listener: listen(t)}
	l.failures.Store(6)
	begin := time.Now()
	f := startOn(t, l, nil)
	f.dial().ask(pong, "echo", "pong")
	if d := time.Since(begin); d < 5*(1+2+4+8+16+32)*time.Millisecond || l.calls.Load() < 7 {
		t.Errorf("after %v and %d calls", d, l.calls.Load())
	}
	if n := f.srv.stats.acceptErrors.Load(); n != 6 {
		t.Errorf("%d accept errors are counted", n)
	}
}

func TestMaxClients(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxClients = 2 })
	a, b := f.dial(), f.dial()
	a.ask(pong, "echo", "pong")
	b.ask(pong, "echo", "pong")
	p := f.dial()
	p.want("-ERR max number of clients reached\r\n")
	p.closed()
	_ = a.nc.Close()
	eventually(t, "a place", func() bool { return f.srv.connected() == 1 })
	f.dial().ask(pong, "echo", "pong")
}

// elsewhere makes connections look as if they came from another machine.
type elsewhere struct{ net.Listener }

type remote struct{ net.Conn }

func (l elsewhere) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return remote{nc}, nil
}

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

func TestProtectedMode(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		denied bool
	}{
		{nil, true},
		{func(c *Config) { c.Unprotected = true }, false},
		{func(c *Config) { c.Password = []byte("x") }, false},
	} {
		f := startOn(t, elsewhere{listen(t)}, c.change)
		p := f.dial()
		if c.denied {
			p.want("-DENIED ")
			continue
		}
		p.send(frame("hello", "9"))
		p.want("-NOPROTO unsupported protocol version\r\n")
	}
}

func TestIdleTimeout(t *testing.T) {
	f := start(t, func(c *Config) { c.IdleTimeout = 100 * time.Millisecond })
	p, waiting := f.dial(), f.dial()
	p.ask(pong, "echo", "pong")
	waiting.send(frame("wait", "2", "1500"))
	p.closed()
	waiting.want(":1\r\n") // waiting is no idleness
}

func TestShutdownDrains(t *testing.T) {
	f := start(t, nil)
	idle, busy := f.dial(), f.dial()
	idle.ask(pong, "echo", "pong")
	busy.send(frame("wait", "2", "0"))
	eventually(t, "a blocked client", func() bool { return f.srv.stats.blocked.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.srv.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	busy.want(":1\r\n") // what is reached by now
	busy.closed()
	idle.closed()
	if _, err := net.Dial("tcp", f.addr); err == nil {
		t.Error("still accepting")
	}
}

func TestShutdownHasAHardDeadline(t *testing.T) {
	f := start(t, func(c *Config) { c.WriteTimeout = patience })
	p := f.dial()
	_ = p.tcp().SetReadBuffer(4096)
	p.send(frame("echo", strings.Repeat("x", 16<<20))) // never read
	eventually(t, "queued replies", func() bool {
		for _, c := range f.srv.clients() {
			if c.net.size.Load() > 0 {
				return true
			}
		}
		return false
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if n := f.srv.connected(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestAPanicIsAnErrorReply(t *testing.T) {
	f := start(t, nil)
	f.srv.table.byName["echo"].run = func(c *conn, args [][]byte) {
		c.out = append(c.out, "$100\r\nhalf a reply"...)
		_ = args[7]
	}
	p := f.dial()
	p.send(frame("client", "getname") + frame("echo", "x") + frame("client", "getname"))
	p.want("$-1\r\n-ERR internal error, see the server's log\r\n$-1\r\n")
	if !strings.Contains(f.log.String(), "panicked") || f.srv.stats.panics.Load() != 1 {
		t.Error("not logged or counted")
	}
}

func TestHalfClosedPeersGetTheirReplies(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send(frame("echo", "pong"))
	if err := p.tcp().CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.want(pong)
	p.closed()
}
