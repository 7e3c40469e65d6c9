package kafkatest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// adminClient connects on first use.
type adminClient struct {
	mu     sync.Mutex
	client *kgo.Client
}

// newClient does not wait 5 s, as is franz-go's default, before it looks again for a topic that was not there yet.
func newClient(bootstrap []string, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(50 * time.Millisecond)}, opts...)...)
}

func (a *adminClient) get(bootstrap []string) (*kadm.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client == nil {
		client, err := newClient(bootstrap, kgo.RequestRetries(8), kgo.RetryTimeout(20*time.Second))
		if err != nil {
			return nil, err
		}
		a.client = client
	}
	return kadm.NewClient(a.client), nil
}

func (a *adminClient) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		a.client.Close()
		a.client = nil
	}
}

// adminTimeout bounds one look-up or change, and the wait for its effect.
const adminTimeout = 30 * time.Second

// Admin is a franz-go admin client for what the helpers of this package do not offer. It is closed with the cluster.
func (c *Cluster) Admin(tb testing.TB) *kadm.Client {
	tb.Helper()
	a, err := c.admin.get(c.Bootstrap)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

var notInTopicNames = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// NewTopic creates a topic of a name of its own, which starts with the test's, and returns the name.
func (c *Cluster) NewTopic(tb testing.TB, partitions int, config map[string]string) string {
	tb.Helper()
	name := RandomName(tb)
	c.CreateTopic(tb, name, partitions, config)
	return name
}

// RandomName is a name for a topic, a group or a transaction, which starts with the test's.
func RandomName(tb testing.TB) string {
	return fmt.Sprintf("%.80s-%08x", notInTopicNames.ReplaceAllString(tb.Name(), "-"), rand.Uint32())
}

// CreateTopic creates a topic with the broker's default number of replicas, and returns
// once every partition has a leader. The topic is deleted when the test ends, if it is still there.
func (c *Cluster) CreateTopic(tb testing.TB, name string, partitions int, config map[string]string) {
	tb.Helper()
	settings := map[string]*string{}
	for k, v := range config {
		settings[k] = kadm.StringPtr(v)
	}
	c.change(tb, "create topic "+name, func(ctx context.Context, a *kadm.Client) error {
		_, err := a.CreateTopic(ctx, int32(partitions), -1, settings, name)
		return err
	})
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if a, err := c.admin.get(c.Bootstrap); err == nil {
			_, _ = a.DeleteTopic(ctx, name) // it may be gone, and so may the brokers
		}
	})
	c.awaitPartitions(tb, name, partitions)
}

// DeleteTopic deletes a topic and returns once the brokers do not know it any more.
func (c *Cluster) DeleteTopic(tb testing.TB, name string) {
	tb.Helper()
	c.change(tb, "delete topic "+name, func(ctx context.Context, a *kadm.Client) error {
		_, err := a.DeleteTopic(ctx, name)
		return err
	})
	c.await(tb, "topic "+name+" is gone", func(ctx context.Context, a *kadm.Client) bool {
		topics, err := a.ListTopics(ctx, name)
		return err == nil && !topics.Has(name)
	})
}

// AddPartitions makes it total partitions in all and returns once each has a leader.
func (c *Cluster) AddPartitions(tb testing.TB, name string, total int) {
	tb.Helper()
	c.change(tb, "add partitions to "+name, func(ctx context.Context, a *kadm.Client) error {
		r, err := a.UpdatePartitions(ctx, total, name)
		if err != nil {
			return err
		}
		return r.Error()
	})
	c.awaitPartitions(tb, name, total)
}

// SetTopicConfig changes settings of a topic.
func (c *Cluster) SetTopicConfig(tb testing.TB, name string, config map[string]string) {
	tb.Helper()
	var changes []kadm.AlterConfig
	for k, v := range config {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: kadm.StringPtr(v)})
	}
	c.change(tb, "change the settings of "+name, func(ctx context.Context, a *kadm.Client) error {
		r, err := a.AlterTopicConfigs(ctx, changes, name)
		if err != nil {
			return err
		}
		_, err = r.On(name, nil)
		return err
	})
}

