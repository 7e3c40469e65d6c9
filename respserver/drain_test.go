package respserver

import (
	"context"
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// shutDown begins an orderly end, and returns when it has begun. What it returns waits for it.
func (f *fixture) shutDown() (wait func()) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	done := make(chan error, 1)
	go func() { done <- f.srv.Shutdown(ctx) }()
	eventually(f.t, "the server ends", f.srv.draining.Load)
	return func() {
		f.t.Helper()
		defer cancel()
		if err := <-done; err != nil {
			f.t.Errorf("Shutdown: %v", err)
		}
	}
}

// TestShutdownTakesTheRestOfACommand: a command that has begun to arrive is answered.
func TestShutdownTakesTheRestOfACommand(t *testing.T) {
	f := start(t, nil)
	idle, p := f.dial(), f.dial()
	idle.ask(pong, "echo", "pong")
	all := frame("echo", "pong")
	p.send(frame("echo", "pong") + all[:len(all)-3])
	p.want(pong)
	wait := f.shutDown()
	idle.closed()
	p.send(all[len(all)-3:])
	p.want(pong)
	p.closed()
	wait()
}

// TestShutdownEndsBusyConnectionsWithAReply: whoever has the reply sees the end as well, before it could send anything again.
func TestShutdownEndsBusyConnectionsWithAReply(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the two go together on Linux alone")
	}
	f := start(t, nil)
	var peers []*peer
	for range 10 {
		p := f.dial()
		p.ask(pong, "echo", "pong")
		peers = append(peers, p)
	}
	wait := f.shutDown()
	for i, p := range peers {
		p.send(frame("get", "k"))
		for b := make([]byte, 1); b[0] != '\n'; { // -LOADING …
			if _, err := io.ReadFull(p.nc, b); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		raw, err := p.tcp().SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		var failed error
		_ = raw.Control(func(fd uintptr) {
			n, _, failed = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		})
		if n != 0 || failed != nil {
			t.Errorf("connection %d: the end is not there with the reply: %d bytes, %v", i, n, failed)
		}
	}
	wait()
}

// TestShutdownServesWhoHasJustConnected: a handshake is not the last that is answered.
func TestShutdownServesWhoHasJustConnected(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "client", "setname", "x")
	f.srv.drain.afterIdle, f.srv.drain.within = patience, patience // however slow the machine is
	wait := f.shutDown()
	p.ask("+OK\r\n", "client", "setinfo", "lib-name", "x")
	p.ask("+OK\r\n", "select", "1")
	p.ask("*0\r\n", "command", "docs", "nonsense")
	p.closed()
	wait()
}

// TestShutdownIsNotHeldUp: neither by who sends half of a command for ever, nor by who only introduces itself.
func TestShutdownIsNotHeldUp(t *testing.T) {
	f := start(t, nil)
	half, shy := f.dial(), f.dial()
	half.send("*1\r\n$4\r\npi")
	began := time.Now()
	wait := f.shutDown()
	for {
		if _, err := io.WriteString(shy.nc, frame("client", "setname", "x")); err != nil {
			break
		}
		if _, err := io.ReadFull(shy.nc, make([]byte, len("+OK\r\n"))); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			break
		}
	}
	half.closed()
	wait()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("Shutdown took %v", took)
	}
}
