package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// projection is what readers see of a store whose entries are yields: a store in memory with the keys that they yield. It follows the entries, under
// the lock of whoever changes them, and needs nothing beside them.
//
// In the view a key has a claim for each record that yields it, and no tombstones. The record's own key is a claim without a source.
type projection struct {
	store   *Store
	observe func(Projected)

	ops    []yielding // of the change at hand
	parts  []yielded
	others []YieldTo
	told   []viewed
}

// Projected tells an observer of Project about a key of the view.
type Projected struct {
	Removal
	// The record whose application led to it, which is another one than Value's where that came to count since this one does not any more. The offset
	// is -1 where no record led to it but what the log has lost.
	ByPartition int32
	ByOffset    int64
}

// yielding is what became of one entry: it yielded old and now yields new, nil being nothing. Meta is the record's that new is of, by the one
// whose application led to it.
type yielding struct {
	key      []byte
	old, new []byte
	by       version
	Meta
}

// noRecord is by what a change came that no record led to.
var noRecord = version{-1, -1}

// yielded is what a yielding means for one key.
type yielded struct {
	key   []byte
	op    int32
	gives bool // with value, otherwise it gives nothing any more
	value []byte
}

// viewed is a change that readers see, in the order of the records.
type viewed struct {
	op int32
	Projected
}

// Project makes the view of a store whose values are yields (see [AppendYield]), and keeps it: from then on every change of an entry
// changes the view before the call that made it returns. Reads are made on the view, everything else on the store. A load ends.
//
// The view lives as long as the store, which closes it. observe, where it is not nil, is called for each key of the view whose value is another one or gone,
// after the commit, under the lock that orders commits; it may read both stores and must not change them. What Project itself brings is not told.
//
// It may be called once, and while Apply runs, which waits. An error leaves the store without a view.
func (s *Store) Project(observe func(Projected)) (*Store, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if err := s.whole(); err != nil {
		return nil, fmt.Errorf("project: %w", err)
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.projection != nil {
		return nil, errors.New("project: there is a projection already")
	}
	if err := s.endLoadLocked(); err != nil {
		return nil, fmt.Errorf("project: %w", err)
	}
	st, err := Open(Options{CacheBytes: s.opts.CacheBytes, Logger: s.opts.Logger, Pebble: s.opts.Pebble, hashMask: s.opts.hashMask})
	if err != nil {
		return nil, fmt.Errorf("project: %w", err)
	}
	p := &projection{store: st}
	if err := p.fill(s); err != nil {
		return nil, errors.Join(fmt.Errorf("project: %w", err), st.Close())
	}
	p.observe = observe
	s.projection = p
	s.projected.Store(st)
	return st, nil
}

// fill brings all entries into an empty view.
func (p *projection) fill(s *Store) error {
	var failed error
	var arena []byte
	keep := func(b []byte) []byte {
		arena = append(arena, b...)
		return arena[len(arena)-len(b) : len(arena) : len(arena)]
	}
	err := s.rangeEntries(RangeOptions{}, func(e Entry) bool {
		op := yielding{key: keep(e.Key), new: keep(e.Value), by: noRecord, Meta: e.Meta}
		op.Source, op.Headers = nil, e.Meta.Clone().Headers
		p.ops = append(p.ops, op)
		if len(p.ops) >= commitKeys {
			failed = p.follow()
			arena = nil // what is in it may still be referred to
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return p.follow()
}

// add notes what became of an entry.
func (p *projection) add(key, old, value []byte, by version, m Meta) {
	p.ops = append(p.ops, yielding{key: key, old: old, new: value, by: by, Meta: m})
}

// follow brings what was noted into the view, in one commit of its own, and tells of it. Whoever reads meanwhile may see a part of it, and of a
// key nothing older after something newer.
func (p *projection) follow() error {
	if len(p.ops) == 0 {
		return nil
	}
	defer p.drop()
	if err := p.takeApart(); err != nil {
		return err
	}
	s := p.store
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return s.err
	}
	var batch []settled
	var writes []write
	for i := 0; i < len(p.parts); {
		j := i + 1
		for j < len(p.parts) && bytes.Equal(p.parts[j].key, p.parts[i].key) {
			j++
		}
		h, err := p.holding(p.parts[i:j])
		if err != nil {
			return err
		}
		for k := i; k < j; k++ {
			p.change(&h, &p.parts[k])
		}
		if len(h.gone) > 0 || slices.ContainsFunc(h.claims, func(c claim) bool { return c.stored == nowhere }) {
			z, w := s.settle(h, false)
			batch, writes = append(batch, z), append(writes, w...)
		}
		i = j
	}
	if err := s.commitSettled(batch, writes); err != nil {
		return err
	}
	slices.SortStableFunc(p.told, func(a, b viewed) int { return cmp.Compare(a.op, b.op) })
	for i := range p.told {
		p.observe(p.told[i].Projected)
	}
	return nil
}

// drop forgets what was noted.
func (p *projection) drop() {
	clear(p.ops)
	clear(p.parts)
	clear(p.told)
	p.ops, p.parts, p.told = p.ops[:0], p.parts[:0], p.told[:0]
}

// holding is what the projection has of the parts' key. Where its one claim is of the source that all parts are of, which is so of nearly all keys, what the
// index says of it is enough.
func (p *projection) holding(parts []yielded) (holding, error) {
	s, key := p.store, parts[0].key
	hash := s.index.hash(key)
	was, _, held, err := s.index.peek(hash, key)
	if err != nil {
		return holding{}, err
	}
	if !held {
		return holding{key: key, hash: hash}, nil
	}
	for i := range parts {
		if was.split() || sourceHash(p.source(&parts[i])) != was.source() {
			return s.holding(hash, key)
		}
	}
	c := claim{Meta: Meta{Partition: was.partition, Offset: was.offset, Source: p.source(&parts[0])}, stored: asEntry}
	if p.observe != nil {
		if c.value, _, err = s.index.get([]byte{}, key); err != nil {
			return holding{}, err
		}
	}
	return holding{key: key, hash: hash, was: was, held: true, claims: claims{c}}, nil
}

// source is the key of the record that a part is of, nil where that is the part's own.
func (p *projection) source(part *yielded) []byte {
	if key := p.ops[part.op].key; !bytes.Equal(part.key, key) {
		return key
	}
	return nil
}

// takeApart makes parts of what was noted, by key and then in order.
func (p *projection) takeApart() error {
	for i := range p.ops {
		op := &p.ops[i]
		for _, side := range [...]struct {
			yield []byte
			gives bool
		}{{op.old, false}, {op.new, true}} {
			if side.yield == nil {
				continue
			}
			own, others, err := ParseYield(side.yield, p.others[:0])
			if err != nil {
				return err
			}
			p.others = others
			if own != nil {
				p.parts = append(p.parts, yielded{key: op.key, op: int32(i), gives: side.gives, value: own})
			}
			for _, o := range others {
				p.parts = append(p.parts, yielded{key: o.Key, op: int32(i), gives: side.gives, value: o.Value})
			}
		}
	}
	// Within one record what it no longer gives comes first, and the last of what it gives counts.
	slices.SortStableFunc(p.parts, func(a, b yielded) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.op, b.op))
	})
	// What a record goes on giving is not taken away in between.
	kept := p.parts[:0]
	for i := range p.parts {
		part := &p.parts[i]
		if i+1 < len(p.parts) {
			if next := &p.parts[i+1]; next.op == part.op && bytes.Equal(next.key, part.key) {
				continue
			}
		}
		kept = append(kept, *part)
	}
	clear(p.parts[len(kept):])
	p.parts = kept
	return nil
}

