package kafka

import (
	"errors"
	"fmt"
)

// The errors that callers tell apart with errors.Is. What is returned wraps one of them with the action and the cause.
var (
	// ErrConfig is a setting that cannot work.
	ErrConfig = errors.New("kafka: configuration")
	// ErrClosed is a call on what has been closed. A record that got it was never sent.
	ErrClosed = errors.New("kafka: closed")
	// ErrUnknownTopic is a topic that the cluster does not have.
	ErrUnknownTopic = errors.New("kafka: unknown topic")
	// ErrTopicRecreated is a topic that has another id than the one that was asked for: it was deleted and created again.
	ErrTopicRecreated = errors.New("kafka: topic was recreated")
	// ErrUnavailable is a broker, or a leader, that cannot be reached now. A record that got it is surely not in the log;
	// trying again makes sense.
	ErrUnavailable = errors.New("kafka: unavailable")
	// ErrUnknownOutcome is a write that may or may not be, or come to be, in the log.
	ErrUnknownOutcome = errors.New("kafka: outcome unknown")
	// ErrTooLarge is a record that the topic does not accept for its size. It is surely not in the log.
	ErrTooLarge = errors.New("kafka: record too large")
	// ErrNotEnoughReplicas is a write that was refused since fewer replicas are in sync than the topic asks for
	// (min.insync.replicas). It is surely not in the log; trying again makes sense.
	ErrNotEnoughReplicas = errors.New("kafka: not enough replicas in sync")
	// ErrNotAuthorized is a call that the cluster's access control, or its authentication, refused.
	ErrNotAuthorized = errors.New("kafka: not authorized")
	// ErrUnauthenticated is an ErrNotAuthorized of the authentication: the broker does not take the credentials. A record that
	// got it is surely not in the log.
	ErrUnauthenticated = fmt.Errorf("%w: authentication failed", ErrNotAuthorized)
	// ErrRefused is a record, or a request, that the broker refused for what it is: trying again makes no sense.
	ErrRefused = errors.New("kafka: refused")
	// ErrCorrupt is a response that does not decode: a checksum that does not match, a length that cannot be, a batch
	// that decompresses to more than is accepted.
	ErrCorrupt = errors.New("kafka: corrupt response")
)

// OutOfRangeError says that a position lies outside the log: below its start, where retention or DeleteRecords removed
// what had not been read, or above its end, where an unclean leader election truncated it. The reader has to start over;
// a [Fetcher] never chooses another position by itself.
type OutOfRangeError struct {
	Partition int32
	Position  int64 // the next offset that was asked for
	LogStart  int64 // the log's first offset
	End       int64 // the high watermark
}

func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("kafka: partition %d: position %d is outside the log, which has %d to %d", e.Partition, e.Position, e.LogStart, e.End)
}

// DivergedError says that a partition's log is no longer the one that was read: an unclean leader election, or a restored
// disk, has put another in its place from some offset on, which may lie below the position. What was read has to be read
// again.
type DivergedError struct {
	Partition int32
	Offset    int64 // of the anchor, or of the record batch, that showed it
	Reason    string
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("kafka: partition %d: the log is not the one that was read, as offset %d shows: %s", e.Partition, e.Offset, e.Reason)
}

// FetchError is a fault that a [Fetcher] met and goes on after.
type FetchError struct {
	Leader    int32 // the broker's id; -1 where none is concerned, as when metadata was asked for
	Partition int32 // -1: all of that leader's, or the topic's
	Err       error
}

func (e FetchError) Error() string {
	switch {
	case e.Partition >= 0:
		return fmt.Sprintf("fetch partition %d from broker %d: %v", e.Partition, e.Leader, e.Err)
	case e.Leader >= 0:
		return fmt.Sprintf("fetch from broker %d: %v", e.Leader, e.Err)
	}
	return fmt.Sprintf("fetch: %v", e.Err)
}

func (e FetchError) Unwrap() error { return e.Err }
