package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

const patience = 60 * time.Second

func TestMain(m *testing.M) { os.Exit(daemontest.Main(m.Run)) }

// instance is a daemon in a pod.
type instance struct {
	pod
	t    *testing.T
	proc *childproc.Process
	mu   sync.Mutex
	log  []string
}

// start runs the container of the manifest in a pod, as its user and without capabilities.
func (m manifest) start(t *testing.T, p pod, f files) *instance {
	t.Helper()
	program := filepath.Join(f.root, "kafka-cache") // where whoever is not root may read it
	text, err := os.ReadFile(daemontest.Binary(t))
	if err == nil {
		err = os.WriteFile(program, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"netns", "exec", p.namespace, "setpriv", fmt.Sprintf("--reuid=%d", m.SecurityContext.RunAsUser), fmt.Sprintf("--regid=%d", m.SecurityContext.RunAsGroup),
		"--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", program}
	for _, a := range m.Args {
		args = append(args, strings.TrimSuffix(m.moved(f, a+"\n"), "\n"))
	}
	cmd := exec.Command("ip", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, m.environment(t, p.name)...)
	cmd.Dir = f.root
	i := &instance{pod: p, t: t}
	i.proc, err = childproc.Start(cmd, func(line string) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.log = append(i.log, line)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		i.proc.Kill()
		i.mu.Lock()
		defer i.mu.Unlock()
		if out := strings.Join(i.log, "\n"); t.Failed() || strings.Contains(out, "DATA RACE") {
			t.Errorf("%s printed:\n%s", p.name, out)
		}
	})
	return i
}

// get asks a pod's admin port from a namespace.
func get(from string, p pod, path string) (code int, body string, err error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(_ context.Context, _, addr string) (net.Conn, error) { return dial(from, addr) },
	}}
	res, err := client.Get("http://" + p.addr + ":8080" + path)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// await polls until done, and ends the test when the daemon does or after patience.
func (i *instance) await(what string, done func() bool) {
	i.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-i.proc.Done():
			i.t.Fatalf("%s ended with %d while it was awaited that %s", i.name, i.proc.ExitCode(), what)
		case <-deadline:
			i.t.Fatalf("%s: after %v it is not so that %s", i.name, patience, what)
		}
	}
}

func (i *instance) awaitReady(from string) {
	i.t.Helper()
	i.await("it is ready", func() bool {
		code, _, err := get(from, i.pod, "/readyz")
		return err == nil && code == http.StatusOK
	})
}

// client is a Redis client in a namespace, of database 0.
func client(t *testing.T, from, addr, password string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: net.JoinHostPort(addr, "6379"), Password: password, MaxRetries: -1, DisableIdentity: true,
		Dialer: func(_ context.Context, _, addr string) (net.Conn, error) { return dial(from, addr) }})
	t.Cleanup(func() { c.Close() })
	return c
}

// broker is a Kafka in the hub, at the address that the configuration has, with one user in the topic.
func (n *network) broker(key, value string) {
	n.t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(2, "users"),
		kfake.ListenFn(func(_, addr string) (net.Listener, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return listen(n.hub, net.JoinHostPort(hubAddr, port))
		}))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	producer, err := kgo.NewClient(kgo.SeedBrokers(net.JoinHostPort(hubAddr, "9092")),
		kgo.Dialer(func(_ context.Context, _, addr string) (net.Conn, error) { return dial(n.hub, addr) }))
	if err != nil {
		n.t.Fatal(err)
	}
	defer producer.Close()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "users", Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
		n.t.Fatal(err)
	}
}

