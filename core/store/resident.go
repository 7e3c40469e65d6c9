package store

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// imageSizes bound a load that is resident, and what it costs to persist it. The zero value is what is measured to be good.
type imageSizes struct {
	table    int           // about the bytes of a table
	refs     int           // entries that are sorted at a time, 24 bytes each
	applied  int           // bytes of keys and values after which a load is persisted and goes on in runs
	time     time.Duration // and the time after which it is, see Options.FlushInterval
	runs     int           // runs that may wait for the image, at most
	timeline int           // bytes that a timeline may come to in any case
	pause    time.Duration // between two attempts
}

func (z imageSizes) withDefaults() imageSizes {
	return imageSizes{
		table:    cmp.Or(z.table, 64<<20),
		refs:     cmp.Or(z.refs, 4<<20),
		applied:  cmp.Or(z.applied, 4<<30),
		time:     cmp.Or(z.time, 2*time.Minute),
		runs:     cmp.Or(z.runs, 4),
		timeline: cmp.Or(z.timeline, 64<<20),
		pause:    cmp.Or(z.pause, time.Second),
	}
}

// timelineShare is the part of the index's memory that a timeline may come to, past imageSizes.timeline: more of it belongs to records that are overwritten. runsShare
// is the part of it that the runs may come to that wait for the image, past the first.
const (
	timelineShare = 4
	runsShare     = 4
)

// persisting is an image that is being written, and the runs that were filled since it was begun. At each time one goroutine at most
// attempts it, whoever needs it first.
type persisting struct {
	times *timeline

	mu       sync.Mutex
	trying   chan struct{} // closed when the attempt that is under way ends; nil: none is
	err      error         // of the last attempt
	ingested bool          // the image is; what is left are runs
	done     bool          // these are too
	told     bool          // that nothing is written beside the applier any more; with apply held
	runs     []queuedRun
}

type queuedRun struct {
	*run
	marks bool
}

// staysResident says that a batch may be applied to the index alone, next being its partition's position.
func (s *Store) staysResident(b *Batch, next int64) bool {
	t := s.loading.resident
	z := &s.opts.image
	return t.applied < z.applied && t.bytes < max(z.timeline, int(s.index.memory.mapped.Load())/timelineShare) && t.takes(b, next)
}

// beginImage ends that a load is resident: from here on what is applied goes into runs. It says what is written, nil where nothing is to be. The
// caller holds apply.
func (s *Store) beginImage() (*persisting, error) {
	l := &s.loading
	if l.resident == nil {
		return l.image, nil
	}
	if s.err != nil {
		return nil, s.err // the index is not complete
	}
	if err := s.awaitRun(); err != nil {
		return nil, err
	}
	m := &persisting{times: l.resident}
	l.image, l.resident = m, nil
	s.index.beside.Add(1) // an image collects what has become garbage meanwhile
	s.imagers.Go(func() { s.persist(m) })
	return m, nil
}

// persist attempts until it succeeds, and where the store is read by then, ends the load.
func (s *Store) persist(m *persisting) {
	for {
		err := m.try(s)
		if err == nil {
			err = s.persisted(m)
		}
		if err == nil {
			return
		}
		s.opts.health.complain("persist a load", err)
		select {
		case <-s.gate.closed:
			return
		case <-time.After(s.opts.image.pause):
		}
	}
}

// persisted goes over to commits where FinishLoad was called.
func (s *Store) persisted(m *persisting) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if !m.told {
		m.told = true
		s.index.beside.Add(-1)
	}
	if s.loading.image == m {
		s.loading.image, s.loading.moved = nil, true
	}
	if !s.finished.Load() {
		return nil
	}
	err := s.endLoadLocked()
	s.unpersisted.Store(&err)
	return err
}

// failing is why what was applied cannot be persisted, as the last attempt has it; nil where it can.
func (s *Store) failing() error {
	if err := s.unpersisted.Load(); err != nil {
		return *err
	}
	return nil
}

// try returns when the image is ingested with all runs that are queued by then, or an attempt at it has failed.
func (m *persisting) try(s *Store) error {
	m.mu.Lock()
	if c := m.trying; c != nil {
		m.mu.Unlock()
		<-c
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.err
	}
	defer m.mu.Unlock()
	if m.done {
		return nil
	}
	m.trying = make(chan struct{})
	m.mu.Unlock()
	err := m.attempt(s)
	m.mu.Lock()
	m.err = err
	s.unpersisted.Store(&err)
	close(m.trying)
	m.trying = nil
	return err
}

func (m *persisting) attempt(s *Store) error {
	m.mu.Lock()
	ingested := m.ingested
	m.mu.Unlock()
	if !ingested {
		if err := s.ingestImage(m.times); err != nil {
			return err
		}
	}
	m.times = nil
	for {
		m.mu.Lock()
		m.ingested, m.done = true, len(m.runs) == 0
		if m.done {
			m.mu.Unlock()
			return nil
		}
		r := m.runs[0]
		m.mu.Unlock()
		if err := s.ingest(r.run, nil, r.marks); err != nil {
			return err
		}
		m.mu.Lock()
		m.runs = m.runs[1:]
		m.mu.Unlock()
		r.release()
	}
}

