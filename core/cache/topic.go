package cache

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// Topic is this instance's view of one topic. It is made by its [Cache] and lives as long.
type Topic struct {
	cache      *Cache
	name       string
	index      int
	writable   bool
	keyCodec   codec.Codec
	valueCodec codec.Codec
	meaning    meaning
	log        *slog.Logger
	metrics    *topicMetrics

	start           start
	deleteRetention time.Duration // as configured, for where the settings may not be read
	repairs         bool          // split keys are repaired without being asked

	serving     atomic.Bool                 // reads may be answered from store
	store       atomic.Pointer[store.Store] // current's; nil before the first session has one
	reads       atomic.Pointer[store.Store] // what reads are answered from: store, or where records yield other keys its view, once there is one
	tracker     *tracker
	flights     flights
	watchers    watchers
	waits       waits
	syncs       syncs
	fetcher     atomic.Pointer[kafka.Fetcher]
	halted      atomic.Pointer[StoppedError] // the record in front of which it stands
	invalids    invalids
	deadLetters deadLetters
	rebuild     string       // why the next generation must not be what is there; touched by run alone
	maxBytes    atomic.Int64 // max.message.bytes, 0 where it is not known
	appendTime  atomic.Bool  // the brokers set the records' timestamps
	kept        atomic.Int64 // how long the log keeps tombstones, as last heard of: a retention

	unverified    atomic.Bool // what was stored is served before a session has come to the log's end with it
	notUnverified string      // why it is not, as logged last; run's

	throttledUntil atomic.Int64 // UnixNano until which a broker's quota last asked not to be read from

	mu             sync.Mutex
	state          State
	reason         string
	since          time.Time
	readyOnce      bool
	readyCh        chan struct{} // closed while serving, replaced when that ends
	closed         bool
	current        *generation // read and written by run and what it starts, written with mu held
	aside          *generation // is being built to take current's place; as current
	verifying      string      // why the log is read again; "" while it is not
	verifyingSince time.Time
}

// Reasons of a topic of which nothing is known yet.
const (
	notStarted = "not started"
	unanswered = "no broker has answered yet"
)

func newTopic(c *Cache, index int, cfg TopicConfig) (*Topic, error) {
	keys, values, err := cfg.codecs()
	if err != nil {
		return nil, err
	}
	t := &Topic{
		cache: c, name: cfg.Name, index: index, writable: cfg.Writable, keyCodec: keys, valueCodec: values,
		log: c.cfg.Logger.With("topic", cfg.Name), tracker: newTracker(), state: Starting, reason: notStarted, since: time.Now(),
		meaning: newMeaning(&cfg), deadLetters: deadLetters{topic: cfg.DeadLetterTopic},
		readyCh: make(chan struct{}), metrics: c.metrics.topic(cfg.Name), deleteRetention: cfg.DeleteRetention, repairs: cfg.RepairSplitKeys,
	}
	if t.start, err = parseStart(cfg.Start); err != nil {
		return nil, err
	}
	t.tracker.onUnknown = func() {
		if f := t.fetcher.Load(); f != nil {
			f.Refresh()
		}
	}
	return t, nil
}

// Name is the topic's name.
func (t *Topic) Name() string { return t.name }

// Index is the topic's place in the configuration, from 0: its Redis database.
func (t *Topic) Index() int { return t.index }

// Writable reports whether writes are allowed by configuration.
func (t *Topic) Writable() bool { return t.writable }

// KeyEncoding is the name of the keys' encoding.
func (t *Topic) KeyEncoding() string { return t.keyCodec.Name() }

// ValueEncoding is the name of the values' encoding.
func (t *Topic) ValueEncoding() string { return t.valueCodec.Name() }

// Ready reports whether reads are answered now.
func (t *Topic) Ready() bool { return t.serving.Load() }

// WaitReady waits until reads are answered. Its errors are ErrClosed and ctx's, with the state that the topic is in by then and the reason where it is not simply closed.
func (t *Topic) WaitReady(ctx context.Context) error {
	for {
		t.mu.Lock()
		ch, closed, failed := t.readyCh, t.closed, t.state == Failed
		t.mu.Unlock()
		switch {
		case closed && failed:
			return t.notReadyYet(ErrClosed)
		case closed:
			return ErrClosed
		}
		select {
		case <-ch:
			if t.serving.Load() {
				return nil
			}
		case <-ctx.Done():
			return t.notReadyYet(ctx.Err())
		}
	}
}

func (t *Topic) notReadyYet(cause error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reason == "" {
		return fmt.Errorf("topic %s is not ready, state %s: %w", t.name, t.state, cause)
	}
	return fmt.Errorf("topic %s is not ready, state %s: %s: %w", t.name, t.state, t.reason, cause)
}

// Position is how far this instance has applied the topic's partitions.
func (t *Topic) Position() position.Position { return t.tracker.position() }

// WaitFor waits until this instance has applied all that p names. Its errors are ctx's, ErrOtherTopic where p is of
// another topic or of an earlier incarnation of this one, ErrNotReady before the topic was first reached, or ErrClosed.
func (t *Topic) WaitFor(ctx context.Context, p position.Position) error {
	ch := make(chan error, 1)
	cancel := t.tracker.wait(p, func(err error) { ch <- err })
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		cancel()
		return ctx.Err()
	}
}

// NotifyAt calls done once when WaitFor would return, from another goroutine or, where that is so already, from this one.
// done must not block. cancel ends the wait; a call that is already under way is not stopped.
func (t *Topic) NotifyAt(p position.Position, done func(error)) (cancel func()) {
	return t.tracker.wait(p, done)
}

// setState logs a change once and keeps since for an unchanged state.
func (t *Topic) setState(s State, reason string) {
	t.mu.Lock()
	changed := t.state != s || t.reason != reason
	if t.state != s {
		t.since = time.Now()
	}
	t.state, t.reason = s, reason
	t.mu.Unlock()
	if !changed {
		return
	}
	level := slog.LevelInfo
	if s == Failed || s == Stale || s == Starting { // Starting comes with what is missing
		level = slog.LevelWarn
	}
	attrs := []any{"state", s.String()}
	if reason != "" {
		attrs = append(attrs, "reason", reason)
	}
	t.log.Log(context.Background(), level, "topic state", attrs...)
}

// startServing lets reads be answered; stopServing makes them ErrNotReady until it is called again.
func (t *Topic) startServing() {
	defer t.tracker.turn()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serving.Load() || t.closed {
		return
	}
	t.readyOnce = true
	t.serving.Store(true)
	close(t.readyCh)
}

func (t *Topic) stopServing() {
	defer t.tracker.turn()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unverified.Store(false)
	if t.serving.CompareAndSwap(true, false) {
		t.readyCh = make(chan struct{})
	}
}

// close ends all waits with ErrClosed.
func (t *Topic) close() {
	t.stopServing()
	t.mu.Lock()
	t.closed = true
	close(t.readyCh)
	t.mu.Unlock()
	t.syncs.close()
	t.tracker.fail(ErrClosed)
	t.watchers.close()
}

// wasReady reports whether the topic was ready at any time.
func (t *Topic) wasReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readyOnce
}
