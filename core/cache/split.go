package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// A key's records are in several partitions where partitions were added, or producers choose them otherwise than by murmur2. The
// newest by timestamp is the key's value, and a write of ours must be the newest: it is given a timestamp above the others, and
// tombstones just below it go to the other partitions, so that no instance, however late it reads, takes one of them for the value.

// otherClaims are what partitions other than the one that a write of key goes to say of it; none for ordinary keys, at the cost of one
// look-up in the index.
func (t *Topic) otherClaims(key, encoded []byte) (others []store.Claim, to int32) {
	st := t.store.Load()
	if st == nil {
		return nil, notKnown
	}
	partition, split, ok := st.Claimed(key)
	if !ok {
		return nil, notKnown
	}
	to, known := t.cache.producer.PartitionOf(t.name, encoded)
	if !known {
		to = notKnown
	}
	if !split && partition == to {
		return nil, to
	}
	claims, err := st.Claims(key)
	if err != nil {
		return nil, to // the store is being closed; the write is an ordinary one
	}
	return elsewhere(claims, to), to
}

// notKnown stands for the partition that a write goes to before the producer has looked the topic up.
const notKnown int32 = -1

// elsewhere are the claims of other partitions than one.
func elsewhere(claims []store.Claim, partition int32) (others []store.Claim) {
	for _, c := range claims {
		if c.Partition != partition && c.Source == nil {
			others = append(others, c)
		}
	}
	return others
}

// produceSplit writes a record of a key that other partitions have records of. Where producers set timestamps all go at once: the tombstones are older than
// the record, so there is no moment at which something else shows. Where the brokers do, the tombstones have to be there first.
func (t *Topic) produceSplit(record kafka.ProduceRecord, others []store.Claim, to int32, apply time.Duration, finish func(Written, error)) {
	record.Timestamp = newestOf(others)
	if t.appendTime.Load() {
		t.cache.background(func(ctx context.Context) {
			to, err := t.partitionOf(ctx, record.Key)
			if err != nil {
				finish(Written{}, err)
				return
			}
			others := elsewhere(others, to)
			at, err := t.bury(ctx, record.Key, others, record.Timestamp-1)
			if err != nil {
				finish(Written{}, errors.Join(ErrUnknownOutcome, fmt.Errorf("write to all partitions that have the key: %w", err)))
				return
			}
			time.Sleep(2 * time.Millisecond) // the brokers' clocks go past what they have just stamped
			t.produce(record, 0, func(w Written, err error) {
				w.Position, w.split = w.Position.Merge(at), true
				if err != nil {
					finish(Written{}, err)
					return
				}
				t.applied(w, apply, finish)
			})
		})
		return
	}
	all := &joined{pending: 1, done: func(w Written, err error) {
		if err != nil {
			finish(Written{}, err)
			return
		}
		w.split = true
		t.applied(w, apply, finish)
	}}
	buryElsewhere := func(to int32) {
		parts := newParts(elsewhere(others, to))
		all.expect(len(parts))
		for _, p := range parts {
			t.produce(tombstone(record.Key, p, record.Timestamp-1), 0, func(w Written, err error) { all.add(w, err, false) })
		}
	}
	if to != notKnown {
		all.expect(1) // until the tombstones are on their way
	}
	t.produce(record, 0, func(w Written, err error) {
		if err == nil && to == notKnown {
			buryElsewhere(w.Partition) // a tombstone in the record's own partition would come after it
		}
		all.add(w, err, true)
	})
	if to != notKnown {
		buryElsewhere(to)
		all.add(Written{}, nil, false)
	}
}

// newestOf is a timestamp that makes a record the newest of its key, with room for tombstones that are newer than the claims as well.
func newestOf(claims []store.Claim) int64 {
	at := time.Now().UnixMilli()
	for _, c := range claims {
		at = max(at, c.Timestamp+2)
	}
	return at
}

// partitionOf is where a record of the key goes, once the producer knows.
func (t *Topic) partitionOf(ctx context.Context, encoded []byte) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, repairPatience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if to, known := t.cache.producer.PartitionOf(t.name, encoded); known {
			return to, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: the partitions of topic %s are not known", ErrUnavailable, t.name)
		}
	}
}

// joined is what came of several records that are one write.
type joined struct {
	mu      sync.Mutex
	pending int
	written bool // some of them
	all     Written
	err     error
	done    func(Written, error)
}

// expect says that n more are coming.
func (j *joined) expect(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending += n
}

func (j *joined) add(w Written, err error, first bool) {
	j.mu.Lock()
	j.pending--
	last := j.pending == 0
	switch {
	case err != nil:
		j.err = errors.Join(j.err, err)
	case !w.Position.IsZero(): // it is zero at the end of the list
		if first {
			j.all.Partition, j.all.Offset = w.Partition, w.Offset
		}
		j.written = true
		j.all.Position = j.all.Position.Merge(w.Position)
	}
	all, err, written := j.all, j.err, j.written
	j.mu.Unlock()
	if !last {
		return
	}
	if err != nil && written {
		err = errors.Join(ErrUnknownOutcome, fmt.Errorf("write to all partitions that have the key: %w", err))
	}
	j.done(all, err)
}

// newParts are the partitions of the claims, each once.
func newParts(claims []store.Claim) (parts []int32) {
	for _, c := range claims {
		if !slices.Contains(parts, c.Partition) {
			parts = append(parts, c.Partition)
		}
	}
	return parts
}

// tombstone is a record that removes what a partition says of a key.
func tombstone(encoded []byte, partition int32, timestamp int64) kafka.ProduceRecord {
	return kafka.ProduceRecord{Key: encoded, Partition: partition, ToPartition: true, Timestamp: max(timestamp, 1)}
}

// bury writes tombstones of a key to the partitions of the claims, and returns a position that covers them.
func (t *Topic) bury(ctx context.Context, encoded []byte, claims []store.Claim, timestamp int64) (position.Position, error) {
	type result struct {
		Written
		error
	}
	ch := make(chan result, 1)
	parts := newParts(claims)
	if len(parts) == 0 {
		return position.Position{}, nil
	}
	all := &joined{pending: len(parts), done: func(w Written, err error) { ch <- result{w, err} }}
	for _, p := range parts {
		t.produce(tombstone(encoded, p, timestamp), 0, func(w Written, err error) { all.add(w, err, false) })
	}
	select {
	case r := <-ch:
		return r.Position, r.error
	case <-ctx.Done():
		return position.Position{}, errors.Join(ErrUnknownOutcome, ctx.Err())
	}
}

// tellSplit says that there are split keys where there were none before, at most once a minute.
func (s *session) tellSplit() {
	stats := s.to.store.Stats()
	split := stats.SplitKeys > 0
	if split && !s.split {
		if suppressed, ok := s.topic.metrics.complaints.allow(splitComplaint); ok {
			s.topic.log.Warn("keys have records in several partitions: the newest by timestamp counts",
				"keys", stats.SplitKeys, "deleted", stats.SplitDeleted, "unlogged", suppressed)
		}
	}
	s.split = split
}

const splitComplaint = endsComplaint + 3
