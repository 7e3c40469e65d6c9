package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// view is what readers see of a store whose entries are yields: a store in memory with the keys that they yield. It follows the entries, under
// the lock of whoever changes them, and needs nothing beside them.
//
// In the view a key has a claim for each record that yields it, and no tombstones. The record's own key is a claim without a source.
type view struct {
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
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.view != nil {
		return nil, errors.New("project: there is a view already")
	}
	if err := s.endLoadLocked(); err != nil {
		return nil, fmt.Errorf("project: %w", err)
	}
	st, err := Open(Options{CacheBytes: s.opts.CacheBytes, Logger: s.opts.Logger, Pebble: s.opts.Pebble, hashMask: s.opts.hashMask})
	if err != nil {
		return nil, fmt.Errorf("project: %w", err)
	}
	v := &view{store: st}
	if err := v.fill(s); err != nil {
		return nil, errors.Join(fmt.Errorf("project: %w", err), st.Close())
	}
	v.observe = observe
	s.view = v
	return st, nil
}

// fill brings all entries into an empty view.
func (v *view) fill(s *Store) error {
	var failed error
	var arena []byte
	keep := func(b []byte) []byte {
		arena = append(arena, b...)
		return arena[len(arena)-len(b) : len(arena) : len(arena)]
	}
	err := s.rangeEntries(RangeOptions{}, func(e Entry) bool {
		op := yielding{key: keep(e.Key), new: keep(e.Value), by: noRecord, Meta: e.Meta}
		op.Source, op.Headers = nil, e.Meta.Clone().Headers
		v.ops = append(v.ops, op)
		if len(v.ops) >= commitKeys {
			failed = v.follow()
			arena = nil // what is in it may still be referred to
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	return v.follow()
}

// add notes what became of an entry.
func (v *view) add(key, old, value []byte, by version, m Meta) {
	v.ops = append(v.ops, yielding{key: key, old: old, new: value, by: by, Meta: m})
}

// follow brings what was noted into the view, in one commit of its own, and tells of it. Whoever reads meanwhile may see a part of it, and of a
// key nothing older after something newer.
func (v *view) follow() error {
	if len(v.ops) == 0 {
		return nil
	}
	defer func() {
		clear(v.ops)
		clear(v.parts)
		clear(v.told)
		v.ops, v.parts, v.told = v.ops[:0], v.parts[:0], v.told[:0]
	}()
	if err := v.takeApart(); err != nil {
		return err
	}
	s := v.store
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.err != nil {
		return s.err
	}
	var batch []settled
	var writes []write
	for i := 0; i < len(v.parts); {
		j := i + 1
		for j < len(v.parts) && bytes.Equal(v.parts[j].key, v.parts[i].key) {
			j++
		}
		h, err := s.holding(s.index.hash(v.parts[i].key), v.parts[i].key)
		if err != nil {
			return err
		}
		for k := i; k < j; k++ {
			v.change(&h, &v.parts[k])
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
	slices.SortStableFunc(v.told, func(a, b viewed) int { return cmp.Compare(a.op, b.op) })
	for i := range v.told {
		v.observe(v.told[i].Projected)
	}
	return nil
}

// takeApart makes parts of what was noted, by key and then in order.
func (v *view) takeApart() error {
	for i := range v.ops {
		op := &v.ops[i]
		for _, side := range [...]struct {
			yield []byte
			gives bool
		}{{op.old, false}, {op.new, true}} {
			if side.yield == nil {
				continue
			}
			own, others, err := ParseYield(side.yield, v.others[:0])
			if err != nil {
				return err
			}
			v.others = others
			if own != nil {
				v.parts = append(v.parts, yielded{key: op.key, op: int32(i), gives: side.gives, value: own})
			}
			for _, o := range others {
				v.parts = append(v.parts, yielded{key: o.Key, op: int32(i), gives: side.gives, value: o.Value})
			}
		}
	}
	// Within one record what it no longer gives comes first, and the last of what it gives counts.
	slices.SortStableFunc(v.parts, func(a, b yielded) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.op, b.op))
	})
	// What a record goes on giving is not taken away in between.
	kept := v.parts[:0]
	for i := range v.parts {
		p := &v.parts[i]
		if i+1 < len(v.parts) {
			if next := &v.parts[i+1]; next.op == p.op && bytes.Equal(next.key, p.key) {
				continue
			}
		}
		kept = append(kept, *p)
	}
	clear(v.parts[len(kept):])
	v.parts = kept
	return nil
}

// change takes one part into what a key has, and notes what readers see of it.
func (v *view) change(h *holding, p *yielded) {
	op := &v.ops[p.op]
	source := op.key
	if bytes.Equal(p.key, op.key) {
		source = nil
	}
	was := h.visible()
	var before claim
	if was != nil {
		before = *was
	}
	for i := 0; i < len(h.claims); {
		if c := &h.claims[i]; bytes.Equal(c.Source, source) && (c.Source == nil) == (source == nil) {
			if c.stored == nowhere {
				h.claims = slices.Delete(h.claims, i, i+1) // of this same commit
			} else {
				h.drop(i)
			}
		} else {
			i++
		}
	}
	if p.gives {
		c := claim{Meta: op.Meta, value: p.value, fresh: true}
		c.Source, c.Held = source, 0
		if c.value == nil {
			c.value = []byte{}
		}
		i, _ := h.find(&c)
		h.claims = slices.Insert(h.claims, i, c)
	}
	if v.observe == nil {
		return
	}
	r := Projected{Removal{Key: p.key, Partition: op.Partition, Offset: op.Offset, Timestamp: op.Timestamp}, op.by.partition, op.by.offset}
	if was != nil {
		r.Old = before.value
	}
	if now := h.visible(); now != nil {
		r.Value, r.Partition, r.Offset, r.Timestamp = now.value, now.Partition, now.Offset, now.Timestamp
	}
	if r.Kind = kindOf(r.Old, r.Value, true); r.Kind != Absent && r.Kind != Unchanged {
		v.told = append(v.told, viewed{p.op, r})
	}
}

// viewPlan brings what a batch has changed into the view. The caller holds apply.
func (s *Store) viewPlan(b *Batch) error {
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
				return err
			}
			if ok && promoted.Offset == c.offset && promoted.Partition == c.partition {
				meta.Headers = promoted.Headers
			}
		}
		s.view.add(m.Key, s.plan.value(b, c.old), s.plan.value(b, c.value), version{b.Partition, m.Offset}, meta)
	}
	return s.followed()
}

// viewRemoval notes for the view what a removal came to.
func (s *Store) viewRemoval(z *settled, r Removal) {
	if r.Old == nil && r.Value == nil {
		return
	}
	meta := Meta{Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp}
	if now := z.visible(); now != nil {
		meta.Headers = now.Headers
	}
	s.view.add(z.key, r.Old, r.Value, noRecord, meta)
}

// followed brings what was noted into the view. Where that fails it is not what the entries come to any more, and nothing more is applied.
func (s *Store) followed() error {
	if err := s.view.follow(); err != nil {
		s.err = fmt.Errorf("view: %w", err)
		return s.err
	}
	return nil
}
