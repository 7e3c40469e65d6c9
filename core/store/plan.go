package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// plan is what a batch comes to: for each key the mutation that decides, or what its claims come to, and for an observer what
// each mutation did. Its memory is used again.
type plan struct {
	hashes   []uint64 // of the mutations' keys
	order    []keyed  // the mutations by key, then in order
	results  []result // of ordinary keys, ascending by key
	settled  []settled
	writes   []write // to other than ordinary keys' entries
	changes  []change
	arena    []byte // copies of values that the index holds now
	remember bool   // the topic has several partitions
}

type keyed struct {
	prefix   uint64 // the key's first 8 bytes
	mutation int32
}

// result is the mutation whose outcome an ordinary key has after the batch: one whose only claim is of the batch's partition
// and of the mutation's source.
type result struct {
	hash     uint64
	mutation int32
	act      act
	entry    bool // Pebble has an entry of the key
	split    bool // other claims are aside
}

type act uint8

const (
	actPut act = iota
	actRemove
	actRemember // the tombstone becomes the key's claim
	actAside    // the key's claim stays, and another one is set aside
)

// change is what is to be told of a mutation.
type change struct {
	kind       ChangeKind
	old, value span
	version
	timestamp int64
}

// span is a value: none, a part of the arena, or the value of a mutation.
type span struct {
	where      int32 // a mutation, or one of:
	begin, end int
}

const (
	spanNone  = -1
	spanArena = -2
)

// any says that the batch changes something beside the position.
func (p *plan) any() bool { return len(p.results)+len(p.settled) > 0 }

// make fills the plan. next is the partition's position.
func (p *plan) make(s *Store, b *Batch, next int64, observed bool) error {
	p.hashes, p.order, p.results, p.arena = p.hashes[:0], p.order[:0], p.results[:0], p.arena[:0]
	clear(p.settled) // they hold copies of values
	clear(p.writes)
	p.settled, p.writes, p.changes = p.settled[:0], p.writes[:0], p.changes[:0]
	p.remember = s.partitions.remembers(b.Partition)
	if observed {
		p.changes = slices.Grow(p.changes, len(b.Mutations))[:len(b.Mutations)]
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
	first := mutations[0].mutation
	key, hash := b.Mutations[first].Key, p.hashes[first]
	st, valueLen, held, err := s.index.peek(hash, key)
	if err != nil {
		return err
	}
	switch {
	case ordinary(b, mutations, &st, held):
	case !s.setsAside(b, mutations, &st, observed, p.remember):
		return p.decideClaims(s, b, mutations, next, observed)
	case st.partition != b.Partition:
		p.setAside(b, mutations, hash, next)
		return nil
	}
	existed := held && !st.tombstone()
	value := span{where: spanNone}
	if existed && observed {
		value = span{where: spanArena, begin: len(p.arena), end: len(p.arena) + valueLen}
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
		case held:
			replay = m.Offset <= st.offset
		}
		if observed {
			c := &p.changes[k.mutation]
			*c = change{
				kind: Superseded, old: span{where: spanNone}, value: span{where: spanNone},
				version: version{b.Partition, m.Offset}, timestamp: m.Timestamp,
			}
			if !replay {
				c.old = value
				if c.value.where = k.mutation; m.Tombstone {
					c.value.where = spanNone
				}
				c.kind = kindOf(p.value(b, c.old), p.value(b, c.value), m.Tombstone)
				value = c.value
			}
		}
		if !replay {
			decisive = k.mutation
		}
	}
	if decisive < 0 {
		return nil
	}
	m := &b.Mutations[decisive]
	r := result{hash: hash, mutation: decisive, entry: existed, split: held && st.split()}
	switch {
	case !m.Tombstone:
		r.act = actPut
	case m.Source == nil && p.remember:
		r.act = actRemember
		p.writes = append(p.writes, write{
			key:   claimKey(key, b.Partition, nil),
			entry: entry{Meta: Meta{Partition: b.Partition, Offset: m.Offset, Timestamp: m.Timestamp}, tombstone: true},
		})
	case held:
		r.act = actRemove
	default:
		return nil
	}
	if held && !existed && r.act != actRemember {
		p.writes = append(p.writes, write{key: claimKey(key, b.Partition, nil), remove: true})
	}
	p.results = append(p.results, r)
	return nil
}

