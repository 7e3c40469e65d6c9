package rollout

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// fleet is instances of one topic behind a balancer, under load.
type fleet struct {
	t        *testing.T
	cluster  *kafkatest.Cluster
	topic    string
	balancer *balancer
	args     []string
	started  int
	load     *load
}

// pod is an instance of a fleet.
type pod struct {
	*daemontest.Daemon
	endpoint *endpoint
	dir      string
}

func newFleet(t *testing.T, p probe, args ...string) *fleet {
	t.Helper()
	c := kafkatest.Shared(t)
	f := &fleet{t: t, cluster: c, topic: c.NewTopic(t, 3, nil), balancer: newBalancer(t, p), args: args}
	records := make([]*kgo.Record, stableKeys)
	for i := range records {
		key, value := stable(i)
		records[i] = &kgo.Record{Topic: f.topic, Key: []byte(key), Value: []byte(value)}
	}
	c.Produce(t, records...)
	return f
}

// start runs an instance on a directory, and returns when the balancer has it.
func (f *fleet) start(dir string) *pod {
	f.t.Helper()
	f.started++
	args := append([]string{"--kafka-bootstrap", f.cluster.Addr(), "--topic", f.topic, "--identity", fmt.Sprint("test.", f.topic, ".", f.started), "--value-encoding", "utf-8",
		"--read-only=false", "--apply-timeout", "15s", "--data-dir", dir}, f.args...)
	d := daemontest.Start(f.t, args...)
	p := &pod{Daemon: d, endpoint: f.balancer.add(d), dir: dir}
	d.Await("the balancer has it", func() bool { return f.balancer.isReady(p.endpoint) })
	return p
}

// startLoad has clients of go-redis as its users make them, which go through the balancer, and such that repeat nothing and are connected to the instances themselves.
func (f *fleet) startLoad() {
	f.load = newLoad(f.t)
	f.load.run("through the balancer", func() *redis.Client { return redis.NewClient(&redis.Options{Addr: f.balancer.addr()}) })
	f.load.run("direct, without repeats", func() *redis.Client {
		return redis.NewClient(&redis.Options{Addr: "any", Dialer: f.balancer.dial, MaxRetries: -1})
	})
}

// stop ends an instance in order, and asks that it was served to the end.
func (f *fleet) stop(p *pod) {
	f.t.Helper()
	if n := p.Metric("kafka_cache_resp_connections"); n == 0 {
		f.t.Errorf("nobody is connected to an instance that is to end")
	}
	if code := p.Stop(); code != 0 {
		f.t.Errorf("exit code %d", code)
	}
	if strings.Contains(p.Log(), "were cut") {
		f.t.Error("connections were cut, see the log")
	}
}

// TestRolloutOfADeployment replaces pods as a Deployment's rollout does, with the times of deploy/base: the new pod is ready before the old one is deleted, which takes that out of
// the endpoints, runs its preStop, and sends SIGTERM.
func TestRolloutOfADeployment(t *testing.T) {
	t.Parallel()
	e := baseEnding(t)
	f := newFleet(t, e.probe, "--shutdown-grace", e.grace.String(), "--shutdown-timeout", e.timeout.String())
	old := []*pod{f.start(t.TempDir()), f.start(t.TempDir()), f.start(t.TempDir())}
	f.startLoad()
	f.load.awaitRequests(500)
	var deleted sync.WaitGroup
	for _, p := range old {
		f.start(t.TempDir())
		deleted.Go(func() { // the next new pod does not wait for it
			f.balancer.remove(p.endpoint)
			<-time.After(e.preStop)
			f.stop(p)
		})
	}
	deleted.Wait()
	f.load.awaitRequests(500)
	f.load.report()
}

// TestRolloutOfAStatefulSet restarts one instance after the other on its own data, by SIGTERM alone: the balancer learns from /readyz that it is to send no more there.
func TestRolloutOfAStatefulSet(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	f := newFleet(t, probe{period: 100 * time.Millisecond, failures: 2}, "--shutdown-grace", grace.String())
	pods := []*pod{f.start(t.TempDir()), f.start(t.TempDir()), f.start(t.TempDir())}
	f.startLoad()
	f.load.awaitRequests(500)
	for _, p := range pods {
		f.stop(p)
		f.balancer.remove(p.endpoint)
		f.start(p.dir)
		f.load.awaitRequests(500)
	}
	f.load.report()
}
