package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// Cache tails its topics and answers reads of them. Make one with [Open], or with [New] and [Cache.Run].
type Cache struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	client   *kafka.Client
	producer *kafka.Producer
	together *kafka.Transactions // writes that belong together
	topics   []*Topic
	byName   map[string]*Topic
	since    time.Time

	draining  atomic.Bool
	clusterID atomic.Pointer[string] // as Kafka said
	ready     atomic.Bool            // sticky
	started   atomic.Bool

	tasks     sync.WaitGroup // of background
	tasksCtx  context.Context
	stopTasks context.CancelFunc

	stop context.CancelFunc // of Open
	done chan struct{}      // Run has returned
	err  error              // what it returned
}

// New makes a Cache that does nothing until Run. It asks nothing of the network and leaves files as they are (where Config.FS is given, it makes
// one there and removes it); its errors wrap ErrConfig.
func New(cfg Config) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.DataDir != "" {
		if err := store.CheckDataDirOn(cfg.FS, cfg.DataDir); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	cfg = cfg.withDefaults()
	c := &Cache{cfg: cfg, log: cfg.Logger, byName: map[string]*Topic{}, since: time.Now(), done: make(chan struct{})}
	c.tasksCtx, c.stopTasks = context.WithCancel(context.Background())
	c.metrics = newMetrics(c)
	for i, tc := range cfg.Topics {
		t, err := newTopic(c, i, tc)
		if err != nil {
			return nil, fmt.Errorf("%w: topic %q: %w", ErrConfig, tc.Name, err)
		}
		c.topics = append(c.topics, t)
		c.byName[tc.Name] = t
	}
	var err error
	if c.client, err = kafka.NewClient(cfg.Kafka); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if c.producer, err = kafka.NewProducer(kafka.ProducerConfig{Kafka: cfg.Kafka}); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrConfig, err), c.client.Close())
	}
	if c.together, err = kafka.NewTransactions(kafka.TransactionsConfig{Kafka: cfg.Kafka, ID: transactionalID(cfg.Identity)}); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrConfig, err), c.client.Close())
	}
	if cfg.Registerer != nil {
		if err := register(cfg.Registerer, c.metrics.collectors()); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: register metrics: %w", ErrConfig, err), c.client.Close())
		}
	}
	return c, nil
}

// Open is New, and Run in the background until Close. It does not wait for the topics: see [Topic.WaitReady]. ctx bounds
// nothing but Open itself.
func Open(ctx context.Context, cfg Config) (*Cache, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() { _ = c.Run(run) }() // kept in c.err
	return c, nil
}

// Close ends what Open began, and returns when all goroutines have ended and the stores are closed. Its error is Run's.
func (c *Cache) Close() error {
	if c.stop != nil {
		c.stop()
		<-c.done
	}
	return c.err
}

// Run tails the topics until ctx ends (nil) or until what is wrong cannot be mended by trying again: the error wraps ErrConfig
// or ErrStartupTimeout. It may be called once. When it returns all its goroutines have ended, the group is deleted where
// ctx ended it, and the stores are flushed and closed.
func (c *Cache) Run(ctx context.Context) (err error) {
	if c.started.Swap(true) {
		return errors.New("cache: Run is called a second time")
	}
	defer close(c.done)
	defer func() { c.err = err }()
	group, running := errgroup.WithContext(ctx)
	for _, t := range c.topics {
		group.Go(func() error {
			if err := t.run(running); err != nil {
				return fmt.Errorf("topic %s: %w", t.name, err)
			}
			return nil
		})
	}
	for _, t := range c.topics {
		for _, used := range []codec.Codec{t.keyCodec, t.valueCodec} {
			if r, ok := used.(codec.Runner); ok {
				group.Go(func() error { r.Run(running); return nil })
			}
		}
	}
	group.Go(func() error { return c.commitLoop(running) })
	group.Go(func() error { return c.endPredecessors(running) })
	if c.cfg.StartupTimeout > 0 {
		group.Go(func() error { return c.startupTimer(running) })
	}
	err = group.Wait()
	return errors.Join(err, c.shutdown(ctx.Err() != nil))
}

