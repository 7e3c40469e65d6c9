package history

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// proxy passes connections on to one listener, of a broker or of an instance, until they are cut.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	target   string            // empty: nowhere
	conns    map[net.Conn]bool // both sides of each
	refusing bool
	closed   bool
	running  sync.WaitGroup
}

func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a proxy: %w", err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.running.Add(1)
	go p.accept()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	defer p.running.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		p.running.Add(1)
		go p.pass(c)
	}
}

func (p *proxy) pass(c net.Conn) {
	defer p.running.Done()
	if !p.add(c) {
		return
	}
	defer p.remove(c)
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" {
		return
	}
	b, err := net.Dial("tcp", target)
	if err != nil || !p.add(b) {
		return
	}
	defer p.remove(b)
	both := make(chan struct{}, 2)
	copyTo := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // either way, both sides end
		dst.Close()
		src.Close()
		both <- struct{}{}
	}
	go copyTo(b, c)
	copyTo(c, b)
	<-both
	<-both
}

// aim has new connections passed on to target.
func (p *proxy) aim(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// add closes c where connections are refused.
func (p *proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing || p.closed {
		c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	c.Close()
}

// cut resets all connections, and refuses new ones until it is called with false.
func (p *proxy) cut(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
	for c := range p.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, where it can be
		}
		c.Close()
	}
}

// allow takes new connections again.
func (p *proxy) allow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = false
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.cut(true)
	p.running.Wait()
}
