package integration

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// awaitStarting waits until the instance is live, not ready, and Starting with a reason that has the text.
func awaitStarting(t *testing.T, d *daemontest.Daemon, reason string) {
	t.Helper()
	d.WaitLive()
	d.Await(fmt.Sprintf("it is Starting because of %q", reason), func() bool {
		s := d.Status()
		return s.State == "Starting" && len(s.Topics) == 1 && s.Topics[0].State == "Starting" && strings.Contains(s.Topics[0].Reason, reason)
	})
	if code, body, err := d.Get("/readyz"); err != nil || code != 503 {
		t.Errorf("/readyz: %d, %v: %s", code, err, body)
	}
	if err := d.Client(0).Get(t.Context(), "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "LOADING ") {
		t.Errorf("GET while it is Starting: %v", err)
	}
}

// TestUnreachableBrokers: nobody listens at the brokers' address. That is no error of
// configuration; the instance waits, live, and says for what.
func TestUnreachableBrokers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // a port that refuses
	d := daemontest.Start(t, "--kafka-bootstrap", addr, "--topic", "users")
	awaitStarting(t, d, addr)
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM while it is Starting", code)
	}
}

// TestStartupTimeout ends an instance that was told not to wait for ever, with 1.
func TestStartupTimeout(t *testing.T) {
	code, printed := daemontest.Run(t, "serve", "--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
		"--kafka-bootstrap", "127.0.0.1:1", "--topic", "users", "--startup-timeout", "1s")
	if code != 1 || !strings.Contains(printed, "127.0.0.1:1") {
		t.Errorf("exit code %d, want 1; printed:\n%s", code, printed)
	}
}

// TestAbsentTopicAppears waits for a topic, and then for partitions that are added to it.
func TestAbsentTopicAppears(t *testing.T) {
	t.Parallel()
	c := kafkatest.Shared(t)
	topic := kafkatest.RandomName(t)
	d := serve(t, c, topic)
	awaitStarting(t, d, topic)
	c.CreateTopic(t, topic, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	d.WaitReady()
	client := d.Client(0)
	awaitGet(t, d, client, "a", "1")

	c.AddPartitions(t, topic, 3)
	began := time.Now()
	c.ProduceTo(t,
		&kgo.Record{Topic: topic, Partition: 1, Key: []byte("b"), Value: []byte("2")},
		&kgo.Record{Topic: topic, Partition: 2, Key: []byte("c"), Value: []byte("3")})
	awaitGet(t, d, client, "b", "2")
	awaitGet(t, d, client, "c", "3")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("new partitions found after %v", took)
	}
	awaitEnd(t, c, d, topic)
	wantContents(t, client, map[string]string{"a": "1", "b": "2", "c": "3"})
}

// TestBrokerOutage: an instance that was ready serves on while its broker is away, refuses
// writes as ones to try again, and reads on when the broker is back.
func TestBrokerOutage(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Private: true})
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	d := serve(t, c, topic, "--read-only=false")
	d.WaitReady()
	client := d.Client(0)
	if err := client.Set(t.Context(), "b", "2", 0).Err(); err != nil {
		t.Fatal(err)
	}
	c.Brokers[0].Kill()
	d.Await("its state is Stale", func() bool { return d.Status().State == "Stale" })
	wantContents(t, client, map[string]string{"a": "1", "b": "2"})
	if code, body, err := d.Get("/readyz"); err != nil || code != 200 {
		t.Errorf("/readyz during an outage: %d, %v: %s", code, err, body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	if err := client.Set(ctx, "b", "3", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN ") && !strings.HasPrefix(err.Error(), "UNKNOWN ") {
		t.Errorf("SET during an outage: %v", err)
	} else {
		t.Logf("SET during an outage, after %v: %v", time.Since(began), err)
	}
	if err := c.Brokers[0].Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := c.Brokers[0].WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	c.Produce(t, record(topic, "c", "4"))
	awaitGet(t, d, client, "c", "4")
	d.Await("its state is Ready", func() bool { return d.Status().State == "Ready" })
	if err := client.Set(t.Context(), "d", "5", 0).Err(); err != nil {
		t.Errorf("SET after the outage: %v", err)
	}
	sameContents(t, "the instance", contents(t, client), logContents(t, c, topic))
}

// TestPausedLeader stops the leader's process without closing its connections: reading
// and writing go on from the new leader within seconds, not after a socket time-out.
func TestPausedLeader(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	topic := c.NewTopic(t, 2, nil)
	c.Produce(t, record(topic, "a", "1"))
	d := serve(t, c, topic, "--read-only=false")
	d.WaitReady()
	client := d.Client(0)
	wantGet(t, client, "a", "1")
	topics, err := c.Admin(t).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	leader := c.Brokers[topics[topic].Partitions[0].Leader-1]
	leader.Pause()
	defer leader.Resume()

	other := c.Client(t, kgo.RequestTimeoutOverhead(time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := other.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 0, Key: []byte("b"), Value: []byte("2")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	electedIn := time.Since(began)
	awaitGet(t, d, client, "b", "2")
	took := time.Since(began)
	t.Logf("acknowledged by the new leader after %v, served after %v", electedIn, took)
	if took-electedIn > 10*time.Second {
		t.Errorf("served %v after the new leader had it", took-electedIn)
	}
	d.Await("a SET is acknowledged", func() bool { return client.Set(t.Context(), "c", "3", 0).Err() == nil })
	leader.Resume()
	// Until it follows the new leader it answers as the leader that it was, the test's own questions too.
	d.Await("the paused broker follows the new leader", func() bool {
		topics, err := c.Admin(t).ListTopics(t.Context(), topic)
		if err != nil {
			return false
		}
		for _, p := range topics[topic].Partitions {
			if p.Leader == int32(leader.ID) || !slices.Contains(p.ISR, int32(leader.ID)) {
				return false
			}
		}
		return true
	})
	awaitEnd(t, c, d, topic)
	sameContents(t, "the instance", contents(t, client), logContents(t, c, topic))
}
