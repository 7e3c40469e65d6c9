package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// refill fills the index of a store that was opened with Options.Refill behind its reads and applies.
//
// It goes through Pebble as it was when the store was opened, and puts into the index what the index does not know. Before an Apply changes a key, what Pebble has of it is
// pulled into the index, and the key is noted: of a noted key the index says all, that it is not there too, and the refill passes over it. So what Pebble has of a
// key that is neither in the index nor noted is what it had when the store was opened, and a read that still finds it so behind its look into Pebble may answer with that:
// no reader sees something older after something newer.
type refill struct {
	on     atomic.Bool   // the index may not have all; off for good once it has
	done   chan struct{} // closed when it has, or never will
	err    error         // why it never will; read once done is closed
	aside  bool          // there are claims in the side table
	passed []byte        // under apply: up to where in the side table the index has the claims
	pulled atomic.Int64  // keys, a long one for several
	wg     sync.WaitGroup

	entries []*pebble.Iterator // of the moment of opening
	claims  *pebble.Iterator
}

// pullMost is how many keys applies pull in before they wait for the refill, which has a key for a twentieth of what that costs. A key counts once more for each
// pulledBytes of it, since it is noted.
const (
	pullMost    = 1 << 16
	pulledBytes = 256
)

// begin takes the moment that is filled from, and starts.
func (f *refill) begin(s *Store, bounds [][]byte) (err error) {
	f.done = make(chan struct{})
	for i := range bounds[1:] {
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: bounds[i], UpperBound: bounds[i+1]})
		if err != nil {
			return errors.Join(err, f.close())
		}
		f.entries = append(f.entries, it)
	}
	if f.claims, err = s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceClaims}, UpperBound: []byte{spaceClaims + 1}}); err != nil {
		return errors.Join(err, f.close())
	}
	if f.aside = f.claims.First(); f.claims.Error() != nil {
		return errors.Join(f.claims.Error(), f.close())
	}
	s.index.partial(true)
	s.index.beside.Add(1)
	f.on.Store(true)
	began := time.Now()
	f.wg.Go(func() {
		err := openErr(errors.Join(f.run(s), f.close()))
		switch {
		case err == nil:
			s.index.partial(false)
			s.apply.Lock()
			s.index.beside.Add(-1)
			s.apply.Unlock()
			f.on.Store(false)
			s.opts.Logger.Info("all entries are resident", "dir", s.opts.Dir, "entries", s.index.len(), "took", time.Since(began).Round(time.Millisecond).String())
		case !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrClosed):
			err = fmt.Errorf("%w: fill the index: %w", ErrFailed, err) // it is to be opened again
		}
		f.err = err
		close(f.done)
	})
	return nil
}

func (f *refill) close() (err error) {
	for _, it := range append(f.entries, f.claims) {
		if it != nil {
			err = errors.Join(err, it.Close())
		}
	}
	f.entries, f.claims = nil, nil
	return err
}

func (f *refill) run(s *Store) error {
	// What is left of the processors is for those who read meanwhile.
	workers := min((runtime.GOMAXPROCS(0)+1)/2, len(f.entries))
	var next atomic.Int64
	errs := make([]error, workers)
	counted := make([]account, workers)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(f.entries)) && errs[w] == nil; i = next.Add(1) - 1 {
				errs[w] = s.fillEntries(f.entries[i], &counted[w])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("load entries: %w", err)
	}
	s.account.mu.Lock()
	for i := range counted {
		s.account.merge(&counted[i])
	}
	s.account.mu.Unlock()
	if err := f.fillClaims(s); err != nil {
		return fmt.Errorf("load claims: %w", err)
	}
	return s.index.fit()
}

