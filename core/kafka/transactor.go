package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// concurrentBackoff is how long the coordinator is left alone that is still ending the transaction before.
const concurrentBackoff = 10 * time.Millisecond

// processSuffix is what this process adds to a transactional id that another one has taken over.
var processSuffix = fmt.Sprintf("%08x", rand.Uint32())

// transactor is one transactional producer, with at most one transaction. It belongs to who has taken it.
type transactor struct {
	t        *Transactions
	id       string // the transactional id
	suffixed bool   // it is one that nobody else has

	producer    producerID
	ready       bool // the producer id is good for a new transaction
	open        bool // the coordinator may have a transaction of it that is open
	coordinator string
	sequences   map[partitionKey]int32

	mu    sync.Mutex
	links map[string]*link // by address; they are not resent over, since it has to be known whether a request was sent
}

// partitionKey names a partition.
type partitionKey struct {
	topic string
	id    int32
}

func newTransactor(t *Transactions, id string) *transactor {
	return &transactor{t: t, id: id, links: map[string]*link{}}
}

// brokenError is a transaction that has surely ended without its records, for a reason that does not concern them: another producer id or epoch
// is needed, and then it may succeed.
type brokenError struct{ err error }

func (e *brokenError) Error() string {
	return ErrUnavailable.Error() + ": the transaction was broken off: " + e.err.Error()
}

func (e *brokenError) Unwrap() error { return ErrUnavailable }

// isBroken reports whether the error says that the producer id, its epoch, or its sequence numbers are not what the cluster has.
func isBroken(k sarama.KError) bool {
	switch k {
	case sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch, sarama.ErrInvalidProducerIDMapping, sarama.ErrUnknownProducerID,
		sarama.ErrInvalidTxnState, sarama.ErrOutOfOrderSequenceNumber:
		return true
	}
	return false
}

// isFenced reports whether the error says that the transactional id has another producer now, or a newer epoch.
func isFenced(err error) bool {
	return errors.Is(err, sarama.ErrProducerFenced) || errors.Is(err, sarama.ErrInvalidProducerEpoch)
}

// run makes one transaction. Its error is a *brokenError where another try makes sense.
func (p *transactor) run(ctx context.Context, x *transaction) error {
	// The cluster counts from the first partition that is added, which is later. What is not about to be committed by then is given up, as
	// it is where Close is in a hurry.
	working, cancel := context.WithTimeout(ctx, p.t.config.TransactionTimeout*9/10)
	defer cancel()
	stop := context.AfterFunc(p.t.hurry, cancel)
	defer stop()
	if !p.ready {
		if err := p.recover(working); err != nil {
			return err
		}
	}
	p.ready = false // until it is committed
	if err := x.route(working); err != nil {
		p.ready = true // nothing was begun
		return err
	}
	p.open = true
	err := p.add(working, x)
	for i := range x.entries {
		if i > 0 && err == nil {
			err = sleep(working, 2*time.Millisecond)
		}
		if err == nil {
			err = p.produce(working, x, i)
		}
	}
	if err == nil {
		err = x.confirm(working)
	}
	if err == nil && working.Err() != nil {
		err = fmt.Errorf("%w: the transaction has taken too long", ErrUnavailable)
	}
	if err != nil {
		return p.judge(err)
	}
	if err := p.commit(ctx); err != nil {
		return err
	}
	p.ready, p.open = true, false
	return nil
}

// judge is what an error before the commit means for the records: they are not in the log.
func (p *transactor) judge(err error) error {
	var broken *brokenError
	if errors.As(err, &broken) {
		return err
	}
	var k sarama.KError
	if errors.As(err, &k) && isBroken(k) {
		return &brokenError{err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrUnavailable, withoutVerdict(err))
	}
	return err
}

