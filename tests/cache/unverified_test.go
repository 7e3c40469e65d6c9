package cache_test

import (
	"errors"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/yolean/kafka-cache/core/cache"
)

// TestUnverifiedOfAnotherCluster: what is stored is served while nobody answers, and not any more once another cluster does, which ends Run as at any
// other start. What is not complete by these rules is not served at all.
func TestUnverifiedOfAnotherCluster(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("k"), []byte(`"v"`))
	cfg := b.config(cache.TopicConfig{Name: "t"})
	cfg.DataDir = t.TempDir()
	c, topic := ready(t, cfg)
	eventually(t, "it is durable", func() bool { return topic.Status().Durable })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	cfg.Kafka.Bootstrap = []string{l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.ServeUnverified = true

	otherRules := cfg
	otherRules.Topics = []cache.TopicConfig{{Name: "t", ValueEncoding: "binary"}}
	c = open(t, otherRules)
	eventually(t, "it is found that nobody answers", func() bool { return c.Topics()[0].Status().Reason != "no broker has answered yet" })
	if c.Topics()[0].Ready() {
		t.Error("what other rules made of the log is served unverified")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c, err = cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context()) }()
	topic = c.Topics()[0]
	if err := topic.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := topic.Status(); s.State != cache.Stale {
		t.Errorf("%+v", s)
	}
	if v, err := topic.Get([]byte("k")); string(v) != `"v"` || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	other := startBroker(t, kfake.ClusterID("another-cluster-000000"), kfake.Ports(port))
	other.create("t", 1)
	if err := <-ended; !errors.Is(err, cache.ErrConfig) {
		t.Errorf("another cluster's directory: %v", err)
	}
	if v, err := topic.Get([]byte("k")); err == nil {
		t.Errorf("it answers %q though that is of another cluster", v)
	}
}
