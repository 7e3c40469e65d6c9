package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// TopicWrite is a Write, and the topic that it is for.
type TopicWrite struct {
	Topic *Topic
	Write
}

// Outcome is what came of one of several writes that are in the log together.
type Outcome struct {
	Written
	// Err is nil, or the *PendingError of a write that was not applied here within its Write.Apply, or the *InvalidError of one whose record a rule refused.
	Err error
}

// TopicError is an error that concerns one topic of several.
type TopicError struct {
	Topic *Topic
	Err   error
}

func (e *TopicError) Error() string { return fmt.Sprintf("topic %s: %v", e.Topic.Name(), e.Err) }

// Unwrap is the error.
func (e *TopicError) Unwrap() error { return e.Err }

// SubmitAll produces all of the writes, or none: one is a Submit, several are one Kafka transaction over all their topics. It does not block on the network, and
// calls done exactly once, from any goroutine; done must not block. Writes of the same key reach the log in the order in which they stand, and after what was
// acknowledged before.
//
// Where all are in the log, done gets an Outcome for each, and a nil error. Otherwise the error is one of Submit's, a *TopicError where it is a write's own: nothing was
// written, or with ErrUnknownOutcome all or nothing. What is wrong with the writes themselves is told before SubmitAll returns. Readers of committed records see all of a
// transaction or nothing; a cache applies it partition by partition.
func (c *Cache) SubmitAll(writes []TopicWrite, done func([]Outcome, error)) {
	switch len(writes) {
	case 0:
		done(nil, nil)
		return
	case 1:
		w := writes[0]
		w.Topic.Submit(w.Write, func(r Written, err error) {
			var pending *PendingError
			if err != nil && !errors.As(err, &pending) {
				done(nil, &TopicError{w.Topic, err})
				return
			}
			done([]Outcome{{r, err}}, nil)
		})
		return
	}
	x := &together{cache: c, done: done, records: make([]joint, len(writes))}
	for i, w := range writes {
		record, err := w.Topic.record(w.Write)
		if err == nil && w.Topic.topicID().IsZero() {
			err = ErrNotReady
		}
		if err != nil {
			done(nil, &TopicError{w.Topic, err})
			return
		}
		x.records[i] = joint{topic: w.Topic, record: record, key: string(w.Key),
			noted: w.Apply > 0 && (w.Delete || w.Topic.meaning.refuses()), deletes: w.Delete, apply: w.Apply}
	}
	for i := range x.records {
		j := &x.records[i]
		j.others, j.to = j.topic.otherClaims([]byte(j.key), j.record.Key)
		if j.noted {
			j.topic.flights.begin(j.key, j.deletes)
		}
	}
	c.background(x.run)
}

// WriteAll is SubmitAll, and waits for it. Where ctx ends first the error wraps both ctx's and ErrUnknownOutcome.
func (c *Cache) WriteAll(ctx context.Context, writes ...TopicWrite) ([]Outcome, error) {
	type result struct {
		all []Outcome
		err error
	}
	if err := ctx.Err(); err != nil {
		return nil, err // nothing was produced
	}
	ch := make(chan result, 1)
	c.SubmitAll(writes, func(all []Outcome, err error) { ch <- result{all, err} })
	select {
	case r := <-ch:
		return r.all, r.err
	case <-ctx.Done():
		return nil, errors.Join(ErrUnknownOutcome, ctx.Err())
	}
}

// together are several writes that are one transaction.
type together struct {
	cache   *Cache
	records []joint
	done    func([]Outcome, error)
}

// joint is one of them.
type joint struct {
	topic   *Topic
	record  kafka.ProduceRecord
	key     string
	noted   bool // what applying it comes to: what a delete removes, and what a rule refuses
	deletes bool
	apply   time.Duration
	others  []store.Claim // of other partitions
	to      int32         // the record's partition, notKnown where the producer does not know yet

	at    kafka.Produced
	also  position.Position // of the tombstones that went to other partitions
	split bool
}

