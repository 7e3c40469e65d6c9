package cache

import (
	"errors"
	"fmt"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
)

var (
	// ErrConfig is wrapped by every error that another configuration would mend, found at once or (another cluster's data
	// directory) when Kafka is first reached.
	ErrConfig = errors.New("cache: configuration")
	// ErrNotFound is the error of a read of a key that has no value: the log has none, or its newest record is a tombstone.
	ErrNotFound = errors.New("cache: key not found")
	// ErrNotReady is the error of reads and writes of a topic that has not caught up with its log yet.
	ErrNotReady = errors.New("cache: topic is loading")
	// ErrReadOnly is the error of a write to a topic that is not configured writable.
	ErrReadOnly = errors.New("cache: topic is read-only")
	// ErrUnknownTopic is the error of a name that is not configured.
	ErrUnknownTopic = errors.New("cache: topic is not configured")
	// ErrEmptyKey is the error of a write without a key: no instance would ever apply it.
	ErrEmptyKey = errors.New("cache: a record needs a key that is not empty")
	// ErrOtherTopic is the error of waiting for a position of another topic, or of one that has since been deleted and recreated.
	ErrOtherTopic = errors.New("cache: the position belongs to another topic")
	// ErrSnapshotExpired is the error of reads of a Snapshot once records had to wait for it for Config.SnapshotTime.
	ErrSnapshotExpired = errors.New("cache: the snapshot's time is over")
	// ErrSnapshotTooLarge is the error of reads of a Snapshot past Config.SnapshotKeys keys.
	ErrSnapshotTooLarge = errors.New("cache: too many keys for one snapshot")
	// ErrClosed is the error of every call after Close, or after Run has returned.
	ErrClosed = errors.New("cache: closed")
	// ErrNotTailed is the error of a write that is to be waited for where nothing reads the topic.
	ErrNotTailed = errors.New("cache: the topic is written to and not read here: there is nothing that would apply the write")
	// ErrStartupTimeout ends Run where Config.StartupTimeout passed with a topic still out of reach.
	ErrStartupTimeout = errors.New("cache: start-up timeout")

	// ErrUnknownOutcome is the error of a write that may or may not be in the log.
	ErrUnknownOutcome = kafka.ErrUnknownOutcome
	// ErrUnavailable is the error of a write that is surely not in the log, because no broker could be reached in time.
	ErrUnavailable = kafka.ErrUnavailable
	// ErrNotEnoughReplicas is the error of a write that too few in-sync replicas could take.
	ErrNotEnoughReplicas = kafka.ErrNotEnoughReplicas
	// ErrNotAuthorized is the error of an operation that Kafka's ACLs refuse.
	ErrNotAuthorized = kafka.ErrNotAuthorized
	// ErrUnauthenticated is an ErrNotAuthorized: Kafka does not take the instance's credentials.
	ErrUnauthenticated = kafka.ErrUnauthenticated
)

// EncodingError is the error of a key or value that does not encode: nothing was produced. Where it wraps codec.ErrUnavailable, what the
// encoding needs cannot be had for the moment, and the same write may succeed later.
type EncodingError struct {
	Field    string // "key" or "value"
	Encoding string
	Err      error
}

func (e *EncodingError) Error() string {
	if errors.Is(e.Err, codec.ErrUnavailable) {
		return fmt.Sprintf("cache: the %s cannot be encoded as %s for now: %v", e.Field, e.Encoding, e.Err)
	}
	return fmt.Sprintf("cache: %s is not %s: %v", e.Field, e.Encoding, e.Err)
}

// Unwrap is the codec's own error.
func (e *EncodingError) Unwrap() error { return e.Err }

// ParseError is the error of a key or value in a topic that is not of the Go type that it is read as. It is of one record, and says of the topic nothing else.
type ParseError struct {
	Topic string
	Field string // "key", "value", or "old value": of an event, what the key had before
	Key   []byte // as [Topic] has it
	// The record that the value is of, or of an old value the one that has taken its place.
	Partition int32
	Offset    int64
	Err       error // why, as codec.Typed has it
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("cache: topic %s: the %s of key %.100q (partition %d, offset %d): %v", e.Topic, e.Field, e.Key, e.Partition, e.Offset, e.Err)
}

// Unwrap is why it does not parse.
func (e *ParseError) Unwrap() error { return e.Err }

// of is the error of a field, with a key of its own.
func (e ParseError) of(field string, err error) *ParseError {
	e.Field, e.Key, e.Err = field, append([]byte{}, e.Key...), err
	return &e
}

// TooLargeError is the error of a record over its topic's max.message.bytes: nothing was produced.
type TooLargeError struct {
	Size int // bytes that the record takes in a batch of its own
	Max  int // the topic's max.message.bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("cache: the record takes %d bytes, the topic's max.message.bytes is %d", e.Size, e.Max)
}

// Is makes errors.Is(err, kafka.ErrTooLarge) hold.
func (e *TooLargeError) Is(target error) bool { return target == kafka.ErrTooLarge }

// PendingError says that a write is acknowledged, and so in the log, but was not applied by this instance in the time
// that it was given. Its position can be waited for.
type PendingError struct{ Written Written }

func (e *PendingError) Error() string {
	return fmt.Sprintf("cache: the write is in the log and not yet visible here: wait for %v", e.Written.Position)
}
