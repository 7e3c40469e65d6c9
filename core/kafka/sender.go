package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

const (
	// maxProduceRequest bounds a request for all of a leader's partitions.
	maxProduceRequest = 8 << 20
	// unknownTopicPatience is for how long every answer has to say that a topic is not there before that is believed: it
	// may just have been created, and not every broker know it.
	unknownTopicPatience = 2 * time.Second
	// unknownTopicInterval is the longest time between two look-ups meanwhile.
	unknownTopicInterval = 250 * time.Millisecond
)

// sender writes to the partitions of one broker, one request at a time.
type sender struct {
	p    *Producer
	addr string
	link *link
	wake chan struct{}
	turn int // which partition is looked at first

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
	bytes := 0
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

// keepTopic asks for a topic's metadata when it is first written to, and whenever it is asked to.
func (p *Producer) keepTopic(t *outTopic) {
	failures := 0
	for {
		asked := time.Now()
		info, err := p.client.DescribeTopic(p.ctx, t.name)
		if p.ctx.Err() != nil {
			return
		}
		as, retry, gone := p.updateTopic(t, asked, info, err)
		deliver(as)
		if gone {
			return
		}
		if !retry {
			failures = 0
			select {
			case <-t.kick:
			case <-p.ctx.Done():
				return
			}
			if sleep(p.ctx, time.Until(asked.Add(leastRefresh))) != nil { // several partitions' faults ask together
				return
			}
			continue
		}
		failures++
		wait := backoff(failures)
		if errors.Is(err, ErrUnknownTopic) {
			wait = min(wait, unknownTopicInterval)
		}
		if sleep(p.ctx, wait) != nil {
			return
		}
	}
}

// updateTopic takes metadata over that was asked for at a time. It reports whether to ask again before long, and whether
// the topic is given up.
func (p *Producer) updateTopic(t *outTopic, asked time.Time, info TopicInfo, err error) (as []answer, retry, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && len(info.Partitions) == 0 {
		err = fmt.Errorf("%w: topic %q has no partitions", ErrUnavailable, t.name)
	}
	t.cause = err
	if !errors.Is(err, ErrUnknownTopic) {
		t.unknownSince = time.Time{}
	} else if t.unknownSince.IsZero() {
		t.unknownSince = asked
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknownTopic) && asked.Sub(t.unknownSince) >= unknownTopicPatience,
		t.parts == nil && (errors.Is(err, ErrNotAuthorized) || errors.Is(err, ErrRefused)):
		as, gone = p.giveUp(as, t, err)
		return as, !gone, gone
	default:
		return nil, true, false
	}
	now := time.Now()
	t.refreshedAt = asked
	if t.id != info.ID {
		as = p.moveTo(as, t, info)
	}
	for i := len(t.parts); i < len(info.Partitions); i++ {
		t.parts = append(t.parts, &outPartition{topic: t, incarnation: info.ID, id: info.Partitions[i].ID, acked: -1})
	}
	for _, q := range info.Partitions {
		i := slices.IndexFunc(t.parts, func(part *outPartition) bool { return part.id == q.ID })
		part := t.parts[i]
		if s := part.sender; s != nil && q.LeaderAddr != "" && q.LeaderAddr != s.addr && s.isOverdue(now) {
			s.interrupt(errMoved) // whether it was written is in doubt either way, and the new leader will know
		}
		part.leaderAddr = q.LeaderAddr
		if q.LeaderAddr == "" {
			part.cause = fmt.Errorf("%w: partition %d has no leader", ErrUnavailable, q.ID)
			retry = retry || part.hasWork()
			continue
		}
		p.senderFor(q.LeaderAddr)
	}
	waiting := t.waiting
	t.waiting = nil
	for _, e := range waiting {
		if e.toPartition && t.partition(e.partition) == nil && asked.After(e.stamp) {
			as = p.settle(as, e, Produced{}, fmt.Errorf("%w: it has %d partitions, and no partition %d", ErrUnknownTopic, len(t.parts), e.partition))
			p.release(e)
			continue
		}
		p.route(t, e)
	}
	for _, part := range t.parts {
		if part.held && asked.After(part.lookUpAfter) {
			as = p.written(as, part.batch, part.batch.offset, part.batch.appended)
		}
		if s := p.senders[part.leaderAddr]; s != nil && part.hasWork() {
			nudge(s.wake)
		}
		retry = retry || part.leaderAddr == "" && part.hasWork()
	}
	return as, retry, false
}

// giveUp answers what waits for a topic that is not there, or may not be written to. It reports whether nothing of it is
// under way any more; the topic is then forgotten. Who calls it holds mu.
func (p *Producer) giveUp(as []answer, t *outTopic, err error) ([]answer, bool) {
	left := t.waiting
	t.waiting = nil
	busy := false
	for _, part := range t.parts {
		left = append(left, part.queue...)
		part.queue = nil
		switch {
		case part.sender != nil:
			busy = true
		case part.batch != nil:
			as = p.refuse(as, part.batch, err)
		}
	}
	for _, e := range left {
		as = p.settle(as, e, Produced{}, err)
		p.release(e)
	}
	if !busy {
		delete(p.topics, t.name)
	}
	return as, !busy
}

// moveTo lets go of the partitions of a topic that was deleted and created again. What had not been sent to them goes to
// the new ones; what a sender has now is looked at again when its request has ended.
func (p *Producer) moveTo(as []answer, t *outTopic, info TopicInfo) []answer {
	for _, part := range t.parts {
		if part.sender == nil && part.batch != nil {
			as = p.refuse(as, part.batch, fmt.Errorf("%w: topic %q has id %s now", ErrTopicRecreated, t.name, info.ID))
		}
		t.waiting = append(t.waiting, part.queue...)
		part.queue, part.orphaned = nil, true
	}
	for _, e := range t.waiting {
		e.part = nil
	}
	slices.SortStableFunc(t.waiting, func(a, b *pending) int { return a.deadline.Compare(b.deadline) })
	t.id, t.parts = info.ID, nil
	return as
}

// readdress deals with a batch that was under way while its topic was created anew: what may have been written is in
// doubt, and what was not goes to the new topic.
func (p *Producer) readdress(as []answer, b *outBatch) []answer {
	part := b.part
	t := part.topic
	if b.doubtful {
		return p.refuse(as, b, fmt.Errorf("%w: topic %q has id %s now", ErrTopicRecreated, t.name, t.id))
	}
	p.requeue(b)
	queue := part.queue
	part.queue = nil
	for _, e := range queue {
		e.part = nil
		switch {
		case p.topics[t.name] != t:
			as = p.settle(as, e, Produced{}, ErrUnknownTopic)
			p.release(e)
		case t.parts == nil:
			t.waiting = append(t.waiting, e)
		default:
			p.route(t, e)
		}
	}
	return as
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
