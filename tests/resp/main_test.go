// Package resp_test runs the Redis frontend over a real cache and an in-process broker, with raw sockets and Redis's own clients.
package resp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/tests/internal/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// driver is what the tests' connections are driven by; make test runs them with each.
var driver = map[string]respserver.Driver{"": respserver.Goroutines, "epoll": respserver.Epoll}[os.Getenv("KAFKA_CACHE_TEST_RESP_DRIVER")]

// patience bounds every wait: a test that reaches it has failed.
const patience = 20 * time.Second

// fixture is a frontend over a cache of three topics: a (binary, writable, 3 partitions), b (json, writable), c (read-only).
type fixture struct {
	t       testing.TB
	cluster *kfake.Cluster
	client  *kgo.Client // apart from the code under test
	cache   *cache.Cache
	srv     *respserver.Server
	addr    string
}

// startCluster is a cluster of one broker, and a client of it that is apart from the code under test.
func startCluster(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return cluster, client
}

// start waits for the three topics, and not for more, which follow them.
func start(t testing.TB, change func(*respserver.Config), more ...cache.TopicConfig) *fixture {
	t.Helper()
	return startOn(t, "kfake", change, more...)
}

// startOn is start on a cluster of that id.
func startOn(t testing.TB, id string, change func(*respserver.Config), more ...cache.TopicConfig) *fixture {
	t.Helper()
	cluster, client := startCluster(t, kfake.ClusterID(id), kfake.SeedTopics(3, "a"), kfake.SeedTopics(1, "b", "c"))
	c, err := cache.Open(context.Background(), cache.Config{
		Kafka: kafka.Config{Bootstrap: cluster.ListenAddrs(), MaxWait: 100 * time.Millisecond}, NoCommit: true, Identity: "test",
		Topics: append([]cache.TopicConfig{{Name: "a", Writable: true, ValueEncoding: "binary", KeyEncoding: "binary"}, {Name: "b", Writable: true}, {Name: "c"}}, more...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	srv, addr := serve(t, c, change)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, topic := range c.Topics()[:3] {
		if err := topic.WaitReady(ctx); err != nil {
			t.Fatalf("topic %s: %v", topic.Name(), err)
		}
	}
	return &fixture{t, cluster, client, c, srv, addr}
}

// serve starts a frontend over a cache.
func serve(t testing.TB, c *cache.Cache, change func(*respserver.Config)) (srv *respserver.Server, addr string) {
	t.Helper()
	cfg := respserver.Config{Cache: c, Driver: driver, Version: "test"}
	if change != nil {
		change(&cfg)
	}
	srv, err := respserver.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
		if err := <-served; !errors.Is(err, respserver.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return srv, l.Addr().String()
}

// produce writes as another producer would, and waits until the cache has it.
func (f *fixture) produce(topic, key, value string) {
	f.t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
	if err := f.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
	view, err := f.cache.Topic(topic)
	if err != nil {
		f.t.Fatal(err)
	}
	eventually(f.t, "what was produced", func() bool {
		next := int64(0)
		for _, o := range view.Position().Offsets() {
			if o.Partition == r.Partition {
				next = o.Next
			}
		}
		return next > r.Offset
	})
}

func (f *fixture) end(topic string) (n int64) {
	f.t.Helper()
	ends, err := kadm.NewClient(f.client).ListEndOffsets(context.Background(), topic)
	if err != nil {
		f.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

func (f *fixture) goRedis(change func(*redis.Options)) *redis.Client {
	f.t.Helper()
	o := &redis.Options{Addr: f.addr, MaxRetries: -1}
	if change != nil {
		change(o)
	}
	r := redis.NewClient(o)
	f.t.Cleanup(func() { _ = r.Close() })
	return r
}

// peer is a raw connection.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
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

func (f *fixture) dial() *peer { return dial(f.t, f.addr) }

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.nc, s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) want(s string) {
	p.t.Helper()
	b := make([]byte, len(s))
	n, err := io.ReadFull(p.r, b)
	if string(b[:n]) != s {
		p.t.Fatalf("read %q, want %q (%v)", b[:n], s, err)
	}
}

func (p *peer) ask(want string, args ...string) {
	p.t.Helper()
	p.send(frame(args...))
	p.want(want)
}

// reply reads one whole reply as it is on the wire.
func (p *peer) reply() string {
	p.t.Helper()
	reply, err := wire.Reply(p.r)
	if err != nil {
		p.t.Fatalf("read %q: %v", reply, err)
	}
	return reply
}

func (p *peer) call(args ...string) string {
	p.t.Helper()
	p.send(frame(args...))
	return p.reply()
}

var frame = wire.Frame

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
