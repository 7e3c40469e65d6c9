package store

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// commitKeys is how many keys a commit has at most that no batch asked for.
	commitKeys = 2048

	// forgetAtOnce is how many remembered tombstones an Apply looks at before its own batch.
	forgetAtOnce = 8 * commitKeys

	// rememberedFor is how long a tombstone is remembered at least: a record may come to the log that late after it is stamped, or be stamped by a
	// clock that is that much behind.
	rememberedFor = 30 * time.Second

	// trimFrom is the length of the queue up to which it is left as it is.
	trimFrom = 1 << 16
)

// remembered are tombstones that hide no claim of their key, though an older value may still come from another partition:
// while it is read, or was read less far, or is written late. They can go once every partition has been at an end, hidden records included, that was asked
// for rememberedFor after they were applied. The claims themselves are in the index and in the side table; this is the queue in which they came.
type remembered struct {
	queue   []tombstone
	sealed  int // those of the queue that are in a cohort
	cohorts []cohort
}

// tombstone stands for the claim of one record: the hash of its key, and its version mixed.
type tombstone struct{ hash, id uint64 }

// cohort is how many of the queue were applied by a time of our clock.
type cohort struct {
	n  int
	at time.Time
}

func tombstoneID(v version) uint64 { return claimHash(0, 0, v).lo }

// add puts a tombstone at the end of the queue.
func (r *remembered) add(hash uint64, v version) {
	r.queue = append(r.queue, tombstone{hash, tombstoneID(v)})
}

// seal says that what was added so far was applied by now.
func (r *remembered) seal(now time.Time) {
	if n := len(r.queue) - r.sealed; n > 0 {
		r.cohorts = append(r.cohorts, cohort{n, now})
		r.sealed += n
	}
}

// trim drops what the queue holds of tombstones that are claims no more, where that is most of it: keys may be deleted over and over
// while one partition is not read. hidden is how many keys may have any.
func (r *remembered) trim(x *index, hidden int64, now time.Time) error {
	if int64(len(r.queue)) < max(trimFrom, 4*hidden) {
		return nil
	}
	queue := slices.Clone(r.queue)
	slices.SortFunc(queue, compareTombstones)
	queue = slices.Compact(queue)
	kept := queue[:0]
	for _, t := range queue {
		there, err := x.remembers(t)
		if err != nil {
			return err
		}
		if there {
			kept = append(kept, t)
		}
	}
	r.queue, r.sealed, r.cohorts = slices.Clip(kept), len(kept), nil
	if len(kept) > 0 {
		r.cohorts = []cohort{{len(kept), now}}
	}
	return nil
}

func compareTombstones(a, b tombstone) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.id, b.id))
}

// ripe takes up to n tombstones out that were applied before the time.
func (r *remembered) ripe(before time.Time, n int) []tombstone {
	taken := 0
	for len(r.cohorts) > 0 && taken < n && r.cohorts[0].at.Before(before) {
		c := &r.cohorts[0]
		k := min(c.n, n-taken)
		taken += k
		if c.n -= k; c.n == 0 {
			r.cohorts = r.cohorts[1:]
		}
	}
	out := r.queue[:taken:taken]
	r.sealed -= taken
	if r.queue = r.queue[taken:]; len(r.queue) == 0 {
		r.queue, r.cohorts = nil, nil
	}
	return out
}

// partitions are those of the topic as far as they are known.
type partitions struct {
	mu  sync.Mutex
	ids []int32 // ascending
}

// SetPartitions says which partitions the topic has; it may be called again with more. Where there is more than one, the tombstones of
// keys without any other claim are remembered, so that an older value that is read later, from another partition, does not bring
// the key back: until each partition has been at its end half a minute later (Batch.EndAt). It is to be called before the first Apply: a partition is
// known here otherwise from its first batch on. It waits for nothing.
func (s *Store) SetPartitions(ids []int32) {
	s.partitions.mu.Lock()
	defer s.partitions.mu.Unlock()
	s.partitions.ids = append(s.partitions.ids, ids...)
	slices.Sort(s.partitions.ids)
	s.partitions.ids = slices.Compact(s.partitions.ids)
}

