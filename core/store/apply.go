package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// Apply commits a batch: its entries and the partition's next position in one Pebble commit, then the index. Both are as
// before, or both have all of the batch; other calls may see a part of it in between, but no key goes back.
//
// A mutation whose offset is below the partition's position is a replay and changes nothing, nor does one that is not above
// the key's entry from the same partition; so a batch may be applied again. Between partitions the greater (timestamp,
// partition) stays, tombstones included, where the key has an entry. The position never moves back. The batch's bytes are
// copied.
//
// observe, where it is not nil, is called for every mutation in order after the commit. It may read the store, and must not
// call Apply, Flush or Close.
//
// An error before the commit leaves everything as it was. One behind it (the system gives no more memory) makes every
// further Apply answer the same error, since the index is not complete any more; the directory is.
func (s *Store) Apply(b *Batch, observe func(Change)) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return s.err
	}
	if err := b.check(); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	if err := s.opts.health.failing(); err != nil {
		// Pebble would take what fits in its memtables, and then hold whoever asks without a word.
		return fmt.Errorf("apply: the store cannot be written: %w", err)
	}
	if observe != nil { // it may read what only Pebble has
		if err := s.endLoadLocked(); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	before, known := s.checkpoints.get(b.Partition)
	after := before.after(b, known)
	p := &s.plan
	if err := p.make(s, b, before.Next, observe != nil); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	moved := !known || after.Next != before.Next || after.LeaderEpoch != before.LeaderEpoch ||
		after.LogStart != before.LogStart || !bytes.Equal(after.Trail, before.Trail) || after.FreshAt.Sub(after.storedFreshAt) >= freshInterval
	if s.isLoading.Load() {
		if len(p.results) > 0 {
			if err := s.loadPlan(b); err != nil {
				return fmt.Errorf("apply: %w", err)
			}
		}
		s.loading.moved = s.loading.moved || !known || !after.equal(before.Checkpoint)
	} else if moved || len(p.results) > 0 {
		after.storedFreshAt = after.FreshAt
		if err := s.commitPlan(b, after.Checkpoint); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	s.checkpoints.set(after)
	if observe != nil {
		p.tell(b, observe)
	}
	return nil
}

func (b *Batch) check() error {
	if b.Partition < 0 || b.Next < 0 {
		return fmt.Errorf("partition %d, next offset %d: below 0", b.Partition, b.Next)
	}
	if b.Start < 0 || b.LogStart < 0 {
		return fmt.Errorf("partition %d, start %d, log start %d: below 0", b.Partition, b.Start, b.LogStart)
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Offset < 0 || m.Offset >= b.Next {
			return fmt.Errorf("offset %d of partition %d is not within 0 and the next offset %d", m.Offset, b.Partition, b.Next)
		}
		if err := checkSize(m.Key, m.Value); err != nil {
			return err
		}
	}
	return nil
}

// commitPlan writes the plan's results and the checkpoint to Pebble, then to the index.
func (s *Store) commitPlan(b *Batch, c Checkpoint) error {
	w := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(4 << 20))
	defer w.Close()
	if err := w.Set(positionKey(c.Partition), appendCheckpoint(nil, c), nil); err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	if b.Trail != nil {
		if err := w.Set(trailKey(c.Partition), c.Trail, nil); err != nil {
			return fmt.Errorf("write trail: %w", err)
		}
	}
	for _, r := range s.plan.results {
		m := &b.Mutations[r.mutation]
		if m.Tombstone {
			op := w.DeleteDeferred(1 + len(m.Key))
			op.Key[0] = spaceEntries
			copy(op.Key[1:], m.Key)
			if err := op.Finish(); err != nil {
				return fmt.Errorf("write delete: %w", err)
			}
			continue
		}
		e := s.entry(b, m)
		op := w.SetDeferred(1+len(m.Key), e.size())
		op.Key[0] = spaceEntries
		copy(op.Key[1:], m.Key)
		e.put(op.Value)
		if err := op.Finish(); err != nil {
			return fmt.Errorf("write entry: %w", err)
		}
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := w.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.dirty.Store(true)
	return s.updateIndex(b)
}

// entry is what Pebble is to hold of a mutation.
func (s *Store) entry(b *Batch, m *Mutation) entry {
	return entry{
		Meta:    Meta{Partition: b.Partition, Offset: m.Offset, Timestamp: m.Timestamp, Source: m.Source, Headers: m.Headers},
		value:   m.Value,
		noValue: s.inMemory(),
	}
}

// updateIndex brings the plan's results into the index.
func (s *Store) updateIndex(b *Batch) error {
	s.index.touch(s.plan.hashes)
	for _, r := range s.plan.results {
		m := &b.Mutations[r.mutation]
		var err error
		if m.Tombstone {
			err = s.index.remove(r.hash, m.Key)
		} else {
			err = s.index.put(r.hash, m.Key, m.Value, version{b.Partition, m.Offset})
		}
		if err != nil {
			s.err = fmt.Errorf("index: %w", err)
			return s.err
		}
	}
	return nil
}

// storeFreshness writes what Pebble does not have of the checkpoints.
func (s *Store) storeFreshness() error {
	s.apply.Lock()
	defer s.apply.Unlock()
	for _, a := range s.checkpoints.list() {
		if a.FreshAt.Equal(a.storedFreshAt) {
			continue
		}
		if err := s.db.Set(positionKey(a.Partition), appendCheckpoint(nil, a.Checkpoint), pebble.NoSync); err != nil {
			return fmt.Errorf("write position: %w", err)
		}
		s.dirty.Store(true)
		a.storedFreshAt = a.FreshAt
		s.checkpoints.set(a)
	}
	return nil
}

// plan is what a batch comes to: for each key the mutation that decides, and for an observer what each mutation did. Its
// memory is used again.
type plan struct {
	hashes  []uint64 // of the mutations' keys
	order   []keyed  // the mutations by key, then in order
	results []result // ascending by key
	kinds   []ChangeKind
	olds    []old
	arena   []byte // copies of values that the index holds now
}

type keyed struct {
	prefix   uint64 // the key's first 8 bytes
	mutation int32
}

// result is the mutation whose outcome a key has after the batch.
type result struct {
	hash     uint64
	mutation int32
}

// old is a value before a mutation: none, a part of the arena, or the value of another mutation.
type old struct {
	where      int32 // a mutation, or one of:
	begin, end int
}

const (
	oldNone  = -1
	oldArena = -2
)

// make fills the plan. next is the partition's position.
func (p *plan) make(s *Store, b *Batch, next int64, observed bool) error {
	p.hashes, p.order, p.results, p.arena = p.hashes[:0], p.order[:0], p.results[:0], p.arena[:0]
	p.kinds, p.olds = p.kinds[:0], p.olds[:0]
	if observed {
		p.kinds = slices.Grow(p.kinds, len(b.Mutations))[:len(b.Mutations)]
		p.olds = slices.Grow(p.olds, len(b.Mutations))[:len(b.Mutations)]
	}
	for i := range b.Mutations {
		key := b.Mutations[i].Key
		p.hashes = append(p.hashes, s.index.hash(key))
		p.order = append(p.order, keyed{keyPrefix(key), int32(i)})
	}
	s.index.touch(p.hashes)
	// Pebble's memtable takes sorted keys faster than others.
	slices.SortFunc(p.order, func(x, y keyed) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		if c := bytes.Compare(b.Mutations[x.mutation].Key, b.Mutations[y.mutation].Key); c != 0 {
			return c
		}
		return cmp.Compare(x.mutation, y.mutation)
	})
	for i := 0; i < len(p.order); {
		j := i + 1
		for j < len(p.order) && p.order[j].prefix == p.order[i].prefix &&
			bytes.Equal(b.Mutations[p.order[j].mutation].Key, b.Mutations[p.order[i].mutation].Key) {
			j++
		}
		if err := p.decide(s, b, p.order[i:j], next, observed); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// decide goes through the mutations of one key.
func (p *plan) decide(s *Store, b *Batch, mutations []keyed, next int64, observed bool) error {
	key := b.Mutations[mutations[0].mutation].Key
	hash := p.hashes[mutations[0].mutation]
	v, valueLen, exists, err := s.index.peek(hash, key)
	if err != nil {
		return err
	}
	existed := exists
	value := old{where: oldNone}
	if exists && observed {
		value = old{where: oldArena, begin: len(p.arena), end: len(p.arena) + valueLen}
		if p.arena, _, err = s.index.get(p.arena, key); err != nil {
			return err
		}
	}
	decisive := int32(-1)
	for _, k := range mutations {
		m := &b.Mutations[k.mutation]
		replay := m.Offset < next
		switch {
		case replay:
		case decisive >= 0:
			replay = m.Offset < b.Mutations[decisive].Offset
		case exists && v.partition == b.Partition:
			replay = m.Offset <= v.offset
		case exists:
			timestamp, err := s.timestamp(key)
			if err != nil {
				return err
			}
			replay = cmp.Or(cmp.Compare(timestamp, m.Timestamp), cmp.Compare(v.partition, b.Partition)) > 0
		}
		if replay {
			if observed {
				p.kinds[k.mutation], p.olds[k.mutation] = Superseded, old{where: oldNone}
			}
			continue
		}
		decisive = k.mutation
		if observed {
			p.kinds[k.mutation], p.olds[k.mutation] = p.kind(b, m, exists, value), value
			value = old{where: k.mutation}
			if m.Tombstone {
				value.where = oldNone
			}
		}
		exists = !m.Tombstone
	}
	if decisive >= 0 && (exists || existed) {
		p.results = append(p.results, result{hash, decisive})
	}
	return nil
}

func (p *plan) kind(b *Batch, m *Mutation, exists bool, value old) ChangeKind {
	switch {
	case m.Tombstone && exists:
		return Deleted
	case m.Tombstone:
		return Absent
	case !exists:
		return Created
	case bytes.Equal(m.Value, p.value(b, value)):
		return Unchanged
	}
	return Updated
}

// value is an old value; nil where there is none, not nil where it is empty.
func (p *plan) value(b *Batch, o old) []byte {
	switch o.where {
	case oldNone:
		return nil
	case oldArena:
		if o.begin == o.end {
			return []byte{}
		}
		return p.arena[o.begin:o.end:o.end]
	}
	if v := b.Mutations[o.where].Value; v != nil {
		return v
	}
	return []byte{}
}

// tell calls the observer for each mutation.
func (p *plan) tell(b *Batch, observe func(Change)) {
	for i := range b.Mutations {
		observe(Change{Index: i, Kind: p.kinds[i], Old: p.value(b, p.olds[i])})
	}
}

func keyPrefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// equal says that c and d are the same to Pebble.
func (c Checkpoint) equal(d Checkpoint) bool {
	return c.Partition == d.Partition && c.Next == d.Next && c.LeaderEpoch == d.LeaderEpoch && c.FreshAt.Equal(d.FreshAt) &&
		c.Start == d.Start && c.LogStart == d.LogStart && bytes.Equal(c.Trail, d.Trail)
}
