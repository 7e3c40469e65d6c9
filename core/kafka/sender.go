package kafka

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/IBM/sarama"
)

// maxProduceRequest bounds a request for all of a leader's partitions.
const maxProduceRequest = 8 << 20

// sender writes to the partitions of one broker, one request at a time.
type sender struct {
	p    *Producer
	addr string
	link *link
	wake chan struct{}
	turn int // which partition is looked at first
	last int // records of the last request

	// Guarded by the Producer's mu.
	askedAt   time.Time               // when the request that is in flight was begun; zero: none is
	interrupt context.CancelCauseFunc // ends that request
}

// isOverdue reports whether the broker should have answered by now. Who calls it holds mu.
func (s *sender) isOverdue(now time.Time) bool {
	return !s.askedAt.IsZero() && now.Sub(s.askedAt) > overdue
}

func (s *sender) run() {
	defer s.link.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for s.p.ctx.Err() == nil {
		s.gather(runtime.Gosched)
		batches, wait := s.collect(time.Now())
		if len(batches) > 0 {
			s.send(batches)
			continue
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.p.ctx.Done():
		}
	}
}

// maxYields bounds how often a request lets others run that may have more for it.
const maxYields = 4

// gather lets those run that are about to write, so that what they write goes with the next request. Whom one request has answered come back together, and the first
// of them wakes the sender, which the scheduler would have run next: a request for that one record would go ahead of all the others. Who writes alone is
// sent at once; no clock is involved, and where nobody is ready to run yield comes back at once.
func (s *sender) gather(yield func()) {
	if s.last <= 1 {
		return
	}
	before := s.p.routed.Load()
	for range maxYields {
		yield()
		now := s.p.routed.Load()
		if now == before {
			return
		}
		before = now
	}
}

// collect takes a batch of each partition that has one to send now.
func (s *sender) collect(now time.Time) (batches []*outBatch, wait time.Duration) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	wait = time.Hour
	var parts []*outPartition
	for _, t := range s.p.topics {
		for _, part := range t.parts {
			if part.leaderAddr != s.addr || part.sender != nil || part.held || !part.hasWork() {
				continue
			}
			if !part.isLookedUp(now, s.p.config.Kafka.RefreshInterval) {
				nudge(t.kick) // the senders are woken once it is
				continue
			}
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return nil, wait
	}
	s.turn++
	bytes, records := 0, 0
	for i := range parts {
		part := parts[(i+s.turn)%len(parts)]
		if d := part.retryAt.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		b := part.batch
		if b == nil {
			b = part.nextBatch()
		}
		if len(batches) > 0 && bytes+b.bytes > maxProduceRequest {
			if b.wire == nil {
				s.p.requeue(b)
			}
			continue
		}
		bytes += b.bytes
		part.sender, b.sending = s, true
		batches = append(batches, b)
		records += len(b.entries)
	}
	if records > 0 {
		s.last = records
	}
	return batches, wait
}

// send makes one request and deals with what became of each batch.
func (s *sender) send(batches []*outBatch) {
	ctx, interrupt := context.WithCancelCause(s.p.ctx)
	defer interrupt(nil)
	s.p.mu.Lock()
	s.askedAt, s.interrupt = time.Now(), interrupt
	s.p.mu.Unlock()
	res, sent, err := s.exchange(ctx, batches)
	s.p.mu.Lock()
	s.askedAt, s.interrupt = time.Time{}, nil
	var as []answer
	now := time.Now()
	for _, b := range batches {
		b.part.sender, b.sending = nil, false
		var block *sarama.ProduceResponseBlock
		if res != nil {
			block = res.GetBlock(b.part.topic.name, b.part.id)
		}
		switch {
		case block != nil:
			as = s.p.judge(as, b, block, now)
		case sent:
			if err == nil {
				err = fmt.Errorf("%w: %w", ErrCorrupt, sarama.ErrIncompleteResponse)
			}
			b.doubtful = true
			as = s.p.again(as, b, err, now)
		case errors.Is(err, ErrNotAuthorized) || errors.Is(err, ErrRefused):
			as = s.p.refuse(as, b, err)
		default:
			as = s.p.again(as, b, err, now)
		}
	}
	s.p.mu.Unlock()
	deliver(as)
}

