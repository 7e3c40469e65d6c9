package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The defaults of [TransactionsConfig].
const (
	DefaultTransactionTimeout    = 5 * time.Second
	DefaultTransactionProducers  = 4
	DefaultTransactionalIDPrefix = "kafka-cache"
)

const (
	// transactionTries bounds how often the records of one Write are put into a transaction, where each one before was surely ended without
	// them for a reason that does not concern them.
	transactionTries = 3
	// abortPatience is for how long a transaction that failed is tried to be ended beside the writes: well past the time after which the
	// cluster ends it by itself (the time-out, and transaction.abort.timed.out.transaction.cleanup.interval.ms, 10 s).
	abortPatience = 15 * time.Second
)

// TransactionsConfig says how [Transactions] write.
type TransactionsConfig struct {
	Kafka Config
	// ID is what the transactional ids begin with, of which each producer has one: it has to be this process's alone, and should be the same
	// after a restart, which then ends what the process before has left open. Default "kafka-cache".
	ID string
	// Producers is how many transactions there may be at the same time. Default 4.
	Producers int
	// TransactionTimeout is after how long the cluster ends a transaction whose producer has gone (transaction.timeout.ms). Until then nobody reads
	// what follows it in its partitions. A transaction that takes nine tenths of it is given up. Default 5 s.
	TransactionTimeout time.Duration
	// Timeout bounds a Write. Default 10 s.
	Timeout time.Duration
}

// TopicRecord is a record, and the topic that it is for.
type TopicRecord struct {
	Topic string
	ProduceRecord
}

// Transactions writes records in transactions (KIP-98): a reader of committed records sees all of one, or none. It is safe for
// concurrent use.
//
// It has a few producers, each with a transactional id of its own, and each with one transaction at a time. Another process that begins to use
// the same ids fences them; they go on under ids with a suffix of this process's.
type Transactions struct {
	config TransactionsConfig
	client *Client
	free   chan *transactor // those without a transaction, the one that has been idle for longest first
	all    []*transactor

	ctx    context.Context // ends when nothing is to be waited for any more
	cancel context.CancelCauseFunc
	hurry  context.Context // ends when transactions are to be given up that are not about to be committed
	rush   context.CancelCauseFunc

	mu      sync.Mutex
	topics  map[string]*writtenTopic
	bytes   int // of what is under way
	closing bool
	closed  chan struct{}
	work    sync.WaitGroup // Writes, and what ends transactions beside them
}

// NewTransactions checks the configuration. It starts nothing and touches no network.
func NewTransactions(c TransactionsConfig) (*Transactions, error) {
	setDefault(&c.Timeout, DefaultProduceTimeout)
	setDefault(&c.TransactionTimeout, DefaultTransactionTimeout)
	if c.Producers == 0 {
		c.Producers = DefaultTransactionProducers
	}
	if c.ID == "" {
		c.ID = DefaultTransactionalIDPrefix
	}
	switch {
	case c.Timeout < time.Millisecond:
		return nil, fmt.Errorf("%w: produce timeout: %v is less than 1ms", ErrConfig, c.Timeout)
	case c.TransactionTimeout < 10*time.Millisecond:
		return nil, fmt.Errorf("%w: transaction timeout: %v is less than 10ms", ErrConfig, c.TransactionTimeout)
	case c.Producers < 1 || c.Producers > 1000:
		return nil, fmt.Errorf("%w: %d transactional producers: 1 to 1000", ErrConfig, c.Producers)
	}
	client, err := NewClient(c.Kafka)
	if err != nil {
		return nil, err
	}
	c.Kafka = client.config
	t := &Transactions{
		config: c, client: client, free: make(chan *transactor, c.Producers), topics: map[string]*writtenTopic{}, closed: make(chan struct{}),
	}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	t.hurry, t.rush = context.WithCancelCause(t.ctx)
	for i := range c.Producers {
		p := newTransactor(t, fmt.Sprintf("%s-%d", c.ID, i))
		t.all = append(t.all, p)
		t.free <- p
	}
	return t, nil
}

// Write writes all records in one transaction, and returns where each is, step after step. Records of one partition are written in their
// order. A step begins a few milliseconds after the one before it is written, so that brokers that set timestamps give it later ones. The
// records' bytes are copied; Write waits for the network.
//
// When it returns nil, the transaction is committed; that it can be read follows shortly. The error wraps [ErrUnknownOutcome] where all or none of the records may be
// in the log, for good or in a moment: no answer came to the request that commits them. Otherwise it says why none of them is, or will be,
// readable: as [Producer.Produce] does.
func (t *Transactions) Write(ctx context.Context, steps ...[]TopicRecord) ([]Produced, error) {
	out, err := t.write(ctx, steps)
	if err != nil {
		return nil, fmt.Errorf("write a transaction: %w", err)
	}
	return out, nil
}

