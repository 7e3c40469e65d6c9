package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	// Until names the partitions to read, each with the offset to read to: records at or above it are not delivered, and
	// the last Batch has it as Next. Run returns nil once apply has returned for all of them. Where a partition's log is
	// shorter, or a partition is not there, Run waits for it. nil: all partitions are read, for ever. It must not change.
	Until map[int32]int64
	// Trail returns what was applied of a partition so far; it is called while none of the partition's batches is being
	// applied, from several goroutines at once, and what it returns is not kept. nil: nothing is checked.
	Trail func(partition int32) Trail
	// MaxBytes bounds a response and MaxPartitionBytes what it has of one partition. A single record batch that is larger
	// comes whole (KIP-74). Two responses of a leader are in memory at a time. Defaults 16 MiB and 1 MiB.
	MaxBytes, MaxPartitionBytes int32
	// OnError is told of every fault that is retried. It may be called from several goroutines at once and must not
	// block. nil: faults are retried in silence.
	OnError func(FetchError)
	// OnThrottle is told of every response by which a leader's quota holds reading back (KIP-219), with how long it asks to stay away for. That is
	// waited for, though not beyond 30 s at a time, and is no fault. It may be called from several goroutines at once and must not block. nil: not told.
	OnThrottle func(leader int32, d time.Duration)
	// OnPartitions gets all partitions in ascending order, once metadata was first read and whenever there are new ones,
	// before anything of the new ones is read. The slice is the callee's. nil: not told.
	OnPartitions func([]int32)
}

// The defaults of [FetcherConfig].
const (
	DefaultMaxBytes          = 16 << 20
	DefaultMaxPartitionBytes = 1 << 20
)

// Fetcher reads all partitions of one topic, read_committed.
//
// One goroutine, in Run, asks for metadata and decides who reads which partition; a loop a leader reads. A partition that
// met a fault goes back to that goroutine, and is read again only after metadata that was asked for later has confirmed
// the topic's id and the partition's leader: so a topic that is deleted and created again is noticed before its new
// records are taken for the old ones'. The leader itself confirms the id too, before the first fetch of a partition and
// after each pause in which it owed no answer: a fetch names the topic alone (before its version 13, KIP-516), and one
// that is under way when its topic is deleted is answered with an error.
type Fetcher struct {
	config FetcherConfig
	client *Client // for metadata, with connections of its own

	refresh  chan struct{}
	returned chan struct{}

	mu         sync.Mutex
	running    bool
	partitions map[int32]*partition // added to by Run's goroutine alone
	back       []*partition         // given back, and not yet looked at
	failure    error
	stop       context.CancelFunc

	loops   map[loopKey]*loop // belongs to Run's goroutine
	otherID position.TopicID  // that metadata last said, where it is not the one to read; belongs to Run's goroutine
	workers sync.WaitGroup
}

type loopKey struct {
	leader int32
	addr   string
}

// NewFetcher checks the configuration. It starts nothing and touches no network.
func NewFetcher(c FetcherConfig) (*Fetcher, error) {
	if errNextOffsetField != nil {
		return nil, errNextOffsetField
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxPartitionBytes == 0 {
		c.MaxPartitionBytes = DefaultMaxPartitionBytes
	}
	switch {
	case c.Topic == "":
		return nil, fmt.Errorf("%w: topic: empty", ErrConfig)
	case c.ID.IsZero():
		return nil, fmt.Errorf("%w: the id of topic %q: not known", ErrConfig, c.Topic)
	case c.Start == nil:
		return nil, fmt.Errorf("%w: Start: nil", ErrConfig)
	case c.MaxBytes < 0 || c.MaxBytes > fetchFrame/2:
		return nil, fmt.Errorf("%w: max bytes: %d is not from 1 to %d", ErrConfig, c.MaxBytes, fetchFrame/2)
	case c.MaxPartitionBytes < 0 || c.MaxPartitionBytes > fetchFrame/2:
		return nil, fmt.Errorf("%w: max partition bytes: %d is not from 1 to %d", ErrConfig, c.MaxPartitionBytes, fetchFrame/2)
	}
	client, err := NewClient(c.Kafka)
	if err != nil {
		return nil, err
	}
	return &Fetcher{
		config:     c,
		client:     client,
		refresh:    make(chan struct{}, 1),
		returned:   make(chan struct{}, 1),
		partitions: make(map[int32]*partition),
		loops:      make(map[loopKey]*loop),
	}, nil
}

// Run reads until ctx ends, and then returns ctx.Err(); until apply returns an error, which it returns; or until the topic
// can no longer be read from the positions reached: [ErrTopicRecreated], [*OutOfRangeError], [*DivergedError]. Everything else is told to
// OnError and retried. With Until it returns nil at the end. When it returns, all its goroutines have ended. It can be called once.
//
// apply is called from one goroutine a leader and never at the same time for the same partition; each partition's batches
// come in order. Every partition gets a Batch, perhaps without records, for each response that it was in. The context
// that apply gets ends with Run.
func (f *Fetcher) Run(ctx context.Context, apply func(context.Context, *Batch) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	f.mu.Lock()
	if f.running {
		f.mu.Unlock()
		return errors.New("kafka: a Fetcher runs once")
	}
	f.running, f.stop = true, stop
	f.mu.Unlock()

	f.coordinate(running, apply)
	stop()
	f.workers.Wait()
	if err := f.client.Close(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.failure
}

// Refresh asks for metadata soon rather than at the next interval. It does not block.
func (f *Fetcher) Refresh() {
	select {
	case f.refresh <- struct{}{}:
	default:
	}
}

// LastFetch is when the last response that had the partition without an error was received; the zero time where there was
// none.
func (f *Fetcher) LastFetch(partition int32) time.Time {
	f.mu.Lock()
	p := f.partitions[partition]
	f.mu.Unlock()
	if p == nil {
		return time.Time{}
	}
	n := p.lastFetch.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// fail ends Run with err, unless it is ending already.
func (f *Fetcher) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure == nil {
		f.failure = err
	}
	f.stop()
}

func (f *Fetcher) report(e FetchError) {
	if f.config.OnError != nil {
		f.config.OnError(e)
	}
}

// giveBack takes partitions from a loop that has applied all it read of them.
func (f *Fetcher) giveBack(ps []*partition) {
	if len(ps) == 0 {
		return
	}
	f.mu.Lock()
	f.back = append(f.back, ps...)
	f.mu.Unlock()
	select {
	case f.returned <- struct{}{}:
	default:
	}
}

// takeBack looks at what loops have given back.
func (f *Fetcher) takeBack() {
	f.mu.Lock()
	back := f.back
	f.back = nil
	f.mu.Unlock()
	now := time.Now()
	for _, p := range back {
		p.owner = nil
		p.returnedAt = now
	}
}

// ordered lists the partitions in ascending order.
func (f *Fetcher) ordered() []*partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	ps := make([]*partition, 0, len(f.partitions))
	for _, p := range f.partitions {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *partition) int { return int(a.id) - int(b.id) })
	return ps
}
