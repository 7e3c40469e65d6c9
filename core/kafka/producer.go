package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

const (
	// DefaultProduceTimeout is the default of [ProducerConfig].Timeout.
	DefaultProduceTimeout = 10 * time.Second
	// maxBuffered bounds the bytes of the records that a Producer holds, and so the size of one.
	maxBuffered = 64 << 20
	// unsentPatience is how long a record that was not sent waits for a broker to send it to.
	unsentPatience = 3 * time.Second
	// maxTimestamp is what a time.Duration can hold, in milliseconds, which is the distance that sarama encodes: 2262.
	maxTimestamp = math.MaxInt64 / int64(time.Millisecond)
	// recordOverhead is what a record that waits costs beside its bytes, roughly.
	recordOverhead = 512
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
	// Fixed says that nobody changes the bytes of Key and Value any more, which are not copied then.
	Fixed bool
	// ToPartition says that the record is for Partition, whatever its key. One that the topic does not have is
	// [ErrUnknownTopic].
	ToPartition bool
	Partition   int32
	Timestamp   int64 // milliseconds since 1970, until 2262; 0: now. The broker's clock replaces it where the topic says LogAppendTime
}

// Produced says where a record is in the log.
type Produced struct {
	// TopicID is the incarnation of the topic that the record is in. A produce request names the topic alone (before its
	// version 13, KIP-516), so this is the one for which the leader was looked up: at most [Config].RefreshInterval
	// before the record was sent, after the last fault, and after the acknowledgement too where that is the partition's
	// first or does not lie beyond the one before. What remains is a topic that was deleted and created again between
	// two look-ups without a fault that this Producer met, and whose new log had outgrown the old one's acknowledgements.
	TopicID   position.TopicID
	Partition int32
	Offset    int64 // -1: it is in the log, at an offset that the broker no longer knew
	Timestamp int64 // milliseconds since 1970
}

// Producer writes records: idempotent (KIP-98), acknowledged by all replicas in sync. It is safe for concurrent use.
//
// It has one request a leader and one batch a partition in flight. A batch whose outcome is in doubt is sent again as it
// was, with the same sequence number, so that the broker knows it, until it is acknowledged, refused or out of time. When
// it is given up, the partition goes on with the next epoch of the producer id (KIP-360), which shuts the given-up batch
// out should it still be under way: what is acknowledged later is never overtaken by it.
type Producer struct {
	config ProducerConfig
	client *Client // for metadata and producer ids, with connections of its own
	ctx    context.Context
	cancel context.CancelFunc

	workers sync.WaitGroup
	expire  chan struct{} // wakes the goroutine that watches the deadlines
	routed  atomic.Uint64 // records that were put into queues

	mu      sync.Mutex
	topics  map[string]*outTopic
	senders map[string]*sender
	queue   pendingList // what has not been answered, by deadline
	bytes   int         // of what is held, answered or not
	id      producerID  // for partitions that begin
	closing bool
	drained chan struct{} // closed once closing and queue is empty
	closed  chan struct{} // closed once Close is done
}

