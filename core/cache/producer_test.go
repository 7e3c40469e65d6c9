package cache

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
)

func TestProducerConfig(t *testing.T) {
	reach := kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}
	topics := func(all ...TopicConfig) []TopicConfig { return all }
	taken := prometheus.NewRegistry()
	p, err := OpenProducer(t.Context(), ProducerConfig{Kafka: reach, Topics: topics(TopicConfig{Name: "a"}), Registerer: taken})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for what, cfg := range map[string]ProducerConfig{
		"no broker":               {Topics: topics(TopicConfig{Name: "a"})},
		"no topic":                {Kafka: reach},
		"a topic twice":           {Kafka: reach, Topics: topics(TopicConfig{Name: "a"}, TopicConfig{Name: "a"})},
		"an illegal name":         {Kafka: reach, Topics: topics(TopicConfig{Name: "a b"})},
		"an unknown encoding":     {Kafka: reach, Topics: topics(TopicConfig{Name: "a", ValueEncoding: "xml"})},
		"an encoding of values":   {Kafka: reach, Topics: topics(TopicConfig{Name: "a", KeyEncoding: "json.gzip"})},
		"a codec's name is taken": {Kafka: reach, Topics: topics(TopicConfig{Name: "a", ValueCodec: shouting{name: "json"}})},
		"a rule without a name":   {Kafka: reach, Topics: topics(TopicConfig{Name: "a", ValidateWrite: &policy.ValueRule{Check: func(_, _ []byte) error { return nil }}})},
		"a time below 0":          {Kafka: reach, Topics: topics(TopicConfig{Name: "a"}), Timeout: -1},
		"a time of a nanosecond":  {Kafka: reach, Topics: topics(TopicConfig{Name: "a"}), Timeout: 1},
		"a registry that has it":  {Kafka: reach, Topics: topics(TopicConfig{Name: "b"}), Registerer: taken},
	} {
		if _, err := OpenProducer(t.Context(), cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenProducer(ended, ProducerConfig{Kafka: reach, Topics: topics(TopicConfig{Name: "a"})}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestProducerRunsItsCodecs: one that works in the background does so until Close, which waits for it.
func TestProducerRunsItsCodecs(t *testing.T) {
	running := &running{shouting: shouting{name: "shouting"}, began: make(chan struct{}), ended: make(chan struct{})}
	p, err := OpenProducer(t.Context(), ProducerConfig{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, Topics: []TopicConfig{{Name: "a", ValueCodec: running}}})
	if err != nil {
		t.Fatal(err)
	}
	<-running.began
	select {
	case <-running.ended:
		t.Error("it ended before Close")
	default:
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-running.ended:
	default:
		t.Error("Close did not wait for it")
	}
}

type running struct {
	shouting
	began, ended chan struct{}
}

func (r *running) Run(ctx context.Context) {
	close(r.began)
	<-ctx.Done()
	close(r.ended)
}

// TestRegistryIsLeftAsItWas: a Cache that cannot register everything registers nothing, and one that has run takes out what it had.
func TestRegistryIsLeftAsItWas(t *testing.T) {
	r := prometheus.NewRegistry()
	last := newMetrics(&Cache{}).deadLetters
	r.MustRegister(last)
	cfg := configOf(TopicConfig{Name: "a"})
	cfg.Registerer = r
	if _, err := New(cfg); !errors.Is(err, ErrConfig) {
		t.Fatalf("%v", err)
	}
	if names := gathered(t, r); len(names) != 0 {
		t.Errorf("registered are %v", names)
	}
	r.Unregister(last)
	for range 2 {
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if names := gathered(t, r); !slices.Contains(names, "kafka_cache_ready") {
			t.Errorf("registered are %v", names)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Run(ended); err != nil {
			t.Fatal(err)
		}
		if names := gathered(t, r); len(names) != 0 {
			t.Errorf("left are %v", names)
		}
	}
}

// gathered are the names of the metrics that a registry has.
func gathered(t *testing.T, r *prometheus.Registry) (names []string) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return names
}
