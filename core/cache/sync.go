package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

const (
	syncQuestion   = 3 * time.Second // for one question for the ends
	syncBackoff    = 50 * time.Millisecond
	syncBackoffMax = time.Second
)

// syncs are those who wait for the log's end as it is. There is one question to the brokers at a time; who comes while it is asked is told the
// answer of the next, which is asked after they came.
type syncs struct {
	mu      sync.Mutex
	waiting []*Syncing
	asking  bool
	closed  bool
}

// Syncing is a wait for a log's end, which NotifySync began. Its methods may be called from any goroutine.
type Syncing struct {
	topic *Topic
	done  func(position.Position, error)

	mu     sync.Mutex
	ended  bool
	target position.Position // once it is known
	why    error             // the last question's, where it was not answered
	stop   func()
}

// Sync waits until this instance has applied the log's end as it is now: the high watermark of every partition, asked from the leaders after
// Sync was called. With a transaction open below it, that is when the transaction ends. It returns the position that was waited for. Its errors are
// ctx's, wrapped with what is missing, ErrOtherTopic where the topic was recreated meanwhile, or ErrClosed. Calls at the same time share questions.
func (t *Topic) Sync(ctx context.Context) (position.Position, error) {
	type outcome struct {
		p   position.Position
		err error
	}
	ch := make(chan outcome, 1)
	s := t.NotifySync(func(p position.Position, err error) { ch <- outcome{p, err} })
	select {
	case o := <-ch:
		return o.p, o.err
	case <-ctx.Done():
		s.Cancel()
		return position.Position{}, fmt.Errorf("%w: topic %s: %s", ctx.Err(), t.name, s.Missing())
	}
}

// NotifySync calls done once when Sync would return, from another goroutine. done must not block.
func (t *Topic) NotifySync(done func(position.Position, error)) *Syncing {
	s := &Syncing{topic: t, done: done}
	t.syncs.mu.Lock()
	defer t.syncs.mu.Unlock()
	if t.syncs.closed {
		go s.finish(ErrClosed)
		return s
	}
	t.syncs.waiting = append(t.syncs.waiting, s)
	if !t.syncs.asking {
		t.syncs.asking = true
		t.cache.background(t.askForEnds)
	}
	return s
}

// Cancel ends the wait without a call, unless done has been called or is just being called.
func (s *Syncing) Cancel() {
	s.mu.Lock()
	s.ended = true
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Missing says what the wait waits for, for people.
func (s *Syncing) Missing() string {
	s.mu.Lock()
	target, why := s.target, s.why
	s.mu.Unlock()
	switch {
	case target.IsZero() && why != nil:
		return "the log's end is not known: " + plain(why)
	case target.IsZero():
		return "the log's end is not known: the brokers have not answered yet"
	}
	return s.topic.tracker.lacks(target)
}

// lacks names the first partition that is not where it is to be.
func (t *tracker) lacks(target position.Position) string {
	at := t.position()
	for _, o := range target.Offsets() {
		next, ok := at.Next(o.Partition)
		if ok && next >= o.Next || o.Next == 0 {
			continue
		}
		text := fmt.Sprintf("partition %d is at %d, and its high watermark was %d", o.Partition, next, o.Next)
		if blocked := t.blockedBelow(o.Partition, o.Next); blocked > 0 {
			text += fmt.Sprintf(": an open transaction has held it back for %s", blocked.Round(time.Millisecond))
		}
		return text
	}
	return "nothing"
}

func (s *Syncing) finish(err error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	p := s.target
	s.mu.Unlock()
	s.done(p, err)
}

func (s *Syncing) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// reach waits for the position that was asked for.
func (s *Syncing) reach(target position.Position) {
	s.mu.Lock()
	s.target, s.why = target, nil
	s.mu.Unlock()
	stop := s.topic.tracker.wait(target, s.finish)
	s.mu.Lock()
	s.stop = stop
	ended := s.ended
	s.mu.Unlock()
	if ended {
		stop()
	}
}

func (y *syncs) close() {
	y.mu.Lock()
	waiting := y.waiting
	y.waiting, y.closed = nil, true
	y.mu.Unlock()
	for _, s := range waiting {
		s.finish(ErrClosed)
	}
}

// askForEnds asks for as long as there is somebody who waits to be told.
func (t *Topic) askForEnds(ctx context.Context) {
	y := &t.syncs
	for backoff := syncBackoff; ; {
		y.mu.Lock()
		all := y.waiting
		y.waiting = nil
		if len(all) == 0 {
			y.asking = false
			y.mu.Unlock()
			return
		}
		y.mu.Unlock()
		target, err := t.highWatermarks(ctx)
		if err == nil {
			backoff = syncBackoff
			for _, s := range all {
				if !s.over() {
					s.reach(target)
				}
			}
			continue
		}
		var again []*Syncing
		for _, s := range all {
			s.mu.Lock()
			s.why = err
			if !s.ended {
				again = append(again, s)
			}
			s.mu.Unlock()
		}
		y.mu.Lock()
		closed := y.closed
		if !closed {
			y.waiting = append(again, y.waiting...)
		}
		y.mu.Unlock()
		if closed {
			for _, s := range again {
				s.finish(ErrClosed)
			}
			continue
		}
		select {
		case <-ctx.Done():
			for _, s := range again {
				s.finish(ErrClosed)
			}
		case <-time.After(backoff):
			backoff = min(2*backoff, syncBackoffMax)
		}
	}
}

// highWatermarks asks all leaders, partitions that were just added included.
func (t *Topic) highWatermarks(ctx context.Context) (position.Position, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, syncQuestion, errors.New("the brokers did not answer within "+syncQuestion.String()))
	defer cancel()
	info, err := t.cache.client.DescribeTopic(ctx, t.name)
	if err != nil {
		return position.Position{}, err
	}
	ids := make([]int32, len(info.Partitions))
	for i, p := range info.Partitions {
		ids[i] = p.ID
	}
	ends, err := t.cache.client.Ends(ctx, t.name, ids)
	if err != nil {
		return position.Position{}, err
	}
	if len(ends) != len(ids) {
		return position.Position{}, fmt.Errorf("%d of %d partitions answered", len(ends), len(ids))
	}
	if !t.tracker.takeNewer(info.ID, ends) {
		return position.Position{}, fmt.Errorf("topic %s was created anew, and is not read yet", t.name)
	}
	offsets := make([]position.Offset, 0, len(ends))
	for id, e := range ends {
		offsets = append(offsets, position.Offset{Partition: id, Next: e.HighWatermark, LeaderEpoch: position.UnknownEpoch})
	}
	return position.New(info.ID, offsets...), nil
}

// takeNewer takes ends that are newer than those that are known, and reports whether they are of the topic that is read.
func (t *tracker) takeNewer(id position.TopicID, ends map[int32]kafka.Ends) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topic != id {
		return false
	}
	for partition, e := range ends {
		if p := t.partitions[partition]; p != nil && p.known && e.AskedAt.After(p.ends.AskedAt) {
			p.ends = e
			p.logStart = max(p.logStart, e.LogStart)
			t.coverLocked(p)
		}
	}
	return true
}
