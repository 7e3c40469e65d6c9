//go:build unix && !race

package respserver

import (
	"net"
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
)

// What is counted in bytes or allocations is measured without the race detector, which adds its own: see tools/test.sh.

// goMemory is what objects and goroutines' stacks take.
func goMemory() int64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
}

// rawPeer is a connection that costs this process nothing but a file descriptor.
type rawPeer int

func (f *fixture) dialRaw() rawPeer {
	f.t.Helper()
	to, err := net.ResolveTCPAddr("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		f.t.Fatal(err)
	}
	return rawPeer(fd)
}

func (p rawPeer) send(t *testing.T, s string) {
	t.Helper()
	if n, err := syscall.Write(int(p), []byte(s)); n != len(s) || err != nil {
		t.Fatal(n, err)
	}
}

// TestCostOfConnections: one that waits, for a command or in one, has neither buffers nor a stack that has grown.
func TestCostOfConnections(t *testing.T) {
	const n = 400
	f := start(t, nil)
	before := goMemory()
	peers := make([]rawPeer, n)
	for i := range peers {
		peers[i] = f.dialRaw()
	}
	eventually(t, "all connections", func() bool { return f.srv.connected() == n })
	cost := func(what string, most int64) {
		t.Helper()
		var each int64
		eventually(t, what, func() bool {
			each = (goMemory() - before) / n
			return each <= most
		})
		t.Logf("%s: %d B each", what, each)
	}
	cost("connections that have sent nothing", 4<<10)
	value := frame("echo", string(make([]byte, 3000)))
	reply := make([]byte, 4000)
	for _, p := range peers {
		p.send(t, value)
		if _, err := syscall.Read(int(p), reply); err != nil {
			t.Fatal(err)
		}
	}
	f.idle()
	cost("idle connections", 4<<10)
	for _, p := range peers {
		p.send(t, frame("wait", "2", "100000"))
	}
	eventually(t, "all to wait", func() bool { return f.srv.stats.blocked.Load() == n })
	cost("connections in a WAIT", 5<<10)
}
