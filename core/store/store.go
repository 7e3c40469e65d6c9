package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say where a store lives. The zero value is a store in memory.
type Options struct {
	Dir           string        // the generation's directory, see Generation.Dir; "" keeps everything in memory
	CacheBytes    int64         // Pebble's block cache, which only Range, Meta and compactions use; 0: 8 MiB
	FlushInterval time.Duration // how often what was applied is made durable; 0: 10 s. Of no meaning in memory
	Logger        *slog.Logger  // nil: discard

	// Load makes a store for taking in much at once: until EndLoad, what is applied is persisted as sorted tables rather than
	// in commits, at a fraction of the cost. It ends by itself before the first call that reads Pebble (Meta, Range, before FinishLoad Apply with an
	// observer), or that needs to know whose record of a key in several partitions is the newest: until then reads of such a key answer
	// what the partition says that had it first.
	Load bool

	// Refill lets Open return before the index is filled from the directory, which is done behind it: a read of a key that it does not have yet reads Pebble. What needs to
	// know all keys waits: Scan, RandomKey, Len, Digests, Verify, Project and RemoveBelow; so does an Apply
	// once 65,536 keys were changed meanwhile. What is damaged is found when it is come to, see WaitResident. It is of no meaning in memory, and to a directory in which a load
	// has not settled.
	Refill bool

	// Expect is about how many keys an empty store is to get, where that is known, as of a generation that is built anew: it spares the
	// index growing. More or fewer may come.
	Expect int64

	// ReadOnly opens what is in Dir to be read alone: nothing there changes, and what would change it answers [ErrReadOnly]. It
	// does not go together with Load, and a directory without a store is [ErrCorrupt].
	ReadOnly bool

	// ViewTime is how long a change waits for Views, and ViewKeys how many keys one of them may look at; 0: DefaultViewTime, DefaultViewKeys.
	ViewTime time.Duration
	ViewKeys int

	// FS is what Dir lies on; nil: the system's. It is used as Pebble uses one: what is synced through it has to be durable, and its Lock
	// has to exclude other processes.
	FS FS
	// Pebble changes Pebble's options as they are measured for this package, before they are used: what Pebble costs, and nothing of what
	// it keeps. Another change is [ErrPebbleOptions]: see [CheckOptions]. It is called at least once for each store that is opened, and does not
	// keep what it is given. An EventListener that it sets is told beside the store's own. A Cache that it sets may be shared by
	// several stores and is its maker's to release; CacheBytes has no meaning then.
	Pebble func(*PebbleOptions)

	fs       vfs.FS                // FS, behind what watches over it
	tune     func(*pebble.Options) // of tests: anything
	runBytes int                   // 0: runBytes
	image    imageSizes
	filling  func() // of tests: called before each entry of a refill, and each key of which claims are aside
	pullMost int    // 0: pullMost
	health   *health
	backlog  *backlog
	pause    time.Duration    // 0: retryPause
	patience time.Duration    // 0: flushPatience
	hashMask uint64           // 0: all bits
	now      func() time.Time // nil: time.Now
}

