package respserver

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// latencyKept is how many samples are kept of an event, as in Redis.
const latencyKept = 160

// latencyEvents are the events that are sampled: executions, as the slow log times them. Redis has others (expiry, forks, the AOF), of which none happens here.
var latencyEvents = []string{"command", "fast-command"}

// latencyLog keeps, for the newest seconds that had one, the longest execution of at least the threshold: what LATENCY tells. It is safe for concurrent use.
type latencyLog struct {
	threshold atomic.Int64 // ms; 0: nothing is sampled, as in Redis unless it is set

	mu     sync.Mutex
	events map[string]*latencyEvent
}

type latencyEvent struct {
	samples []latencySample // the oldest first
	most    time.Duration   // since the start, or RESET
}

type latencySample struct {
	second int64 // of the Unix epoch
	took   time.Duration
}

// observe samples an execution.
func (l *latencyLog) observe(cmd *command, took time.Duration) {
	t := l.threshold.Load()
	if t == 0 || took.Milliseconds() < t {
		return
	}
	name := latencyEvents[0]
	if cmd.flags&fast != 0 {
		name = latencyEvents[1]
	}
	now := time.Now().Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.events == nil {
		l.events = map[string]*latencyEvent{}
	}
	e := l.events[name]
	if e == nil {
		e = &latencyEvent{}
		l.events[name] = e
	}
	e.most = max(e.most, took)
	if n := len(e.samples); n > 0 && e.samples[n-1].second == now {
		e.samples[n-1].took = max(e.samples[n-1].took, took)
		return
	}
	e.samples = append(e.samples, latencySample{now, took})
	if len(e.samples) > latencyKept {
		e.samples = slices.Delete(e.samples, 0, len(e.samples)-latencyKept)
	}
}

// of is a copy of what is known of an event; nil where nothing is.
func (l *latencyLog) of(name string) *latencyEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.events[name]
	if e == nil {
		return nil
	}
	return &latencyEvent{slices.Clone(e.samples), e.most}
}

// reset forgets an event, and reports whether there was one.
func (l *latencyLog) reset(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.events[name]
	delete(l.events, name)
	return ok
}
