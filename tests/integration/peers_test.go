package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/authority"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// freeAddrs are addresses that daemons keep across their restarts.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	addrs, err := kafkatest.FreeAddrs(n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// fleet are daemons of one topic, each other's peers, and ready.
func fleet(t *testing.T, c *kafkatest.Cluster, topic string, addrs []string, args ...string) (pods []*daemontest.Daemon) {
	t.Helper()
	for i, addr := range addrs {
		pods = append(pods, serve(t, c, topic, append([]string{"--identity", fmt.Sprintf("test.%s.%d", topic, i), "--resp-addr", addr, "--read-only=false",
			"--peers", strings.Join(addrs, ",")}, args...)...))
	}
	for _, d := range pods {
		d.WaitReady()
	}
	return pods
}

func awaitPeers(d *daemontest.Daemon, n float64) {
	d.Await(fmt.Sprintf("%v peers are connected", n), func() bool { return d.Metric("kafka_cache_peers_connected") == n })
}

// conn is one connection to a daemon.
func conn(t *testing.T, d *daemontest.Daemon) *redis.Conn {
	t.Helper()
	c := d.Client(0).Conn()
	t.Cleanup(func() { c.Close() })
	return c
}

func set(t *testing.T, c *redis.Conn, key, value string) {
	t.Helper()
	if err := c.Set(t.Context(), key, value, 0).Err(); err != nil {
		t.Fatalf("SET %s: %v", key, err)
	}
}

func wantWait(t *testing.T, c *redis.Conn, n int, timeout time.Duration, want int64) {
	t.Helper()
	if got, err := c.Wait(t.Context(), n, timeout).Result(); err != nil || got != want {
		t.Fatalf("WAIT %d: %d, %v; want %d", n, got, err, want)
	}
}

// atOnce fails where f takes long.
func atOnce(t *testing.T, what string, f func() error) error {
	t.Helper()
	began := time.Now()
	err := f()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%s took %v", what, took)
	}
	return err
}

