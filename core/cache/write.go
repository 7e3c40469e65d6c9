package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

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
// wait until this instance has applied it: WaitFor the Written.Position, or Submit. Where ctx ends first the error wraps both
// ctx's and ErrUnknownOutcome.
func (t *Topic) Put(ctx context.Context, key, value []byte, headers ...Header) (Written, error) {
	return t.await(ctx, Write{Key: key, Value: value, Headers: headers})
}

// Delete produces a tombstone, also for a key that has no value here, and waits as Put does.
func (t *Topic) Delete(ctx context.Context, key []byte) (Written, error) {
	return t.await(ctx, Write{Key: key, Delete: true})
}

func (t *Topic) await(ctx context.Context, w Write) (Written, error) {
	type result struct {
		Written
		error
	}
	if err := ctx.Err(); err != nil {
		return Written{}, err // nothing was produced
	}
	ch := make(chan result, 1)
	t.Submit(w, func(w Written, err error) { ch <- result{w, err} })
	select {
	case r := <-ch:
		return r.Written, r.error
	case <-ctx.Done():
		return Written{}, errors.Join(ErrUnknownOutcome, ctx.Err())
	}
}

// Submit produces a record without blocking on the network, and calls done exactly once with what came of it, from any goroutine;
// done must not block. Records that are submitted one after the other for the same key reach the log in that order.
//
// What is wrong with the write itself is told at once, before Submit returns: ErrReadOnly, ErrEmptyKey, ErrNotReady,
// *EncodingError, *TooLargeError; nothing was produced then. Later come kafka's errors: ErrUnavailable, ErrNotEnoughReplicas,
// ErrNotAuthorized: not in the log; ErrUnknownOutcome: perhaps in the log; *PendingError: in the log and not applied here in
// Write.Apply.
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
	finish := done
	if w.Delete && w.Apply > 0 {
		key := string(w.Key)
		t.deletes.begin(key)
		finish = func(r Written, err error) {
			partition := r.Partition
			if r.split {
				partition = anyPartition
			}
			r.Removed = r.Applied && t.deletes.removed(key, partition, r.Offset)
			t.deletes.end(key)
			done(r, err)
		}
	}
	others, to := t.otherClaims(w.Key, record.Key)
	if len(others) == 0 {
		t.produce(record, w.Apply, finish)
		return
	}
	t.produceSplit(record, others, to, w.Apply, finish)
}

// produce writes one record, and finishes once it is applied where that is asked for.
func (t *Topic) produce(record kafka.ProduceRecord, apply time.Duration, finish func(Written, error)) {
	t.cache.producer.Produce(t.name, record, func(p kafka.Produced, err error) {
		if err != nil {
			finish(Written{}, err)
			return
		}
		r := Written{Partition: p.Partition, Offset: p.Offset, Position: position.OfRecord(p.TopicID, p.Partition, p.Offset)}
		if p.Offset < 0 {
			t.cache.background(func(ctx context.Context) { t.locate(ctx, p.TopicID, r, apply, finish) })
			return
		}
		t.applied(r, apply, finish)
	})
}

// Check is what Submit would say is wrong with the write itself: ErrReadOnly, ErrEmptyKey, *EncodingError, *TooLargeError, or nil.
func (t *Topic) Check(w Write) error {
	_, err := t.record(w)
	return err
}

// record checks and encodes a write.
func (t *Topic) record(w Write) (kafka.ProduceRecord, error) {
	var r kafka.ProduceRecord
	if !t.writable {
		return r, ErrReadOnly
	}
	if len(w.Key) == 0 {
		return r, ErrEmptyKey
	}
	key, err := t.keyCodec.Encode(nil, w.Key)
	if err != nil {
		return r, &EncodingError{Field: "key", Encoding: t.keyCodec.Name(), Err: err}
	}
	r = kafka.ProduceRecord{Key: key, Headers: w.Headers}
	if !w.Delete {
		r.Value, err = t.valueCodec.Encode(make([]byte, 0, len(w.Value)), w.Value)
		if err != nil {
			return r, &EncodingError{Field: "value", Encoding: t.valueCodec.Name(), Err: err}
		}
	}
	if limit := int(t.maxBytes.Load()); limit > 0 {
		if size := recordBatchSize(r); size > limit {
			return r, &TooLargeError{Size: size, Max: limit}
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

// locate finds a position that covers a record whose offset Kafka did not tell: the partition's end as it is now.
func (t *Topic) locate(ctx context.Context, topic position.TopicID, r Written, apply time.Duration, done func(Written, error)) {
	var err error
	if r.Position, err = t.coverEnd(ctx, kafka.Produced{TopicID: topic, Partition: r.Partition}); err != nil {
		// It is in the log for sure; that its position is not known is told as pending, with a position that names nothing.
		done(r, &PendingError{Written: r})
		return
	}
	t.applied(r, apply, done)
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
	var told atomic.Bool
	var timer atomic.Pointer[time.Timer]
	cancel := t.tracker.wait(p, func(err error) {
		if !told.CompareAndSwap(false, true) {
			return
		}
		if tm := timer.Load(); tm != nil {
			tm.Stop()
		}
		done(err == nil)
	})
	if told.Load() {
		return // the tail was faster than the acknowledgement
	}
	timer.Store(time.AfterFunc(limit, func() {
		if told.CompareAndSwap(false, true) {
			cancel()
			done(false)
		}
	}))
}

// topicID is the incarnation that the running session reads; zero before the first.
func (t *Topic) topicID() position.TopicID {
	t.tracker.mu.Lock()
	defer t.tracker.mu.Unlock()
	return t.tracker.topic
}
