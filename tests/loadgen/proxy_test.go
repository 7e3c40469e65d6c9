package loadgen

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// proxy passes bytes between clients and a server, and replaces some, by others of the same length.
type proxy struct{ addr string }

type replacement struct{ from, to string }

func newProxy(t *testing.T, server string, requests, replies []replacement) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	var open sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	closed := false
	keep := func(c net.Conn) bool {
		mu.Lock()
		defer mu.Unlock()
		if closed {
			c.Close()
			return false
		}
		conns = append(conns, c)
		return true
	}
	open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			if !keep(client) || !keep(upstream) {
				return
			}
			open.Go(func() { pass(upstream, client, requests) })
			open.Go(func() { pass(client, upstream, replies) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		closed = true
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return p
}

// pass copies until one of both is closed, and holds back what may be the beginning of something to be replaced.
func pass(to, from net.Conn, replace []replacement) {
	defer to.Close()
	defer from.Close()
	var held []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		held = append(held, buffer[:n]...)
		for i := 0; i < len(held); i++ {
			for _, r := range replace {
				if bytes.HasPrefix(held[i:], []byte(r.from)) {
					copy(held[i:], r.to)
					i += len(r.from) - 1
					break
				}
			}
		}
		ready := len(held)
		for _, r := range replace {
			for k := min(len(r.from)-1, len(held)); k > 0; k-- {
				if bytes.HasSuffix(held, []byte(r.from[:k])) {
					ready = min(ready, len(held)-k)
					break
				}
			}
		}
		if _, err := to.Write(held[:ready]); err != nil {
			return
		}
		held = append(held[:0], held[ready:]...)
		if err != nil {
			return
		}
	}
}
