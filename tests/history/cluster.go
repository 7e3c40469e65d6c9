package history

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// cluster is a Kafka that each instance reaches through proxies of its own, beside the listeners that everybody else uses.
type cluster struct {
	kafka   *kafkatest.Cluster
	proxies [instances][]*proxy // by broker
	fronts  [instances]*proxy   // of instances, for their peers: an address that stays, whatever port they listen on
	client  *kgo.Client
	admin   *kadm.Client
}

func startCluster(ctx context.Context, brokers int) (*cluster, error) {
	c := &cluster{}
	targets, err := kafkatest.FreeAddrs(brokers * instances)
	if err != nil {
		return nil, err
	}
	for i := range instances {
		if c.fronts[i], err = newProxy(""); err != nil {
			c.close()
			return nil, err
		}
		for b := range brokers {
			p, err := newProxy(targets[b*instances+i])
			if err != nil {
				c.close()
				return nil, err
			}
			c.proxies[i] = append(c.proxies[i], p)
		}
	}
	c.kafka, err = kafkatest.Open(ctx, kafkatest.Options{Brokers: brokers, Private: true, Adjust: func(id int, settings map[string]string) {
		for i := range instances {
			name := "INSTANCE" + instanceName(i)
			settings["listeners"] += "," + name + "://" + targets[(id-1)*instances+i]
			settings["advertised.listeners"] += "," + name + "://" + c.proxies[i][id-1].addr()
			settings["listener.security.protocol.map"] += "," + name + ":PLAINTEXT"
		}
	}})
	if err != nil {
		c.close()
		return nil, err
	}
	c.client, err = kgo.NewClient(kgo.SeedBrokers(c.kafka.Bootstrap...), kgo.MetadataMinAge(50*time.Millisecond), kgo.RetryTimeout(20*time.Second))
	if err != nil {
		c.close()
		return nil, err
	}
	c.admin = kadm.NewClient(c.client)
	return c, nil
}

// bootstrap is the bootstrap list of an instance; one that has no proxies reaches the brokers directly.
func (c *cluster) bootstrap(instance int) string {
	if instance >= instances {
		return c.kafka.Addr()
	}
	var addrs []string
	for _, p := range c.proxies[instance] {
		addrs = append(addrs, p.addr())
	}
	return strings.Join(addrs, ",")
}

// peers is the list of all instances for each other.
func (c *cluster) peers() string {
	var addrs []string
	for _, p := range c.fronts {
		addrs = append(addrs, p.addr())
	}
	return strings.Join(addrs, ",")
}

// createTopic creates a compacted topic whose records nothing is compacted away of during a run, and returns once every
// partition has a leader.
func (c *cluster) createTopic(ctx context.Context, name string) error {
	compact := "compact"
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := c.admin.CreateTopic(ctx, partitions, int16(len(c.kafka.Brokers)), map[string]*string{"cleanup.policy": &compact}, name)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	return c.awaitReplicas(ctx, name)
}

// awaitReplicas returns once every partition has a leader and all replicas are in sync.
func (c *cluster) awaitReplicas(ctx context.Context, topic string) error {
	return poll(ctx, "every partition of "+topic+" has its replicas in sync", func(ctx context.Context) bool {
		m, err := c.admin.Metadata(ctx, topic)
		if err != nil || len(m.Topics[topic].Partitions) != partitions {
			return false
		}
		for _, p := range m.Topics[topic].Partitions {
			if p.Err != nil || p.Leader < 0 || len(p.ISR) < len(c.kafka.Brokers) {
				return false
			}
		}
		return true
	})
}

// poll asks done again and again until it is true or ctx ends.
func poll(ctx context.Context, what string, done func(context.Context) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
	return nil
}

func (c *cluster) close() {
	if c.client != nil {
		c.client.Close()
	}
	if c.kafka != nil {
		c.kafka.Close()
	}
	for _, proxies := range c.proxies {
		for _, p := range proxies {
			p.close()
		}
	}
	for _, p := range c.fronts {
		if p != nil {
			p.close()
		}
	}
}