// NewProducer checks the configuration. It starts nothing and touches no network: it connects on first use, and again
// after an outage.
func NewProducer(c ProducerConfig) (*Producer, error) {
	setDefault(&c.Timeout, DefaultProduceTimeout)
	if c.Timeout < time.Millisecond {
		return nil, fmt.Errorf("%w: produce timeout: %v is less than 1ms", ErrConfig, c.Timeout)
	}
	client, err := NewClient(c.Kafka)
	if err != nil {
		return nil, err
	}
	c.Kafka = client.config
	p := &Producer{
		config:  c,
		client:  client,
		expire:  make(chan struct{}, 1),
		topics:  make(map[string]*outTopic),
		senders: make(map[string]*sender),
		drained: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Produce writes a record and calls done exactly once, from any goroutine, perhaps before Produce returns, and with no lock
// held; done must not block. It copies what r points to, unless it is Fixed, and never waits for the network. Records of one partition are
// written in the order of the calls.
//
// A record that could not be sent since no broker, or no leader, was to be reached is answered after 3 s, whatever the
// time-out: about as long as an election takes, so that sooner every election would fail writes. One for a topic that the
// cluster has said for 2 s it does not have is answered then.
//
// done's error is nil, or wraps [ErrUnknownOutcome] where the record may or may not be in the log, or says why the record
// is surely not in it: [ErrUnavailable], [ErrTooLarge], [ErrNotEnoughReplicas], [ErrNotAuthorized], [ErrUnknownTopic],
// [ErrRefused], [ErrClosed].
func (p *Producer) Produce(topic string, r ProduceRecord, done func(Produced, error)) {
	if r.Timestamp < 0 || r.Timestamp > maxTimestamp || r.ToPartition && r.Partition < 0 {
		done(Produced{}, fmt.Errorf("produce to %q: %w: timestamp %d, partition %d", topic, ErrRefused, r.Timestamp, r.Partition))
		return
	}
	e := newPending(r, done)
	if e.size > maxBuffered {
		done(Produced{}, fmt.Errorf("produce to %q: %w: %d bytes where %d can be held", topic, ErrTooLarge, e.size, maxBuffered))
		return
	}
	if err := p.enqueue(topic, e); err != nil {
		done(Produced{}, fmt.Errorf("produce to %q: %w", topic, err))
	}
}

func (p *Producer) enqueue(topic string, e *pending) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.stamp = time.Now() // with the lock held, so that deadlines come in the order of the queue
	e.deadline = e.stamp.Add(p.config.Timeout)
	if e.timestamp == 0 {
		e.timestamp = e.stamp.UnixMilli()
	}
	if p.closing {
		return ErrClosed
	}
	if p.bytes+e.size > maxBuffered {
		return fmt.Errorf("%w: %d bytes wait to be written already", ErrUnavailable, p.bytes)
	}
	t := p.topic(topic)
	p.bytes += e.size
	if p.queue.push(e) {
		if !p.queue.watched {
			p.queue.watched = true
			p.workers.Go(p.watchDeadlines)
		}
		nudge(p.expire)
	}
	e.topic = t
	if t.parts == nil {
		t.waiting = append(t.waiting, e)
		return nil
	}
	if e.stamp.Sub(t.refreshedAt) > p.config.Kafka.RefreshInterval/2 {
		nudge(t.kick) // ahead of the time when nothing is sent without
	}
	p.route(t, e)
	return nil
}

// topic is what is known of a topic, which is asked for if it is new. Who calls it holds mu.
func (p *Producer) topic(name string) *outTopic {
	t := p.topics[name]
	if t == nil {
		t = newOutTopic(name)
		p.topics[name] = t
		p.workers.Go(func() { p.keepTopic(t) })
	}
	return t
}

// PartitionOf is the partition that a key belongs to: murmur2's choice among those that the topic has, as the Producer
// knows them. It is false while they are not known, and then has them asked for; it never waits.
func (p *Producer) PartitionOf(topic string, key []byte) (int32, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing || key == nil || topic == "" {
		return 0, false
	}
	t := p.topic(topic)
	if t.parts == nil {
		return 0, false
	}
	return t.parts[t.choose(key, len(t.parts))].id, true
}

// route puts a record into its partition's queue. Who calls it holds mu.
func (p *Producer) route(t *outTopic, e *pending) {
	if e.toPartition {
		e.part = t.partition(e.partition)
	} else {
		e.part = t.parts[t.choose(e.key, len(t.parts))]
	}
	if e.part == nil {
		// It may be a new one. Metadata that is asked for now decides.
		t.waiting = append(t.waiting, e)
		nudge(t.kick)
		return
	}
	part := e.part
	part.queue = append(part.queue, e)
	p.routed.Add(1)
	if s := p.senders[part.leaderAddr]; s != nil {
		nudge(s.wake)
	}
}

// answer is a call of done that is due once no lock is held.
type answer struct {
	e   *pending
	p   Produced
	err error
}

// settle notes that a record is answered; deliver calls done. Who calls it holds mu. A record that was answered before,
// at its deadline, stays so.
func (p *Producer) settle(as []answer, e *pending, where Produced, err error) []answer {
	if e.answered {
		return as
	}
	e.answered = true
	p.queue.remove(e)
	if p.closing && p.queue.first == nil {
		select {
		case <-p.drained:
		default:
			close(p.drained)
		}
	}
	if err != nil {
		err = fmt.Errorf("produce to %q: %w", e.topic.name, err)
	}
	return append(as, answer{e, where, err})
}

func deliver(as []answer) {
	for _, a := range as {
		a.e.done(a.p, a.err)
	}
}

// release gives up the bytes of a record that nothing holds any more. Who calls it holds mu.
func (p *Producer) release(e *pending) {
	p.bytes -= e.size
	e.key, e.value, e.headers = nil, nil, nil
}

// watchDeadlines answers records whose time is up, and looks out for brokers that do not answer.
func (p *Producer) watchDeadlines() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		as, wait := p.expired(time.Now())
		deliver(as)
		p.lookOut()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.expire:
		case <-p.ctx.Done():
			return
		}
	}
}