// TestWaitOfARecreatedTopic: what a peer has told of the topic that was deleted says nothing of the one that has its name, and tokens of the
// old one are refused at once.
func TestWaitOfARecreatedTopic(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	pods := fleet(t, c, topic, freeAddrs(t, 2), "--metadata-refresh", "200ms")
	a, b := pods[0], pods[1]
	awaitPeers(a, 1)
	ctx := t.Context()
	exercised := false
	for range 5 {
		first := conn(t, a)
		for i := range 20 {
			set(t, first, "k", fmt.Sprint(i))
		}
		wantWait(t, first, 2, 10*time.Second, 2)
		token, err := first.Do(ctx, "KAFKA.LASTWRITE").Text()
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(b.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		old := a.Status().Topics[0].ID
		c.DeleteTopic(t, topic)
		c.CreateTopic(t, topic, 1, nil)
		a.Await("it reads the new topic", func() bool {
			s := a.Status().Topics[0]
			return s.ID != old && s.State == "Ready"
		})
		second := conn(t, a)
		set(t, second, "k", "of the new topic")
		wantWait(t, second, 2, 100*time.Millisecond, 1)
		// The peer had told of offset 20 of the old topic: that counted for nothing if it is connected still.
		stillThere := a.Metric("kafka_cache_peers_connected") == 1
		err = atOnce(t, "WAIT for writes of the old topic", func() error { return first.Wait(ctx, 2, time.Minute).Err() })
		if err == nil || !strings.Contains(err.Error(), "another topic") {
			t.Errorf("WAIT for writes of the old topic: %v", err)
		}
		if err := syscall.Kill(b.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		wantWait(t, second, 2, 30*time.Second, 2)
		for _, d := range pods {
			wantGet(t, d.Client(0), "k", "of the new topic")
			err := atOnce(t, "KAFKA.WAIT with a token of the old topic", func() error { return d.Client(0).Do(ctx, "KAFKA.WAIT", token, 60_000).Err() })
			if err == nil || !strings.Contains(err.Error(), "another topic") {
				t.Errorf("KAFKA.WAIT with a token of the old topic: %v", err)
			}
		}
		awaitPeers(a, 1)
		if exercised = stillThere; exercised {
			break
		}
	}
	if !exercised {
		t.Error("the peer was never connected still when the new topic was waited for")
	}
}

// TestSyncBehindAnOpenTransaction: KAFKA.SYNC waits for what was acknowledged above an open transaction, says so when its time is over, and answers
// when the transaction ends; KAFKA.FRESH refuses reads meanwhile.
func TestSyncBehindAnOpenTransaction(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	d := serve(t, c, topic)
	d.WaitReady()
	ctx := t.Context()
	tx := c.Client(t, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(ctx, &kgo.Record{Key: []byte("open"), Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.Produce(t, record(topic, "above", "v"))
	client, fresh := conn(t, d), conn(t, d)
	began := time.Now()
	err := client.Do(ctx, "KAFKA.SYNC", 700).Err()
	if took := time.Since(began); err == nil || !strings.HasPrefix(err.Error(), "TIMEOUT topic "+topic+": partition 0 is at 0, and its high watermark was 2: an open transaction") || took < 700*time.Millisecond || took > 5*time.Second {
		t.Fatalf("KAFKA.SYNC behind an open transaction: %v, after %v", err, took)
	}
	if err := client.Get(ctx, "above").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of what the transaction hides: %v", err)
	}
	if err := fresh.Do(ctx, "KAFKA.FRESH", 600).Err(); err != nil {
		t.Fatal(err)
	}
	if err := fresh.Get(ctx, "above").Err(); err == nil || !strings.HasPrefix(err.Error(), "STALE topic "+topic+": partition 0 is ") {
		t.Errorf("GET under KAFKA.FRESH: %v", err)
	}
	synced := make(chan error, 1)
	waiting := conn(t, d)
	go func() { synced <- waiting.Do(ctx, "KAFKA.SYNC", 60_000).Err() }()
	d.Await("KAFKA.SYNC waits", func() bool {
		info, err := client.Info(ctx, "clients").Result()
		return err == nil && strings.Contains(info, "\r\nblocked_clients:1\r\n")
	})
	if err := tx.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := <-synced; err != nil {
		t.Errorf("KAFKA.SYNC when the transaction has ended: %v", err)
	}
	wantGet(t, d.Client(0), "above", "v")
	wantGet(t, d.Client(0), "open", "v")
	d.Await("reads under KAFKA.FRESH are answered again", func() bool { return fresh.Get(ctx, "above").Err() == nil })
}

// TestFreshOfAHungBroker: while the only broker hangs, reads under KAFKA.FRESH are refused from its bound on and others go on, and KAFKA.SYNC
// says what it waits for.
func TestFreshOfAHungBroker(t *testing.T) {
	c := kafkatest.Start(t, kafkatest.Options{Private: true})
	topic := c.NewTopic(t, 2, nil)
	c.Produce(t, record(topic, "k", "v"))
	d := serve(t, c, topic)
	d.WaitReady()
	awaitEnd(t, c, d, topic)
	ctx := t.Context()
	client, any := conn(t, d), conn(t, d)
	const bound = 1500 * time.Millisecond
	if err := client.Do(ctx, "KAFKA.FRESH", bound.Milliseconds()).Err(); err != nil {
		t.Fatal(err)
	}
	d.Await("it is fresh", func() bool { return client.Get(ctx, "k").Err() == nil })
	c.Brokers[0].Pause()
	began := time.Now()
	for {
		err := client.Get(ctx, "k").Err()
		if err != nil && strings.HasPrefix(err.Error(), "STALE topic "+topic+": partition ") {
			break
		}
		if err != nil || time.Since(began) > bound+time.Second { // nothing was told after the broker had stopped
			t.Fatalf("GET %v after the broker was stopped: %v", time.Since(began), err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := any.Get(ctx, "k").Err(); err != nil {
		t.Errorf("GET without a bound: %v", err)
	}
	err := any.Do(ctx, "KAFKA.SYNC", 500).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "TIMEOUT topic "+topic+": the log's end is not known: ") {
		t.Errorf("KAFKA.SYNC: %v", err)
	}
	c.Brokers[0].Resume()
	d.Await("it is fresh again", func() bool { return client.Get(ctx, "k").Err() == nil })
	if err := any.Do(ctx, "KAFKA.SYNC", 30_000).Err(); err != nil {
		t.Errorf("KAFKA.SYNC when the broker is back: %v", err)
	}
}

// reasonOfPeer is why the daemon's other peer cannot be asked, as the status says.
func reasonOfPeer(t *testing.T, d *daemontest.Daemon) (reasons string) {
	t.Helper()
	_, body, err := d.Get("/api/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{"tls", "auth", "configuration"} {
		if strings.Contains(string(body), fmt.Sprintf("%q:%q", "reason", r)) || strings.Contains(string(body), fmt.Sprintf("%q: %q", "reason", r)) {
			reasons += r
		}
	}
	return reasons
}

// TestPeersOverTLS has peers check each other's certificates both ways, with files that are wrong and renewed while they run.
func TestPeersOverTLS(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	good, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	bad, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(errors.Join(good.WriteCA(in("ca")), good.Issue(in("cert"), in("key")), good.WriteCA(in("peer-ca")), good.Issue(in("peer-cert"), in("peer-key"))))
	pods := fleet(t, c, topic, freeAddrs(t, 2), "--resp-tls-cert", in("cert"), "--resp-tls-key", in("key"), "--resp-tls-client-ca", in("ca"), "--resp-reload-interval", "100ms",
		"--peer-tls", "--peer-tls-ca", in("peer-ca"), "--peer-tls-cert", in("peer-cert"), "--peer-tls-key", in("peer-key"))
	a, b := pods[0], pods[1]
	awaitPeers(a, 1)
	awaitPeers(b, 1)
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(in("ca"))
	must(err)
	pool.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(in("cert"), in("key"))
	must(err)
	client := redis.NewClient(&redis.Options{Addr: a.RESPAddr, MaxRetries: -1, ReadTimeout: time.Minute, TLSConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}})
	defer client.Close()
	cn := client.Conn()
	defer cn.Close()
	set(t, cn, "k", "v")
	wantWait(t, cn, 2, 10*time.Second, 2)
	// reconnect has the connections to a's peer end, so that the files are read again.
	reconnect := func() {
		t.Helper()
		other := redis.NewClient(&redis.Options{Addr: b.RESPAddr, MaxRetries: -1, TLSConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}})
		defer other.Close()
		must(other.Do(context.Background(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	}
	refused := func(what string) {
		t.Helper()
		reconnect()
		a.Await("it does not believe its peer: "+what, func() bool { return a.Metric("kafka_cache_peers_connected") == 0 && reasonOfPeer(t, a) == "tls" })
		set(t, cn, "k", what)
		wantWait(t, cn, 2, 100*time.Millisecond, 1)
	}
	accepted := func() {
		t.Helper()
		awaitPeers(a, 1)
		set(t, cn, "k", "again")
		wantWait(t, cn, 2, 10*time.Second, 2)
	}
	must(bad.WriteCA(in("peer-ca")))
	refused("its authority is another")
	must(good.WriteCA(in("peer-ca")))
	accepted()
	must(bad.Issue(in("peer-cert"), in("peer-key")))
	refused("its own certificate is of another authority")
	must(good.Issue(in("peer-cert"), in("peer-key")))
	accepted()
	if a.Metric("kafka_cache_peer_errors_total", "reason=tls") < 2 {
		t.Error("that was not counted")
	}
}

// TestPeerPasswordFile changes the password that peers are asked with, and the one that they ask for, while they run.
func TestPeerPasswordFile(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, secret string) {
		t.Helper()
		if err := os.WriteFile(in(name)+".new", []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(in(name)+".new", in(name)); err != nil {
			t.Fatal(err)
		}
	}
	write("own", "first")
	write("peers", "wrong")
	pods := fleet(t, c, topic, freeAddrs(t, 2), "--resp-password-file", in("own"), "--resp-reload-interval", "100ms", "--peer-password-file", in("peers"))
	a, b := pods[0], pods[1]
	client := func(d *daemontest.Daemon, password string) *redis.Client {
		r := redis.NewClient(&redis.Options{Addr: d.RESPAddr, Password: password, MaxRetries: -1, ReadTimeout: time.Minute})
		t.Cleanup(func() { r.Close() })
		return r
	}
	cn := client(a, "first").Conn()
	defer cn.Close()
	refused := func(password, reason string) {
		t.Helper()
		if err := client(b, password).Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
		a.Await("its peer is not counted: "+reason, func() bool { return a.Metric("kafka_cache_peers_connected") == 0 && reasonOfPeer(t, a) == reason })
		set(t, cn, "k", reason)
		wantWait(t, cn, 2, 100*time.Millisecond, 1)
	}
	accepted := func() {
		t.Helper()
		awaitPeers(a, 1)
		set(t, cn, "k", "again")
		wantWait(t, cn, 2, 10*time.Second, 2)
	}
	refused("first", "auth")
	write("peers", "first")
	accepted()
	write("own", "second")
	a.Await("the new password holds", func() bool {
		return client(a, "second").Ping(t.Context()).Err() == nil && client(b, "second").Ping(t.Context()).Err() == nil
	})
	refused("second", "auth")
	write("peers", "second")
	accepted()
	if err := os.Remove(in("peers")); err != nil {
		t.Fatal(err)
	}
	refused("second", "configuration")
	write("peers", "second")
	accepted()
	for _, d := range pods {
		for _, secret := range []string{"wrong", "first", "second"} {
			if strings.Contains(d.Log(), secret) {
				t.Errorf("the log has the password %q", secret)
			}
		}
	}
}

// TestPeersOverIPv6 has peers at addresses of version 6, this instance's own among them.
func TestPeersOverIPv6(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	var addrs []string
	for _, addr := range freeAddrs(t, 2) {
		addrs = append(addrs, strings.Replace(addr, "127.0.0.1", "[::1]", 1))
	}
	pods := fleet(t, c, topic, addrs)
	for i, d := range pods {
		awaitPeers(d, 1)
		cn := conn(t, d)
		set(t, cn, "k", "v")
		wantWait(t, cn, 2, 10*time.Second, 2)
		port := addrs[1-i][strings.LastIndexByte(addrs[1-i], ':')+1:]
		if info := cn.Info(t.Context(), "replication").Val(); !strings.Contains(info, "slave0:ip=::1,port="+port+",state=online,") {
			t.Errorf("INFO: %s", info)
		}
		role, err := cn.Do(t.Context(), "ROLE").Slice()
		if err != nil || fmt.Sprint(role[2].([]any)[0].([]any)[:2]) != "[::1 "+port+"]" {
			t.Errorf("ROLE: %v, %v", role, err)
		}
	}
}