// change takes one part into what a key has, and notes what readers see of it.
func (p *projection) change(h *holding, part *yielded) {
	op, source := &p.ops[part.op], p.source(part)
	var was *claim
	var before claim
	if p.observe != nil {
		if was = h.visible(); was != nil {
			before = *was
		}
	}
	for i := 0; i < len(h.claims); { // partition by partition
		partition := h.claims[i].Partition
		at, ok := h.find(&claim{Meta: Meta{Partition: partition, Source: source}})
		switch {
		case !ok:
		case h.claims[at].stored == nowhere:
			h.claims = slices.Delete(h.claims, at, at+1) // of this same commit
		default:
			h.drop(at)
		}
		if partition == math.MaxInt32 {
			break
		}
		i, _ = h.find(&claim{Meta: Meta{Partition: partition + 1}})
	}
	if part.gives {
		c := claim{Meta: op.Meta, value: part.value, fresh: true}
		c.Source, c.Held = source, 0
		if c.value == nil {
			c.value = []byte{}
		}
		i, _ := h.find(&c)
		h.claims = slices.Insert(h.claims, i, c)
	}
	if p.observe == nil {
		return
	}
	r := Projected{Removal{Key: part.key, Partition: op.Partition, Offset: op.Offset, Timestamp: op.Timestamp}, op.by.partition, op.by.offset}
	if was != nil {
		r.Old = before.value
	}
	if now := h.visible(); now != nil {
		r.Value, r.Partition, r.Offset, r.Timestamp = now.value, now.Partition, now.Offset, now.Timestamp
	}
	if r.Kind = kindOf(r.Old, r.Value, true); r.Kind != Absent && r.Kind != Unchanged {
		p.told = append(p.told, viewed{part.op, r})
	}
}

// projectPlan brings what a batch has changed into the view. The caller holds apply.
func (s *Store) projectPlan(b *Batch) error {
	for i := range s.plan.changes {
		c := &s.plan.changes[i]
		if c.kind == Superseded || c.kind == Absent {
			continue
		}
		m := &b.Mutations[i]
		meta := Meta{Partition: c.partition, Offset: c.offset, Timestamp: c.timestamp}
		switch value := s.plan.value(b, c.value); {
		case value == nil: // it gives nothing, which has no headers
		case c.version == version{b.Partition, m.Offset}:
			meta.Headers = m.Headers
		default: // another partition's record has come to count
			promoted, ok, err := s.meta(m.Key)
			if err != nil {
				s.projection.drop()
				s.err = fmt.Errorf("projection: %w", err) // the entries have the batch already
				return s.err
			}
			if ok && promoted.Offset == c.offset && promoted.Partition == c.partition {
				meta.Headers = promoted.Headers
			}
		}
		s.projection.add(m.Key, s.plan.value(b, c.old), s.plan.value(b, c.value), version{b.Partition, m.Offset}, meta)
	}
	return s.followed()
}

// projectRemoval notes for the view what a removal came to.
func (s *Store) projectRemoval(z *settled, r Removal) {
	if r.Old == nil && r.Value == nil {
		return
	}
	meta := Meta{Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp}
	if now := z.visible(); now != nil {
		meta.Headers = now.Headers
	}
	s.projection.add(z.key, r.Old, r.Value, noRecord, meta)
}

// followed brings what was noted into the view. Where that fails it is not what the entries come to any more, and nothing more is applied.
func (s *Store) followed() error {
	if err := s.projection.follow(); err != nil {
		s.err = fmt.Errorf("projection: %w", err)
		return s.err
	}
	return nil
}