func (x *together) run(ctx context.Context) {
	outcome := "committed"
	steps, where, err := x.prepare(ctx)
	var at []kafka.Produced
	if err == nil {
		at, err = x.cache.together.Write(context.WithoutCancel(ctx), steps...) // which Close ends in its own time
	}
	switch {
	case errors.Is(err, ErrUnknownOutcome):
		outcome = "unknown"
	case err != nil:
		outcome = "aborted"
	}
	x.cache.metrics.transactions.WithLabelValues(outcome).Inc()
	if err != nil {
		x.unnote()
		x.done(nil, err)
		return
	}
	for i, w := range where {
		j := &x.records[w.of]
		if w.buries {
			j.also = j.also.Merge(position.OfRecord(at[i].TopicID, at[i].Partition, at[i].Offset))
		} else {
			j.at = at[i]
		}
	}
	x.applied(ctx)
}

// origin says which write a record of the transaction is of.
type origin struct {
	of     int
	buries bool // it is a tombstone for another partition
}

// prepare is what is written, and of which write each record is, in the order of the transaction's results. A key that other partitions have records
// of is treated as [Topic.Submit] does: its record is the newest, and tombstones that are older go to the others.
func (x *together) prepare(ctx context.Context) (steps [][]kafka.TopicRecord, where []origin, err error) {
	var first, then []kafka.TopicRecord
	var ofFirst, ofThen []origin
	for i := range x.records {
		j := &x.records[i]
		name := j.topic.name
		if len(j.others) == 0 {
			first, ofFirst = append(first, kafka.TopicRecord{Topic: name, ProduceRecord: j.record}), append(ofFirst, origin{of: i})
			continue
		}
		if j.to == notKnown {
			if j.to, err = j.topic.partitionOf(ctx, j.record.Key); err != nil {
				return nil, nil, err
			}
		}
		j.split = true
		// What follows is right for this partition alone.
		j.record.ToPartition, j.record.Partition = true, j.to
		j.record.Timestamp = newestOf(j.others)
		for _, p := range newParts(elsewhere(j.others, j.to)) {
			r := kafka.TopicRecord{Topic: name, ProduceRecord: tombstone(j.record.Key, p, j.record.Timestamp-1)}
			first, ofFirst = append(first, r), append(ofFirst, origin{of: i, buries: true})
		}
		r := kafka.TopicRecord{Topic: name, ProduceRecord: j.record}
		if j.topic.appendTime.Load() { // the tombstones have to be there first
			then, ofThen = append(then, r), append(ofThen, origin{of: i})
		} else {
			first, ofFirst = append(first, r), append(ofFirst, origin{of: i})
		}
	}
	steps = [][]kafka.TopicRecord{first}
	if len(then) > 0 {
		steps = append(steps, then)
	}
	return steps, append(ofFirst, ofThen...), nil
}

// applied waits until this instance has applied what was written, topic by topic, as far as that is asked for.
func (x *together) applied(ctx context.Context) {
	type waits struct {
		position position.Position
		limit    time.Duration
		first    map[int32]int64 // offset, by partition
	}
	by := map[*Topic]*waits{}
	outcomes := make([]Outcome, len(x.records))
	for i := range x.records {
		j := &x.records[i]
		w := by[j.topic]
		if w == nil {
			w = &waits{first: map[int32]int64{}}
			by[j.topic] = w
		}
		o := Outcome{Written: Written{Partition: j.at.Partition, Offset: j.at.Offset, split: j.split}}
		o.Position = position.OfRecord(j.at.TopicID, j.at.Partition, j.at.Offset).Merge(j.also)
		if j.at.Offset < 0 {
			p, err := j.topic.coverEnd(ctx, j.at)
			o.Position = p.Merge(j.also)
			if err != nil {
				o.Err = &PendingError{Written: o.Written}
			}
		} else if f, ok := w.first[j.at.Partition]; !ok || j.at.Offset < f {
			w.first[j.at.Partition] = j.at.Offset
		}
		w.position = w.position.Merge(o.Position)
		w.limit = max(w.limit, j.apply)
		outcomes[i] = o
	}
	var mu sync.Mutex
	left := len(by)
	for t, w := range by {
		t.appliedTogether(w.position, w.limit, w.first, func() {
			mu.Lock()
			left--
			last := left == 0
			mu.Unlock()
			if last {
				x.finish(outcomes)
			}
		})
	}
}

