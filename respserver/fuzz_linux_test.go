package respserver

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() { converseLooped = (*fixture).converseLooped }

// converseLooped is converse with an event loop, which needs a socket: a pair of them, where the next piece is sent when the server has read the last.
func (f *fixture) converseLooped(t *testing.T, pieces ...[]byte) string {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]*net.UnixConn, len(pair))
	for i, fd := range pair {
		file := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(file) // has a descriptor of its own
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		conns[i] = c.(*net.UnixConn)
	}
	peer := conns[0]
	defer func() { _ = peer.Close() }()
	raw, err := peer.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = peer.SetDeadline(time.Now().Add(patience))
	if err := f.srv.startLoops(); err != nil { // where Serve has not begun yet
		t.Fatal(err)
	}
	if f.srv.driver() != Epoll {
		t.Fatal("there is no loop for the connection")
	}
	f.srv.accept(conns[1])
	var sent bytes.Buffer
	ended := make(chan error)
	go func() {
		_, err := io.Copy(&sent, peer)
		ended <- err
	}()
	over := false
	unread := func() (n int) {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		return n
	}
	for _, p := range pieces {
		if _, err := peer.Write(p); err != nil {
			break // the server has closed
		}
		for unread() > 0 && !over {
			select {
			case err = <-ended:
				over = true
			default:
				runtime.Gosched()
			}
		}
	}
	_ = peer.CloseWrite()
	if !over {
		err = <-ended
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Fatalf("%q: the connection does not end", pieces)
	}
	eventually(t, "the end of the connection", func() bool { return f.srv.connected() == 0 })
	return sent.String()
}
