package loadgen

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// worker is one connection with what it asks for. It belongs to the goroutine of its run.
type worker struct {
	load   *Load
	number int // among the connections
	topic  Topic
	client *redis.Client
	shard  *shard
	random *rand.Rand
	keys   *keyRing
	choose chooser
	total  int // of the mix's weights

	slots  []slot
	batch  []measured
	cursor uint64 // of SCAN
}

// slot is one place in the pipeline. Its commands are used again, so that a request allocates little.
type slot struct {
	operation Operation
	intended  time.Duration
	key       string
	several   []string // MGET's keys

	get  *redis.StringCmd
	mget *redis.SliceCmd
	set  *redis.StatusCmd
	del  *redis.IntCmd
	scan *redis.ScanCmd
	err  error // nothing could be asked for
}

// pauseAfterBroken keeps a closed loop from counting connections that are refused as fast as it can.
const pauseAfterBroken = 20 * time.Millisecond

// closed sends as fast as replies come, until end or stop.
func (w *worker) closed(stop context.Context, begin time.Time, end time.Duration) {
	for stop.Err() == nil {
		now := time.Since(begin)
		if now >= end {
			return
		}
		for i := range w.slots {
			w.fill(&w.slots[i], now)
		}
		if w.send(begin, len(w.slots)) {
			select {
			case <-stop.Done():
			case <-time.After(pauseAfterBroken):
			}
		}
	}
}

// open sends what the schedule has, each when it is due or as soon after it as the connection is free, and gives up on what was not
// sent by giveUp. It returns how many of the schedule's operations it sent.
func (w *worker) open(stop context.Context, s *schedule, giveUp time.Duration) (sent int64) {
	for stop.Err() == nil {
		due := s.of(w.number, sent)
		now := time.Since(s.begin)
		switch {
		case due >= s.end || now >= giveUp:
			return sent
		case due > now:
			select {
			case <-stop.Done():
			case <-s.wake[w.number]:
			}
			continue
		}
		n := 0
		for n < len(w.slots) && due <= now && due < s.end {
			w.fill(&w.slots[n], due)
			n++
			sent++
			due = s.of(w.number, sent)
		}
		w.send(s.begin, n)
	}
	return sent
}

// fill chooses an operation and its keys.
func (w *worker) fill(s *slot, intended time.Duration) {
	s.operation, s.intended, s.err = w.load.Mix.pick(w.random, w.total), intended, nil
	i := w.choose.next(w.random)
	switch s.operation {
	case Get:
		s.key = w.keys.key(i)
		if s.get == nil {
			s.get = redis.NewStringCmd(context.Background(), "get", nil)
		}
		s.get.Args()[1] = s.key
		s.get.SetErr(nil)
	case MGet:
		if s.mget == nil {
			s.several = make([]string, w.load.MGetKeys)
			args := make([]any, 1+len(s.several))
			args[0] = "mget"
			s.mget = redis.NewSliceCmd(context.Background(), args...)
		}
		args := s.mget.Args()
		for j := range s.several {
			s.several[j] = w.keys.key(i)
			args[1+j] = s.several[j]
			i = w.choose.next(w.random)
		}
		s.mget.SetErr(nil)
	case Set:
		s.key = w.keys.key(i)
		value, err := revised(w.load.Model, w.topic.Name, i, 1+w.random.IntN(1<<30))
		if s.set == nil {
			s.set = redis.NewStatusCmd(context.Background(), "set", nil, nil)
		}
		s.set.Args()[1], s.set.Args()[2] = s.key, value
		s.set.SetErr(nil)
		s.err = err
	case Del:
		s.key = w.keys.key(i)
		if s.del == nil {
			s.del = redis.NewIntCmd(context.Background(), "del", nil)
		}
		s.del.Args()[1] = s.key
		s.del.SetErr(nil)
	case Scan:
		s.scan = redis.NewScanCmd(context.Background(), nil, "scan", w.cursor, "count", w.load.ScanCount)
	}
}

func (s *slot) command() redis.Cmder {
	switch s.operation {
	case Get:
		return s.get
	case MGet:
		return s.mget
	case Set:
		return s.set
	case Del:
		return s.del
	default:
		return s.scan
	}
}

// send asks for the first n slots in one pipeline, waits for all replies, and records them. It tells whether the connection broke.
// Whoever ends the load ends it between two pipelines: replies of what is in the log are waited for.
func (w *worker) send(begin time.Time, n int) (lost bool) {
	sent := time.Since(begin)
	if n == 1 {
		_ = w.client.Process(context.Background(), w.slots[0].command()) // the command has its error
	} else {
		pipe := w.client.Pipeline()
		for i := range n {
			_ = pipe.Process(context.Background(), w.slots[i].command())
		}
		_, _ = pipe.Exec(context.Background()) // each command has its own
	}
	now := time.Since(begin)
	w.batch = w.batch[:0]
	for i := range n {
		s := &w.slots[i]
		m := measured{operation: s.operation, latency: now - sent, service: now - sent}
		if !w.load.Closed {
			m.latency, m.lateness = now-s.intended, sent-s.intended
		}
		m.misses, m.failed = w.judge(s)
		lost = lost || broken(m.failed)
		if s.intended >= w.load.Warmup {
			w.batch = append(w.batch, m)
		}
	}
	if len(w.batch) > 0 {
		w.shard.record(w.batch, !w.load.Closed, w.load.LateAfter)
	}
	return lost
}

// judge compares a reply with what it must be.
func (w *worker) judge(s *slot) (misses int64, failed string) {
	if s.err != nil {
		return 0, "encode"
	}
	err := s.command().Err()
	if err != nil && (s.operation != Get || !errors.Is(err, redis.Nil)) {
		return 0, kindOf(err)
	}
	switch s.operation {
	case Get:
		if err != nil {
			return 1, ""
		}
		if !belongs(s.key, s.get.Val()) {
			return 0, KindMismatch
		}
	case MGet:
		values := s.mget.Val()
		if len(values) != len(s.several) {
			return 0, KindMismatch
		}
		for i, v := range values {
			text, ok := v.(string)
			switch {
			case v == nil:
				misses++
			case !ok || !belongs(s.several[i], text):
				return 0, KindMismatch
			}
		}
	case Set:
		if s.set.Val() != "OK" {
			return 0, KindMismatch
		}
	case Del:
		switch s.del.Val() {
		case 0:
			return 1, ""
		case 1:
		default:
			return 0, KindMismatch
		}
	case Scan:
		keys, next := s.scan.Val()
		for _, k := range keys {
			if k == "" {
				return 0, KindMismatch
			}
		}
		w.cursor = next
	}
	return misses, ""
}