func (s *sender) exchange(ctx context.Context, batches []*outBatch) (res *sarama.ProduceResponse, sent bool, err error) {
	c := &s.p.config.Kafka
	req := &sarama.ProduceRequest{
		Version: 10, RequiredAcks: sarama.WaitForAll,
		// The broker gives up waiting for its followers before we give up waiting for it.
		Timeout: int32(max(c.ReadTimeout*4/5, time.Millisecond) / time.Millisecond),
	}
	for _, b := range batches {
		// The batch and its partition's producer id belong to this sender meanwhile.
		if !b.part.producer.known {
			id, err := s.p.newID(ctx)
			if err != nil {
				return nil, false, err
			}
			b.part.producer, b.part.sequence = id, 0
		}
		b.encode()
		req.AddBatch(b.part.topic.name, b.part.id, b.wire)
	}
	sent, err = s.link.do(ctx, func(b *sarama.Broker) (time.Duration, error) {
		var err error
		if res, err = b.Produce(req); err != nil {
			return 0, err
		}
		return res.ThrottleTime, nil
	})
	return res, sent, err
}

// judge deals with a broker's answer for one batch. Who calls it holds mu.
func (p *Producer) judge(as []answer, b *outBatch, block *sarama.ProduceResponseBlock, now time.Time) []answer {
	part := b.part
	switch block.Err {
	case sarama.ErrNoError:
		if part.orphaned {
			b.doubtful = true // the old topic may have acknowledged it, or the new one
			return p.again(as, b, nil, now)
		}
		if block.Offset > part.acked && part.acked >= 0 {
			return p.written(as, b, block.Offset, block.Timestamp)
		}
		// The first acknowledgement, or one below another: the topic may have been created anew since its leader was
		// looked up. Metadata that is asked for now tells.
		part.held, part.lookUpAfter = true, now
		b.doubtful, b.offset, b.appended = true, block.Offset, block.Timestamp
		nudge(part.topic.kick)
		return as
	case sarama.ErrDuplicateSequenceNumber:
		// It is in the log, from an attempt before, and the broker has forgotten where.
		return p.written(as, b, -1, time.Time{})
	case sarama.ErrOutOfOrderSequenceNumber, sarama.ErrUnknownProducerID, sarama.ErrInvalidProducerEpoch,
		sarama.ErrInvalidProducerIDMapping, sarama.ErrProducerFenced:
		// The broker has lost, or never had, the sequence that the batch continues. This attempt wrote nothing.
		if block.Err != sarama.ErrOutOfOrderSequenceNumber {
			p.id.known = false
			part.producer.known = false
		}
		if b.doubtful {
			return p.refuse(as, b, classify(block.Err))
		}
		part.bump()
		b.wire = nil
		return p.again(as, b, fmt.Errorf("%w: %w", ErrUnavailable, block.Err), now)
	case sarama.ErrUnknownTopicOrPartition:
		// Nothing was appended; or the topic was deleted while its followers copied what was, which is gone with it.
		return p.again(as, b, classify(block.Err), now)
	case sarama.ErrNotEnoughReplicas, sarama.ErrInvalidMessage:
		return p.again(as, b, classify(block.Err), now) // refused before anything was written
	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge, sarama.ErrInvalidRecord, sarama.ErrInvalidTimestamp:
		if len(b.entries) > 1 && !b.doubtful {
			return p.takeApart(as, b, block)
		}
	}
	if isRetriable(block.Err) {
		// NOT_LEADER_OR_FOLLOWER too can follow upon a local append, which the new leader may have copied.
		b.doubtful = true
		return p.again(as, b, classify(block.Err), now)
	}
	return p.refuse(as, b, refusal(block))
}

func refusal(block *sarama.ProduceResponseBlock) error {
	err := classify(block.Err)
	if block.ErrorMessage != nil && *block.ErrorMessage != "" {
		err = fmt.Errorf("%w (%s)", err, *block.ErrorMessage)
	}
	return err
}

