package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

// transaction is the records of one Write, and how far they are.
type transaction struct {
	*Transactions
	steps    [][]TopicRecord
	entries  [][]*pending // by step
	produced map[*pending]Produced
	parts    map[partitionKey]*txPartition
	infos    map[string]TopicInfo // of the topics, as they were when the records were given partitions
}

// txPartition is a partition that a transaction writes to.
type txPartition struct {
	partitionKey
	incarnation position.TopicID
	steps       [][]*pending
	left        [][]*pending // batches of the present step that are not written
}

// route gives the records their partitions.
func (x *transaction) route(ctx context.Context) error {
	x.parts, x.infos = map[partitionKey]*txPartition{}, map[string]TopicInfo{}
	choosers := map[string]*outTopic{}
	for i, step := range x.steps {
		for j := range step {
			r, e := &step[j], x.entries[i][j]
			info, ok := x.infos[r.Topic]
			if !ok {
				var err error
				if info, err = x.describe(ctx, r.Topic, time.Time{}); err != nil {
					return err
				}
				x.infos[r.Topic] = info
				choosers[r.Topic] = newOutTopic(r.Topic)
			}
			id := r.Partition
			if !r.ToPartition {
				id = info.Partitions[choosers[r.Topic].choose(e.key, len(info.Partitions))].ID
			} else if info.partition(id) == nil {
				return fmt.Errorf("%w: topic %q has %d partitions, and no partition %d", ErrUnknownTopic, r.Topic, len(info.Partitions), id)
			}
			key := partitionKey{r.Topic, id}
			part := x.parts[key]
			if part == nil {
				part = &txPartition{partitionKey: key, incarnation: info.ID, steps: make([][]*pending, len(x.steps))}
				x.parts[key] = part
			}
			part.steps[i] = append(part.steps[i], e)
		}
	}
	return nil
}

// partitions are the transaction's, by topic.
func (x *transaction) partitions() map[string][]int32 {
	all := map[string][]int32{}
	for key := range x.parts {
		all[key.topic] = append(all[key.topic], key.id)
	}
	return all
}

// confirm asks whether the topics are still the ones that the records were meant for: a produce request names them alone.
func (x *transaction) confirm(ctx context.Context) error {
	asked := time.Now()
	for name, before := range x.infos {
		info, err := x.describe(ctx, name, asked)
		if err != nil {
			return err
		}
		if info.ID != before.ID {
			return fmt.Errorf("%w: %w: topic %q has id %s now", ErrUnavailable, ErrTopicRecreated, name, info.ID)
		}
	}
	return nil
}

// writtenTopic is what was last heard of a topic.
type writtenTopic struct {
	info  TopicInfo
	asked time.Time
}

// describe is a topic's metadata that was asked for lately, and after a time.
func (t *Transactions) describe(ctx context.Context, name string, after time.Time) (TopicInfo, error) {
	t.mu.Lock()
	known := t.topics[name]
	t.mu.Unlock()
	if known != nil && time.Since(known.asked) < t.config.Kafka.RefreshInterval && !known.asked.Before(after) {
		return known.info, nil
	}
	var unknownSince time.Time
	for failures := 1; ; failures++ {
		asked := time.Now()
		info, err := t.client.DescribeTopic(ctx, name)
		switch {
		case err == nil && len(info.Partitions) > 0:
			t.mu.Lock()
			t.topics[name] = &writtenTopic{info, asked}
			t.mu.Unlock()
			return info, nil
		case err == nil:
			err = fmt.Errorf("%w: topic %q has no partitions", ErrUnavailable, name)
		case ctx.Err() != nil:
			return TopicInfo{}, fmt.Errorf("%w: %w", ErrUnavailable, withoutVerdict(err))
		case errors.Is(err, ErrUnknownTopic) && unknownSince.IsZero():
			unknownSince = asked
		case errors.Is(err, ErrUnknownTopic) && asked.Sub(unknownSince) < unknownTopicPatience, errors.Is(err, ErrUnavailable):
		default:
			return TopicInfo{}, err
		}
		if sleep(ctx, min(backoff(failures), unknownTopicInterval)) != nil {
			return TopicInfo{}, fmt.Errorf("%w: %w", ErrUnavailable, withoutVerdict(err))
		}
	}
}

