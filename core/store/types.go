package store

import (
	"math"
	"slices"
	"time"
)

// Header is a record header. A nil Value is a header without a value, which Kafka tells apart from an empty one.
type Header struct {
	Key, Value []byte
}

// Mutation is one change of one key: the key's next value, or its removal.
type Mutation struct {
	Key       []byte
	Value     []byte // nil and empty are the same empty value; only Tombstone removes
	Tombstone bool
	Offset    int64    // of the record, from 0
	Timestamp int64    // of the record, milliseconds since the epoch
	Source    []byte   // the key of the record that yielded this key, nil where that is the key itself
	Headers   []Header // kept for entries, dropped for tombstones

	// Hold says that the record is refused and leaves what the key has: its claim of the same partition and source, where that is a
	// value, is held over the record, see Meta.Held. Value and Tombstone are not looked at.
	Hold bool
}

// Batch is what one partition's log had from the partition's position up to Next.
type Batch struct {
	Partition   int32
	Mutations   []Mutation // in the log's order; may be empty; offsets are below Next
	Next        int64      // the position after the batch. It moves over everything the log has, delivered or not
	LeaderEpoch int32      // of the last record batch, position.UnknownEpoch where it is not known
	FreshAt     time.Time  // our clock before the request whose end Next has reached; zero leaves what was known

	// Keeps is how long the log keeps tombstones, as was known at FreshAt; KeepsForever where it never drops any. It is looked at where
	// FreshAt is set. Not to know is 0.
	Keeps time.Duration
	// EndAt is our clock before the request whose high watermark Next has reached: nothing that was acknowledged until then lies above it, also
	// not hidden by an open transaction. Zero leaves what was known. It is not kept on disk.
	EndAt time.Time

	// Start is where reading of the partition began. It is looked at where the partition has no checkpoint yet.
	Start int64
	// LogStart is the log's first offset, below which nothing is left here; one that is not above the known one leaves that.
	LogStart int64
	// Trail is kept with the position, for whoever reads the log to recognise it by. The store does not look into it; nil
	// leaves what was known.
	Trail []byte
	// Mark is the end of the trail, small enough to be kept with every position; nil leaves what was known.
	Mark []byte
}

// KeepsForever says that a log does not drop tombstones.
const KeepsForever = time.Duration(math.MaxInt64)

// ChangeKind says what a mutation or a removal did to what readers see of its key.
type ChangeKind uint8

const (
	Created    ChangeKind = iota + 1 // the key was missing
	Updated                          // the value is another one than before
	Unchanged                        // the value is the same as before; offset, timestamp and headers are another record's
	Deleted                          // the key is missing now
	Absent                           // a tombstone of a key that was missing
	Superseded                       // the store has what the log says is newer: nothing that readers see has changed
)

// String is the kind's name in lower case.
func (k ChangeKind) String() string {
	switch k {
	case Created:
		return "created"
	case Updated:
		return "updated"
	case Unchanged:
		return "unchanged"
	case Deleted:
		return "deleted"
	case Absent:
		return "absent"
	case Superseded:
		return "superseded"
	}
	return "unknown"
}

// Change tells an observer of Apply about one mutation of the batch. Old and Value are valid during the call. Both are nil
// where the kind is Superseded, though the key may have a value.
type Change struct {
	Index int // in Batch.Mutations
	Kind  ChangeKind
	Old   []byte // the value before this mutation, earlier mutations of the batch included; nil where there was none
	Value []byte // the value after it, another claim's where one was promoted; nil where there is none, not nil where it is empty

	// The record that Value is of; the mutation's own where there is no value, and where the kind is Superseded.
	Partition int32
	Offset    int64
	Timestamp int64
}

// Removal tells an observer of RemoveBelow or Finish about a key whose value has gone, or is another one now. Its bytes are
// valid during the call.
type Removal struct {
	Key   []byte
	Kind  ChangeKind // Deleted, Updated where another claim was promoted, Created where one was that a removed tombstone had hidden
	Old   []byte     // nil: none
	Value []byte     // nil: none

	// The record that Value is of, or the removed one where there is no value.
	Partition int32
	Offset    int64
	Timestamp int64
}

// Claim is what one source of one partition says of a key. The winner of a key's claims is what readers see: of each
// partition's claims that of the greatest offset, and among those the greatest (timestamp, partition), tombstones included.
type Claim struct {
	Partition int32
	Source    []byte // the key of the record that yielded it, nil where that is the key itself
	Offset    int64
	Timestamp int64 // milliseconds since the epoch
	Tombstone bool
	Winner    bool
}

// Meta is where an entry came from.
type Meta struct {
	Partition int32
	Offset    int64
	Timestamp int64  // milliseconds since the epoch
	Source    []byte // the key of the record that yielded the entry, nil where that is the entry's own key
	Headers   []Header

	// Held is the offset of the newest record of the same partition and source that was refused, over which the value is held; 0
	// where there is none. What is held is what this store has seen rather than a function of the log.
	Held int64
}

// Clone is m with bytes of its own.
func (m Meta) Clone() Meta {
	m.Headers = slices.Clone(m.Headers)
	return cloneMeta(m)
}

// Entry is a key with its value and origin.
type Entry struct {
	Key, Value []byte
	Meta
}

// Checkpoint is how far one partition has been applied.
type Checkpoint struct {
	Partition   int32
	Next        int64         // the next offset to read
	LeaderEpoch int32         // of the last record batch, position.UnknownEpoch where it is not known
	FreshAt     time.Time     // our clock before the request whose end Next reached last; zero where that never was
	Keeps       time.Duration // how long the log kept tombstones, in whole milliseconds, as was known at FreshAt
	Start       int64         // where reading began
	LogStart    int64         // the log's first offset as far as it is known here: RemoveBelow has removed what is below
	Trail       []byte        // what the reader keeps with the position; nil: nothing. Not to be changed
	Mark        []byte        // the end of the trail, as the batch had it that brought the position to Next or kept it there; nil: none
}