// recover ends the transaction that may be open, and gets a producer id, or its next epoch, with which sequence numbers begin anew and nothing that was sent
// before is taken any more.
func (p *transactor) recover(ctx context.Context) error {
	p.ready = false
	if p.open && p.producer.known {
		if err := p.abort(ctx); err != nil {
			return err
		}
	}
	p.open = false
	err := p.begin(ctx)
	if isFenced(err) && p.producer.known {
		p.fenced(err)
		err = p.begin(ctx)
	}
	if err != nil {
		return p.judge(err)
	}
	p.ready = true
	return nil
}

// begin asks for a producer id, or for the next epoch of the one that is known. The coordinator ends what is open of the transactional id.
func (p *transactor) begin(ctx context.Context) error {
	req := &sarama.InitProducerIDRequest{
		Version: 4, TransactionalID: &p.id, TransactionTimeout: p.t.config.TransactionTimeout, ProducerID: -1, ProducerEpoch: -1,
	}
	if p.producer.known {
		req.ProducerID, req.ProducerEpoch = p.producer.id, p.producer.epoch
	}
	var res *sarama.InitProducerIDResponse
	_, err := p.ask(ctx, func(b *sarama.Broker) (sarama.KError, time.Duration, error) {
		var err error
		if res, err = b.InitProducerID(req); err != nil {
			return 0, 0, err
		}
		return res.Err, res.ThrottleTime, nil
	})
	if err != nil {
		return fmt.Errorf("begin with transactional id %q: %w", p.id, err)
	}
	p.producer = producerID{known: true, id: res.ProducerID, epoch: res.ProducerEpoch}
	p.sequences = map[partitionKey]int32{}
	return nil
}

// fenced deals with another process that has begun to use the transactional id. Taking it back would fence that one, and so on in turn: an id
// with this process's suffix is nobody else's. The cluster says the same of a transaction that took longer than its time-out.
func (p *transactor) fenced(err error) {
	p.producer = producerID{}
	p.open = false // whoever took over has had it ended
	if p.suffixed {
		return
	}
	before := p.id
	p.id, p.suffixed, p.coordinator = p.id+"-"+processSuffix, true, ""
	p.t.config.Kafka.Logger.Warn("a transactional id was taken over by another process with the same identity, or its transaction took too long: another id is used",
		"transactional id", before, "now", p.id, "error", err)
}

// add tells the coordinator of the transaction's partitions.
func (p *transactor) add(ctx context.Context, x *transaction) error {
	req := &sarama.AddPartitionsToTxnRequest{
		Version: 3, TransactionalID: p.id, ProducerID: p.producer.id, ProducerEpoch: p.producer.epoch, TopicPartitions: x.partitions(),
	}
	_, err := p.ask(ctx, func(b *sarama.Broker) (sarama.KError, time.Duration, error) {
		res, err := b.AddPartitionsToTxn(req)
		if err != nil {
			return 0, 0, err
		}
		answered := 0
		worst := sarama.ErrNoError
		for _, partitions := range res.Errors {
			for _, e := range partitions {
				answered++
				if e.Err != sarama.ErrNoError && (worst == sarama.ErrNoError || worst == sarama.ErrOperationNotAttempted) {
					worst = e.Err
				}
			}
		}
		if worst == sarama.ErrNoError && answered < len(x.parts) {
			return 0, res.ThrottleTime, sarama.ErrIncompleteResponse
		}
		return worst, res.ThrottleTime, nil
	})
	if err != nil {
		return p.ended("add partitions", err)
	}
	return nil
}

// commit ends the transaction with its records. Without an answer it is asked again: the coordinator answers the same producer id and epoch
// with what it has done.
func (p *transactor) commit(ctx context.Context) error {
	inDoubt, err := p.end(ctx, true)
	switch {
	case err == nil:
		return nil
	case inDoubt:
		return fmt.Errorf("%w: commit: %w", ErrUnknownOutcome, withoutVerdict(err))
	}
	return p.judge(p.ended("commit", err))
}

