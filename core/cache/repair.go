package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// repairEvery is how often split keys are looked for, and repairBatch how many are repaired each time.
const (
	repairEvery = 10 * time.Second
	// repairPatience is how long a repair is waited for to be applied here.
	repairPatience = 10 * time.Second
	repairBatch    = 1000
	// A repair goes through the split keys in pages of so many keys, or of so many bytes of them and a key, and writes so many of a page at once.
	repairPage      = 256
	repairPageBytes = 1 << 20
	repairsAtOnce   = 32
)

// Repair writes tombstones to the partitions that hold outdated records of keys, so that no instance ever takes one of them for the key's value once the log has let go of
// the newest. It looks at up to limit such keys, all for 0, and returns how many it repaired. Few keys are held at a time however many there are. Instances may do so at
// the same time. ErrReadOnly, ErrNotReady, or what a write can come to.
func (t *Topic) Repair(ctx context.Context, limit int) (repaired int, err error) {
	if !t.writable {
		return 0, ErrReadOnly
	}
	st, err := t.entries()
	if err != nil {
		return 0, err
	}
	var at position.Position
	var after []byte
	for left := limit; limit == 0 || left > 0; {
		most := repairPage
		if limit > 0 {
			most = min(most, left)
		}
		page, err := outdatedKeys(st, after, most)
		if err != nil {
			return repaired, readErr(err)
		}
		if len(page) == 0 {
			break
		}
		n, p, err := t.repairPage(ctx, st, page)
		repaired, at = repaired+n, at.Merge(p)
		if err != nil {
			return repaired, err
		}
		left, after = left-len(page), page[len(page)-1]
	}
	// What is in the log is repaired; that it is applied here as well spares the next call the same keys.
	applied, cancel := context.WithTimeout(ctx, repairPatience)
	defer cancel()
	if err := t.WaitFor(applied, at); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return repaired, err
	}
	return repaired, nil
}

// outdatedKeys are the next keys that have outdated records, behind the key after, which nil precedes.
func outdatedKeys(st *store.Store, after []byte, most int) (page [][]byte, err error) {
	bytes := 0
	err = st.SplitKeys(after, func(key []byte, claims []store.Claim) bool {
		if len(outdated(claims)) > 0 {
			page = append(page, append([]byte{}, key...))
			bytes += len(key)
		}
		return len(page) < most && bytes < repairPageBytes
	})
	return page, err
}

// repairPage repairs some keys, several at a time. What it repaired before an error counts.
func (t *Topic) repairPage(ctx context.Context, st *store.Store, keys [][]byte) (repaired int, at position.Position, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(repairsAtOnce)
	for _, key := range keys {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			p, err := t.repair(ctx, st, key)
			if err != nil {
				return fmt.Errorf("repair key %.100q: %w", key, err)
			}
			if p.IsZero() {
				return nil
			}
			t.metrics.repaired.Inc()
			mu.Lock()
			defer mu.Unlock()
			repaired, at = repaired+1, at.Merge(p)
			return nil
		})
	}
	err = group.Wait()
	return repaired, at, err
}

// outdated are a key's claims that are values and lost.
func outdated(claims []store.Claim) (lost []store.Claim) {
	for _, c := range claims {
		if !c.Winner && !c.Tombstone && c.Source == nil {
			lost = append(lost, c)
		}
	}
	return lost
}

// repair buries a key's outdated records below its newest, or where the brokers set timestamps writes the newest again above them. What it returns is zero where
// there are none any more.
func (t *Topic) repair(ctx context.Context, st *store.Store, key []byte) (at position.Position, err error) {
	encoded, err := t.keyCodec.Encode(nil, key)
	if err != nil {
		return at, err
	}
	claims, err := st.Claims(key)
	if err != nil {
		return at, readErr(err)
	}
	lost := outdated(claims)
	if len(lost) == 0 {
		return at, nil
	}
	if !t.appendTime.Load() {
		for _, c := range claims {
			if c.Winner {
				return t.bury(ctx, encoded, lost, c.Timestamp-1)
			}
		}
		return at, nil
	}
	value, ok, err := st.Get(nil, key)
	if err != nil {
		return at, readErr(err)
	}
	if ok && t.meaning.resolver != nil {
		return at, errors.New("the brokers set this topic's timestamps, so its newest record would have to be written again, and a resolver keeps only what it yields")
	}
	if !ok {
		return t.bury(ctx, encoded, lost, 0)
	}
	w, err := t.await(ctx, Write{Key: key, Value: value})
	return w.Position, err
}

// repairLoop repairs split keys without being asked.
func (s *session) repairLoop(ctx context.Context) error {
	ticker := time.NewTicker(repairEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		t := s.topic
		if st := t.store.Load(); !t.repairs || st == nil || st.Stats().SplitKeys == 0 {
			continue
		}
		n, err := t.Repair(ctx, repairBatch)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, ErrNotReady):
			t.log.Warn("repair split keys", "repaired", n, "error", err)
		case n > 0:
			t.log.Info("repaired split keys", "keys", n)
		}
	}
}