func (o Options) withDefaults() Options {
	if o.CacheBytes == 0 {
		o.CacheBytes = 8 << 20
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = 10 * time.Second
	}
	if o.ViewTime == 0 {
		o.ViewTime = DefaultViewTime
	}
	if o.ViewKeys == 0 {
		o.ViewKeys = DefaultViewKeys
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.fs == nil {
		o.fs = fileSystem(o.FS)
	}
	if o.Dir == "" {
		o.fs = vfs.NewMem()
	}
	o.health = newHealth(o)
	o.fs = o.health.fence
	o.backlog = new(backlog)
	if o.runBytes == 0 {
		o.runBytes = runBytes
	}
	o.image = o.image.withDefaults()
	if o.pullMost == 0 {
		o.pullMost = pullMost
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.hashMask == 0 {
		o.hashMask = ^uint64(0)
	}
	return o
}

// consistent is why the options do not go together; nil where they do.
func (o Options) consistent() error {
	switch {
	case o.ReadOnly && (o.Load || o.Refill || o.Dir == ""):
		return errors.New("store: ReadOnly is of a directory, and without Load and Refill")
	case o.FS != nil && o.Dir == "":
		return errors.New("store: FS is what a directory lies on, and none is given")
	}
	return nil
}

// Store is one generation of one topic. All methods may be called at the same time; applies wait for each other.
type Store struct {
	opts  Options
	gate  *gate
	db    *pebble.DB
	lock  *pebble.Lock
	index *index

	apply sync.Mutex // one applier
	plan  plan       // under apply
	err   error      // under apply: why nothing can be applied any more

	isLoading atomic.Bool   // changed under apply
	loading   loading       // under apply
	finished  atomic.Bool   // changed under apply: FinishLoad was called, and the store is read
	loaded    chan struct{} // closed when it does not load, or no more
	imagers   sync.WaitGroup

	unpersisted atomic.Pointer[error] // what the last attempt to persist a load came to; nil: there was none

	tables, imageTables sstable.WriterOptions

	moments *moments // changed under apply

	// commit is held from Pebble's commit to the end of the index update, and shared by who needs both to tell the same.
	commit sync.RWMutex

	refill      refill
	checkpoints checkpoints
	partitions  partitions
	account     account    // changed under apply
	remembered  remembered // under apply

	projected    atomic.Pointer[Store] // the projection's store, for who reads
	projection   *projection           // under apply: what entries that are yields come to, nil where they are not
	verifying    atomic.Bool           // one verification at a time
	verification atomic.Pointer[Verification]

	flushing sync.Mutex  // one flush at a time, so that none returns before the one that it relies on
	dirty    atomic.Bool // something is not flushed
	flusher  sync.WaitGroup
}

// Open opens the store, and fills the resident index from the directory before it returns, or after that where Options.Refill says so. It makes the directory where
// there is none. One that is open elsewhere is [ErrInUse]. Close releases what Open took.
func Open(o Options) (*Store, error) {
	if err := o.consistent(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	p, err := engineOptions(o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, lock, err := openEngine(o, p)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", openErr(err))
	}
	if err := o.health.failing(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), db.Close(), closeLock(lock))
	}
	s := &Store{opts: o, gate: newGate(), db: db, lock: lock, index: newIndex(o.hashMask), moments: newMoments(o.ViewTime), loaded: make(chan struct{})}
	s.tables, s.imageTables = tableOptions(p, 0, db.TableFormat()), tableOptions(p, len(p.Levels)-1, db.TableFormat())
	switch {
	case o.ReadOnly:
		s.err = ErrReadOnly
		if err := s.load(); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", openErr(err)), s.release())
		}
	case o.Dir != "":
		err := errors.Join(s.removeRun(), s.removeImages())
		if err == nil {
			err = s.load()
		}
		if err == nil && o.Load {
			err = s.flushDirty() // an ingestion over a memtable would not survive as one
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", openErr(err)), s.release())
		}
		s.flusher.Go(s.flushOnTimer)
	}
	if len(s.checkpoints.list()) == 0 {
		if err := s.index.expect(o.Expect); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", err), s.Close())
		}
	}
	s.isLoading.Store(o.Load || s.loading.unsettled)
	s.loading.blind = o.Load && (s.loading.unsettled || len(s.checkpoints.list()) == 0)
	s.loading.began = time.Now()
	s.index.memory.hurry(s.isLoading.Load() && !s.refill.on.Load()) // not beside reads: it holds up other threads' page faults
	if s.loading.blind && !s.loading.unsettled {
		s.loading.resident = newTimeline()
	}
	if !s.isLoading.Load() {
		close(s.loaded)
	}
	if s.loading.unsettled && !o.Load {
		if err := s.endLoad(); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: %w", openErr(err)), s.Close())
		}
	}
	return s, nil
}

// inMemory says that values are in the index alone.
func (s *Store) inMemory() bool { return s.opts.Dir == "" }

// Get appends the value of key to dst and reports whether there is one. It does not allocate when dst has room and all entries are resident.
func (s *Store) Get(dst, key []byte) ([]byte, bool, error) {
	if s.refill.on.Load() {
		dst, _, ok, err := s.getStored(dst, key)
		return dst, ok, err
	}
	return s.index.get(dst, key)
}

// ValueLen is the length of key's value in bytes, and whether there is one.
func (s *Store) ValueLen(key []byte) (int, bool, error) {
	if s.refill.on.Load() {
		value, _, ok, err := s.getStored(nil, key)
		return len(value), ok, err
	}
	return s.index.valueLen(key)
}

// Scan calls fn for about count keys in hash order from cursor on, 0 being the beginning, and returns the cursor to go on
// with, 0 at the end. A cursor is a hash prefix below 2⁵³ that means the same in every process, whatever happened in
// between; one that no Scan returned is as good as any other, and one of 2⁵³ or more is the end. A key that is there
// throughout a whole scan is met at least once. A count below 1 is 1.
//
// The key is valid during fn, which must be quick and must not call the store: it runs under a lock that Apply needs.
func (s *Store) Scan(cursor uint64, count int, fn func(key []byte)) (next uint64, err error) {
	if err := s.whole(); err != nil {
		return 0, err
	}
	return s.index.scan(cursor, count, fn)
}

