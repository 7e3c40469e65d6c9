package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

// Header is a record's header.
type Header = kafka.Header

// Write is one record to be produced. Its bytes are copied before Submit returns.
type Write struct {
	Key, Value []byte
	// Delete makes it a tombstone; Value is not looked at.
	Delete  bool
	Headers []Header
	// Apply, where it is above 0, makes Submit wait until this instance has applied the record, for at most that long.
	Apply time.Duration
}

// Written says where an acknowledged record is.
type Written struct {
	Partition int32
	// Offset is the record's, or -1: Kafka confirmed the write as a duplicate of its own retry and did not say where it is.
	Offset int64
	// Position covers the record, on any instance.
	Position position.Position
	// Applied says that this instance has applied it.
	Applied bool
	// Removed says that applying this tombstone removed a value; known only where Applied.
	Removed bool

	split bool // tombstones went to other partitions as well
}

// Put produces a record and waits for its acknowledgement by all in-sync replicas; nil headers are allowed. It does not
// wait until this instance has applied it: that is PutAndWait. Where ctx ends first the error wraps both ctx's and ErrUnknownOutcome.
func (t *Topic) Put(ctx context.Context, key, value []byte, headers ...Header) (Written, error) {
	return t.await(ctx, Write{Key: key, Value: value, Headers: headers})
}

// Delete produces a tombstone, also for a key that has no value here, and waits as Put does.
func (t *Topic) Delete(ctx context.Context, key []byte) (Written, error) {
	return t.await(ctx, Write{Key: key, Delete: true})
}

// PutAndWait is Put, and waits until this instance has applied the record: whoever reads here afterwards reads it, or what came after it. It waits for as long as ctx
// allows. Where that ends between the two, or the topic is closed or turns out to be another one, the error wraps a *[PendingError] and the cause, and Written
// is where the record is. Where the topic's rules refuse the record the error is an *[InvalidError] with Written.
func (t *Topic) PutAndWait(ctx context.Context, key, value []byte, headers ...Header) (Written, error) {
	return t.awaitApplied(ctx, Write{Key: key, Value: value, Headers: headers})
}

// DeleteAndWait is Delete, and waits as PutAndWait does. Written.Removed says whether there was a value.
func (t *Topic) DeleteAndWait(ctx context.Context, key []byte) (Written, error) {
	return t.awaitApplied(ctx, Write{Key: key, Delete: true})
}

// awaitApplied is await, and waits until the record is applied here.
func (t *Topic) awaitApplied(ctx context.Context, w Write) (Written, error) {
	follows := w.Delete || t.meaning.refuses()
	key := string(w.Key)
	if follows {
		t.flights.begin(key, w.Delete)
		defer t.flights.end(key, w.Delete)
	}
	r, err := t.await(ctx, w)
	if err != nil {
		return r, err
	}
	if err := t.WaitFor(ctx, r.Position); err != nil {
		return r, errors.Join(&PendingError{Written: r}, err)
	}
	r.Applied = true
	if follows {
		err = t.outcome(key, &r)
	}
	return r, err
}

func (t *Topic) await(ctx context.Context, w Write) (Written, error) {
	return submitted(ctx, t.Submit, w)
}

// submitted waits for what comes of a write.
func submitted(ctx context.Context, submit func(Write, func(Written, error)), w Write) (Written, error) {
	type result struct {
		Written
		error
	}
	if err := ctx.Err(); err != nil {
		return Written{}, err // nothing was produced
	}
	ch := make(chan result, 1)
	submit(w, func(w Written, err error) { ch <- result{w, err} })
	select {
	case r := <-ch:
		return r.Written, r.error
	case <-ctx.Done():
		select {
		case r := <-ch: // it was there before
			return r.Written, r.error
		default:
			return Written{}, errors.Join(ErrUnknownOutcome, ctx.Err())
		}
	}
}

// Submit produces a record without blocking on the network, and calls done exactly once with what came of it, from any goroutine;
// done must not block. Records that are submitted one after the other for the same key reach the log in that order.
//
// What is wrong with the write itself is told at once, before Submit returns: ErrReadOnly, ErrEmptyKey, ErrNotReady,
// *EncodingError, *InvalidError, *TooLargeError; nothing was produced then. Later come kafka's errors: ErrUnavailable, ErrNotEnoughReplicas,
// ErrNotAuthorized: not in the log; ErrUnknownOutcome: perhaps in the log; *PendingError: in the log and not applied here in
// Write.Apply; *InvalidError with Written: in the log, and refused there by the topic's rules, where Write.Apply asks for what became of it.
func (t *Topic) Submit(w Write, done func(Written, error)) {
	record, err := t.record(w)
	if err != nil {
		done(Written{}, err)
		return
	}
	if t.topicID().IsZero() {
		done(Written{}, ErrNotReady)
		return
	}
	told := t.accounted(done)
	finish := told
	if w.Apply > 0 && (w.Delete || t.meaning.refuses()) {
		finish = t.followed(string(w.Key), w.Delete, told)
	}
	others, to := t.otherClaims(w.Key, record.Key)
	if len(others) == 0 {
		t.produce(record, w.Apply, finish)
		return
	}
	t.produceSplit(record, others, to, w.Apply, finish)
}

