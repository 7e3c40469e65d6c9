package kafka

import "time"

// Header is one of a record's headers. A nil Value is a header without one.
type Header struct{ Key, Value []byte }

// Record is a record as it stands in the log.
type Record struct {
	Offset    int64
	Timestamp int64  // milliseconds since 1970: the producer's clock, or the broker's where the topic says LogAppendTime; -1: none
	Key       []byte // nil: no key
	Value     []byte // nil: a tombstone. Empty is not nil
	Headers   []Header
}

// Batch is what one fetch response had for one partition. It belongs to the [Fetcher]: it, its Records and Epochs and all the
// bytes they point to are valid until the function it was handed to returns, and must not be written to or appended to.
type Batch struct {
	Partition int32
	// Records are the committed records in ascending order of offset, each at least the position before the batch. There
	// may be none. Control records and records of aborted transactions are not among them.
	Records []Record
	// Next is the position after the batch: the next offset to read, past everything that the log has before it, delivered
	// or not.
	Next int64
	// LeaderEpoch is that of the record batch that ends at Next; position.UnknownEpoch where none does: the response had
	// nothing of the partition, or what was there was compacted away. Where Next has moved and the epoch is not known, that
	// of the position before does not hold for Next: a batch of a newer epoch may have been there.
	LeaderEpoch int32
	// Anchor is that of the last of Records, where HasAnchor.
	Anchor    Anchor
	HasAnchor bool
	// Epochs are those of the record batches that the response had, delivered or not, ascending.
	Epochs []EpochRange
	// LogStart, LastStable and HighWatermark are the log's bounds in the response that the batch came in: its first
	// offset, the end of what read_committed can reach (KIP-98), and the end of what is replicated.
	LogStart, LastStable, HighWatermark int64
	// Leader is the epoch of the leader that answered; position.UnknownEpoch where that is not known.
	Leader int32
	// Last says that the response has nothing more of this partition: Next == LastStable then means that the stable end
	// was reached.
	Last bool
	// AskedAt is this machine's clock before the request was sent.
	AskedAt time.Time
}
