package cache

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// Bounds of one commit: large enough that its fixed cost does not matter, small enough that positions are published often
// and that a batch is far below Pebble's memtable.
const (
	commitRecords = 2048
	commitBytes   = 2 << 20
)

// freshEvery is how often an idle partition's freshness is made durable.
const freshEvery = time.Minute

// applier turns a session's fetched batches into commits. apply is called by several goroutines, never at the same time
// for the same partition.
type applier struct {
	topic   *Topic
	store   *store.Store
	onReady func() error
	began   time.Time
	scratch sync.Pool // of *scratch
	mu      sync.Mutex
	fresh   map[int32]time.Time // FreshAt as last committed
	reached map[int32]time.Time // FreshAt as last known, by the wall clock: time asleep counts
	// keep is how long a partition may go without being at its end before it may have missed a tombstone; 0: it is not known.
	keep time.Duration
	held map[int32]bool // partitions that went longer: their FreshAt stays, so that no later session resumes
}

type scratch struct {
	batch   store.Batch
	arena   []byte // decoded keys and values of codecs that are not verbatim
	headers []store.Header
}

func newApplier(t *Topic, s *store.Store, keep time.Duration, onReady func() error) *applier {
	a := &applier{topic: t, store: s, onReady: onReady, keep: keep, began: time.Now(), fresh: map[int32]time.Time{},
		reached: map[int32]time.Time{}, held: map[int32]bool{}, scratch: sync.Pool{New: func() any { return new(scratch) }}}
	for _, c := range s.Checkpoint() {
		a.fresh[c.Partition], a.reached[c.Partition] = c.FreshAt, c.FreshAt.Round(0)
	}
	return a
}

