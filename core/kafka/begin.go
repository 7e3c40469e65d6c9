package kafka

import (
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

// What a loop settles before, and beside, fetching: which topic the leader has, where its log begins and ends.

// resolveStarts asks for the log's start where that is where to begin. It returns the partitions that can be fetched.
func (l *loop) resolveStarts(r *response, due []*partition) ([]*partition, error) {
	var ids []int32
	for _, p := range due {
		if p.next == fromLogStart {
			ids = append(ids, p.id)
		}
	}
	if len(ids) == 0 {
		return due, nil
	}
	starts, err := l.bounds(ids, sarama.OffsetOldest)
	if starts == nil {
		return due, err
	}
	return slices.DeleteFunc(due, func(p *partition) bool {
		if p.next != fromLogStart {
			return false
		}
		start, ok := starts[p.id]
		if !ok {
			l.failOne(r, p, fmt.Errorf("ask for the log's start: %w", err))
			return true
		}
		p.next = start
		return false
	}), nil
}

// confirm asks the leader for the topic's id, for partitions that it was not asked for yet, and for all of them after a
// pause. Another id is for the Fetcher to judge, with metadata that others have.
func (l *loop) confirm(r *response, due []*partition) []*partition {
	if time.Since(l.answeredAt) > unwatched {
		for _, p := range l.parts {
			p.confirmed = false
		}
	}
	if !slices.ContainsFunc(due, func(p *partition) bool { return !p.confirmed }) {
		return due
	}
	var id position.TopicID
	err := l.ask(func(b *sarama.Broker) (time.Duration, error) {
		res, err := b.GetMetadata(sarama.NewMetadataRequest(protocolVersion, []string{l.f.config.Topic}))
		if err != nil {
			return 0, err
		}
		throttle := time.Duration(res.ThrottleTimeMs) * time.Millisecond
		if len(res.Topics) != 1 {
			return throttle, sarama.ErrIncompleteResponse
		}
		if e := res.Topics[0].Err; e != sarama.ErrNoError {
			return throttle, e
		}
		id = position.TopicID(res.Topics[0].Uuid)
		return throttle, nil
	})
	if err == nil && id != l.f.config.ID {
		err = fmt.Errorf("%w: it has topic %q with id %s, to be confirmed", ErrUnavailable, l.f.config.Topic, id)
	}
	if err != nil {
		l.failAll(r, due, err)
		return nil
	}
	l.answeredAt = time.Now()
	for _, p := range l.parts {
		p.confirmed = true
	}
	return due
}

// withoutDone gives those back that have nothing to read before their end.
func (l *loop) withoutDone(r *response, due []*partition) []*partition {
	return slices.DeleteFunc(due, func(p *partition) bool {
		if p.next < p.until {
			return false
		}
		l.finish(r, p)
		return true
	})
}

// finish has a partition that was read up to its end given back.
func (l *loop) finish(r *response, p *partition) {
	p.done = true
	l.remove(p.id)
	r.give = append(r.give, p)
}

// bounds is nil where the leader did not answer at all.
func (l *loop) bounds(ids []int32, bound int64) (offsets map[int32]int64, err error) {
	err = l.ask(func(b *sarama.Broker) (d time.Duration, err error) {
		offsets, _, d, err = listOffsets(b, l.f.config.Topic, ids, sarama.ReadUncommitted, bound)
		return d, err
	})
	return offsets, err
}

// outOfRange judges OFFSET_OUT_OF_RANGE. A start that was asked for, and has moved on before it was read, is asked for
// again. Otherwise the answer is believed only the second time, after metadata has confirmed topic and leader, and only
// where the log's bounds agree with it.
func (l *loop) outOfRange(r *response, p *partition) {
	if !p.begun && p.fromStart {
		p.next = fromLogStart
		l.failOne(r, p, fmt.Errorf("the log's start has moved on: %w", sarama.ErrOffsetOutOfRange))
		return
	}
	p.outOfRange++
	if p.outOfRange > 1 {
		start, end, err := l.logBounds(p)
		if err != nil {
			l.failOne(r, p, err)
			return
		}
		if p.next < start || p.next > end {
			l.f.fail(&OutOfRangeError{Partition: p.id, Position: p.next, LogStart: start, End: end})
			return
		}
	}
	l.failOne(r, p, fmt.Errorf("position %d, not confirmed yet: %w", p.next, sarama.ErrOffsetOutOfRange))
}
