package kafka

import (
	"context"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// FetcherConfig says what a [Fetcher] reads and whom it tells.
type FetcherConfig struct {
	Kafka Config
	Topic string
	// ID is the incarnation of the topic to read. Another one ends Run with [ErrTopicRecreated]. It must be known.
	ID position.TopicID
	// Start returns the next offset to read of a partition, or -1 for the log's start. It is called once a partition, also
	// for partitions that are found later.
	Start func(partition int32) int64
	// MaxBytes bounds a response and MaxPartitionBytes what it has of one partition. A single record batch that is larger
	// comes whole (KIP-74). Defaults 16 MiB and 1 MiB.
	MaxBytes, MaxPartitionBytes int32
	// OnError is told of every fault that is retried. It may be called from several goroutines at once and must not
	// block. nil: faults are retried in silence.
	OnError func(FetchError)
	// OnPartitions gets all partitions in ascending order, once metadata was first read and whenever there are new ones,
	// before anything of the new ones is read. The slice is the callee's. nil: not told.
	OnPartitions func([]int32)
}

// Fetcher reads all partitions of one topic, read_committed.
type Fetcher struct{}

// NewFetcher checks the configuration. It starts nothing and touches no network.
func NewFetcher(FetcherConfig) (*Fetcher, error) { return nil, ErrClosed }

// Run reads until ctx ends, and then returns ctx.Err(); until apply returns an error, which it returns; or until the topic
// can no longer be read from the positions reached: [ErrTopicRecreated], [*OutOfRangeError]. Everything else is told to
// OnError and retried. When it returns, all its goroutines have ended.
//
// apply is called from one goroutine a leader and never at the same time for the same partition; each partition's batches
// come in order. Every partition gets a Batch, perhaps without records, for each response that it was in.
func (f *Fetcher) Run(ctx context.Context, apply func(context.Context, *Batch) error) error {
	return ErrClosed
}

// Refresh asks for metadata soon rather than at the next interval. It does not block.
func (f *Fetcher) Refresh() {}

// LastFetch is when the last response that had the partition without an error was received; the zero time where there was
// none.
func (f *Fetcher) LastFetch(partition int32) time.Time { return time.Time{} }