// apply commits a fetched batch in pieces and publishes the position after each.
func (a *applier) apply(ctx context.Context, b *kafka.Batch) error {
	t := a.topic
	s := a.scratch.Get().(*scratch)
	defer a.scratch.Put(s)
	records := b.Records
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		taken := s.take(a.topic, b, records)
		records = records[taken:]
		last := len(records) == 0
		s.batch.Partition, s.batch.LeaderEpoch, s.batch.FreshAt = b.Partition, b.LeaderEpoch, time.Time{}
		if last {
			s.batch.Next = b.Next
			if b.Last && b.Next >= b.LastStable {
				s.batch.FreshAt = a.freshAt(b.Partition, b.AskedAt)
			}
		} else {
			s.batch.Next = records[0].Offset // gaps before it are the log's
		}
		observe, watched := a.observer(&s.batch)
		if a.worthCommitting(&s.batch, taken) {
			if err := a.store.Apply(&s.batch, observe); err != nil {
				return err
			}
		}
		t.metrics.applied.Add(float64(taken))
		ready := t.tracker.publish(b, s.batch.Next, last && b.Last).ready
		if !watched && taken > 0 && t.watched() {
			// Who began to watch during the commit may have been told a position below it.
			t.watchers.tell(Event{Kind: EventFlush})
		}
		if ready {
			if err := a.onReady(); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

// take fills the batch from the first records, passes over what has no key, and says how many records it took.
func (s *scratch) take(t *Topic, b *kafka.Batch, records []kafka.Record) (taken int) {
	s.batch.Mutations, s.arena, s.headers = s.batch.Mutations[:0], s.arena[:0], s.headers[:0]
	size := 0
	for i := range records {
		r := &records[i]
		if taken >= commitRecords || size >= commitBytes {
			break
		}
		taken++
		if len(r.Key) == 0 {
			t.metrics.keyless.Inc()
			t.complain(b.Partition, r.Offset, "keyless", nil)
			continue
		}
		size += len(r.Key) + len(r.Value)
		key, err := s.decode(t.keyCodec, r.Key)
		if err != nil {
			t.metrics.invalid.WithLabelValues("decode").Inc()
			t.complain(b.Partition, r.Offset, "key does not decode, the record is passed over", err)
			continue
		}
		m := store.Mutation{Key: key, Offset: r.Offset, Timestamp: r.Timestamp, Headers: s.keep(r.Headers)}
		if r.Value == nil {
			m.Tombstone = true
		} else if m.Value, err = s.decode(t.valueCodec, r.Value); err != nil {
			// What was there before is no longer in the log, so the key reads as missing.
			m.Tombstone, m.Value = true, nil
			t.metrics.invalid.WithLabelValues("decode").Inc()
			t.complain(b.Partition, r.Offset, "value does not decode, its key reads as missing", err)
		}
		s.batch.Mutations = append(s.batch.Mutations, m)
	}
	return taken
}

// keep turns a record's headers into the store's.
func (s *scratch) keep(headers []kafka.Header) []store.Header {
	if len(headers) == 0 {
		return nil
	}
	from := len(s.headers)
	for _, h := range headers {
		s.headers = append(s.headers, store.Header(h))
	}
	return s.headers[from:len(s.headers):len(s.headers)]
}

// decode returns b itself where the codec keeps bytes as they are, and otherwise bytes of the arena.
func (s *scratch) decode(c decoder, b []byte) ([]byte, error) {
	from := len(s.arena)
	arena, err := c.Decode(s.arena, b)
	if err != nil {
		return nil, err
	}
	if c.Identity() {
		s.arena = arena[:from]
		return b, nil
	}
	s.arena = arena
	return arena[from:len(arena):len(arena)], nil
}

type decoder interface {
	Decode(dst, encoded []byte) ([]byte, error)
	Identity() bool
}

// worthCommitting spares an idle partition's empty batches, but for a freshness that is to be made durable.
func (a *applier) worthCommitting(b *store.Batch, taken int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.fresh[b.Partition]; !ok {
		// A partition of which nothing is stored holds no deleted key: it is as fresh as this session's beginning, and a load
		// that is cut off can be resumed for as long as tombstones are kept from then.
		a.fresh[b.Partition] = a.began
		if b.FreshAt.IsZero() {
			b.FreshAt = a.began
		}
	}
	due := !b.FreshAt.IsZero() && b.FreshAt.Sub(a.fresh[b.Partition]) >= freshEvery
	if next, ok := a.topic.tracker.next(b.Partition); taken > 0 || !ok || next != b.Next || due {
		if !b.FreshAt.IsZero() {
			a.fresh[b.Partition] = b.FreshAt
		}
		return true
	}
	return false
}

// freshAt is the freshness of a partition that a response, asked for at asked, has shown to be at its end; zero leaves what
// was known. Tombstones that were written and compacted away since it was last at its end have been missed, and the keys
// that they deleted are still here: then it stays as it was, so that the next session does not resume.
func (a *applier) freshAt(partition int32, asked time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[partition] {
		return time.Time{}
	}
	last, ok := a.reached[partition]
	if !ok {
		last = a.began.Round(0) // the log was read from its start since then
	}
	if away := asked.Round(0).Sub(last); a.keep > 0 && away > a.keep {
		a.held[partition] = true
		a.topic.log.Warn("the partition was not at its end for about as long as the log keeps tombstones: keys deleted meanwhile may live on here until a restart, which reloads",
			"partition", partition, "away", away.Round(time.Second).String(), "limit", a.keep.String())
		return time.Time{}
	}
	a.reached[partition] = asked.Round(0)
	return asked
}

// watched reports whether changes are told to anybody now.
func (t *Topic) watched() bool { return t.watchers.any() && t.serving.Load() }

// observer is what the store is to tell of each change, nil where nobody asks; watching says that watchers are told too.
func (a *applier) observer(b *store.Batch) (observe func(store.Change), watching bool) {
	t := a.topic
	watching = t.watched()
	deleting := t.deletes.any()
	if !watching && !deleting {
		return nil, false
	}
	return func(c store.Change) {
		m := &b.Mutations[c.Index]
		if m.Tombstone && deleting {
			t.deletes.note(m.Key, b.Partition, m.Offset, c.Kind == store.Deleted)
		}
		if !watching {
			return
		}
		e := Event{Key: m.Key, Partition: b.Partition, Offset: m.Offset, Timestamp: m.Timestamp}
		switch c.Kind {
		case store.Created, store.Updated:
			e.Kind, e.Value = EventSet, m.Value
		case store.Deleted:
			e.Kind = EventDelete
		default: // nothing changed
			return
		}
		e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
		if c.Kind != store.Created {
			e.Old = append([]byte{}, c.Old...)
		}
		t.watchers.tell(e)
	}, watching
}

// complain logs a record that could not be used, at most once a minute a partition.
func (t *Topic) complain(partition int32, offset int64, what string, err error) {
	if suppressed, ok := t.metrics.complaints.allow(partition); ok {
		attrs := []any{"what", what, "partition", partition, "offset", offset, "unlogged", suppressed}
		if err != nil {
			attrs = append(attrs, "error", err)
		}
		t.log.Warn("record not used", attrs...)
	}
}