// abort ends the transaction without its records, where there is one.
func (p *transactor) abort(ctx context.Context) error {
	_, err := p.end(ctx, false)
	switch {
	case err == nil || errors.Is(err, sarama.ErrInvalidTxnState): // none was begun, or it was committed after all
		return nil
	case isFenced(err), errors.Is(err, sarama.ErrInvalidProducerIDMapping):
		p.fenced(err)
		return nil
	}
	return fmt.Errorf("abort: %w", err)
}

func (p *transactor) end(ctx context.Context, commit bool) (inDoubt bool, err error) {
	req := &sarama.EndTxnRequest{Version: 3, TransactionalID: p.id, ProducerID: p.producer.id, ProducerEpoch: p.producer.epoch, TransactionResult: commit}
	return p.ask(ctx, func(b *sarama.Broker) (sarama.KError, time.Duration, error) {
		res, err := b.EndTxn(req)
		if err != nil {
			return 0, 0, err
		}
		return res.Err, res.ThrottleTime, nil
	})
}

// ended adds what was done to an error, and where it says that the id is another's now, gives it up.
func (p *transactor) ended(action string, err error) error {
	if isFenced(err) || errors.Is(err, sarama.ErrInvalidProducerIDMapping) {
		p.fenced(err)
		return &brokenError{fmt.Errorf("%s: %w", action, err)}
	}
	return fmt.Errorf("%s with transactional id %q: %w", action, p.id, err)
}

// ask runs an exchange with the coordinator, and again where it is another broker, cannot answer now, or has not finished what was
// before. inDoubt says that an answer is missing, or was one that a coordinator also gives that has written what was asked for and does not know it yet;
// it stays when a later request is answered with an error.
func (p *transactor) ask(ctx context.Context, exchange func(*sarama.Broker) (sarama.KError, time.Duration, error)) (inDoubt bool, err error) {
	var cause error
	for failures := 0; ; failures++ {
		if cause != nil {
			wait := backoff(failures)
			if errors.Is(cause, sarama.ErrConcurrentTransactions) {
				wait = concurrentBackoff
			}
			if sleep(ctx, wait) != nil {
				return inDoubt, fmt.Errorf("%w: no answer in time: %w", ErrUnavailable, withoutVerdict(cause))
			}
		}
		var addr string
		if addr, err = p.findCoordinator(ctx); err == nil {
			var k sarama.KError
			var sent bool
			sent, err = p.link(addr).do(ctx, func(b *sarama.Broker) (time.Duration, error) {
				answer, throttle, err := exchange(b)
				if err == nil && answer != sarama.ErrNoError {
					k, err = answer, answer
				}
				return throttle, err
			})
			switch {
			case err == nil:
				return false, nil
			case k != 0 && !isRetriable(k):
				if k == sarama.ErrProducerFenced { // which sarama has no text for
					return inDoubt, fmt.Errorf("%w: another producer has the transactional id: %w", ErrRefused, k)
				}
				return inDoubt, classify(k)
			case k == sarama.ErrConcurrentTransactions:
				inDoubt = true
			case k != 0:
				p.coordinator, inDoubt = "", true
			default:
				p.coordinator = ""
				inDoubt = inDoubt || sent
			}
		}
		if errors.Is(err, ErrNotAuthorized) || errors.Is(err, ErrRefused) || errors.Is(err, ErrClosed) {
			return inDoubt, err
		}
		if ctx.Err() != nil {
			return inDoubt, fmt.Errorf("%w: %w", ErrUnavailable, withoutVerdict(err))
		}
		cause = err
	}
}

func (p *transactor) findCoordinator(ctx context.Context) (string, error) {
	if p.coordinator != "" {
		return p.coordinator, nil
	}
	ctx, done, err := p.t.client.begin(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	p.coordinator, err = p.t.client.findCoordinator(ctx, sarama.CoordinatorTransaction, p.id)
	return p.coordinator, err
}

func (p *transactor) link(addr string) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[addr]
	if l == nil {
		l = newLink(&p.t.config.Kafka, addr, lookupFrame, false)
		p.links[addr] = l
	}
	return l
}

func (p *transactor) close() {
	for _, l := range p.links {
		l.close()
	}
}
