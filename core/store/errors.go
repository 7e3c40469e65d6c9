package store

import "errors"

var (
	// ErrClosed is the answer of every call after Close began.
	ErrClosed = errors.New("store: closed")

	// ErrInUse means that another process, or another Store of this one, has the generation's directory open.
	ErrInUse = errors.New("store: data directory is in use")

	// ErrOtherCluster means that the data directory holds another Kafka cluster's data. Nothing in it was touched.
	ErrOtherCluster = errors.New("store: data directory belongs to another cluster")

	// ErrTopicName means that a name is not one that Kafka allows for a topic, so that it is not safe as a directory's.
	ErrTopicName = errors.New("store: illegal topic name")

	// ErrCorrupt means that bytes in Pebble are not what any version of this package writes.
	ErrCorrupt = errors.New("store: corrupt data")

	// ErrFormat means that Pebble holds an entry or position in a format that this version does not know.
	ErrFormat = errors.New("store: unknown format")

	// ErrVerifying means that another verification is going on.
	ErrVerifying = errors.New("store: a verification is going on")

	// ErrVerified means that the verification has ended.
	ErrVerified = errors.New("store: the verification has ended")

	// ErrReadOnly is the answer to what would change a store that was opened with Options.ReadOnly.
	ErrReadOnly = errors.New("store: open for reading only")

	// ErrFailed means that a file could not be written in a way that leaves open what is on disk, or that the index could not be filled from what is there. The store answers reads and
	// takes nothing more; what it was flushed to, and perhaps some of what was applied since, is there once it is closed and opened again.
	ErrFailed = errors.New("store: cannot be written any more")

	// ErrTooLarge means that a key or a value is longer than the index can address (2³¹-1 bytes).
	ErrTooLarge = errors.New("store: key or value too large")

	// ErrViewExpired means that a View's moment is over: a change had to wait for longer than Options.ViewTime. Nothing that was read
	// through it before is wrong.
	ErrViewExpired = errors.New("store: the moment of a view is over")

	// ErrViewTooLarge means that more keys were to be looked at through one View than Options.ViewKeys.
	ErrViewTooLarge = errors.New("store: too many keys for one view")

	// ErrFull means that one shard of the index has no room for more chunks, or that the system gave no more memory.
	ErrFull = errors.New("store: index is full")
)
