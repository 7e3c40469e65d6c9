package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// unknownTopicPatience is for how long every answer has to say that a topic is not there before that is believed: it
	// may just have been created, and not every broker know it.
	unknownTopicPatience = 2 * time.Second
	// unknownTopicInterval is the longest time between two look-ups meanwhile.
	unknownTopicInterval = 250 * time.Millisecond
)

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
	if t.parts != nil {
		p.id.known = false // the new topic may know it already, from a batch that was meant for the old one
	}
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