// queue takes a run that is to be ingested after the image, and waits where there are too many. It reports false where the image is there.
func (m *persisting) queue(s *Store, r *run, marks bool) (bool, error) {
	for {
		m.mu.Lock()
		if m.done || len(m.runs) < s.runsAhead() {
			if !m.done && r != nil {
				m.runs = append(m.runs, queuedRun{r, marks})
			}
			defer m.mu.Unlock()
			return !m.done, nil
		}
		m.mu.Unlock()
		if err := m.try(s); err != nil {
			return false, err
		}
	}
}

// runsAhead is how many runs may wait for the image: where the index is small that is written soon, and they are not to cost more than it does.
func (s *Store) runsAhead() int {
	return min(s.opts.image.runs, 1+int(s.index.memory.mapped.Load())/runsShare/s.opts.runBytes)
}

// release frees the runs. Nothing attempts it any more.
func (m *persisting) release() {
	for _, r := range m.runs {
		r.release()
	}
	m.runs = nil
}

// imaged returns when there is no image to be written any more. The caller holds apply.
func (s *Store) imaged() error {
	m, err := s.beginImage()
	if m == nil || err != nil {
		return err
	}
	if err := m.try(s); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	s.loading.image, s.loading.moved = nil, true
	return nil
}

// awaitImage is imaged for who does not hold apply, so that applies go on meanwhile.
func (s *Store) awaitImage() error {
	if !s.isLoading.Load() {
		return nil
	}
	s.apply.Lock()
	m, err := s.beginImage()
	s.apply.Unlock()
	if m == nil || err != nil {
		return err
	}
	if err := m.try(s); err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}

// residentOnTimer is what the timer does for a load that is resident, or was and whose image is being written; it says whether there is such.
func (s *Store) residentOnTimer() (bool, error) {
	if !s.isLoading.Load() {
		return false, nil
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	l := &s.loading
	if l.resident == nil {
		return l.image != nil, nil
	}
	if time.Since(l.began) < s.opts.image.time {
		return true, nil
	}
	_, err := s.beginImage()
	return true, err
}

// EndLoad makes durable what a store that was opened with Options.Load has applied, and goes over to commits. It returns at
// once where that was done before.
func (s *Store) EndLoad() error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.endLoad()
}

// FinishLoad is EndLoad for who is to read the store now: it returns once what Get answers is right, which is at once unless a key has
// claims of several partitions or the load has gone on for long, and the rest is done in the background. Until then, which WaitDurable
// waits for, a crash may lose all of the load, and what reads Pebble waits. Where it cannot be written, that is tried again and again, and
// every Apply answers the error until it succeeds.
func (s *Store) FinishLoad() error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if !s.isLoading.Load() {
		return nil
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	l := &s.loading
	switch {
	case !s.isLoading.Load() || s.finished.Load():
		return nil
	case l.unsettled || l.resident == nil && l.image == nil:
		return s.endLoadLocked()
	}
	if _, err := s.beginImage(); err != nil {
		return fmt.Errorf("finish load: %w", err)
	}
	l.blind = false
	s.finished.Store(true)
	s.index.memory.hurry(false)
	return nil
}

// Durable says that no load is under way: what was applied longer ago than [Options].FlushInterval survives a crash. Otherwise the error is why it
// cannot be written, nil where nothing is known against it. In memory nothing is durable.
func (s *Store) Durable() (bool, error) {
	if s.inMemory() {
		return false, nil
	}
	select {
	case <-s.loaded:
		return true, nil
	default:
	}
	if err := s.opts.health.failing(); err != nil {
		return false, err
	}
	return false, s.failing()
}

// WaitDurable returns when no load is under way any more; its errors are ctx's and [ErrClosed].
func (s *Store) WaitDurable(ctx context.Context) error {
	select {
	case <-s.loaded:
		return nil
	case <-s.gate.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readable returns once what the index answers is right.
func (s *Store) readable() error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if s.finished.Load() {
		return nil
	}
	return s.endLoad()
}

func (s *Store) endLoad() error {
	if err := s.awaitImage(); err != nil {
		return fmt.Errorf("end load: %w", err)
	}
	if !s.isLoading.Load() {
		return nil
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	return s.endLoadLocked()
}

func (s *Store) endLoadLocked() error {
	if !s.isLoading.Load() {
		return nil
	}
	l := &s.loading
	if err := s.imaged(); err != nil {
		return fmt.Errorf("end load: %w", err)
	}
	if !l.written {
		if err := s.writeRuns(); err != nil {
			return fmt.Errorf("end load: %w", err)
		}
		l.active.release()
		l.spare.release()
		l.active, l.spare, l.written = nil, nil, true
	}
	if l.unsettled {
		if err := s.settleLoad(); err != nil {
			return fmt.Errorf("end load: settle claims: %w", err)
		}
	}
	took := time.Since(l.began)
	s.loading = loading{}
	s.isLoading.Store(false)
	s.index.memory.hurry(false)
	close(s.loaded)
	if !s.inMemory() {
		s.opts.Logger.Info("load is durable", "dir", s.opts.Dir, "entries", s.index.len(), "took", took.Round(time.Millisecond).String())
	}
	if s.refill.on.Load() {
		return nil // which ends with that
	}
	return s.index.fit()
}