// produce writes one step's records to their partitions. A batch without an answer is sent again as it was, until there is no more time: whether
// it is in the log is of no importance before the commit.
func (p *transactor) produce(ctx context.Context, x *transaction, step int) error {
	var left []*txPartition
	for _, part := range x.parts {
		if part.left = cut(part.steps[step]); len(part.left) > 0 {
			left = append(left, part)
		}
	}
	var since time.Time // metadata is to be asked for after
	var cause error
	for failures := 0; len(left) > 0; {
		if cause != nil {
			failures++
			if sleep(ctx, backoff(failures)) != nil {
				return givenUp(cause)
			}
			since = time.Now()
		}
		cause = nil
		byLeader := map[string][]*txPartition{}
		for _, part := range left {
			info, err := x.describe(ctx, part.topic, since)
			switch q := info.partition(part.id); {
			case err != nil:
				return err
			case info.ID != part.incarnation:
				return fmt.Errorf("%w: %w: topic %q has id %s now", ErrUnavailable, ErrTopicRecreated, part.topic, info.ID)
			case q == nil || q.LeaderAddr == "":
				cause = fmt.Errorf("%w: partition %d of topic %q has no leader", ErrUnavailable, part.id, part.topic)
			default:
				byLeader[q.LeaderAddr] = append(byLeader[q.LeaderAddr], part)
			}
		}
		var sending sync.WaitGroup
		var mu sync.Mutex // guards what follows
		var fatal error
		for addr, parts := range byLeader {
			sending.Go(func() {
				retry, err := p.send(ctx, x, addr, parts)
				mu.Lock()
				defer mu.Unlock()
				if err != nil && fatal == nil {
					fatal = err
				}
				if retry != nil {
					cause = retry
				}
			})
		}
		sending.Wait()
		if fatal != nil {
			return fatal
		}
		if ctx.Err() != nil && cause != nil {
			return givenUp(cause)
		}
		left = slices.DeleteFunc(left, func(part *txPartition) bool { return len(part.left) == 0 })
	}
	return nil
}

// givenUp is the error of records that could not be written in time: what is said of the last attempt holds for the transaction, since none of it is committed.
func givenUp(cause error) error {
	if errors.Is(cause, ErrNotEnoughReplicas) || errors.Is(cause, ErrUnknownTopic) || errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, withoutVerdict(cause))
}

// cut makes batches.
func cut(entries []*pending) (batches [][]*pending) {
	for len(entries) > 0 {
		n, bytes := 0, 0
		for _, e := range entries {
			size := e.wireSize()
			if n > 0 && bytes+size > maxBatch {
				break
			}
			bytes += size
			n++
		}
		batches = append(batches, entries[:n:n])
		entries = entries[n:]
	}
	return batches
}

// send makes one request to a leader, with a batch of each partition as far as they fit. retry is why something of them has to be sent again, err
// why there is no use in that. While it runs the partitions are its own.
func (p *transactor) send(ctx context.Context, x *transaction, addr string, parts []*txPartition) (retry, err error) {
	c := &p.t.config.Kafka
	req := &sarama.ProduceRequest{
		Version: 10, TransactionalID: &p.id, RequiredAcks: sarama.WaitForAll, Timeout: int32(max(c.ReadTimeout*4/5, time.Millisecond) / time.Millisecond),
	}
	var sent []*txPartition
	bytes := 0
	for _, part := range parts {
		size := 0
		for _, e := range part.left[0] {
			size += e.wireSize()
		}
		if len(sent) > 0 && bytes+size > maxProduceRequest {
			continue // with the next request
		}
		bytes += size
		p.mu.Lock()
		wire := encodeBatch(part.left[0], p.producer, p.sequences[part.partitionKey])
		p.mu.Unlock()
		wire.IsTransactional = true
		req.AddBatch(part.topic, part.id, wire)
		sent = append(sent, part)
	}
	var res *sarama.ProduceResponse
	_, err = p.link(addr).do(ctx, func(b *sarama.Broker) (time.Duration, error) {
		var err error
		if res, err = b.Produce(req); err != nil {
			return 0, err
		}
		return res.ThrottleTime, nil
	})
	if err != nil {
		if errors.Is(err, ErrNotAuthorized) || errors.Is(err, ErrRefused) {
			return nil, err
		}
		return err, nil
	}
	for _, part := range sent {
		block := res.GetBlock(part.topic, part.id)
		if block == nil {
			retry = fmt.Errorf("%w: %w", ErrCorrupt, sarama.ErrIncompleteResponse)
			continue
		}
		again, err := p.written(x, part, block)
		if err != nil {
			return nil, fmt.Errorf("produce to %q: %w", part.topic, err)
		}
		if again != nil {
			retry = fmt.Errorf("produce to %q: %w", part.topic, again)
		}
	}
	return retry, nil
}

// written deals with a broker's answer for a partition's batch.
func (p *transactor) written(x *transaction, part *txPartition, block *sarama.ProduceResponseBlock) (retry, err error) {
	batch := part.left[0]
	switch block.Err {
	case sarama.ErrNoError, sarama.ErrDuplicateSequenceNumber:
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, e := range batch {
			w := Produced{TopicID: part.incarnation, Partition: part.id, Offset: -1, Timestamp: e.timestamp}
			if block.Err == sarama.ErrNoError {
				w.Offset = block.Offset + int64(i)
				if !block.Timestamp.IsZero() {
					w.Timestamp = block.Timestamp.UnixMilli()
				}
			}
			x.produced[e] = w
		}
		p.sequences[part.partitionKey] = after(p.sequences[part.partitionKey], len(batch))
		part.left = part.left[1:]
		return nil, nil
	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge:
		if n := len(batch); n > 1 { // the records together, perhaps not each
			part.left = append([][]*pending{batch[: n/2 : n/2], batch[n/2:]}, part.left[1:]...)
			return nil, nil
		}
	}
	if isRetriable(block.Err) {
		return classify(block.Err), nil
	}
	return nil, refusal(block)
}
