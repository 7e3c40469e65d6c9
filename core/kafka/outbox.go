package kafka

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

// pending is a record on its way. Its fields are guarded by the Producer's mu.
type pending struct {
	key, value []byte
	headers    []*sarama.RecordHeader
	size       int
	stamp      time.Time
	deadline   time.Time
	timestamp  int64 // the record's
	done       func(Produced, error)

	toPartition bool
	partition   int32 // where toPartition

	topic    *outTopic
	part     *outPartition // nil: the topic's partitions are not known yet
	batch    *outBatch     // nil: it waits
	answered bool

	listed     bool
	prev, next *pending
}

// newPending copies what of the record may change, in one allocation where it has no headers.
func newPending(r ProduceRecord, done func(Produced, error)) *pending {
	n := len(r.Key) + len(r.Value)
	copied := n
	if r.Fixed {
		copied = 0
	}
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
		copied += len(h.Key) + len(h.Value)
	}
	var buf []byte
	if copied > 0 {
		buf = make([]byte, 0, copied)
	}
	clone := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		if len(b) == 0 {
			return []byte{}
		}
		buf = append(buf, b...)
		return buf[len(buf)-len(b) : len(buf) : len(buf)]
	}
	e := &pending{key: r.Key, value: r.Value, size: n + recordOverhead, done: done,
		timestamp: r.Timestamp, toPartition: r.ToPartition, partition: r.Partition}
	if !r.Fixed {
		e.key, e.value = clone(r.Key), clone(r.Value)
	}
	for _, h := range r.Headers {
		e.headers = append(e.headers, &sarama.RecordHeader{Key: clone(h.Key), Value: clone(h.Value)})
		e.size += recordOverhead / 4
	}
	return e
}

// wireSize bounds what the record takes within a batch.
func (e *pending) wireSize() int { return e.size - recordOverhead + 5*10 + 10*2*len(e.headers) }

// inDoubt reports whether the record may be in the log, or may come to be.
func (e *pending) inDoubt() bool { return e.batch != nil && (e.batch.sending || e.batch.doubtful) }

// overdue is the error of a record whose time is up.
func (e *pending) overdue(after time.Duration) error {
	cause := e.topic.cause
	if e.part != nil {
		cause = e.part.cause
	}
	if cause == nil {
		cause = errors.New("no answer yet")
	}
	if e.inDoubt() {
		return fmt.Errorf("%w after %v: %w", ErrUnknownOutcome, after, withoutVerdict(cause))
	}
	if errors.Is(cause, ErrNotEnoughReplicas) || errors.Is(cause, ErrUnknownTopic) {
		return fmt.Errorf("given up after %v: %w", after, cause)
	}
	return fmt.Errorf("%w: not sent within %v: %w", ErrUnavailable, after, withoutVerdict(cause))
}

// unreachable is why a record that was not sent cannot be now: no broker, or no leader, answers. nil: it was sent, or it
// can be.
func (e *pending) unreachable(now time.Time) error {
	t, part := e.topic, e.part
	switch {
	case e.inDoubt():
		return nil
	case errors.Is(t.cause, ErrUnavailable):
		return t.cause
	case part == nil && t.cause == nil:
		return fmt.Errorf("%w: no broker says where the topic's partitions are", ErrUnavailable)
	case part == nil:
		return nil
	case part.leaderAddr == "":
		return fmt.Errorf("%w: partition %d has no leader", ErrUnavailable, part.id)
	case part.sender != nil && part.sender.isOverdue(now):
		return fmt.Errorf("%w: %s does not answer", ErrUnavailable, part.sender.addr)
	case part.failures > 0 && errors.Is(part.cause, ErrUnavailable):
		return part.cause
	}
	return nil
}

// withoutVerdict keeps an error's text alone: what it says of the outcome holds for one attempt, not for the record.
func withoutVerdict(err error) error { return errors.New(err.Error()) }

// pendingList is a list in the order of the deadlines, from which any element can be removed.
type pendingList struct {
	first, last *pending
	watched     bool
}

// push appends, and reports whether the list was empty.
func (l *pendingList) push(e *pending) (first bool) {
	e.listed = true
	e.prev = l.last
	if l.last == nil {
		l.first = e
	} else {
		l.last.next = e
	}
	l.last = e
	return e.prev == nil
}

