package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// startBroker starts a private cluster's only broker again.
func startBroker(t *testing.T, c *kafkatest.Cluster) {
	t.Helper()
	if err := c.Brokers[0].Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Brokers[0].WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// stored is a data directory that an instance has left of a topic, and the token of its last write.
func stored(t *testing.T, c *kafkatest.Cluster, topic string) (dir, token string) {
	t.Helper()
	dir = t.TempDir()
	d := serve(t, c, topic, "--read-only=false", "--data-dir", dir)
	d.WaitReady()
	reply, err := d.Client(0).Do(t.Context(), "KAFKA.SET", "b", "2").Slice()
	if err != nil {
		t.Fatal(err)
	}
	d.Await("it is durable", func() bool { return d.Status().Topics[0].Durable })
	d.Stop()
	return dir, reply[2].(string)
}

// isUnverified wants that what is stored is served, and said not to have been checked.
func isUnverified(t *testing.T, d *daemontest.Daemon) {
	t.Helper()
	d.WaitReady()
	s := d.Status()
	if topic := s.Topics[0]; topic.State != "Stale" || !topic.Serving || !strings.HasPrefix(topic.Reason, "unverified: ") {
		t.Errorf("%+v", topic)
	}
	if p := s.Topics[0].Partitions[0]; p.Lag != -1 || p.End != -1 || p.LagSeconds <= 0 || p.Position <= 0 {
		t.Errorf("it does not say how far behind it is, in seconds at least: %+v", p)
	}
	if n := d.Metric("kafka_cache_state", "state=Stale"); n != 1 {
		t.Errorf("its metric says %v", n)
	}
	if code, body, err := d.Get("/readyz"); err != nil || code != 200 {
		t.Errorf("/readyz: %d, %v: %s", code, err, body)
	}
}

// TestServeUnverified starts an instance during an outage of Kafka: what it has stored is answered, and said to be unverified; what was acknowledged before
// counts as applied, and nothing else is promised. Once Kafka is back it goes on from there. Without the option it waits.
func TestServeUnverified(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Private: true})
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	dir, token := stored(t, c, topic)
	c.Produce(t, record(topic, "a", "3")) // which it has not read
	c.Brokers[0].Kill()

	d := serve(t, c, topic, "--read-only=false", "--data-dir", dir)
	d.Await("it is found that Kafka is not there", func() bool { return strings.Contains(d.Status().Topics[0].Reason, "unavailable") })
	if err := d.Client(0).Get(t.Context(), "a").Err(); err == nil || !strings.HasPrefix(err.Error(), "LOADING ") {
		t.Errorf("a GET without the option: %v", err)
	}
	d.Stop()

	d = serve(t, c, topic, "--read-only=false", "--data-dir", dir, "--serve-unverified")
	isUnverified(t, d)
	client := d.Client(0)
	wantContents(t, client, map[string]string{"a": "1", "b": "2"})
	if n, err := client.Do(t.Context(), "KAFKA.WAIT", token, 1000).Int(); n != 1 || err != nil {
		t.Errorf("KAFKA.WAIT for what is stored: %d, %v", n, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.Set(ctx, "b", "4", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN ") && !strings.HasPrefix(err.Error(), "UNKNOWN ") {
		t.Errorf("SET: %v", err)
	}
	conn := client.Conn()
	defer conn.Close()
	if err := conn.Do(ctx, "KAFKA.FRESH", 1).Err(); err != nil {
		t.Error(err)
	} else if err := conn.Get(ctx, "a").Err(); err == nil || !strings.HasPrefix(err.Error(), "STALE ") {
		t.Errorf("a GET that is to be fresh: %v", err)
	}

	startBroker(t, c)
	awaitGet(t, d, client, "a", "3")
	d.Await("its state is Ready", func() bool { return d.Status().State == "Ready" })
	if err := client.Set(ctx, "c", "5", 0).Err(); err != nil {
		t.Errorf("SET once Kafka is back: %v", err)
	}
	sameContents(t, "the instance", contents(t, client), logContents(t, c, topic))
	if n := d.Status().Topics[0].Rebuilds; len(n) > 0 {
		t.Errorf("it was made anew: %v", n)
	}
}

// TestServeUnverifiedOfAnotherTopic serves what is stored of a topic that was deleted and created again while the instance was stopped: until Kafka is there to
// say so, and not a moment longer.
func TestServeUnverifiedOfAnotherTopic(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Private: true})
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	dir, token := stored(t, c, topic)
	c.DeleteTopic(t, topic)
	c.CreateTopic(t, topic, 1, nil)
	c.Produce(t, record(topic, "new", "1"))
	c.Brokers[0].Kill()

	d := serve(t, c, topic, "--data-dir", dir, "--serve-unverified")
	isUnverified(t, d)
	client := d.Client(0)
	wantContents(t, client, map[string]string{"a": "1", "b": "2"})
	startBroker(t, c)
	awaitGet(t, d, client, "new", "1")
	wantContents(t, client, map[string]string{"new": "1"})
	if n := d.Status().Topics[0].Rebuilds["recreated"]; n != 1 {
		t.Errorf("made anew %d times since the topic was recreated", n)
	}
	if err := client.Do(t.Context(), "KAFKA.WAIT", token, 1000).Err(); err == nil {
		t.Error("a token of the topic that there is no more is not refused")
	}
}
