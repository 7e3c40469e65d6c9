package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/store"
)

// Bounds of one commit: large enough that its fixed cost does not matter, small enough that positions are published often
// and that a batch is far below Pebble's memtable.
const (
	commitRecords = 2048
	commitBytes   = 2 << 20
	maxArena      = 4 * commitBytes // what is kept for decoding once a record has needed more
)

// freshEvery is how often an idle partition's freshness is made durable, and trailEvery how often a changed trail is.
const (
	freshEvery = time.Minute
	trailEvery = 5 * time.Second
)

// applier turns a session's fetched batches into commits. apply is called by several goroutines, never at the same time
// for the same partition.
type applier struct {
	topic     *Topic
	to        *generation
	onReady   func(context.Context) error
	freshness *freshness
	scratch   sync.Pool // of *scratch
}

type scratch struct {
	batch    store.Batch
	arena    []byte // decoded keys and values of codecs that are not verbatim, and yields
	headers  []store.Header
	refusals []refusal
	stop     *StoppedError // why the record behind those taken is not

	// For topics whose records mean more than their encoding, see judge.
	yields            policy.Yields
	own               []byte // what the record at hand yields of its own key
	hasOwn            bool
	others, oldOthers []store.YieldTo // and of others
	places            map[string]int  // of many such
	forPolicy         []policy.Header
	pending           map[string][]byte // what earlier records of the batch have made of keys, nil being nothing; where a mutation rule asks
	old               []byte
}

func newApplier(t *Topic, to *generation, f *freshness, onReady func(context.Context) error) *applier {
	return &applier{topic: t, to: to, onReady: onReady, freshness: f, scratch: sync.Pool{New: func() any { return new(scratch) }}}
}

// apply commits a fetched batch in pieces and publishes the position with each.
func (a *applier) apply(ctx context.Context, b *kafka.Batch) error {
	t := a.topic
	s := a.scratch.Get().(*scratch)
	defer a.scratch.Put(s)
	records := b.Records
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(records) > 0 {
			a.record(b.Partition, records[0].Offset)
		}
		taken, err := s.take(ctx, t, b.Partition, records, a.before)
		if err != nil {
			return err
		}
		records = records[taken:]
		last := len(records) == 0
		s.batch.Partition, s.batch.FreshAt, s.batch.EndAt, s.batch.Trail, s.batch.Mark = b.Partition, time.Time{}, time.Time{}, nil, nil
		if last {
			s.batch.Next = b.Next
			if b.Last && b.Next >= b.LastStable {
				s.batch.FreshAt = a.freshness.reached(b.Partition, b.AskedAt)
			}
			if b.Last && b.Next >= b.HighWatermark {
				s.batch.EndAt = b.AskedAt
			}
		} else {
			s.batch.Next = records[0].Offset // gaps before it are the log's
		}
		s.batch.LeaderEpoch = epochBefore(b, s.batch.Next)
		observe, watched := a.observer(&s.batch)
		var moved published
		publish := func() { // in the moment of the commit
			t.refused(b.Partition, s.refusals) // before who waits for their positions is woken
			a.record(b.Partition, s.batch.Next)
			moved = a.to.tracker().move(b, s.batch.Next, last && b.Last)
		}
		if a.worthCommitting(&s.batch, taken) {
			if publishBeforeCommit {
				a.to.tracker().publish(b, s.batch.Next, false)
			}
			s.batch.Mark = a.to.tracker().mark(b.Partition, b.Part(b.Records[:len(b.Records)-len(records)], s.batch.Next))
			if taken > 0 {
				s.batch.Trail = a.to.trails.due(a.to.tracker(), b.Partition)
			}
			err := a.to.store.ApplyAnd(ctx, &s.batch, observe, publish)
			if watched {
				t.watchers.signal() // once for all that the commit has changed, before who waits for its position is woken
			}
			if err != nil {
				return err
			}
		} else {
			publish()
		}
		if len(s.refusals) > 0 && t.serves(a.to) {
			if err := t.buryDeadLetters(ctx, b.Partition, s.refusals); err != nil {
				return err
			}
		}
		t.metrics.applied.Add(float64(taken))
		if !watched && taken > 0 && t.watched(a.to) {
			// Who began to watch during the commit may have been told a position below it.
			t.watchers.tell(Event{Kind: EventFlush})
		}
		moved.wake()
		if moved.ready {
			if err := a.onReady(ctx); err != nil {
				return err
			}
		}
		if s.stop != nil {
			return s.stop
		}
		if last {
			return nil
		}
	}
}

// take fills the batch from the first records, passes over what has no key, and says how many records it took. A batch does not go beyond
// a multiple of digestEvery, nor to a record that stops the topic. before is what the store has of a key. What cannot be decoded for now is
// waited for once it is the first, so that what comes before it is not held back; then the error is ctx's.
func (s *scratch) take(ctx context.Context, t *Topic, partition int32, records []kafka.Record, before func(dst, key []byte) ([]byte, bool, error)) (taken int, err error) {
	if cap(s.arena) > maxArena {
		s.arena = nil
	}
	s.batch.Mutations, s.arena, s.headers = s.batch.Mutations[:0], s.arena[:0], s.headers[:0]
	clear(s.refusals)
	clear(s.pending)
	s.refusals, s.stop = s.refusals[:0], nil
	size, plain := 0, t.meaning.plain()
	for i := range records {
		r := &records[i]
		if taken >= commitRecords || size >= commitBytes || r.Offset/digestEvery != records[0].Offset/digestEvery {
			break
		}
		if len(r.Key) == 0 {
			taken++
			t.metrics.keyless.Inc()
			t.complain(partition, r.Offset, "keyless", nil)
			continue
		}
		if plain && s.takePlain(t, r) {
			taken++
			last := &s.batch.Mutations[len(s.batch.Mutations)-1]
			size += len(last.Key) + len(last.Value)
			continue
		}
		j := judging{ctx: ctx, topic: t, partition: partition, before: before, waits: taken == 0}
		v, err := s.judge(&j, r)
		if err != nil && errors.Is(err, codec.ErrUnavailable) {
			break
		}
		if err != nil {
			return taken, fmt.Errorf("judge offset %d of partition %d: %w", r.Offset, partition, err)
		}
		if v.refusal != nil {
			s.refusals = append(s.refusals, *v.refusal)
		}
		if v.stop {
			s.stop = &StoppedError{Topic: t.name, Partition: partition, Offset: r.Offset, Rule: v.refusal.rule, Err: v.refusal.err}
			break
		}
		taken++
		if v.none || skipTombstones && v.mutation.Tombstone && r.Offset%2 == 0 {
			continue
		}
		size += len(v.mutation.Key) + max(len(r.Value), len(v.mutation.Value))
		s.batch.Mutations = append(s.batch.Mutations, v.mutation)
		if t.meaning.mutation != nil && !v.mutation.Hold {
			s.remember(&v.mutation)
		}
	}
	return taken, nil
}

