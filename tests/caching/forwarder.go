package caching

import (
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
)

// forwarder passes connections on to the instance, wherever that listens now, until they are cut.
type forwarder struct {
	l     net.Listener
	mu    sync.Mutex
	to    string
	next  int
	conns map[int][2]net.Conn
	done  sync.WaitGroup
}

func newForwarder(to string) (*forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &forwarder{l: l, to: to, conns: map[int][2]net.Conn{}}
	f.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.done.Go(func() { f.pass(c) })
		}
	})
	return f, nil
}

func (f *forwarder) addr() string { return f.l.Addr().String() }

func (f *forwarder) target(to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
}

func (f *forwarder) pass(c net.Conn) {
	defer c.Close()
	f.mu.Lock()
	to := f.to
	f.mu.Unlock()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	f.mu.Lock()
	f.next++
	id := f.next
	f.conns[id] = [2]net.Conn{c, s}
	f.mu.Unlock()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{c, s}, {s, c}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // either way both end
			_ = c.Close()
			_ = s.Close()
		})
	}
	both.Wait()
	f.mu.Lock()
	delete(f.conns, id)
	f.mu.Unlock()
}

// cut resets some connections.
func (f *forwarder) cut(random *rand.Rand, n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := slices.Sorted(maps.Keys(f.conns))
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(n, len(ids))]
	for _, id := range ids {
		for _, c := range f.conns[id] {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}
	return len(ids)
}

func (f *forwarder) close() {
	_ = f.l.Close()
	f.mu.Lock()
	for _, pair := range f.conns {
		_ = pair[0].Close()
		_ = pair[1].Close()
	}
	f.mu.Unlock()
	f.done.Wait()
}
