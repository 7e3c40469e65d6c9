package loadgen

import (
	"context"
	"time"
)

// schedule is an open loop's: operation n is intended to start n intervals after the beginning, on connection n modulo
// their number, whatever became of the operations before it. It is read only but for the wake channels.
type schedule struct {
	begin       time.Time
	rate        float64 // operations a second, of all connections
	connections int
	end         time.Duration // none is intended from here on
	wake        []chan struct{}
}

func newSchedule(rate float64, connections int, end time.Duration) *schedule {
	s := &schedule{rate: rate, connections: connections, end: end, wake: make([]chan struct{}, connections)}
	for i := range s.wake {
		s.wake[i] = make(chan struct{}, 1)
	}
	return s
}

// at is when the n-th operation of all is intended to start, after the beginning.
func (s *schedule) at(n int64) time.Duration {
	return time.Duration(float64(n) / s.rate * float64(time.Second))
}

// of is when the k-th operation of a connection is intended to start.
func (s *schedule) of(connection int, k int64) time.Duration {
	return s.at(k*int64(s.connections) + int64(connection))
}

// before is how many operations are intended to start before t.
func (s *schedule) before(t time.Duration) int64 {
	n := int64(t.Seconds() * s.rate)
	for n > 0 && s.at(n-1) >= t {
		n--
	}
	for s.at(n) < t {
		n++
	}
	return n
}

// due is how many operations of a connection are intended to start before t.
func (s *schedule) due(connection int, t time.Duration) int64 {
	n, c := s.before(t), int64(s.connections)
	if n <= int64(connection) {
		return 0
	}
	return (n - int64(connection) + c - 1) / c
}

// longestPause is how long the pacer sleeps at most, so that it notices the end of its context.
const longestPause = 20 * time.Millisecond

// run wakes each connection whenever an operation of its is due, until the last one is, or ctx ends. It is one goroutine for
// all connections: a sleep that is exact to microseconds takes a thread of its own.
func (s *schedule) run(ctx context.Context) {
	precise()
	for n := int64(0); s.at(n) < s.end; {
		now := time.Since(s.begin)
		for ; s.at(n) <= now && s.at(n) < s.end; n++ {
			select {
			case s.wake[n%int64(s.connections)] <- struct{}{}:
			default: // it has not taken the last one yet, and will look at the clock
			}
		}
		if ctx.Err() != nil {
			return
		}
		if d := s.at(n) - time.Since(s.begin); d > 0 {
			pause(min(d, longestPause))
		}
	}
}
