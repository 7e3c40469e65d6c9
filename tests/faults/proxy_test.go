package faults

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// gate stands between a broker's listener and its connections. Closed, it keeps accepting, as the kernel does for a
// stopped process, and passes no bytes on in either direction.
type gate struct {
	mu     sync.Mutex
	opened *sync.Cond
	shut   bool
	conns  map[net.Conn]bool
	spoil  []byte // bytes in what the broker sends that are to be changed; nil: none
}

func newGate() *gate {
	g := &gate{conns: map[net.Conn]bool{}}
	g.opened = sync.NewCond(&g.mu)
	return g
}

func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
	g.opened.Broadcast()
}

// kill resets every connection.
func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.Close()
	}
}

// corrupt has the first of these bytes changed wherever the broker sends them in one piece; nil ends it.
func (g *gate) corrupt(marker []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spoil = marker
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut {
		g.opened.Wait()
	}
}

// gatedCluster starts a cluster with one gate a broker. Each broker's listener is a proxy to the real one, so that what
// metadata says goes through the gate too.
func gatedCluster(tb testing.TB, brokers int, opts ...kfake.Opt) (*kfake.Cluster, []*gate) {
	tb.Helper()
	var mu sync.Mutex
	var gates []*gate
	listen := func(network, address string) (net.Listener, error) {
		ln, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		g := newGate()
		gates = append(gates, g)
		return &gatedListener{Listener: ln, gate: g}, nil
	}
	c := startCluster(tb, append([]kfake.Opt{kfake.NumBrokers(brokers), kfake.ListenFn(listen)}, opts...)...)
	tb.Cleanup(func() {
		for _, g := range gates {
			g.resume()
		}
	})
	return c, gates
}

type gatedListener struct {
	net.Listener
	gate *gate
}

func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.gate.mu.Lock()
	l.gate.conns[c] = true
	l.gate.mu.Unlock()
	return &gatedConn{Conn: c, gate: l.gate}, nil
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c *gatedConn) Read(b []byte) (int, error) {
	c.gate.pass()
	n, err := c.Conn.Read(b)
	c.gate.pass()
	return n, err
}

func (c *gatedConn) Write(b []byte) (int, error) {
	c.gate.pass()
	c.gate.mu.Lock()
	spoil := c.gate.spoil
	c.gate.mu.Unlock()
	if i := bytes.Index(b, spoil); len(spoil) > 0 && i >= 0 {
		b = bytes.Clone(b)
		b[i]++
	}
	return c.Conn.Write(b)
}

func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c.Conn)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
