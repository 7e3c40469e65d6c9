package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/position"
)

// ProducerConfig is what a [Producer] is made from. Zero values mean the defaults that are named.
type ProducerConfig struct {
	// Kafka is how to reach the cluster. Bootstrap is required.
	Kafka kafka.Config
	// Topics are the topics to write to, at least one, each name once. Of a TopicConfig the name, the encodings and ValidateWrite count: what says how a topic is
	// read, and Writable, are not looked at, so that it can be the one that readers have.
	Topics []TopicConfig
	// Timeout bounds one write, its retries included, 10 s.
	Timeout time.Duration
	// Logger gets bounded lines for errors that no call returns; nil: none.
	Logger *slog.Logger
	// Registerer gets the metrics, until Close; nil: none are registered.
	Registerer prometheus.Registerer
}

// Validate names the first thing that is wrong; the error wraps ErrConfig.
func (c *ProducerConfig) Validate() error {
	if err := c.Kafka.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(c.Topics) == 0 {
		return fmt.Errorf("%w: no topic is given", ErrConfig)
	}
	seen := map[string]bool{}
	for _, t := range c.Topics {
		if err := validateTopic(&t, seen); err != nil {
			return err
		}
		if r := t.ValidateWrite; r != nil && (r.Name == "" || r.Check == nil) {
			return fmt.Errorf("%w: topic %q: %w", ErrConfig, t.Name, errNoRule)
		}
	}
	if c.Timeout < 0 {
		return fmt.Errorf("%w: Timeout is negative", ErrConfig)
	}
	return nil
}

// Producer writes to topics without tailing them: it has no store, needs no directory, and is there at once. What it writes is what a [Cache] would: the
// same encodings and rule for writes, acknowledged by all in-sync replicas, with a position that any instance can be asked to wait for. Of a key that has
// records in several partitions it knows nothing: where partitions were added, or other producers choose them otherwise, a Cache's topic is what
// to write with, which makes its record the newest.
//
// Its methods, and those of its topics, may be called from any goroutine at any time.
type Producer struct {
	log     *slog.Logger
	client  *kafka.Client // for the ends of partitions whose acknowledgement does not say where the record is
	kafka   *kafka.Producer
	topics  map[string]*TopicWriter
	metrics *prometheus.CounterVec
	in      prometheus.Registerer // where metrics are registered; nil: nowhere

	ctx   context.Context // of what runs in the background
	stop  context.CancelFunc
	tasks sync.WaitGroup
	close func() error
}

// OpenProducer makes a Producer, which touches no network before it is first used. Its errors are ctx's, or wrap ErrConfig. Close it.
func OpenProducer(ctx context.Context, cfg ProducerConfig) (*Producer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Kafka.Logger == nil {
		cfg.Kafka.Logger = cfg.Logger
	}
	p := &Producer{log: cfg.Logger, topics: map[string]*TopicWriter{}, in: cfg.Registerer, metrics: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "kafka_cache", Name: "producer_writes_total",
		Help: "Records that were to be written, by result; refused: before they were produced; failed: surely not in the log; unknown: perhaps.",
	}, []string{"topic", "result"})}
	p.close = sync.OnceValue(p.shutdown)
	for _, t := range cfg.Topics {
		w, err := newTopicWriter(p, &t)
		if err != nil {
			return nil, fmt.Errorf("%w: topic %q: %w", ErrConfig, t.Name, err)
		}
		p.topics[t.Name] = w
	}
	var err error
	if p.client, err = kafka.NewClient(cfg.Kafka); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if p.kafka, err = kafka.NewProducer(kafka.ProducerConfig{Kafka: cfg.Kafka, Timeout: cfg.Timeout}); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrConfig, err), p.client.Close())
	}
	if p.in != nil {
		if err := p.in.Register(p.metrics); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: register metrics: %w", ErrConfig, err), p.client.Close())
		}
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	for _, t := range p.topics {
		for _, used := range []codec.Codec{t.keyCodec, t.valueCodec} {
			if r, ok := used.(codec.Runner); ok {
				p.tasks.Go(func() { r.Run(p.ctx) })
			}
		}
	}
	return p, nil
}

// Close waits up to 5 s for what is under way to be acknowledged, and returns when all goroutines have ended. What is left then, or comes later, has ErrClosed, and
// ErrUnknownOutcome where it may be in the log. Later calls return what the first did.
func (p *Producer) Close() error { return p.close() }