// followed has what applying a write's record comes to noted until its outcome is told.
func (t *Topic) followed(key string, deletes bool, done func(Written, error)) func(Written, error) {
	t.flights.begin(key, deletes)
	return func(r Written, err error) {
		if err == nil && r.Applied {
			err = t.outcome(key, &r)
		}
		t.flights.end(key, deletes)
		done(r, err)
	}
}

// outcome is what applying a write's record has come to: it sets Removed, and its error is a rule's that refused the record.
func (t *Topic) outcome(key string, r *Written) error {
	r.Removed = t.flights.removed(key, r)
	if refused := t.flights.refused(key, r); refused != nil {
		e := *refused
		written := *r
		e.Written = &written
		return &e
	}
	return nil
}

// The outcomes of writes that kafka_cache_writes_total tells apart.
const (
	outcomeApplied      = "applied"
	outcomeAcknowledged = "acknowledged"
	outcomePending      = "pending"
	outcomeUnknown      = "unknown"
	outcomeRefused      = "refused"
	outcomeFailed       = "failed"
)

var writeOutcomes = []string{outcomeApplied, outcomeAcknowledged, outcomePending, outcomeUnknown, outcomeRefused, outcomeFailed}

// SubmitsQuickly reports whether Submit takes microseconds for a value of some kilobytes: nothing but an encoding that takes bytes as they are has to do with it.
func (t *Topic) SubmitsQuickly() bool {
	return t.meaning.write == nil && isQuick(t.keyCodec) && isQuick(t.valueCodec)
}

// isQuick reports whether an encoding is a built-in one that keeps the bytes, after one look at them.
func isQuick(c codec.Codec) bool {
	switch c {
	case codec.UTF8, codec.JSONText, codec.Binary, codec.ID, codec.ASCII:
		return true
	}
	return false
}

// accounted counts what came of a write before it is told.
func (t *Topic) accounted(done func(Written, error)) func(Written, error) {
	return func(w Written, err error) {
		t.metrics.writes[outcomeOf(w, err)].Inc()
		if errors.Is(err, ErrUnknownOutcome) {
			if suppressed, ok := t.metrics.complaints.allow(writeComplaint); ok {
				t.log.Warn("a write may or may not be in the log", "error", err, "unlogged", suppressed)
			}
		}
		done(w, err)
	}
}

func outcomeOf(w Written, err error) string {
	var pending *PendingError
	var invalid *InvalidError
	switch {
	case err == nil:
	case errors.As(err, &pending):
		return outcomePending
	case errors.As(err, &invalid) && invalid.Written != nil:
		return outcomeRefused
	case errors.Is(err, ErrUnknownOutcome):
		return outcomeUnknown
	default:
		return outcomeFailed
	}
	if w.Applied {
		return outcomeApplied
	}
	return outcomeAcknowledged
}

const writeComplaint = endsComplaint + 2

// produce writes one record, and finishes once it is applied where that is asked for.
func (t *Topic) produce(record kafka.ProduceRecord, apply time.Duration, finish func(Written, error)) {
	t.cache.producer.Produce(t.name, record, func(p kafka.Produced, err error) {
		if err != nil {
			finish(Written{}, produceErr(err))
			return
		}
		r := Written{Partition: p.Partition, Offset: p.Offset, Position: position.OfRecord(p.TopicID, p.Partition, p.Offset)}
		if p.Offset < 0 {
			t.cache.background(func(ctx context.Context) { t.locate(ctx, p, r, apply, finish) })
			return
		}
		t.applied(r, apply, finish)
	})
}

