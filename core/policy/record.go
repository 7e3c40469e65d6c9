package policy

// Header is a record's header. A nil Value is a header without one.
type Header struct {
	Key, Value []byte
}

// Record is a record of the log as clients would see it: key and value are decoded. Its bytes are valid during the call that it
// is given to, and must not be changed.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp int64 // milliseconds since 1970
	Key       []byte
	Value     []byte // never a tombstone's: those yield nothing and are not asked about
	Headers   []Header
}