func (p *Producer) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	if err := p.kafka.Close(ctx); err != nil {
		errs = append(errs, fmt.Errorf("close the producer: %w", err))
	}
	p.stop()
	p.tasks.Wait()
	if err := p.client.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close the client: %w", err))
	}
	if p.in != nil {
		p.in.Unregister(p.metrics)
	}
	return errors.Join(errs...)
}

// Topic is the topic of that name, or ErrUnknownTopic.
func (p *Producer) Topic(name string) (*TopicWriter, error) {
	if t := p.topics[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownTopic, name)
}

func (p *Producer) writes(topic string) (destination, error) { return p.Topic(topic) }

// TopicWriter writes to one topic of a [Producer]: keys and values are bytes, as clients have them.
type TopicWriter struct {
	producer   *Producer
	name       string
	keyCodec   codec.Codec
	valueCodec codec.Codec
	rule       *policy.ValueRule
	acknowledged, refused,
	failed, unknown prometheus.Counter
}

func newTopicWriter(p *Producer, cfg *TopicConfig) (*TopicWriter, error) {
	keys, values, err := cfg.codecs()
	if err != nil {
		return nil, err
	}
	result := func(r string) prometheus.Counter { return p.metrics.WithLabelValues(cfg.Name, r) }
	return &TopicWriter{
		producer: p, name: cfg.Name, keyCodec: keys, valueCodec: values, rule: cfg.ValidateWrite,
		acknowledged: result("acknowledged"), refused: result("refused"), failed: result("failed"), unknown: result("unknown"),
	}, nil
}

// Name is the topic's name.
func (w *TopicWriter) Name() string { return w.name }

// KeyEncoding is the name of the keys' encoding.
func (w *TopicWriter) KeyEncoding() string { return w.keyCodec.Name() }

// ValueEncoding is the name of the values' encoding.
func (w *TopicWriter) ValueEncoding() string { return w.valueCodec.Name() }

// Put is [Topic.Put].
func (w *TopicWriter) Put(ctx context.Context, key, value []byte, headers ...Header) (Written, error) {
	return submitted(ctx, w.Submit, Write{Key: key, Value: value, Headers: headers})
}

// Delete is [Topic.Delete].
func (w *TopicWriter) Delete(ctx context.Context, key []byte) (Written, error) {
	return submitted(ctx, w.Submit, Write{Key: key, Delete: true})
}

// Submit produces a record as [Topic.Submit] does, with the same errors but ErrReadOnly and ErrNotReady; a record over the topic's max.message.bytes is found out by
// the broker, and is kafka.ErrTooLarge. Write.Apply has to be 0: ErrNotTailed.
func (w *TopicWriter) Submit(write Write, done func(Written, error)) {
	record, err := w.record(&write)
	if err != nil {
		w.refused.Inc()
		done(Written{}, err)
		return
	}
	w.producer.kafka.Produce(w.name, record, func(p kafka.Produced, err error) {
		switch {
		case err == nil && p.Offset < 0:
			w.acknowledged.Inc()
			w.producer.tasks.Go(func() { w.locate(p, done) })
		case err == nil:
			w.acknowledged.Inc()
			done(Written{Partition: p.Partition, Offset: p.Offset, Position: position.OfRecord(p.TopicID, p.Partition, p.Offset)}, nil)
		case errors.Is(err, ErrUnknownOutcome):
			w.unknown.Inc()
			done(Written{}, produceErr(err))
		default:
			w.failed.Inc()
			done(Written{}, produceErr(err))
		}
	})
}

// record checks and encodes a write.
func (w *TopicWriter) record(write *Write) (r kafka.ProduceRecord, err error) {
	if write.Apply != 0 {
		return r, ErrNotTailed
	}
	if r, err = encodeWrite(write, w.keyCodec, w.valueCodec); err == nil && !write.Delete {
		err = invalidValue(w.rule, write.Key, write.Value)
	}
	return r, err
}

// locate finds a position that covers a record whose offset Kafka did not tell.
func (w *TopicWriter) locate(p kafka.Produced, done func(Written, error)) {
	r := Written{Partition: p.Partition, Offset: p.Offset}
	var err error
	if r.Position, err = endOf(w.producer.ctx, w.producer.client, w.name, p); err != nil {
		w.producer.log.Warn("the end of a partition that a write was repeated to could not be asked", "topic", w.name, "partition", p.Partition, "error", err)
		done(r, &PendingError{Written: r})
		return
	}
	done(r, nil)
}