// appliedTogether calls done when what p names is applied, or is not in time. A partition that another transaction has held back for longer, one that was open
// below the offset given for it, is not waited for; that this one did is no reason.
func (t *Topic) appliedTogether(p position.Position, limit time.Duration, first map[int32]int64, done func()) {
	for partition, offset := range first {
		if limit > 0 && t.tracker.blockedBelow(partition, offset) > limit {
			limit = 0
		}
	}
	if limit <= 0 {
		done()
		return
	}
	t.within(p, limit, func(bool) { done() })
}

// finish says of each write whether it is applied.
func (x *together) finish(outcomes []Outcome) {
	positions := map[*Topic]position.Position{}
	for i := range outcomes {
		o, j := &outcomes[i], &x.records[i]
		if j.apply <= 0 {
			continue
		}
		at, ok := positions[j.topic]
		if !ok {
			at = j.topic.Position()
			positions[j.topic] = at
		}
		if o.Applied = o.Err == nil && at.Covers(o.Position); !o.Applied {
			o.Err = &PendingError{Written: o.Written}
			continue
		}
		if j.noted {
			o.split = j.split
			o.Err = j.topic.outcome(j.key, &o.Written)
		}
	}
	x.unnote()
	x.done(outcomes, nil)
}

func (x *together) unnote() {
	for i := range x.records {
		if j := &x.records[i]; j.noted {
			j.topic.flights.end(j.key, j.deletes)
		}
	}
}

// coverEnd is a position that covers a record whose offset Kafka did not tell, and which is in the log: the partition's end as it is now.
func (t *Topic) coverEnd(ctx context.Context, at kafka.Produced) (position.Position, error) {
	ends, err := t.cache.client.Ends(ctx, t.name, []int32{at.Partition})
	end, ok := ends[at.Partition]
	if !ok {
		t.log.Warn("the end of a partition that a write was repeated to could not be asked", "partition", at.Partition, "error", err)
		return position.New(at.TopicID), ErrUnavailable
	}
	return position.New(at.TopicID, position.Offset{Partition: at.Partition, Next: end.HighWatermark, LeaderEpoch: position.UnknownEpoch}), nil
}

// transactionalID is what this instance's transactional ids begin with. It is the same after a restart, which so ends what a killed process has left open.
// Where there is no identity nobody else can know it either.
func transactionalID(identity string) string {
	if identity != "" {
		return identity + "-multi"
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return "kafka-cache-" + hex.EncodeToString(id[:]) + "-multi"
}

// endPredecessors ends the transactions that a process with the same identity has left open, where there may be any: they hold readers back until the
// cluster gives them up. Without the right to use transactional ids there are none.
func (c *Cache) endPredecessors(ctx context.Context) error {
	writable := false
	for _, t := range c.topics {
		writable = writable || t.writable
	}
	if !writable || c.cfg.Identity == "" {
		return nil
	}
	for backoff := backoffMin; ; backoff = min(2*backoff, backoffMax) {
		err := c.together.Recover(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrUnauthenticated): // which says nothing about the transactional ids, and credentials can be replaced
		case !errors.Is(err, ErrUnavailable):
			c.log.Warn("several writes cannot be made together (MULTI of two writes or more): that takes the ACL operations Write and Describe on the transactional ids",
				"transactionalIDs", transactionalID(c.cfg.Identity)+"-*", "error", err)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
	}
}
