package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/sample"
)

// Model is what the topics are filled with: the same ids at each start.
var Model = sample.Model{Seed: 1, Organizations: 10, Users: 200, Sessions: 500}

const (
	partitions     = 3
	changeInterval = 500 * time.Millisecond
	// clusterID stays the same, so that a data directory is not another cluster's at the next start. Its topics are new ones.
	clusterID = "kafka-cache-dev"
)

// Broker is a broker on loopback. Close it when nothing uses it any more.
type Broker struct {
	cluster  *kfake.Cluster
	producer *kafka.Producer
	log      *slog.Logger
	changes  time.Duration
}

// Start makes a broker on a free port with the model's topics, which are empty.
func Start(logger *slog.Logger) (*Broker, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(clusterID),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, "127.0.0.1:0") }),
	)
	if err != nil {
		return nil, fmt.Errorf("start the development broker: %w", err)
	}
	b := &Broker{cluster: cluster, log: logger, changes: changeInterval}
	for _, topic := range sample.Topics() {
		if err := cluster.CreateTopic(topic, partitions, map[string]string{"cleanup.policy": "compact"}); err != nil {
			cluster.Close()
			return nil, fmt.Errorf("create topic %s on the development broker: %w", topic, err)
		}
	}
	b.producer, err = kafka.NewProducer(kafka.ProducerConfig{Kafka: kafka.Config{
		Bootstrap: b.Addrs(), ClientID: "kafka-cache-dev-sample", Logger: logger,
	}})
	if err != nil {
		cluster.Close()
		return nil, fmt.Errorf("start the development broker: %w", err)
	}
	return b, nil
}

// Addrs is where the broker listens.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Fill writes the model and returns when all of it is acknowledged.
func (b *Broker) Fill(ctx context.Context) error {
	var results []<-chan error
	for r := range Model.All() {
		results = append(results, b.write(r))
	}
	for _, result := range results {
		select {
		case err := <-result:
			if err != nil {
				return fmt.Errorf("fill the development broker: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("fill the development broker: %w", ctx.Err())
		}
	}
	return nil
}

// Run keeps the model changing until ctx ends (nil): users are renamed, sessions begin and end. A change that fails is logged.
func (b *Broker) Run(ctx context.Context) error {
	ticker := time.NewTicker(b.changes)
	defer ticker.Stop()
	c := newChanges()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		select {
		case err := <-c.next(b):
			if err != nil {
				b.log.Warn("a change of the sample model was not written", "error", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Close ends the producer and the broker.
func (b *Broker) Close(ctx context.Context) error {
	err := b.producer.Close(ctx)
	b.cluster.Close()
	if err != nil && !errors.Is(err, kafka.ErrClosed) {
		return fmt.Errorf("close the development broker: %w", err)
	}
	return nil
}

func (b *Broker) write(r sample.Record) <-chan error {
	value, err := sample.Encode(r)
	if err != nil {
		result := make(chan error, 1)
		result <- err
		return result
	}
	return b.produce(r.Topic(), r.Key(), value)
}

func (b *Broker) produce(topic, key string, value []byte) <-chan error {
	result := make(chan error, 1)
	b.producer.Produce(topic, kafka.ProduceRecord{Key: []byte(key), Value: value}, func(_ kafka.Produced, err error) { result <- err })
	return result
}

// changes says what happens next to the model.
type changes struct {
	rand     *rand.Rand
	revision int
	open     []int // numbers of sessions that have not ended
	started  int   // sessions ever
}

func newChanges() *changes {
	c := &changes{rand: rand.New(rand.NewPCG(Model.Seed, 2)), started: Model.Sessions}
	for i := range Model.Sessions {
		c.open = append(c.open, i)
	}
	return c
}

// next renames a user, or ends a session where there are as many as at first, and begins one where there are fewer.
func (c *changes) next(b *Broker) <-chan error {
	if c.rand.IntN(2) == 0 {
		c.revision++
		return b.write(Model.RenamedUser(c.rand.IntN(Model.Users), c.revision))
	}
	if len(c.open) < Model.Sessions {
		s := Model.Session(c.started)
		c.open = append(c.open, c.started)
		c.started++
		return b.write(s)
	}
	i := c.rand.IntN(len(c.open))
	ended := Model.SessionID(c.open[i])
	c.open[i] = c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	return b.produce(sample.Sessions, ended.String(), nil)
}