// greeting is all that a pod says to a connection which says nothing, until it closes it.
func greeting(t *testing.T, from, addr string) string {
	t.Helper()
	conn, err := dial(from, net.JoinHostPort(addr, "6379"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("after %q: %v", said, err)
	}
	return string(said)
}

const (
	user  = `{"name":"Ann"}`
	right = "correct horse battery staple"
)

// TestPodsReadEachOther runs two pods of the base, with its arguments, environment, configuration, user, and a password as its Secret mounts it. From other pods they answer
// those who know the password, the probes' and Prometheus's paths, and each other; and one that is told to end serves on while it is not ready any more.
func TestPodsReadEachOther(t *testing.T) {
	n := newNetwork(t)
	m, config := baseManifest(t)
	pods := n.pods(map[string][]string{"kafka-cache-headless": {"cache-0", "cache-1"}}, "cache-0", "cache-1", "client")
	n.broker("ann", user)
	a := m.start(t, pods["cache-0"], m.mount(t, config, right+"\n"))
	b := m.start(t, pods["cache-1"], m.mount(t, config, right+"\n"))
	from := pods["client"].namespace
	a.awaitReady(from)
	b.awaitReady(from)
	ctx := t.Context()

	for _, asker := range []string{"client", "cache-1"} { // a pod of a service, and an instance
		if got, err := client(t, pods[asker].namespace, a.addr, right).Get(ctx, "ann").Result(); got != user || err != nil {
			t.Errorf("GET from %s: %q, %v", asker, got, err)
		}
	}
	if err := client(t, from, a.addr, "").Get(ctx, "ann").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Errorf("GET without a password: %v", err)
	}
	if err := client(t, from, a.addr, "guess").Get(ctx, "ann").Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
		t.Errorf("GET with a wrong password: %v", err)
	}
	if err := client(t, from, a.addr, right).Set(ctx, "ann", user, 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("SET where read-only is configured: %v", err)
	}
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/api/v1/status": `"users.cache-0"`, "/metrics": `kafka_cache_ready{topic="users"} 1`} {
		if code, body, err := get(from, a.pod, path); err != nil || code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %v, without %q:\n%s", path, code, err, want, body)
		}
	}
	for _, i := range []*instance{a, b} { // found by the headless Service's name, and believed by the password
		i.await("its peer is connected", func() bool {
			_, body, err := get(from, i.pod, "/metrics")
			return err == nil && strings.Contains(body, "\nkafka_cache_peers_connected 1\n")
		})
	}

	a.proc.Signal(syscall.SIGTERM)
	a.await("it is not ready any more", func() bool {
		code, _, err := get(from, a.pod, "/readyz")
		return err == nil && code == http.StatusServiceUnavailable
	})
	if got, err := client(t, from, a.addr, right).Get(ctx, "ann").Result(); got != user || err != nil {
		t.Errorf("a new connection during the grace: %q, %v", got, err)
	}
	select {
	case <-a.proc.Done():
		if code := a.proc.ExitCode(); code != 0 {
			t.Errorf("exit code %d after SIGTERM", code)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
	if got, err := client(t, from, b.addr, right).Get(ctx, "ann").Result(); got != user || err != nil {
		t.Errorf("the other one: %q, %v", got, err)
	}
}

// TestPodsProtectThemselves takes the password away: protected mode then refuses whoever is not in the pod itself; and a password whose file is not there is an error, not none.
func TestPodsProtectThemselves(t *testing.T) {
	n := newNetwork(t)
	m, config := baseManifest(t)
	pods := n.pods(map[string][]string{"kafka-cache-headless": {"cache-0"}}, "cache-0", "cache-1", "client")
	n.broker("ann", user)
	var without []string
	for line := range strings.Lines(config) {
		if !strings.Contains(line, "password") {
			without = append(without, line)
		}
	}
	open := m.start(t, pods["cache-0"], m.mount(t, strings.Join(without, ""), ""))
	from := pods["client"].namespace
	open.awaitReady(from)
	if said := greeting(t, from, open.addr); !strings.HasPrefix(said, "-DENIED ") {
		t.Errorf("another pod is told %q", said)
	}
	if got, err := client(t, open.namespace, "127.0.0.1", "").Get(t.Context(), "ann").Result(); got != user || err != nil {
		t.Errorf("GET within the pod: %q, %v", got, err)
	}
	if said := greeting(t, open.namespace, open.addr); !strings.HasPrefix(said, "-DENIED ") {
		t.Errorf("the pod itself, not over loopback, is told %q", said)
	}

	missing := m.start(t, pods["cache-1"], m.mount(t, config, ""))
	select {
	case <-missing.proc.Done():
		if code := missing.proc.ExitCode(); code != 2 {
			t.Errorf("without the password's file the exit code is %d", code)
		}
	case <-time.After(patience):
		t.Error("without the password's file it runs")
	}
	if _, err := dial(from, net.JoinHostPort(missing.addr, "6379")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("its port: %v", err)
	}
}
