package compat

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// lies are what a liar makes of what the daemon says. None changes a length.
var lies = [][2][]byte{{[]byte("truth"), []byte("false")}, {[]byte("\n:1\r\n"), []byte("\n:8\r\n")}}

// liar is a proxy that changes replies on their way.
type liar struct {
	t      testing.TB
	to     string
	l      net.Listener
	wg     sync.WaitGroup
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func newLiar(t testing.TB, to string) *liar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &liar{t: t, to: to, l: l, open: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.closed = true
		for c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *liar) through(string) (net.Addr, error) { return p.l.Addr(), nil }

func (p *liar) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		p.wg.Go(func() {
			_, _ = io.Copy(server, client)
			p.end(client, server)
		})
		p.wg.Go(func() {
			lie(client, server)
			p.end(client, server)
		})
	}
}

func (p *liar) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			_ = c.Close()
		}
		p.open[c] = true
	}
	return !p.closed
}

func (p *liar) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.open, c)
	}
}

// lie copies and replaces, also what lies across two reads.
func lie(dst io.Writer, src io.Reader) {
	buf, pending := make([]byte, 64<<10), []byte("\n") // before the first reply, so that an integer is known by the line's beginning
	first := true
	for {
		n, err := src.Read(buf)
		pending = append(pending, buf[:n]...)
		for _, l := range lies {
			pending = bytes.ReplaceAll(pending, l[0], l[1])
		}
		keep := 0
		for _, l := range lies {
			for k := len(l[0]) - 1; k > keep; k-- {
				if bytes.HasSuffix(pending, l[0][:k]) {
					keep = k
				}
			}
		}
		// A line's end is only held back as the beginning of a lie: the last byte goes out, and stays as what went before.
		out := pending[:len(pending)-keep]
		if keep == 1 && bytes.HasSuffix(pending, []byte("\n")) {
			out = pending
		}
		if first && len(out) > 0 {
			out, first = out[1:], false
		}
		if _, errWrite := dst.Write(out); errWrite != nil || err != nil {
			return
		}
		rest := pending[len(pending)-keep:]
		sentTail := keep == 1 && bytes.HasSuffix(pending, []byte("\n"))
		pending = append([]byte(nil), rest...)
		if sentTail {
			first = true // the kept line's end has gone out
		}
	}
}