// remembers says that the topic has several partitions, of which one is given.
func (p *partitions) remembers(partition int32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, ok := slices.BinarySearch(p.ids, partition); !ok {
		p.ids = slices.Insert(p.ids, i, partition)
	}
	return len(p.ids) > 1
}

// several says that the topic has several partitions.
func (p *partitions) several() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ids) > 1
}

// endAt is the earliest time at which all partitions were at their high watermarks, zero where one has never been there.
func (s *Store) endAt() (earliest time.Time) {
	s.partitions.mu.Lock()
	defer s.partitions.mu.Unlock()
	for i, id := range s.partitions.ids {
		a, _ := s.checkpoints.get(id)
		if i == 0 || a.endAt.Before(earliest) {
			earliest = a.endAt
		}
	}
	return earliest
}

// forget removes tombstones that need no longer be remembered. A load forgets nothing, nor does a refill. The caller holds apply.
func (s *Store) forget() error {
	if len(s.remembered.queue) == 0 || s.isLoading.Load() || s.refill.on.Load() {
		return nil
	}
	defer s.moments.changed()
	all := s.remembered.ripe(s.endAt().Add(-rememberedFor), forgetAtOnce)
	for len(all) > 0 {
		n := min(len(all), commitKeys)
		if err := s.forgetSome(all[:n]); err != nil {
			s.remembered.queue = append(slices.Clone(all), s.remembered.queue...)
			s.remembered.cohorts = append([]cohort{{n: len(all)}}, s.remembered.cohorts...)
			s.remembered.sealed += len(all)
			return err
		}
		all = all[n:]
	}
	return nil
}

func (s *Store) forgetSome(tombstones []tombstone) error {
	slices.SortFunc(tombstones, compareTombstones)
	var batch []settled
	var writes []write
	for i := 0; i < len(tombstones); {
		hash := tombstones[i].hash
		ids := map[uint64]bool{}
		for ; i < len(tombstones) && tombstones[i].hash == hash; i++ {
			ids[tombstones[i].id] = true
		}
		keys, err := s.index.hidden(hash)
		if err != nil {
			return err
		}
		for _, key := range keys {
			h, err := s.holding(hash, key)
			if err != nil {
				return err
			}
			for i := 0; i < len(h.claims); {
				if c := &h.claims[i]; c.tombstone && ids[tombstoneID(c.version())] && !h.hidden(c) {
					h.drop(i)
				} else {
					i++
				}
			}
			if len(h.gone) > 0 {
				z, w := s.settle(h, true)
				batch, writes = append(batch, z), append(writes, w...)
			}
		}
	}
	return s.commitSettled(batch, writes)
}

// hidden are copies of the keys with a hash that have a tombstone for a winner, or claims beside it.
func (x *index) hidden(hash uint64) (keys [][]byte, err error) {
	err = x.eachHidden(hash, func(s *shard, sl *slot) {
		key, _ := s.record(sl.location())
		keys = append(keys, append([]byte{}, key...))
	})
	return keys, err
}

// remembers says that the tombstone is a claim, or may be one of a key with several.
func (x *index) remembers(t tombstone) (there bool, err error) {
	err = x.eachHidden(t.hash, func(_ *shard, sl *slot) {
		there = there || sl.mark&slotSplit != 0 || tombstoneID(sl.version()) == t.id
	})
	return there, err
}

func (x *index) eachHidden(hash uint64, fn func(*shard, *slot)) error {
	s := x.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	if s.table.slots == nil {
		return nil
	}
	hash &= 1<<56 - 1
	for i := s.table.home(hash); ; i++ {
		sl := &s.table.slots[i]
		if sl.empty() || sl.hash() > hash {
			return nil
		}
		if sl.hash() == hash && sl.mark&(slotTombstone|slotSplit) != 0 {
			fn(s, sl)
		}
	}
}
