package rollout

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// probe is how a balancer finds out who is ready: as the kubelet's readiness probe.
type probe struct {
	period   time.Duration
	failures int // in a row, after which an endpoint is not ready
}

// balancer passes connections on to the endpoints that are ready, one after the other, as kube-proxy does: those that are there stay where they are, whatever becomes of
// their endpoint.
type balancer struct {
	probe    probe
	listener net.Listener
	running  sync.WaitGroup
	ctx      context.Context

	mu        sync.Mutex
	endpoints []*endpoint
	next      int
	conns     map[net.Conn]bool
	closed    bool
}

// endpoint is an instance of which a balancer knows.
type endpoint struct {
	resp, admin string
	stop        context.CancelFunc // of its probe
	ready       bool               // mu of its balancer
}

func newBalancer(t *testing.T, p probe) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := &balancer{probe: p, listener: l, ctx: ctx, conns: map[net.Conn]bool{}}
	b.running.Go(b.accept)
	t.Cleanup(func() {
		cancel()
		l.Close()
		b.mu.Lock()
		b.closed = true
		for c := range b.conns {
			c.Close()
		}
		b.mu.Unlock()
		b.running.Wait()
	})
	return b
}

func (b *balancer) addr() string { return b.listener.Addr().String() }

// add probes an instance from now on.
func (b *balancer) add(d *daemontest.Daemon) *endpoint {
	ctx, cancel := context.WithCancel(b.ctx)
	e := &endpoint{resp: d.RESPAddr, admin: d.AdminAddr, stop: cancel}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endpoints = append(b.endpoints, e)
	b.running.Go(func() { b.check(ctx, e) })
	return e
}

// remove takes an instance out, as the deletion of its pod does.
func (b *balancer) remove(e *endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endpoints = slices.DeleteFunc(b.endpoints, func(o *endpoint) bool { return o == e })
	e.stop()
}

// isReady reports whether new connections are passed on to an endpoint.
func (b *balancer) isReady(e *endpoint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.ready && slices.Contains(b.endpoints, e)
}

func (b *balancer) check(ctx context.Context, e *endpoint) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(b.probe.period)
	defer tick.Stop()
	failed := 0
	for {
		failed++
		if req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.admin+"/readyz", nil); err == nil {
			if res, err := client.Do(req); err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					failed = 0
				}
			}
		}
		b.mu.Lock()
		e.ready = failed == 0 || e.ready && failed < b.probe.failures
		b.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// pick is the next endpoint that is ready.
func (b *balancer) pick() (addr string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.endpoints {
		b.next++
		if e := b.endpoints[b.next%len(b.endpoints)]; e.ready {
			return e.resp, true
		}
	}
	return "", false
}

// dial connects to the next endpoint that is ready without anybody in between: as kube-proxy, which rewrites addresses and passes on no bytes itself.
func (b *balancer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	addr, ok := b.pick()
	if !ok {
		return nil, errors.New("no endpoint is ready")
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

func (b *balancer) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return // it is closed
		}
		b.running.Go(func() { b.pass(c) })
	}
}

// pass copies both ways. Who has sent all may still be answered.
func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	server, err := b.dial(b.ctx, "", "")
	if err != nil {
		return
	}
	defer server.Close()
	if !b.keep(client, server) {
		return
	}
	defer b.forget(client, server)
	var up sync.WaitGroup
	up.Go(func() { forward(server, client) })
	forward(client, server)
	up.Wait()
}

func forward(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite() // the other side may have closed
}

func (b *balancer) keep(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		b.conns[c] = true
	}
	return !b.closed
}

func (b *balancer) forget(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(b.conns, c)
	}
}