// ordinary says that the mutations of a key are of the source and partition whose claim is the only one there is, if there is
// one, and of the same source all, and that nothing is or is to be held.
func ordinary(b *Batch, mutations []keyed, st *state, held bool) bool {
	first := b.Mutations[mutations[0].mutation].Source
	for _, k := range mutations {
		m := &b.Mutations[k.mutation]
		if m.Hold || (m.Source == nil) != (first == nil) || !bytes.Equal(m.Source, first) {
			return false
		}
	}
	if !held {
		return true
	}
	return st.partition == b.Partition && st.flags&(slotSplit|slotHeld) == 0 && (first != nil) == (st.flags&slotDerived != 0) && sourceHash(first) == st.source()
}

// decideClaims is decide for a key that has or gets several claims.
func (p *plan) decideClaims(s *Store, b *Batch, mutations []keyed, next int64, observed bool) error {
	news := false
	for _, k := range mutations {
		m := &b.Mutations[k.mutation]
		news = news || m.Offset >= next
		if observed {
			p.changes[k.mutation] = change{
				kind: Superseded, old: span{where: spanNone}, value: span{where: spanNone},
				version: version{b.Partition, m.Offset}, timestamp: m.Timestamp,
			}
		}
	}
	if !news {
		return nil
	}
	if s.loading.blind { // it knows of claims aside only that there are some
		if err := s.endLoadLocked(); err != nil {
			return err
		}
	}
	first := mutations[0].mutation
	h, err := s.holding(p.hashes[first], b.Mutations[first].Key)
	if err != nil {
		return err
	}
	changed := false
	var before claim
	var had bool
	if c := h.visible(); c != nil {
		before, had = *c, true
	}
	value := p.keep(before.value)
	for _, k := range mutations {
		m := &b.Mutations[k.mutation]
		if m.Offset < next || !h.take(b.Partition, m) {
			if m.Offset >= next && m.Tombstone && !had && observed {
				p.changes[k.mutation].kind = Absent // of a source that claimed nothing
			}
			continue
		}
		changed = true
		if !observed {
			continue
		}
		c := &p.changes[k.mutation]
		now := h.visible()
		switch {
		case now == nil && !had:
			if m.Tombstone {
				c.kind = Absent
			}
		case now == nil:
			c.kind, c.old = Deleted, value
			value, had = span{where: spanNone}, false
		case had && now.version() == before.version() && compareClaims(now, &before) == 0 && !now.of(b.Partition, m):
		default:
			c.old, c.value = value, p.keep(now.value)
			c.kind = kindOf(p.value(b, c.old), now.value, false)
			c.version, c.timestamp = now.version(), now.Timestamp
			value, before, had = c.value, *now, true
		}
	}
	if !changed {
		return nil
	}
	z, writes := s.settle(h, p.remember)
	p.settled, p.writes = append(p.settled, z), append(p.writes, writes...)
	return nil
}

// keep copies a value into the arena; nil is none.
func (p *plan) keep(value []byte) span {
	if value == nil {
		return span{where: spanNone}
	}
	begin := len(p.arena)
	p.arena = append(p.arena, value...)
	return span{where: spanArena, begin: begin, end: len(p.arena)}
}

// kindOf is what a change from old to value is, nil being none.
func kindOf(old, value []byte, tombstone bool) ChangeKind {
	switch {
	case value == nil && old == nil:
		if tombstone {
			return Absent
		}
		return Superseded
	case value == nil:
		return Deleted
	case old == nil:
		return Created
	case bytes.Equal(old, value):
		return Unchanged
	}
	return Updated
}

// value is what a span stands for; nil where that is none, not nil where it is empty.
func (p *plan) value(b *Batch, o span) []byte {
	switch o.where {
	case spanNone:
		return nil
	case spanArena:
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
		c := &p.changes[i]
		observe(Change{
			Index: i, Kind: c.kind, Old: p.value(b, c.old), Value: p.value(b, c.value),
			Partition: c.partition, Offset: c.offset, Timestamp: c.timestamp,
		})
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