// produceErr makes a producer that was closed what this package calls so.
func produceErr(err error) error {
	if errors.Is(err, kafka.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// Check is what Submit would say is wrong with the write itself: ErrReadOnly, ErrEmptyKey, *EncodingError, *TooLargeError, or nil.
func (t *Topic) Check(w Write) error {
	_, err := t.record(w)
	return err
}

// record checks and encodes a write.
func (t *Topic) record(w Write) (kafka.ProduceRecord, error) {
	if !t.writable {
		return kafka.ProduceRecord{}, ErrReadOnly
	}
	r, err := encodeWrite(&w, t.keyCodec, t.valueCodec)
	if err != nil {
		return r, err
	}
	if !w.Delete {
		if err := t.invalidWrite(w.Key, w.Value); err != nil {
			return r, err
		}
	}
	if limit := int(t.maxBytes.Load()); limit > 0 {
		if size := recordBatchSize(r); size > limit {
			return r, &TooLargeError{Size: size, Max: limit}
		}
	}
	return r, nil
}

// encodeWrite is the record that a write comes to. Its errors are ErrEmptyKey and *EncodingError.
func encodeWrite(w *Write, keys, values codec.Codec) (kafka.ProduceRecord, error) {
	var r kafka.ProduceRecord
	if len(w.Key) == 0 {
		return r, ErrEmptyKey
	}
	size := len(w.Key)
	if !w.Delete {
		size += len(w.Value)
	}
	key, err := keys.Encode(make([]byte, 0, size), w.Key)
	if err != nil {
		return r, &EncodingError{Field: "key", Encoding: keys.Name(), Err: err}
	}
	if len(key) == 0 {
		return r, ErrEmptyKey
	}
	r = kafka.ProduceRecord{Key: key[:len(key):len(key)], Headers: w.Headers, Fixed: true}
	if !w.Delete {
		if r.Value, err = values.Encode(key[len(key):], w.Value); err != nil { // behind the key, where there is room
			return r, &EncodingError{Field: "value", Encoding: values.Name(), Err: err}
		}
	}
	return r, nil
}

// recordBatchSize is an upper bound of the bytes that a record takes in an uncompressed batch of its own: the batch's 61
// bytes, and for the record its length, attributes, time and offset deltas and the varints in front of each part.
func recordBatchSize(r kafka.ProduceRecord) int {
	n := 61 + 5 + 1 + 1 + 1 + 5 + len(r.Key) + 5 + len(r.Value) + 5
	for _, h := range r.Headers {
		n += 5 + len(h.Key) + 5 + len(h.Value)
	}
	return n
}

// locate finds a position that covers a record whose offset Kafka did not tell.
func (t *Topic) locate(ctx context.Context, p kafka.Produced, r Written, apply time.Duration, done func(Written, error)) {
	var err error
	if r.Position, err = endOf(ctx, t.cache.client, t.name, p); err != nil {
		// It is in the log for sure; that its position is not known is told as pending, with a position that names nothing.
		t.log.Warn("the end of a partition that a write was repeated to could not be asked", "partition", r.Partition, "error", err)
		done(r, &PendingError{Written: r})
		return
	}
	t.applied(r, apply, done)
}

// endOf is the position of a partition's end as it is now, which covers a record that is in it; one that names nothing where that cannot be asked.
func endOf(ctx context.Context, client *kafka.Client, topic string, p kafka.Produced) (position.Position, error) {
	ends, err := client.Ends(ctx, topic, []int32{p.Partition})
	end, ok := ends[p.Partition]
	if !ok {
		if err == nil {
			err = errors.New("it is not answered")
		}
		return position.New(p.TopicID), fmt.Errorf("ask for the end of partition %d: %w", p.Partition, err)
	}
	return position.New(p.TopicID, position.Offset{Partition: p.Partition, Next: end.HighWatermark, LeaderEpoch: position.UnknownEpoch}), nil
}

// applied calls done when this instance has applied the record, or with a PendingError after the time that is given.
func (t *Topic) applied(r Written, within time.Duration, done func(Written, error)) {
	if within <= 0 {
		done(r, nil)
		return
	}
	if blocked, _ := t.tracker.blockedFor(r.Partition); blocked > within {
		// An open transaction has held the partition back for longer than this write may take: there is no use in waiting.
		done(r, &PendingError{Written: r})
		return
	}
	t.within(r.Position, within, func(applied bool) {
		if r.Applied = applied; !applied {
			done(r, &PendingError{Written: r})
			return
		}
		done(r, nil)
	})
}

// within calls done once: when this instance has applied what p names, or when it will not be, or is not in the time that is given.
func (t *Topic) within(p position.Position, limit time.Duration, done func(applied bool)) {
	w := &timedWait{tracker: t.tracker, told: done}
	w.done = w.reached
	if t.tracker.await(p, &w.waiter) || w.over.Load() {
		return // the tail was faster than the acknowledgement
	}
	w.timer.Store(time.AfterFunc(limit, w.late))
}

// timedWait is a waiter for a limited time.
type timedWait struct {
	waiter
	tracker *tracker
	told    func(applied bool)
	over    atomic.Bool
	timer   atomic.Pointer[time.Timer]
}

func (w *timedWait) reached(err error) {
	if !w.over.CompareAndSwap(false, true) {
		return
	}
	if timer := w.timer.Load(); timer != nil {
		timer.Stop()
	}
	w.told(err == nil)
}

func (w *timedWait) late() {
	if w.over.CompareAndSwap(false, true) {
		w.tracker.cancel(&w.waiter)
		w.told(false)
	}
}

// topicID is the incarnation that the running session reads; zero before the first.
func (t *Topic) topicID() position.TopicID {
	t.tracker.mu.Lock()
	defer t.tracker.mu.Unlock()
	return t.tracker.topic
}