func (t *Transactions) write(ctx context.Context, steps [][]TopicRecord) ([]Produced, error) {
	size, n := 0, 0
	batches := make([][]*pending, len(steps))
	for i, step := range steps {
		for _, r := range step {
			if r.Timestamp < 0 || r.Timestamp > maxTimestamp || r.ToPartition && r.Partition < 0 {
				return nil, fmt.Errorf("%w: timestamp %d, partition %d of topic %q", ErrRefused, r.Timestamp, r.Partition, r.Topic)
			}
			e := newPending(r.ProduceRecord, nil)
			if e.timestamp == 0 {
				e.timestamp = time.Now().UnixMilli()
			}
			size += e.size
			batches[i] = append(batches[i], e)
			n++
		}
	}
	if n == 0 {
		return nil, nil
	}
	if err := t.begin(size); err != nil {
		return nil, err
	}
	defer t.end(size)
	ctx, cancel := context.WithTimeout(ctx, t.config.Timeout)
	defer cancel()
	stop := context.AfterFunc(t.ctx, cancel)
	defer stop()
	p, err := t.take(ctx)
	if err != nil {
		return nil, err
	}
	defer t.giveBack(p)
	x := &transaction{Transactions: t, steps: steps, entries: batches, produced: make(map[*pending]Produced, n)}
	for try := 1; ; try++ {
		err = p.run(ctx, x)
		var again *brokenError
		if err == nil || try == transactionTries || !errors.As(err, &again) || ctx.Err() != nil || t.hurry.Err() != nil {
			break
		}
	}
	if err != nil {
		if t.hurry.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return nil, err
	}
	out := make([]Produced, 0, n)
	for _, b := range batches {
		for _, e := range b {
			out = append(out, x.produced[e])
		}
	}
	return out, nil
}

// begin notes a Write of so many bytes.
func (t *Transactions) begin(size int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		return ErrClosed
	case size > maxBuffered:
		return fmt.Errorf("%w: %d bytes where %d can be held", ErrTooLarge, size, maxBuffered)
	case t.bytes+size > maxBuffered:
		return fmt.Errorf("%w: %d bytes wait to be written already", ErrUnavailable, t.bytes)
	}
	t.bytes += size
	t.work.Add(1)
	return nil
}

func (t *Transactions) end(size int) {
	t.mu.Lock()
	t.bytes -= size
	t.mu.Unlock()
	t.work.Done()
}

// take is a producer without a transaction, as soon as there is one.
func (t *Transactions) take(ctx context.Context) (*transactor, error) {
	select {
	case p := <-t.free:
		return p, nil
	default:
	}
	select {
	case p := <-t.free:
		return p, nil
	case <-t.hurry.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: all %d transactional producers are busy: %w", ErrUnavailable, len(t.all), context.Cause(ctx))
	}
}

// giveBack lets others have a producer, once what it may have left open is ended.
func (t *Transactions) giveBack(p *transactor) {
	if !p.open {
		t.free <- p
		return
	}
	t.work.Add(1) // the caller counts too, so that Close is not past waiting
	go func() {
		defer t.work.Done()
		ctx, cancel := context.WithTimeout(t.ctx, abortPatience)
		defer cancel()
		if err := p.recover(ctx); err != nil {
			t.config.Kafka.Logger.Warn("a transaction is left to the cluster to be ended", "transactional id", p.id, "within", t.config.TransactionTimeout, "error", err)
		}
		t.free <- p
	}()
}

// Recover ends what a process before this one, with the same ids, has left open, and fences it should it still be there. Where that cannot be done now the error
// wraps [ErrUnavailable], and it makes sense to try again.
func (t *Transactions) Recover(ctx context.Context) error {
	if err := t.begin(0); err != nil {
		return err
	}
	defer t.end(0)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(t.hurry, cancel)
	defer stop()
	for range t.all { // the one that has been idle for longest comes first, so that each has its turn
		if err := t.recoverOne(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *Transactions) recoverOne(ctx context.Context) error {
	p, err := t.take(ctx)
	if err != nil {
		return err
	}
	defer t.giveBack(p)
	if p.ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.config.TransactionTimeout) // so that others get at it too while no broker answers
	defer cancel()
	return p.recover(ctx)
}

// Close waits until what was to be written is written or has failed, and what is open is ended, at most until ctx ends. Shortly before that
// transactions that are not about to be committed are given up, so that there is time to end them: none is left open that the cluster can be told to end.
// When it returns, all goroutines have ended. It returns ctx.Err() where something was left.
func (t *Transactions) Close(ctx context.Context) error {
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		select {
		case <-t.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.closing = true
	t.mu.Unlock()
	defer close(t.closed)
	ended := make(chan struct{})
	go func() {
		t.work.Wait()
		close(ended)
	}()
	var err error
	hurry := make(<-chan time.Time)
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timer := time.NewTimer(left - min(left/2, time.Second))
		defer timer.Stop()
		hurry = timer.C
	}
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		case <-hurry:
			t.rush(ErrClosed)
		case <-ctx.Done():
			done = true
			select {
			case <-ended:
			default:
				err = ctx.Err()
			}
		}
	}
	t.cancel(ErrClosed)
	<-ended
	for _, p := range t.all {
		p.close()
	}
	return errors.Join(err, t.client.Close())
}
