package kafka

import (
	"context"
	"time"
)

// ProducerConfig says how a [Producer] writes.
type ProducerConfig struct {
	Kafka Config
	// Timeout bounds one produce, retries included. Default 10 s.
	Timeout time.Duration
}

// ProduceRecord is a record to write.
type ProduceRecord struct {
	Key     []byte // nil: no key, any partition. Otherwise murmur2 of it chooses the partition, as in the Java client
	Value   []byte // nil: a tombstone. Empty is not nil
	Headers []Header
}

// Produced says where a record is in the log.
type Produced struct {
	Partition int32
	Offset    int64 // -1: it is in the log, at an offset that the broker no longer knew
	Timestamp int64 // milliseconds since 1970
}

// Producer writes records: idempotent, acknowledged by all replicas in sync. It is safe for concurrent use.
type Producer struct{}

// NewProducer checks the configuration. It starts nothing and touches no network: it connects on first use, and again
// after an outage.
func NewProducer(ProducerConfig) (*Producer, error) { return nil, ErrClosed }

// Produce writes a record and calls done exactly once, from any goroutine, perhaps before Produce returns, and with no lock
// held; done must not block. It copies what r points to and never waits for the network. Records of one partition are
// written in the order of the calls.
//
// done's error is nil, or wraps [ErrUnknownOutcome] where the record may or may not be in the log, or says why the record
// is surely not in it: [ErrUnavailable], [ErrTooLarge], [ErrNotEnoughReplicas], [ErrNotAuthorized], [ErrUnknownTopic],
// [ErrRefused], [ErrClosed].
func (p *Producer) Produce(topic string, r ProduceRecord, done func(Produced, error)) {
	done(Produced{}, ErrClosed)
}

// Close waits until what was produced is written or has failed, at most until ctx ends. What is left then gets
// [ErrClosed], and [ErrUnknownOutcome] too where it had been sent. When it returns, all goroutines have ended.
func (p *Producer) Close(ctx context.Context) error { return nil }