// DeleteRecords moves the start of a partition's log to before. Kafka refuses it on topics that are compacted only.
func (c *Cluster) DeleteRecords(tb testing.TB, name string, partition int32, before int64) {
	tb.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: name, Partition: partition, At: before, LeaderEpoch: -1})
	c.change(tb, "delete records of "+name, func(ctx context.Context, a *kadm.Client) error {
		r, err := a.DeleteRecords(ctx, offsets)
		if err != nil {
			return err
		}
		return r.Error()
	})
}

// Ends are where a partition's log starts and ends.
type Ends struct{ Start, LastStable, HighWatermark int64 }

// Ends asks the leaders of a topic for the ends of every partition, in the order of partitions.
func (c *Cluster) Ends(tb testing.TB, name string) []Ends {
	tb.Helper()
	var ends []Ends
	c.ask(tb, "list the ends of "+name, func(ctx context.Context, a *kadm.Client) error {
		start, err := a.ListStartOffsets(ctx, name)
		if err != nil {
			return err
		}
		stable, err := a.ListCommittedOffsets(ctx, name)
		if err != nil {
			return err
		}
		high, err := a.ListEndOffsets(ctx, name)
		if err != nil {
			return err
		}
		for _, listed := range []kadm.ListedOffsets{start, stable, high} {
			if err := listed.Error(); err != nil {
				return err
			}
		}
		ends = make([]Ends, len(high[name]))
		for p := range ends {
			ends[p] = Ends{start[name][int32(p)].Offset, stable[name][int32(p)].Offset, high[name][int32(p)].Offset}
		}
		return nil
	})
	return ends
}

// Client is a franz-go client of the cluster, closed when the test ends.
func (c *Cluster) Client(tb testing.TB, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	client, err := newClient(c.Bootstrap, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// Produce writes the records, each to the partition that the Java client would
// choose for its key, and waits for their acknowledgement by all in-sync
// replicas. It sets their Partition and Offset.
func (c *Cluster) Produce(tb testing.TB, records ...*kgo.Record) {
	tb.Helper()
	c.produce(tb, records)
}

// ProduceTo is Produce to the partitions that the records name.
func (c *Cluster) ProduceTo(tb testing.TB, records ...*kgo.Record) {
	tb.Helper()
	c.produce(tb, records, kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

func (c *Cluster) produce(tb testing.TB, records []*kgo.Record, opts ...kgo.Opt) {
	tb.Helper()
	client, err := newClient(c.Bootstrap, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), adminTimeout)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		tb.Fatalf("produce: %v", err)
	}
}

func (c *Cluster) change(tb testing.TB, what string, f func(context.Context, *kadm.Client) error) {
	tb.Helper()
	a := c.Admin(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), adminTimeout)
	defer cancel()
	if err := f(ctx, a); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// ask is change for what may be asked again: a leader may be about to be elected.
func (c *Cluster) ask(tb testing.TB, what string, f func(context.Context, *kadm.Client) error) {
	tb.Helper()
	var last error
	c.await(tb, what, func(ctx context.Context, a *kadm.Client) bool {
		if err := f(ctx, a); err != nil {
			if ctx.Err() != nil {
				tb.Errorf("%s: %v", what, cmp.Or(last, err))
			}
			last = err
			return false
		}
		return true
	})
}

func (c *Cluster) awaitPartitions(tb testing.TB, name string, n int) {
	tb.Helper()
	c.await(tb, fmt.Sprintf("%s has %d partitions with leaders", name, n), func(ctx context.Context, a *kadm.Client) bool {
		// Leaders are asked, since metadata may know a partition before its leader does.
		ends, err := a.ListEndOffsets(ctx, name)
		return err == nil && ends.Error() == nil && len(ends[name]) == n
	})
}

func (c *Cluster) await(tb testing.TB, what string, done func(context.Context, *kadm.Client) bool) {
	tb.Helper()
	a := c.Admin(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), adminTimeout)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !done(ctx, a) {
		select {
		case <-ctx.Done():
			tb.Fatalf("after %v it is not so that %s", adminTimeout, what)
		case <-t.C:
		}
	}
}
