package loadgen

import (
	"errors"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// What an operation that failed is counted as, beside the first word of the error that was answered ("READONLY").
const (
	// KindConnection: the connection gave no reply. A write may or may not have been made.
	KindConnection = "connection"
	// KindTimeout: no reply in time; the same.
	KindTimeout = "timeout"
	// KindMismatch: a reply that is not what it must be: a value that belongs to another key, a count that cannot be.
	KindMismatch = "mismatch"
)

// kindPending is a write that is in the log and not visible at the instance in time.
const kindPending = "PENDING"

// kindOf tells what an error is counted as.
func kindOf(err error) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		kind, _, _ := strings.Cut(reply.Error(), " ")
		return kind
	}
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return KindTimeout
	}
	return KindConnection
}

// broken tells whether the connection is of no more use after an error of that kind.
func broken(kind string) bool { return kind == KindConnection || kind == KindTimeout }
