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

// lie copies and replaces, also what lies across two reads: the end of what was read that may be the beginning of a lie waits for what follows. A line's end
// alone does not wait, or the last reply of all would: it goes out, and is kept as what stood before.
func lie(dst io.Writer, src io.Reader) {
	buf, pending, gone := make([]byte, 64<<10), []byte("\n"), 1 // gone of pending has gone out; at first, what stands for a line before
	for {
		n, err := src.Read(buf)
		pending = append(pending, buf[:n]...)
		keep := 0
		for _, l := range lies {
			pending = bytes.ReplaceAll(pending, l[0], l[1])
			for k := len(l[0]) - 1; k > keep; k-- {
				if bytes.HasSuffix(pending, l[0][:k]) {
					keep = k
				}
			}
		}
		out := len(pending) - keep
		if keep == 1 && pending[out] == '\n' {
			out = len(pending)
		}
		if out > gone {
			if _, errWrite := dst.Write(pending[gone:out]); errWrite != nil {
				return
			}
		}
		if err != nil {
			return
		}
		out = max(out, gone)
		start := min(len(pending)-keep, out)
		pending, gone = append([]byte(nil), pending[start:]...), out-start
	}
}