// takePlain adds a record that decodes and means nothing else, and reports whether it did: the way of nearly all records, without a detour.
func (s *scratch) takePlain(t *Topic, r *kafka.Record) bool {
	key, err := s.decode(t.keyCodec, r.Key)
	if err != nil || len(key) == 0 || skipTombstones {
		return false
	}
	m := store.Mutation{Key: key, Tombstone: r.Value == nil, Offset: r.Offset, Timestamp: r.Timestamp}
	if r.Value != nil {
		if m.Value, err = s.decode(t.valueCodec, r.Value); err != nil {
			return false
		}
	}
	m.Headers = s.keep(r.Headers)
	s.batch.Mutations = append(s.batch.Mutations, m)
	return true
}

// newest is what a key has once the batch so far is applied; nil where that is nothing.
func (s *scratch) newest(key []byte, before func(dst, key []byte) ([]byte, bool, error)) ([]byte, error) {
	if value, ok := s.pending[string(key)]; ok {
		return value, nil
	}
	value, ok, err := before(s.old[:0], key)
	if err != nil || !ok {
		return nil, err
	}
	if s.old = value; value == nil {
		value = []byte{}
	}
	return value, nil
}

// remember keeps what a mutation makes of its key, for those that follow in the batch.
func (s *scratch) remember(m *store.Mutation) {
	if s.pending == nil {
		s.pending = map[string][]byte{}
	}
	var value []byte
	if !m.Tombstone {
		if value = m.Value; value == nil {
			value = []byte{}
		}
	}
	s.pending[string(m.Key)] = value
}

// takeKeys fills the batch with the keys and offsets of the first records that have a value: what a second reading of the log needs to know.
func (s *scratch) takeKeys(ctx context.Context, t *Topic, partition int32, records []kafka.Record) (taken int, err error) {
	s.batch.Mutations, s.arena = s.batch.Mutations[:0], s.arena[:0]
	for i := range records {
		r := &records[i]
		if taken >= commitRecords {
			break
		}
		taken++
		if len(r.Key) == 0 || r.Value == nil {
			continue
		}
		j := judging{ctx: ctx, topic: t, partition: partition, waits: true}
		key, err := s.decoded(&j, t.keyCodec, r.Offset, r.Key)
		if ctx.Err() != nil {
			return taken, ctx.Err()
		}
		if err == nil && len(key) > 0 { // others were passed over
			s.batch.Mutations = append(s.batch.Mutations, store.Mutation{Key: key, Offset: r.Offset})
		}
	}
	return taken, nil
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
	due := a.freshness.due(b)
	next, ok := a.to.tracker().next(b.Partition)
	if taken > 0 || !ok || next != b.Next || due {
		a.freshness.stored(b)
		return true
	}
	return false
}

// record keeps a partition's digest where its next offset passes a multiple of digestEvery: everything below it is applied, and nothing of it or above.
func (a *applier) record(partition int32, next int64) {
	before, ok := a.to.tracker().next(partition)
	if at := next - next%digestEvery; ok && at > before && a.topic.serves(a.to) {
		a.to.digests.record(a.to.store, partition, at)
	}
}

// serves reports whether reads are answered from g now.
func (t *Topic) serves(g *generation) bool { return t.serving.Load() && t.store.Load() == g.store }

// before is what the store has of a key, for rules that compare.
func (a *applier) before(dst, key []byte) ([]byte, bool, error) { return a.to.store.Get(dst, key) }

// watched reports whether changes of g are told to anybody now.
func (t *Topic) watched(g *generation) bool { return t.watchers.any() && t.serves(g) }

// observer is what the store is to tell of each change, nil where nobody asks; watching says that watchers are told too.
func (a *applier) observer(b *store.Batch) (observe func(store.Change), watching bool) {
	t := a.topic
	watching = t.watched(a.to)
	deleting := t.flights.anyDelete()
	told := watching && a.to.view == nil // otherwise the view tells
	if !told && !deleting {
		return nil, watching
	}
	return func(c store.Change) {
		m := &b.Mutations[c.Index]
		if m.Tombstone && deleting {
			t.flights.note(m.Key, flightNote{partition: b.Partition, offset: m.Offset, removed: c.Kind == store.Deleted})
		}
		if told {
			t.queueChange(a.to.id, store.Projected{
				Removal:     store.Removal{Key: m.Key, Kind: c.Kind, Old: c.Old, Value: c.Value, Partition: c.Partition, Offset: c.Offset, Timestamp: c.Timestamp},
				ByPartition: b.Partition, ByOffset: m.Offset,
			})
		}
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