func (l *pendingList) remove(e *pending) {
	if !e.listed {
		return
	}
	e.listed = false
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

// outTopic is a topic that is written to.
type outTopic struct {
	name         string
	id           position.TopicID // of the incarnation that parts belongs to
	kick         chan struct{}    // asks for metadata
	partitioner  sarama.Partitioner
	asked        sarama.ProducerMessage // choose's: one for each question would be the largest thing that a write allocates
	parts        []*outPartition        // by id; nil: not known yet
	waiting      []*pending             // until they are
	refreshedAt  time.Time              // when the metadata that is known was asked for
	cause        error                  // why metadata cannot be had
	unknownSince time.Time              // since when every answer says that there is no such topic; zero: it is not so
}

func newOutTopic(name string) *outTopic {
	return &outTopic{name: name, kick: make(chan struct{}, 1), partitioner: sarama.NewMurmur2Partitioner(name)}
}

// partition is the one with an id, or nil.
func (t *outTopic) partition(id int32) *outPartition {
	// Kafka numbers a topic's partitions from 0.
	if i := int(id); i < len(t.parts) && t.parts[i].id == id {
		return t.parts[i]
	}
	return nil
}

// choose is the Java client's choice, over all partitions, whether they have a leader now or not.
func (t *outTopic) choose(key []byte, n int) int {
	if n == 1 {
		return 0
	}
	t.asked.Key = nil
	if key != nil {
		t.asked.Key = sarama.ByteEncoder(key)
	}
	i, err := t.partitioner.Partition(&t.asked, int32(n))
	t.asked.Key = nil
	if err != nil || i < 0 || int(i) >= n {
		panic(fmt.Sprintf("kafka: partitioner chose %d of %d: %v", i, n, err)) // its encoder has no errors
	}
	return int(i)
}

// outPartition is a partition that is written to.
type outPartition struct {
	topic       *outTopic
	incarnation position.TopicID // of the topic when its leader was looked up
	id          int32
	leaderAddr  string // empty: none is known
	queue       []*pending
	batch       *outBatch // in flight or in doubt: nothing else is sent before it is settled
	sender      *sender   // who has the batch now; nil: nobody
	retryAt     time.Time
	lookUpAfter time.Time // nothing is sent before the topic was looked up after this
	acked       int64     // the greatest offset that was acknowledged; -1: none
	held        bool      // batch was acknowledged, and that is to be confirmed by a look-up
	orphaned    bool      // the topic was created anew since
	failures    int
	cause       error // of the last attempt

	producer   producerID
	sequence   int32 // of the next record
	maxRecords int   // of a batch, while one that was refused is taken apart; 0: any number
}

// isLookedUp reports whether the leader, and the topic's id, are known as of lately, and as of after the last fault.
func (p *outPartition) isLookedUp(now time.Time, lately time.Duration) bool {
	at := p.topic.refreshedAt
	return now.Sub(at) <= lately && at.After(p.lookUpAfter)
}

func (p *outPartition) hasWork() bool { return p.batch != nil || len(p.queue) > 0 }

// bump moves on to the next epoch, which shuts out what was sent with the one before.
func (p *outPartition) bump() {
	p.sequence = 0
	if p.producer.epoch == math.MaxInt16 {
		p.producer.known = false
		return
	}
	p.producer.epoch++
}

// outBatch is a batch as it is sent, and sent again.
type outBatch struct {
	part     *outPartition
	entries  []*pending
	wire     *sarama.RecordBatch
	bytes    int
	sending  bool
	doubtful bool // an attempt may have reached the log

	offset   int64     // that was acknowledged, while the partition is held
	appended time.Time // the broker's timestamp then; zero: none
}

// maxBatch bounds a batch that has several records: with its overhead it stays below max.message.bytes' default.
const maxBatch = 1_000_000

// nextBatch takes a batch from the front of the queue.
func (p *outPartition) nextBatch() *outBatch {
	b := &outBatch{part: p}
	n := 0
	for _, e := range p.queue {
		size := e.wireSize()
		if n > 0 && (b.bytes+size > maxBatch || n == p.maxRecords) {
			break
		}
		b.bytes += size
		n++
	}
	b.entries = slices.Clone(p.queue[:n])
	clear(p.queue[:n])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	for _, e := range b.entries {
		e.batch = b
	}
	p.batch = b
	return b
}

// encode makes what is sent. It is made once, when the partition has its producer id: what is sent again must be the same.
func (b *outBatch) encode() {
	if b.wire == nil {
		b.wire = encodeBatch(b.entries, b.part.producer, b.part.sequence)
	}
}

// encodeBatch is a record batch of the entries, the first of which has the sequence number.
func encodeBatch(entries []*pending, producer producerID, sequence int32) *sarama.RecordBatch {
	first := time.UnixMilli(entries[0].timestamp)
	w := &sarama.RecordBatch{
		Version: 2, PartitionLeaderEpoch: -1,
		FirstTimestamp: first, MaxTimestamp: first,
		LastOffsetDelta: int32(len(entries) - 1),
		ProducerID:      producer.id, ProducerEpoch: producer.epoch, FirstSequence: sequence,
		Records: make([]*sarama.Record, len(entries)),
	}
	records := make([]sarama.Record, len(entries))
	for i, e := range entries {
		at := time.UnixMilli(e.timestamp)
		if at.After(w.MaxTimestamp) {
			w.MaxTimestamp = at
		}
		records[i] = sarama.Record{Key: e.key, Value: e.value, Headers: e.headers, OffsetDelta: int64(i), TimestampDelta: at.Sub(first)}
		w.Records[i] = &records[i]
	}
	return w
}

func (b *outBatch) allAnswered() bool {
	return !slices.ContainsFunc(b.entries, func(e *pending) bool { return !e.answered })
}

// after is the sequence number after n records from s on (it wraps to 0).
func after(s int32, n int) int32 { return int32((int64(s) + int64(n)) & math.MaxInt32) }
