package cache

import (
	"log/slog"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/store"
)

// gapAllowed is the time without having been at the end that a running session may always have: long polls and pauses of the machine
// are not absences, also where tombstones are kept for less than the margin.
const gapAllowed = 3 * time.Second

// freshness follows when each partition was last at its end, and so whether tombstones may have been missed: they are kept for
// delete.retention.ms, and a reader that was away for longer may have keys that were deleted meanwhile. Such a partition is suspect until
// it has been verified, and its durable freshness stays what it was, so that a later session verifies as well.
type freshness struct {
	log       *slog.Logger
	began     time.Time
	onSuspect func() // called without the lock, once a partition has become suspect

	mu       sync.Mutex
	kept     retention           // how long tombstones are kept, as last heard of
	least    map[int32]retention // the shortest time that was heard of since the partition was at its end, or known then
	durable  map[int32]time.Time // as last committed
	at       map[int32]time.Time // when it was last at its end
	seen     map[int32]bool      // it has been at its end in this session
	suspects map[int32]time.Time // since when
}

func newFreshness(log *slog.Logger, points []store.Checkpoint, onSuspect func()) *freshness {
	f := &freshness{log: log, began: time.Now(), onSuspect: onSuspect, kept: forever, least: map[int32]retention{}, durable: map[int32]time.Time{},
		at: map[int32]time.Time{}, seen: map[int32]bool{}, suspects: map[int32]time.Time{}}
	for _, c := range points {
		f.durable[c.Partition], f.at[c.Partition], f.least[c.Partition] = c.FreshAt, c.FreshAt, retention(c.Keeps)
	}
	return f
}

// keeps says how long tombstones are kept, as read from the topic's settings. Of an absence the shortest time that was heard of counts.
func (f *freshness) keeps(r retention) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = r
	for id, least := range f.least {
		f.least[id] = min(least, r)
	}
}

// found says that these partitions are read, or are going to be: of one that nothing is known of, from now on.
func (f *freshness) found(ids []int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		if _, ok := f.at[id]; !ok {
			f.at[id], f.least[id] = now, f.kept
		}
	}
}

// missed says that a reader which was at the end at last, and then at now, may have missed what is gone from the log after limit. The wall clock
// counts the time for which the machine was asleep, and the other one that for which the wall clock was set back. Where now is before last, and this process did not see
// last, nobody knows how long it was.
func missed(now, last time.Time, limit time.Duration) bool {
	away := awayFrom(now, last)
	return away > limit || away < 0
}

func awayFrom(now, last time.Time) time.Duration {
	return max(now.Sub(last), now.Round(0).Sub(last.Round(0)))
}

// reached notes that a response, asked for at asked, has shown a partition to be at its end, and returns the freshness to commit; zero leaves
// what is durable.
func (f *freshness) reached(partition int32, asked time.Time) time.Time {
	f.mu.Lock()
	last, ok := f.at[partition]
	if !ok {
		last, f.least[partition] = f.began, f.kept // the log was read from its start since then
	}
	limit := f.least[partition].allows()
	if f.seen[partition] {
		limit = max(limit, gapAllowed)
	}
	suspect := f.least[partition] != forever && missed(asked, last, limit)
	f.at[partition], f.seen[partition], f.least[partition] = asked, true, f.kept
	_, was := f.suspects[partition]
	if suspect {
		f.suspects[partition] = asked
	}
	f.mu.Unlock()
	if suspect {
		f.log.Warn("the partition was not at its end for about as long as the log keeps tombstones, or the clock was set back: it is verified against the log",
			"partition", partition, "away", awayFrom(asked, last).Round(time.Millisecond).String(), "limit", limit.String())
		f.onSuspect()
	}
	if suspect || was {
		return time.Time{}
	}
	return asked
}

// suspected are the partitions to verify.
func (f *freshness) suspected() []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]int32, 0, len(f.suspects))
	for id := range f.suspects {
		ids = append(ids, id)
	}
	return ids
}

// verified takes partitions off the list that have not become suspect again since, and reports whether any is left.
func (f *freshness) verified(ids []int32, since time.Time) (left bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if !f.suspects[id].After(since) {
			delete(f.suspects, id)
		}
	}
	return len(f.suspects) > 0
}

// due reports whether the batch has a freshness that is to be made durable. A partition of which nothing is stored holds no
// deleted key: it is as fresh as this session's beginning, and a load that is cut off can be resumed for as long as tombstones are kept
// from then.
func (f *freshness) due(b *store.Batch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.durable[b.Partition]; !ok {
		f.durable[b.Partition] = f.began
		if b.FreshAt.IsZero() {
			b.FreshAt = f.began
		}
	}
	b.Keeps = time.Duration(f.kept)
	age := b.FreshAt.Sub(f.durable[b.Partition])
	return !b.FreshAt.IsZero() && (age >= freshEvery || age < 0)
}

// stored notes what a batch that is about to be committed makes durable.
func (f *freshness) stored(b *store.Batch) {
	if b.FreshAt.IsZero() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durable[b.Partition] = b.FreshAt
}
