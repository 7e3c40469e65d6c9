package respserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// driver is what the tests' connections are driven by; make test runs them with each.
var driver = map[string]Driver{"": Goroutines, "epoll": Epoll}[os.Getenv("KAFKA_CACHE_TEST_RESP_DRIVER")]

// patience bounds every wait: a test that reaches it has failed.
const patience = 20 * time.Second

// fixture is a server over a cache that was never run: its topics load for ever. What needs data is tested with a broker elsewhere.
type fixture struct {
	t    testing.TB
	srv  *Server
	addr string
	log  *lockedBuffer
}

type lockedBuffer struct {
	ch chan struct{}
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.ch <- struct{}{}
	defer func() { <-l.ch }()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.ch <- struct{}{}
	defer func() { <-l.ch }()
	return l.b.String()
}

func start(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	return startOn(t, listen(t), change)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func startOn(t testing.TB, l net.Listener, change func(*Config)) *fixture {
	t.Helper()
	c, err := cache.New(cache.Config{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, Topics: []cache.TopicConfig{{Name: "a", Writable: true}, {Name: "b"}}, NoCommit: true})
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{ch: make(chan struct{}, 1)}
	cfg := Config{Cache: c, Driver: driver, Version: "test", Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&cfg)
	}
	srv, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if n := srv.buffers.Load(); n != 0 {
			t.Errorf("%d bytes are still counted as held", n)
		}
	})
	return &fixture{t, srv, l.Addr().String(), log}
}

// peer is a raw connection.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (f *fixture) dial() *peer {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = nc.Close() })
	return newPeer(f.t, nc)
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	nc = patient{nc}
	return &peer{t, nc, bufio.NewReader(nc)}
}

func (p *peer) tcp() *net.TCPConn { return p.nc.(patient).Conn.(*net.TCPConn) }

// patient bounds each read and each write by patience, rather than all that a test does with a connection: on a busy machine hundreds of exchanges may take longer.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.nc, s); err != nil {
		p.t.Fatal(err)
	}
}

// want reads exactly s.
func (p *peer) want(s string) {
	p.t.Helper()
	b := make([]byte, len(s))
	n, err := io.ReadFull(p.r, b)
	if errors.Is(err, os.ErrDeadlineExceeded) { // what everybody waits for
		var all strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
		p.t.Log(all.String())
	}
	if string(b[:n]) != s {
		p.t.Fatalf("read %q, want %q (%v)", b[:n], s, err)
	}
}

func (p *peer) closed() {
	p.t.Helper()
	b, err := io.ReadAll(p.r)
	if len(b) > 0 || (err != nil && !strings.Contains(err.Error(), "reset")) {
		p.t.Fatalf("read %q, %v; want the end", b, err)
	}
}

// frame is a command as clients send it.
func frame(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

func (p *peer) ask(want string, args ...string) {
	p.t.Helper()
	p.send(frame(args...))
	p.want(want)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

const pong = "$4\r\npong\r\n" // of ECHO, which needs no topic

func pow2(x float64) float64 { return math.Exp2(x) }

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
