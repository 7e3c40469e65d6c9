package store

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Options say where a store lives. The zero value is a store in memory.
type Options struct {
	Dir           string        // the generation's directory, see Generation.Dir; "" keeps everything in memory
	CacheBytes    int64         // Pebble's block cache, which only Range, Meta and compactions use; 0: 8 MiB
	FlushInterval time.Duration // how often what was applied is made durable; 0: 10 s. Of no meaning in memory
	Logger        *slog.Logger  // nil: discard
}

// Store is one generation of one topic. All methods may be called at the same time; Apply and Flush wait for each other.
type Store struct{}

// Open opens the store, and fills the resident index from the directory before it returns. A directory that is open
// elsewhere is [ErrInUse].
func Open(Options) (*Store, error) { return nil, errors.ErrUnsupported }

// Apply commits a batch: its entries and the partition's next position in one Pebble commit, then the index.
//
// A mutation whose offset is below the partition's position, or not above that of the key's entry from the same partition,
// is a replay and changes nothing. Between partitions the greater (timestamp, partition) stays. The position never moves
// back. The batch's bytes are copied.
//
// observe, where it is not nil, is called for every mutation in order after the commit. It may read the store, and must not
// call Apply, Flush or Close.
func (s *Store) Apply(b *Batch, observe func(Change)) error { return errors.ErrUnsupported }

// Get appends the value of key to dst and reports whether there is one. It does not allocate when dst has room.
func (s *Store) Get(dst, key []byte) ([]byte, bool, error) { return dst, false, errors.ErrUnsupported }

// ValueLen is the length of key's value in bytes, and whether there is one.
func (s *Store) ValueLen(key []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }

// Meta is where key's entry came from, and whether there is one. The result is the caller's.
func (s *Store) Meta(key []byte) (Meta, bool, error) { return Meta{}, false, errors.ErrUnsupported }

// Scan calls fn for about count keys in hash order from cursor on, 0 being the beginning, and returns the cursor to go on
// with, 0 at the end. A cursor is below 2⁵³ and means the same in every process. A key that is there throughout a
// whole scan is met at least once. The key is valid during fn, which must not call the store.
func (s *Store) Scan(cursor uint64, count int, fn func(key []byte)) (next uint64, err error) {
	return 0, errors.ErrUnsupported
}

// Range calls fn for the entries with lower <= key < upper in the order of the keys' bytes until it returns false; nil is
// open. The entry is valid during fn.
func (s *Store) Range(lower, upper []byte, fn func(Entry) bool) error { return errors.ErrUnsupported }

// RandomKey appends a random key to dst, and reports false where there is none.
func (s *Store) RandomKey(dst []byte) ([]byte, bool) { return dst, false }

// Len is the number of entries.
func (s *Store) Len() int64 { return 0 }

// Checkpoint is how far each partition has been applied, ascending by partition. It is durable after Flush.
func (s *Store) Checkpoint() []Checkpoint { return nil }

// Flush makes all that has been applied durable.
func (s *Store) Flush() error { return errors.ErrUnsupported }

// Close flushes and releases everything. Calls at the same time and after it answer ErrClosed. It waits for an Apply and for
// callbacks that are running.
func (s *Store) Close() error { return errors.ErrUnsupported }

// Stats says how much the store holds.
func (s *Store) Stats() Stats { return Stats{} }

// Stats are numbers for metrics. Bytes are of address space outside the Go heap unless said otherwise.
type Stats struct {
	Entries      int64
	TableBytes   int64           // hash tables of the index
	ChunkBytes   int64           // chunks mapped for keys and values
	LiveBytes    int64           // of those, what entries occupy
	GarbageBytes int64           // of those, what overwritten and deleted entries still occupy
	Pebble       *pebble.Metrics // nil after Close
}