// shutdown follows the closing order of docs/design.md, after the tail has ended.
func (c *Cache) shutdown(clean bool) error {
	c.draining.Store(true)
	if clean {
		c.deleteGroup()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	if err := c.together.Close(ctx); err != nil {
		errs = append(errs, fmt.Errorf("close the transactional producers: %w", err))
	}
	if err := c.producer.Close(ctx); err != nil {
		errs = append(errs, fmt.Errorf("close the producer: %w", err))
	}
	for _, t := range c.topics {
		t.close() // waiters get ErrClosed
	}
	c.stopTasks()
	c.tasks.Wait()
	for _, t := range c.topics {
		t.store.Store(nil)
		t.reads.Store(nil)
		for _, st := range t.stores() {
			if err := st.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
				errs = append(errs, fmt.Errorf("close the store of topic %s: %w", t.name, err))
			}
		}
	}
	if err := c.client.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close the client: %w", err))
	}
	if c.cfg.Registerer != nil {
		unregister(c.cfg.Registerer, c.metrics.collectors())
	}
	return errors.Join(errs...)
}

// What is asked of Kafka while closing: what is in flight of the producers, and the group's deletion, whose time is its own, so that brokers that do not
// answer to it leave all of theirs to the writes.
const (
	closeTimeout       = 5 * time.Second
	deleteGroupTimeout = 2 * time.Second
)

// startupTimer ends Run where a topic is still out of reach.
func (c *Cache) startupTimer(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(c.cfg.StartupTimeout):
	}
	for _, t := range c.topics {
		t.mu.Lock()
		state, reason := t.state, t.reason
		t.mu.Unlock()
		if state == Starting {
			return fmt.Errorf("%w: topic %s after %s: %s", ErrStartupTimeout, t.name, c.cfg.StartupTimeout, reason)
		}
	}
	return nil
}

// background runs f in a goroutine that shutdown waits for; f's context ends then.
func (c *Cache) background(f func(context.Context)) {
	c.tasks.Go(func() { f(c.tasksCtx) })
}

// OutsideHeap is how many bytes the stores hold that Go's garbage collector does not count: the resident index, and Pebble's
// memtables and block cache. A memory limit for the Go runtime is what is left beside them.
func (c *Cache) OutsideHeap() int64 {
	m := c.Memory()
	return m.ResidentIndex + m.BlockCache + m.Memtables
}

// Identity is the instance's name.
func (c *Cache) Identity() string { return c.cfg.Identity }

// ClusterID is the Kafka cluster's id (KIP-78); empty before a broker has been reached.
func (c *Cache) ClusterID() string {
	if id := c.clusterID.Load(); id != nil {
		return *id
	}
	return ""
}

// Topics are the configured topics in their order. The slice is shared: read it only.
func (c *Cache) Topics() []*Topic { return c.topics }

// Topic is the topic of that name, or ErrUnknownTopic.
func (c *Cache) Topic(name string) (*Topic, error) {
	if t := c.byName[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownTopic, name)
}

// Ready reports whether every topic has been ready once, and Drain has not been called. It stays true while Kafka is out of
// reach and while a topic is rebuilt.
func (c *Cache) Ready() bool {
	if c.draining.Load() {
		return false
	}
	return c.WasReady()
}

// WasReady is Ready without regard to Drain.
func (c *Cache) WasReady() bool {
	if c.ready.Load() {
		return true
	}
	for _, t := range c.topics {
		if !t.wasReady() {
			return false
		}
	}
	c.ready.Store(true)
	return true
}

// WaitReady waits until every topic answers reads. Its errors are those of [Topic.WaitReady].
func (c *Cache) WaitReady(ctx context.Context) error {
	for _, t := range c.topics {
		if err := t.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Drain makes Ready false and the state Stopping, ahead of the end of Run. Reads and writes go on.
func (c *Cache) Drain() { c.draining.Store(true) }
