package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// runBytes is the size at which a run is written. Two of them exist while a store loads.
const runBytes = 64 << 20

// run gathers what was applied while a store loads, outside the Go heap and in the order of application, until it is sorted
// and becomes one table.
type run struct {
	mem  []byte
	used int
	refs []runRef // entries
	side []runRef // claims, which follow the entries in Pebble's order
}

// runRef is where a record of a run begins: the lengths of key and value (4 bytes each, the value's plus one, 0 where
// the key is removed), the Pebble key, the value.
type runRef struct {
	prefix uint64 // the key's first 8 bytes, the space left out
	pos    int
}

const runHeader = 8

// newRun has room for n bytes.
func newRun(n int) (*run, error) {
	mem, err := mapMemory((n + pageSize - 1) / pageSize * pageSize)
	if err != nil {
		return nil, fmt.Errorf("%w: map %d bytes: %w", ErrFull, n, err)
	}
	return &run{mem: mem}, nil
}

func (r *run) release() {
	if r != nil {
		unmapMemory(r.mem)
	}
}

func (r *run) reset() { r.used, r.refs, r.side = 0, r.refs[:0], r.side[:0] }

// runSize is what a key takes in a run, e being nil where it is removed.
func runSize(key []byte, e *entry) int {
	n := runHeader + 1 + len(key)
	if e != nil {
		n += e.size()
	}
	return n
}

// add appends what becomes of a key, for which there must be room; e is nil where it is removed.
func (r *run) add(space byte, key []byte, e *entry) {
	ref := runRef{keyPrefix(key), r.used}
	if space == spaceEntries {
		r.refs = append(r.refs, ref)
	} else {
		r.side = append(r.side, ref)
	}
	b := r.mem[r.used:]
	binary.LittleEndian.PutUint32(b, uint32(1+len(key)))
	b[runHeader] = space
	n := runHeader + 1 + copy(b[runHeader+1:], key)
	if e == nil {
		binary.LittleEndian.PutUint32(b[4:], 0)
	} else {
		size := e.size()
		binary.LittleEndian.PutUint32(b[4:], uint32(size)+1)
		e.put(b[n : n+size : n+size])
		n += size
	}
	r.used += n
}

// at is the record at pos.
func (r *run) at(pos int) (key, value []byte, removed bool) {
	b := r.mem[pos:]
	k, v := int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[4:]))
	key = b[runHeader : runHeader+k]
	if v == 0 {
		return key, nil, true
	}
	return key, b[runHeader+k : runHeader+k+v-1], false
}

// write makes the run a table: the mark where claims are set aside, the positions and trails, then what each key came to.
func (r *run) write(fs vfs.FS, path string, o sstable.WriterOptions, positions []applied, marks bool) (err error) {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), o)
	defer func() { err = errors.Join(err, w.Close()) }() // syncs what is complete
	if marks {
		if err := w.Set(unsettledKey, nil); err != nil {
			return err
		}
	}
	for _, a := range positions {
		if err := w.Set(positionKey(a.Partition), appendCheckpoint(nil, a.Checkpoint)); err != nil {
			return err
		}
	}
	for _, a := range positions {
		if a.Trail == nil {
			continue
		}
		if err := w.Set(trailKey(a.Partition), a.Trail); err != nil {
			return err
		}
	}
	if err := r.writeSorted(w, r.refs); err != nil {
		return err
	}
	return r.writeSorted(w, r.side)
}