// fillClaims brings in what the side table has of the keys that were not pulled in.
func (f *refill) fillClaims(s *Store) error {
	err := s.eachKeysClaims(f.claims, func(key []byte, of claims) (bool, error) {
		if s.opts.filling != nil {
			s.opts.filling()
		}
		s.apply.Lock()
		defer s.apply.Unlock()
		f.passed = appendClaimPrefix(f.passed[:0], key)
		if s.index.noted(key) {
			return true, nil
		}
		s.account.mu.Lock()
		defer s.account.mu.Unlock()
		return true, s.loadKeysClaims(key, of)
	})
	if err != nil {
		return err
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	s.remembered.seal(s.opts.now())
	return nil
}

// pullIn has the index say all of the keys that a batch is to change. next is the partition's position. The caller holds apply.
func (s *Store) pullIn(b *Batch, next int64) error {
	if !s.refill.on.Load() {
		return nil
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Offset < next || s.index.noted(m.Key) {
			continue
		}
		if err := s.pull(m.Key); err != nil {
			return fmt.Errorf("read what is stored: %w", err)
		}
	}
	return nil
}

func (s *Store) pull(key []byte) error {
	hash := s.index.hash(key)
	_, _, held, err := s.index.peek(hash, key)
	if err != nil {
		return err
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if !held {
		e, closer, err := s.storedEntry(key)
		if err != nil {
			return err
		}
		if closer != nil {
			st := entryState(&e)
			filled, err := s.index.fill(hash, key, e.value, st)
			if err = errors.Join(err, closer.Close()); err != nil {
				return err
			}
			if filled {
				s.account.add(hash, st.source(), st.version, false)
			}
		}
	}
	// What the refill has passed is counted, and is not to be once more.
	if s.refill.aside && bytes.Compare(appendClaimPrefix(nil, key), s.refill.passed) > 0 {
		cs, err := claimsAside(s.db, key)
		if err != nil {
			return openErr(err)
		}
		if len(cs) > 0 {
			if err := s.loadKeysClaims(key, cs); err != nil {
				return err
			}
		}
	}
	s.refill.pulled.Add(1 + int64(len(key))/pulledBytes)
	return s.index.note(key)
}

// storedEntry is what Pebble has of a key, valid until closer is closed, which is nil where there is none.
func (s *Store) storedEntry(key []byte) (e entry, closer interface{ Close() error }, err error) {
	b, c, err := s.db.Get(appendEntryKey(nil, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return e, nil, nil
	}
	if err != nil {
		return e, nil, openErr(err)
	}
	if e, err = parseEntry(b, nil); err == nil && (e.noValue || e.tombstone) {
		err = fmt.Errorf("%w: entry without a value", ErrCorrupt)
	}
	if err != nil {
		return e, nil, errors.Join(err, c.Close())
	}
	return e, c, nil
}

// getStored is the index's getVersion with what Pebble has of keys that the index does not know.
func (s *Store) getStored(dst, key []byte) (_ []byte, v version, ok bool, err error) {
	n := len(dst)
	ok, err = s.lookUp(key, func() (ok bool, err error) {
		dst, v, ok, err = s.index.getVersion(dst[:n], key)
		return ok, err
	}, func(e *entry) { dst, v = append(dst[:n], e.value...), version{e.Partition, e.Offset} })
	if !ok || err != nil {
		return dst[:n], version{}, false, err
	}
	return dst, v, true, nil
}

// claimedStored is Claimed where the index does not know the key.
func (s *Store) claimedStored(key []byte) (partition int32, split, ok bool, err error) {
	if err := s.gate.enter(); err != nil {
		return 0, false, false, err
	}
	defer s.gate.leave()
	r := s.snapshot()
	cs, err := claimsAside(r, key)
	if err == nil {
		cs, err = withEntry(r, key, cs)
	}
	if err = errors.Join(err, r.Close()); err != nil || len(cs) == 0 {
		return 0, false, false, err
	}
	return cs[cs.winner()].Partition, len(cs) > 1, true, nil
}

// lookUp has look answer from the index, and where that does not know the key, found with what Pebble has of it, if it has. found may be called more than once, and the last time counts.
func (s *Store) lookUp(key []byte, look func() (ok bool, err error), found func(e *entry)) (ok bool, err error) {
	for {
		known := !s.refill.on.Load() || s.index.knows(key) // before it is asked
		if ok, err = look(); ok || err != nil || known {
			return ok, err
		}
		if err := s.gate.enter(); err != nil {
			return false, err
		}
		e, closer, err := s.storedEntry(key)
		ok = closer != nil
		if ok {
			found(&e)
			err = closer.Close()
		}
		s.gate.leave()
		if err != nil {
			return false, fmt.Errorf("read what is stored: %w", err)
		}
		if !s.index.knows(key) {
			return ok, nil
		}
	}
}

// Resident says how many entries are in the index, and whether these are all that there are: until they are, reads of others cost a look into Pebble.
func (s *Store) Resident() (entries int64, all bool) {
	all = !s.refill.on.Load()
	return s.index.len(), all
}

// WaitResident returns once all entries are resident. Its errors are ctx's, ErrClosed, and why they will never be, which every Apply answers too: [ErrCorrupt] where the directory is
// damaged, otherwise [ErrFailed]. Reads by key go on being answered then.
func (s *Store) WaitResident(ctx context.Context) error {
	if !s.refill.on.Load() {
		return nil
	}
	select {
	case <-s.refill.done:
		return s.refill.err
	case <-s.gate.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admit has an Apply wait where applies have pulled in too much.
func (s *Store) admit(ctx context.Context) error {
	if !s.refill.on.Load() {
		return nil
	}
	if s.refill.pulled.Load() >= int64(s.opts.pullMost) {
		return s.WaitResident(ctx)
	}
	select {
	case <-s.refill.done:
		return s.refill.err
	default:
		return nil
	}
}

// whole returns once the index has all. The caller holds none of the store's locks.
func (s *Store) whole() error { return s.WaitResident(context.Background()) }
