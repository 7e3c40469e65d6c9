package kafka

import (
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// fromLogStart stands for a next offset that is to be asked for.
const fromLogStart int64 = -1

// partition is what a Fetcher knows of one partition. Except for lastFetch it belongs to the loop that reads it, and to
// the Fetcher's own goroutine while none does; it changes hands under a mutex.
type partition struct {
	id        int32
	lastFetch atomic.Int64 // UnixNano; 0: never

	next                    int64 // the next offset to ask for, or fromLogStart
	fromStart               bool  // reading began at the log's start
	until                   int64 // the offset to read to; math.MaxInt64: there is none
	done                    bool  // it was read up to there
	readEpoch               int32 // of the newest record batch that was read
	trailed                 bool  // its trail was asked for, and readEpoch is at least what that had
	checkedEpoch            int32 // the leader's when the log was last known to be the one that the trail is of
	confirmed               bool  // its leader has said that the topic has the id that is to be read, lately
	begun                   bool  // a response without an error was had
	epoch                   int32 // the leader's, sent along so that a deposed leader does not answer (KIP-320)
	logStart, highWatermark int64 // in the last response
	limit                   int32 // bytes of it in a response
	starved                 int   // responses in a row that had nothing of it though there was something
	suspect                 bool  // asked for alone, since a response that had it did not decode
	outOfRange              int   // answers OFFSET_OUT_OF_RANGE in a row
	failures                int   // in a row
	retryAt                 time.Time

	// What follows belongs to the Fetcher's own goroutine.
	leader      int32
	leaderAddr  string
	leaderEpoch int32
	owner       *loop     // who reads it
	returnedAt  time.Time // when the last owner gave it back
}

func newPartition(id int32, next, until int64, limit int32) *partition {
	return &partition{
		id: id, next: next, fromStart: next == fromLogStart, limit: limit,
		until: until, done: next >= until, readEpoch: position.UnknownEpoch, checkedEpoch: position.UnknownEpoch,
		epoch: position.UnknownEpoch, leaderEpoch: position.UnknownEpoch, leader: -1,
	}
}

// failed notes a fault, after which it is not asked for again at once.
func (p *partition) failed(now time.Time) {
	p.retryAt = now.Add(backoff(p.failures))
	p.failures++
}

// progressed notes a response without a fault.
func (p *partition) progressed(now time.Time) {
	p.begun = true
	p.failures, p.outOfRange = 0, 0
	p.suspect = false
	p.retryAt = time.Time{}
	p.lastFetch.Store(now.UnixNano())
}

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = time.Second
)

// backoff is how long to wait after so many failures in a row before: none after the first.
func backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(firstBackoff<<min(failures-1, 10), maxBackoff)
}