// writeSorted writes what each key of one space came to.
func (r *run) writeSorted(w *sstable.Writer, refs []runRef) (err error) {
	slices.SortFunc(refs, func(x, y runRef) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		kx, _, _ := r.at(x.pos)
		ky, _, _ := r.at(y.pos)
		return cmp.Or(bytes.Compare(kx, ky), cmp.Compare(x.pos, y.pos))
	})
	for i, ref := range refs {
		key, value, removed := r.at(ref.pos)
		if i+1 < len(refs) && refs[i+1].prefix == ref.prefix {
			if next, _, _ := r.at(refs[i+1].pos); bytes.Equal(key, next) {
				continue // a later one of that key follows
			}
		}
		if removed {
			err = w.Delete(key)
		} else {
			err = w.Set(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loading is what a store that loads has beside its index: runs, of which one is appended to while another is written. It
// belongs to whoever holds Store.apply.
//
// Pebble is given nothing but whole tables meanwhile, one ingestion a run, each with the positions that it and those before it come
// to. An ingestion is durable and atomic, so what a crash leaves is a prefix of the runs. It also takes newer sequence
// numbers than what lies in a memtable and would survive a crash that the memtable does not: so there is no batch before the
// last ingestion and no ingestion after the first batch.
type loading struct {
	active    *run // nil: none yet
	spare     *run
	busy      *run // being written, or waiting to be written again
	positions []applied
	result    chan error // of the goroutine that writes busy; nil: none does
	moved     bool       // a checkpoint has changed that is in no run yet

	blind     bool   // claims are set aside, see unsettled.go
	unsettled bool   // some are
	marks     bool   // busy has some, or those before it
	written   bool   // all runs are, and only commits follow
	settledTo []byte // the key up to which they have settled; nil: none

	began    time.Time
	resident *timeline   // of a load from nothing, as long as entries are in no run
	image    *persisting // of what such a load has come to; nil: none is being written
}

// makeRoom makes room in the active run for what loadPlan writes, and waits for it where runs have to be written first: no change is under way yet, so that Views are
// had meanwhile. next is the partition's position.
func (s *Store) makeRoom(b *Batch, next int64) error {
	l := &s.loading
	if l.resident != nil && !s.staysResident(b, next) {
		if _, err := s.beginImage(); err != nil {
			return err
		}
	}
	need := 0
	s.eachWrite(b, func(space byte, key []byte, e *entry) {
		if l.takes(space) {
			need += runSize(key, e)
		}
	})
	if l.active != nil && len(l.active.mem)-l.active.used < need {
		if err := s.cutRun(); err != nil {
			return err
		}
	}
	if need == 0 {
		return nil
	}
	return l.provide(max(need, s.opts.runBytes))
}

// loadPlan is commitPlan while the store loads, after makeRoom.
func (s *Store) loadPlan(b *Batch, next int64) error {
	l := &s.loading
	s.eachWrite(b, func(space byte, key []byte, e *entry) {
		if l.takes(space) {
			l.active.add(space, key, e)
		}
	})
	if l.resident != nil {
		l.resident.add(b, next)
	}
	l.unsettled = l.unsettled || slices.ContainsFunc(s.plan.results, func(r result) bool { return r.act == actAside })
	return s.updateIndex(b)
}

// takes says that what is written to a space goes into a run.
func (l *loading) takes(space byte) bool { return space != spaceEntries || l.resident == nil }

// eachWrite calls fn for each key of the plan, with its space apart, and nil where the key is removed.
func (s *Store) eachWrite(b *Batch, fn func(space byte, key []byte, e *entry)) {
	for i := range s.plan.results {
		r := &s.plan.results[i]
		m := &b.Mutations[r.mutation]
		switch {
		case r.act == actPut:
			e := s.entry(b, m)
			fn(spaceEntries, m.Key, &e)
		case r.entry:
			fn(spaceEntries, m.Key, nil)
		}
	}
	for i := range s.plan.writes {
		w := &s.plan.writes[i]
		if w.remove {
			fn(w.key[0], w.key[1:], nil)
		} else {
			fn(w.key[0], w.key[1:], &w.entry)
		}
	}
}

// provide makes a run of at least n bytes active where there is none.
func (l *loading) provide(n int) (err error) {
	if l.active != nil {
		return nil
	}
	if l.active, l.spare = l.spare, nil; l.active != nil && len(l.active.mem) >= n {
		return nil
	}
	l.active.release() // too small for an unusually large batch
	l.active, err = newRun(n)
	return err
}

// cutRun has the active run written, once the one before it is. Those of a load from nothing have no positions before its image is there.
func (s *Store) cutRun() error {
	l := &s.loading
	if l.image != nil {
		queued, err := l.image.queue(s, l.active, l.unsettled)
		if err != nil {
			return fmt.Errorf("write image: %w", err)
		}
		if queued {
			l.active = nil
			return nil
		}
		l.image = nil
	}
	if err := s.awaitRun(); err != nil {
		return err
	}
	if err := l.provide(s.opts.runBytes); err != nil {
		return err
	}
	l.busy, l.active = l.active, nil
	l.marks = l.unsettled
	if l.resident == nil {
		l.positions, l.moved = s.checkpoints.list(), false
		for _, a := range l.positions {
			a.storedFreshAt = a.FreshAt
			s.checkpoints.set(a)
		}
	}
	result := make(chan error, 1)
	l.result = result
	go func() { result <- s.ingestRun() }()
	return nil
}

// awaitRun returns when no run is being written, and tries again one that could not be.
func (s *Store) awaitRun() (err error) {
	l := &s.loading
	switch {
	case l.result != nil:
		err = <-l.result
		l.result = nil
	case l.busy != nil:
		err = s.ingestRun()
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	l.busy.reset()
	if l.spare == nil && len(l.busy.mem) < 2*max(s.opts.runBytes, pageSize) {
		l.spare = l.busy
	} else {
		l.busy.release()
	}
	l.busy, l.positions = nil, nil
	return nil
}

// ingestRun ingests the busy run. Nobody else touches it meanwhile.
func (s *Store) ingestRun() error {
	l := &s.loading
	return s.ingest(l.busy, l.positions, l.marks)
}

// ingest writes a run's table and gives it to Pebble.
func (s *Store) ingest(r *run, positions []applied, marks bool) error {
	path := s.opts.fs.PathJoin(s.opts.Dir, runFile)
	if err := s.opts.health.failing(); err != nil {
		return err
	}
	if err := r.write(s.opts.fs, path, s.tables, positions, marks); err != nil {
		return errors.Join(err, s.removeRun())
	}
	if err := s.db.Ingest(context.Background(), []string{path}); err != nil {
		return errors.Join(err, s.removeRun())
	}
	if err := s.opts.health.failing(); errors.Is(err, ErrFailed) {
		return err // Pebble may not know
	}
	return nil
}

// runFile is where a run's table lies until Pebble has it. A crash may leave it.
const runFile = "run.sst"

func (s *Store) removeRun() error {
	return remove(s.opts.fs, s.opts.fs.PathJoin(s.opts.Dir, runFile))
}

// writeRuns makes all durable that was applied.
func (s *Store) writeRuns() error {
	l := &s.loading
	if l.moved || l.active != nil && l.active.used > 0 {
		if err := s.cutRun(); err != nil {
			return err
		}
	}
	return s.awaitRun()
}
