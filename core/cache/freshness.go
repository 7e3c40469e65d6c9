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
	kept     time.Duration       // how long tombstones are kept, less the margin; may be below 0
	compacts bool                // whether they are dropped at all
	durable  map[int32]time.Time // as last committed
	at       map[int32]time.Time // when it was last at its end, by the wall clock: time asleep counts
	seen     map[int32]bool      // it has been at its end in this session
	suspects map[int32]time.Time // since when
}

func newFreshness(log *slog.Logger, points []store.Checkpoint, onSuspect func()) *freshness {
	f := &freshness{log: log, began: time.Now(), onSuspect: onSuspect, durable: map[int32]time.Time{}, at: map[int32]time.Time{},
		seen: map[int32]bool{}, suspects: map[int32]time.Time{}}
	for _, c := range points {
		f.durable[c.Partition], f.at[c.Partition] = c.FreshAt, c.FreshAt.Round(0)
	}
	return f
}

// keeps says how long tombstones are kept, as read from the topic's settings. The shortest time that was heard of counts.
func (f *freshness) keeps(r retention) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.compacts && (!f.compacts || r.allows() < f.kept) {
		f.kept = r.allows()
	}
	f.compacts = r.compacts // where it does not, nothing is dropped but at the log's start
}

// reached notes that a response, asked for at asked, has shown a partition to be at its end, and returns the freshness to commit; zero leaves
// what is durable.
func (f *freshness) reached(partition int32, asked time.Time) time.Time {
	f.mu.Lock()
	last, ok := f.at[partition]
	if !ok {
		last = f.began.Round(0) // the log was read from its start since then
	}
	away, limit := asked.Round(0).Sub(last), f.kept
	if f.seen[partition] {
		limit = max(limit, gapAllowed)
	}
	f.at[partition], f.seen[partition] = asked.Round(0), true
	_, was := f.suspects[partition]
	missed := f.compacts && away > limit
	if missed {
		f.suspects[partition] = asked
	}
	f.mu.Unlock()
	if missed {
		f.log.Warn("the partition was not at its end for about as long as the log keeps tombstones: it is verified against the log",
			"partition", partition, "away", away.Round(time.Millisecond).String(), "limit", limit.String())
		f.onSuspect()
	}
	if missed || was {
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
	return !b.FreshAt.IsZero() && b.FreshAt.Sub(f.durable[b.Partition]) >= freshEvery
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