// written answers a batch's records. offset is the first one's, or -1.
func (p *Producer) written(as []answer, b *outBatch, offset int64, appended time.Time) []answer {
	part := b.part
	part.sequence = after(part.sequence, len(b.entries))
	part.maxRecords = 0
	if offset >= 0 {
		part.acked = offset + int64(len(b.entries)) - 1
	}
	part.held = false
	part.batch, part.failures, part.cause, part.retryAt = nil, 0, nil, time.Time{}
	for i, e := range b.entries {
		w := Produced{TopicID: part.incarnation, Partition: part.id, Offset: -1, Timestamp: e.timestamp}
		if offset >= 0 {
			w.Offset = offset + int64(i)
		}
		if !appended.IsZero() {
			w.Timestamp = appended.UnixMilli()
		}
		as = p.settle(as, e, w, nil)
		p.release(e)
	}
	return as
}

// refuse answers a batch's records with an error that no retry would change.
func (p *Producer) refuse(as []answer, b *outBatch, err error) []answer {
	part := b.part
	if b.doubtful {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, withoutVerdict(err))
		part.bump()
	}
	part.batch, part.cause, part.held = nil, nil, false
	for _, e := range b.entries {
		as = p.settle(as, e, Produced{}, err)
		p.release(e)
	}
	return as
}

// takeApart has the records of a refused batch sent in smaller ones, so that one that cannot be written does not take
// the others with it. The ones that the broker named (KIP-467) are answered.
func (p *Producer) takeApart(as []answer, b *outBatch, block *sarama.ProduceResponseBlock) []answer {
	named := 0
	for _, r := range block.RecordErrors {
		if int(r.BatchIndex) < 0 || int(r.BatchIndex) >= len(b.entries) {
			continue
		}
		err := classify(block.Err)
		if r.BatchIndexErrorMessage != nil {
			err = fmt.Errorf("%w (%s)", err, *r.BatchIndexErrorMessage)
		}
		as = p.settle(as, b.entries[r.BatchIndex], Produced{}, err)
		named++
	}
	if named == 0 {
		b.part.maxRecords = (len(b.entries) + 1) / 2
	}
	p.requeue(b)
	return as
}

// again has a batch sent again after a while: as it was where its outcome is in doubt, otherwise with what has come since.
// Where the leader did not answer, or is none, it is looked up before, and so is the topic's id.
func (p *Producer) again(as []answer, b *outBatch, err error, now time.Time) []answer {
	part := b.part
	if part.orphaned {
		return p.readdress(as, b)
	}
	part.cause = err
	part.retryAt = now.Add(min(backoff(part.failures), p.config.Timeout/8))
	part.failures++
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownTopic) || b.doubtful {
		part.lookUpAfter = now
	}
	nudge(part.topic.kick)
	switch {
	case !b.doubtful:
		p.requeue(b)
	case b.allAnswered():
		p.abandon(part)
	}
	if s := p.senders[part.leaderAddr]; s != nil {
		nudge(s.wake)
	}
	return as
}

// requeue puts a batch that was surely not written back to the front of its queue, without what has been answered.
func (p *Producer) requeue(b *outBatch) {
	var back []*pending
	for _, e := range b.entries {
		e.batch = nil
		if e.answered {
			p.release(e)
			continue
		}
		back = append(back, e)
	}
	b.part.queue = append(back, b.part.queue...)
	b.part.batch = nil
}

// abandon gives up a batch all of whose records were answered at their deadlines.
func (p *Producer) abandon(part *outPartition) {
	b := part.batch
	part.batch, part.held = nil, false
	if b.doubtful {
		part.bump()
	}
	for _, e := range b.entries {
		p.release(e)
	}
	if s := p.senders[part.leaderAddr]; s != nil {
		nudge(s.wake)
	}
}

// senderFor starts a sender where there is none for the address. Who calls it holds mu.
func (p *Producer) senderFor(addr string) {
	if p.senders[addr] != nil {
		return
	}
	s := &sender{p: p, addr: addr, link: newLink(&p.config.Kafka, addr, lookupFrame, false), wake: make(chan struct{}, 1)}
	p.senders[addr] = s
	p.workers.Go(s.run)
}
