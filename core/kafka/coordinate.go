package kafka

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

const (
	// leastRefresh is the time between two requests for metadata, however much there is to ask for.
	leastRefresh = 20 * time.Millisecond
	// lookOut is how often loops are looked at for leaders that do not answer.
	lookOut = 250 * time.Millisecond
)

// coordinate asks for metadata and hands partitions to loops until ctx ends.
func (f *Fetcher) coordinate(ctx context.Context, apply func(context.Context, *Batch) error) {
	var refreshedAt time.Time // when the last request for metadata that was answered was sent
	var askedAt time.Time     // when the last one was sent
	var troubled int          // refreshes in a row that found trouble
	timer := time.NewTimer(0)
	defer timer.Stop()
	asked := false // by Refresh
	for {
		select {
		case <-timer.C:
		case <-f.returned:
		case <-f.refresh:
			asked = true
		case <-ctx.Done():
			return
		}
		f.takeBack()
		now := time.Now()
		next := f.nextRefresh(askedAt, refreshedAt, troubled, asked)
		if !now.Before(next) {
			asked = false
			askedAt = now
			if f.update(ctx) {
				refreshedAt = askedAt
			}
			if ctx.Err() != nil {
				return
			}
		}
		f.takeBack()
		if f.isDone() {
			return
		}
		f.assign(ctx, refreshedAt, apply)
		if !now.Before(next) {
			if f.isTroubled(refreshedAt) {
				troubled++
			} else {
				troubled = 0
			}
		}
		wait := time.Until(f.nextRefresh(askedAt, refreshedAt, troubled, asked))
		timer.Reset(max(0, min(wait, lookOut)))
	}
}

// nextRefresh is when to ask for metadata.
func (f *Fetcher) nextRefresh(askedAt, refreshedAt time.Time, troubled int, asked bool) time.Time {
	if asked {
		return askedAt.Add(leastRefresh)
	}
	if !f.isTroubled(refreshedAt) {
		return askedAt.Add(f.client.config.RefreshInterval)
	}
	return askedAt.Add(max(leastRefresh, min(backoff(troubled), maxBackoff/2)))
}

// isDone reports whether all that was to be read was read and applied.
func (f *Fetcher) isDone() bool {
	if f.config.Until == nil || len(f.partitions) < len(f.config.Until) {
		return false
	}
	for _, p := range f.partitions {
		if p.owner != nil || !p.done {
			return false
		}
	}
	return true
}

// isTroubled reports whether there is a partition that nobody reads, or a leader that does not answer.
func (f *Fetcher) isTroubled(refreshedAt time.Time) bool {
	if refreshedAt.IsZero() || !f.otherID.IsZero() || len(f.partitions) < len(f.config.Until) {
		return true
	}
	for _, p := range f.partitions {
		if p.owner == nil && !p.done {
			return true
		}
	}
	for _, l := range f.loops {
		if l.isOverdue() {
			return true
		}
	}
	return false
}

// update asks for metadata and reports whether it was answered.
func (f *Fetcher) update(ctx context.Context) bool {
	info, err := f.client.DescribeTopic(ctx, f.config.Topic)
	if err != nil {
		if ctx.Err() == nil {
			f.report(FetchError{Leader: -1, Partition: -1, Err: err})
		}
		return false
	}
	if info.ID != f.config.ID {
		if f.otherID != info.ID {
			// The broker may not have heard yet of the topic that is to be read. Another one is asked.
			f.otherID = info.ID
			f.client.doubt()
			f.report(FetchError{Leader: -1, Partition: -1, Err: fmt.Errorf("%w: topic %q has id %s, to be confirmed", ErrUnavailable, f.config.Topic, info.ID)})
			return false
		}
		f.fail(fmt.Errorf("%w: topic %q had id %s and has id %s", ErrTopicRecreated, f.config.Topic, f.config.ID, info.ID))
		return false
	}
	f.otherID = position.TopicID{}
	var fresh []int32
	for _, q := range info.Partitions {
		until, ok := f.config.Until[q.ID]
		switch {
		case f.config.Until == nil:
			until = math.MaxInt64
		case !ok:
			continue
		}
		p := f.partitions[q.ID]
		if p == nil {
			next := f.config.Start(q.ID)
			if next < 0 {
				next = fromLogStart
			}
			p = newPartition(q.ID, next, until, f.config.MaxPartitionBytes)
			f.mu.Lock()
			f.partitions[q.ID] = p
			f.mu.Unlock()
			fresh = append(fresh, q.ID)
		}
		if q.LeaderAddr == "" {
			if p.owner == nil && !p.done {
				f.report(FetchError{Leader: -1, Partition: q.ID, Err: fmt.Errorf("%w: it has no leader", ErrUnavailable)})
			}
			continue
		}
		if q.LeaderEpoch < p.leaderEpoch {
			continue // a broker that has not heard of the newest leader yet
		}
		p.leader, p.leaderAddr, p.leaderEpoch = q.Leader, q.LeaderAddr, q.LeaderEpoch
	}
	if len(fresh) > 0 {
		f.client.config.Logger.Info("partitions found", "topic", f.config.Topic, "partitions", fresh)
		if f.config.OnPartitions != nil {
			all := make([]int32, 0, len(f.partitions))
			for _, p := range f.ordered() {
				all = append(all, p.id)
			}
			f.config.OnPartitions(all)
		}
	}
	return true
}

// assign hands each partition to its leader's loop: at once where nobody has it, otherwise once it was given back.
func (f *Fetcher) assign(ctx context.Context, refreshedAt time.Time, apply func(context.Context, *Batch) error) {
	wanted := make(map[*loop]bool, len(f.loops))
	for _, p := range f.ordered() {
		if p.leaderAddr == "" || p.owner == nil && p.done {
			continue
		}
		key := loopKey{p.leader, p.leaderAddr}
		l := f.loops[key]
		if p.owner != nil {
			if p.owner != l {
				p.owner.take(p.id)
			}
			wanted[p.owner] = true
			if l != nil {
				wanted[l] = true
			}
			continue
		}
		if l != nil {
			wanted[l] = true
		}
		if !refreshedAt.After(p.returnedAt) {
			continue // what is known of its leader is older than the fault
		}
		if l == nil {
			l = f.startLoop(ctx, key, apply)
			wanted[l] = true
		}
		p.owner, p.epoch, p.confirmed = l, p.leaderEpoch, false
		l.give(p)
	}
	for key, l := range f.loops {
		if !wanted[l] {
			l.cancel()
			delete(f.loops, key)
		}
	}
}

func (f *Fetcher) startLoop(ctx context.Context, key loopKey, apply func(context.Context, *Batch) error) *loop {
	l := newLoop(ctx, f, key.leader, key.addr)
	f.loops[key] = l
	f.workers.Go(l.fetch)
	f.workers.Go(func() { l.apply(apply) })
	f.client.config.Logger.Debug("reading from broker", "topic", f.config.Topic, "broker", key.leader, "address", key.addr)
	return l
}