func (p *Producer) expired(now time.Time) (as []answer, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	as = p.unsent(as, now)
	for {
		e := p.queue.first
		if e == nil {
			return as, time.Hour
		}
		if wait := e.deadline.Sub(now); wait > 0 {
			return as, min(wait, lookOut)
		}
		as = p.drop(as, e, e.overdue(p.config.Timeout))
	}
}

// unsent answers records that have waited for unsentPatience while no broker can be reached to send them to.
func (p *Producer) unsent(as []answer, now time.Time) []answer {
	var next *pending
	for e := p.queue.first; e != nil && now.Sub(e.stamp) >= unsentPatience; e = next {
		next = e.next
		if err := e.unreachable(now); err != nil {
			as = p.drop(as, e, fmt.Errorf("not sent within %v: %w", unsentPatience, err))
		}
	}
	return as
}

// drop answers a record and lets go of it where nothing of it is under way. Who calls it holds mu.
func (p *Producer) drop(as []answer, e *pending, err error) []answer {
	as = p.settle(as, e, Produced{}, err)
	switch {
	case e.part == nil:
		e.topic.waiting = p.trim(e.topic.waiting)
	case e.batch == nil:
		e.part.queue = p.trim(e.part.queue)
	case e.part.sender == nil && e.batch.allAnswered():
		p.abandon(e.part)
	}
	return as
}

// lookOut has metadata asked for where a broker does not answer: its partitions may have another leader already.
func (p *Producer) lookOut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, s := range p.senders {
		if !s.isOverdue(now) {
			continue
		}
		for _, t := range p.topics {
			if slices.ContainsFunc(t.parts, func(part *outPartition) bool { return part.sender == s }) {
				nudge(t.kick)
			}
		}
	}
}

// trim drops answered records from the front of a queue: deadlines come in the order of the calls.
func (p *Producer) trim(q []*pending) []*pending {
	for len(q) > 0 && q[0].answered {
		p.release(q[0])
		q[0] = nil
		q = q[1:]
	}
	return q
}

// Close waits until what was produced is written or has failed, at most until ctx ends. What is left then gets
// [ErrClosed], and [ErrUnknownOutcome] too where it had been sent. When it returns, all goroutines have ended. It returns
// ctx.Err() where something was left.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		select {
		case <-p.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.closing = true
	if p.queue.first == nil {
		close(p.drained)
	}
	p.mu.Unlock()
	defer close(p.closed)

	var err error
	select {
	case <-p.drained:
	case <-ctx.Done():
		select {
		case <-p.drained: // there was nothing to wait for
		default:
			err = ctx.Err()
		}
	}
	p.cancel()
	p.workers.Wait()
	err = errors.Join(err, p.client.Close())

	p.mu.Lock()
	var left []answer
	for e := p.queue.first; e != nil; e = p.queue.first {
		cause := ErrClosed
		if e.inDoubt() {
			cause = fmt.Errorf("%w: %w", ErrUnknownOutcome, ErrClosed)
		}
		left = p.settle(left, e, Produced{}, cause)
	}
	p.mu.Unlock()
	deliver(left)
	return err
}

// producerID is what makes a producer's batches known to brokers.
type producerID struct {
	known bool
	id    int64
	epoch int16
}

// newID asks for a producer id, unless there is one that partitions may begin with.
func (p *Producer) newID(ctx context.Context) (producerID, error) {
	p.mu.Lock()
	id := p.id
	p.mu.Unlock()
	if id.known {
		return id, nil
	}
	ctx, done, err := p.client.begin(ctx)
	if err != nil {
		return producerID{}, err
	}
	defer done()
	res, err := askAny(ctx, p.client, func(b *sarama.Broker) (*sarama.InitProducerIDResponse, time.Duration, error) {
		res, err := b.InitProducerID(&sarama.InitProducerIDRequest{Version: 4, ProducerID: -1, ProducerEpoch: -1})
		if err != nil {
			return nil, 0, err
		}
		if res.Err != sarama.ErrNoError {
			return nil, res.ThrottleTime, res.Err
		}
		return res, res.ThrottleTime, nil
	})
	if err != nil {
		return producerID{}, fmt.Errorf("ask for a producer id: %w", err)
	}
	id = producerID{known: true, id: res.ProducerID, epoch: res.ProducerEpoch}
	p.mu.Lock()
	p.id = id
	p.mu.Unlock()
	return id, nil
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