// Cursor is where a Scan meets key, whether or not it is there: on the page whose cursor is not above it, and whose next is, or is 0.
func (s *Store) Cursor(key []byte) uint64 { return s.index.hash(key) >> prefixShift }

// RandomKey appends a key to dst, each with the same probability, and reports false where there is none or the store is
// closed.
func (s *Store) RandomKey(dst []byte) ([]byte, bool) {
	if s.whole() != nil {
		return dst, false
	}
	key, ok, err := s.index.randomKey(dst)
	return key, ok && err == nil
}

// Len is the number of entries, 0 once the store is closed, or where it cannot be filled.
func (s *Store) Len() int64 {
	if s.whole() != nil {
		return 0
	}
	return s.index.len()
}

// Checkpoint is how far each partition has been applied, ascending by partition. It is durable once a Flush that began
// later has returned.
func (s *Store) Checkpoint() []Checkpoint {
	l := s.checkpoints.list()
	c := make([]Checkpoint, len(l))
	for i := range l {
		c[i] = l[i].Checkpoint
	}
	return c
}

// Flush makes all durable that has been applied when it begins. In memory it does nothing.
func (s *Store) Flush() error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.flush()
}

func (s *Store) flush() error {
	if s.inMemory() {
		return nil
	}
	if loading, err := s.flushLoading(); loading || err != nil {
		return err
	}
	if err := s.storeFreshness(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return s.flushDirty()
}

// flushLoading is flush where the store loads, and says whether it does.
func (s *Store) flushLoading() (bool, error) {
	if !s.isLoading.Load() {
		return false, nil
	}
	if err := s.awaitImage(); err != nil {
		return true, fmt.Errorf("flush: %w", err)
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	if !s.isLoading.Load() || s.loading.written {
		return false, nil
	}
	if err := s.imaged(); err != nil {
		return true, fmt.Errorf("flush: %w", err)
	}
	if err := s.writeRuns(); err != nil {
		return true, fmt.Errorf("flush: %w", err)
	}
	return true, nil
}

// flushDirty flushes Pebble where something was written since it was flushed last.
func (s *Store) flushDirty() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if !s.dirty.Load() {
		return nil
	}
	// Each call makes Pebble begin a memtable, so there must not be many while it cannot write.
	if err := s.opts.health.flushed(nil); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	s.dirty.Store(false)
	done, err := s.db.AsyncFlush()
	if err == nil {
		err = s.opts.health.flushed(done)
	}
	if err != nil {
		s.dirty.Store(true)
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// flushOnTimer bounds what is read again after a crash. It leaves FreshAt of idle partitions to Apply and Close.
func (s *Store) flushOnTimer() {
	t := time.NewTicker(s.opts.FlushInterval)
	defer t.Stop()
	for {
		select {
		case <-s.gate.closed:
			return
		case <-t.C:
			if s.gate.enter() != nil {
				return
			}
			loading, err := s.residentOnTimer()
			if !loading && err == nil {
				loading, err = s.flushLoading()
			}
			if !loading && err == nil {
				err = s.flushDirty()
			}
			if err != nil {
				s.opts.Logger.Error("flush on timer", "dir", s.opts.Dir, "error", err)
			}
			s.gate.leave()
		}
	}
}

// Close flushes and releases everything, and answers [ErrClosed] where Close was called before. Calls at the same time
// finish or answer ErrClosed, calls after it answer ErrClosed. It waits for an Apply that is running, its observer
// included, and for the callback of a Range that is running, after which that Range answers ErrClosed.
func (s *Store) Close() error {
	if err := s.gate.close(); err != nil {
		return err
	}
	s.refill.wg.Wait()
	s.flusher.Wait()
	s.imagers.Wait()
	err := s.flush()
	s.imagers.Wait()
	return errors.Join(err, s.release())
}

// release closes all without flushing.
func (s *Store) release() error {
	if s.refill.done != nil {
		_ = s.gate.close() // so that it ends; Close has closed it before
		s.refill.wg.Wait()
	}
	var written error
	if l := &s.loading; l.result != nil {
		written = <-l.result
	}
	for _, r := range []*run{s.loading.active, s.loading.spare, s.loading.busy} {
		r.release()
	}
	if m := s.loading.image; m != nil {
		m.release()
	}
	s.loading = loading{}
	s.index.close()
	err := errors.Join(written, s.db.Close())
	if s.projection != nil {
		err = errors.Join(err, s.projection.store.Close())
	}
	err = errors.Join(err, closeLock(s.lock))
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

func closeLock(lock *pebble.Lock) error {
	if lock == nil {
		return nil
	}
	return lock.Close()
}
