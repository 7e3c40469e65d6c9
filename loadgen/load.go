package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/sample"
)

// Load drives a mix of operations on the records of a model.
//
// In an open loop operations start when the schedule says so, and a latency is from that intended start to the reply: while
// an instance stalls, the operations that it holds up are measured too (no coordinated omission). In a closed loop each
// connection sends as soon as it has its replies, for the greatest throughput; what a stall would have cost others is not in its latencies.
type Load struct {
	Target
	Model  sample.Model
	Topics []Topic // nil: those of Topics; each connection is to one

	Mix       Mix
	MGetKeys  int // keys of an MGET; 0: 10
	ScanCount int // COUNT of a SCAN; 0: 100
	Keys      Distribution
	Seed      uint64 // of what is chosen; the same for the same choices on each connection

	Closed   bool
	Rate     float64 // operations a second, of all connections together; of an open loop alone
	Duration time.Duration
	Warmup   time.Duration // before Duration: what is started in it is not counted

	Connections int // dealt to addresses and topics in turn, so at least as many as both multiplied
	Pipeline    int // requests in flight on a connection; 0: 1

	LateAfter time.Duration // what is sent later than this after its intended start has missed its schedule; 0: 5 ms
	Drain     time.Duration // how long after Duration what was intended before its end is still sent; 0: 5 s

	Objectives []Objective

	HDR        io.Writer             // where not nil: a histogram log (.hlog) with an interval a second, by operation
	Registerer prometheus.Registerer // where not nil: metrics, for the time of the run
	// Each, where not nil, is called every second, from one goroutine.
	Each func(Progress)
}

// Progress is where a run is.
type Progress struct {
	Elapsed, Total time.Duration // with the warm-up
	Warming        bool
	Last           bool  // no other follows
	Second         Point // since the last call
	Operations     int64 // in all
	Errors         int64
	Late           int64
}

func (l Load) withDefaults() Load {
	if l.Topics == nil {
		l.Topics = Topics()
	}
	if l.MGetKeys == 0 {
		l.MGetKeys = 10
	}
	if l.ScanCount == 0 {
		l.ScanCount = 100
	}
	if l.Pipeline == 0 {
		l.Pipeline = 1
	}
	if l.LateAfter == 0 {
		l.LateAfter = 5 * time.Millisecond
	}
	if l.Drain == 0 {
		l.Drain = 5 * time.Second
	}
	return l
}

// Validate names the first field that is wrong.
func (l Load) Validate() error {
	l = l.withDefaults()
	if err := l.Target.Validate(); err != nil {
		return err
	}
	if err := l.Model.Validate(); err != nil {
		return err
	}
	if err := validTopics(l.Topics, l.Model); err != nil {
		return err
	}
	switch {
	case l.Mix.total() == 0:
		return errors.New("loadgen: a mix of nothing")
	case l.MGetKeys < 1 || l.ScanCount < 1 || l.Pipeline < 1:
		return errors.New("loadgen: MGET's keys, SCAN's count and the pipeline are at least 1")
	case l.Duration <= 0 || l.Warmup < 0 || l.LateAfter < 0 || l.Drain < 0:
		return errors.New("loadgen: a duration above 0 is needed, and no time may be negative")
	case l.Closed && l.Rate != 0:
		return errors.New("loadgen: a closed loop has no rate: it goes as fast as replies come")
	case !l.Closed && (l.Rate <= 0 || l.Rate > 1e8):
		return errors.New("loadgen: an open loop needs a rate, in operations a second")
	case l.Connections < len(l.Addrs)*len(l.Topics):
		return fmt.Errorf("loadgen: %d connections for %d addresses and %d topics: at least %d", l.Connections, len(l.Addrs), len(l.Topics), len(l.Addrs)*len(l.Topics))
	}
	for _, o := range l.Objectives {
		if err := o.fits(l); err != nil {
			return err
		}
	}
	return nil
}

// shardsOfAddress is how many shards the connections to one address record into.
const shardsOfAddress = 4

// Run drives the load for its duration, or until ctx ends, and reports what was done until then; an end by ctx is no error, and
// said in the report. Errors of operations are counted, not returned. An error is returned where the load could not begin.
func (l Load) Run(ctx context.Context) (Report, error) {
	l = l.withDefaults()
	if err := l.Validate(); err != nil {
		return Report{}, err
	}
	workers, shards, err := l.connect(ctx)
	defer func() {
		for _, w := range workers {
			w.client.Close()
		}
	}()
	if err != nil {
		return Report{}, err
	}

	end := l.Warmup + l.Duration
	c := newCollector(&l, shards)
	if l.Registerer != nil {
		if err := l.Registerer.Register(c); err != nil {
			return Report{}, fmt.Errorf("loadgen: register metrics: %w", err)
		}
		defer l.Registerer.Unregister(c)
	}
	cpu := cpuTime()
	begin := time.Now()
	c.begin = begin
	var stopped atomic.Int64 // when ctx ended, after the beginning
	defer context.AfterFunc(ctx, func() { stopped.Store(int64(time.Since(begin))) })()

	var running sync.WaitGroup
	var s *schedule
	sent := make([]int64, len(workers))
	if !l.Closed {
		s = newSchedule(l.Rate, len(workers), end)
		s.begin = begin
		running.Go(func() { s.run(ctx) })
	}
	for i, w := range workers {
		running.Go(func() {
			if l.Closed {
				w.closed(ctx, begin, end)
			} else {
				sent[i] = w.open(ctx, s, end+l.Drain)
			}
		})
	}
	done := make(chan struct{})
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		c.run(done)
	}()
	running.Wait()
	o := outcome{took: time.Since(begin), scheduled: end, interrupted: ctx.Err() != nil}
	o.cpu = cpuTime() - cpu
	close(done)
	<-collected
	if o.interrupted {
		o.scheduled = min(end, o.took)
		if at := time.Duration(stopped.Load()); at > 0 {
			o.scheduled = max(min(end, at)-l.LateAfter, 0) // what was due just then has not missed anything
		}
	}
	if s != nil {
		o.intended = s.before(o.scheduled) - s.before(min(l.Warmup, o.scheduled))
		for i, n := range sent {
			o.unsent += s.due(i, o.scheduled) - min(n, s.due(i, o.scheduled))
		}
		o.unsent = min(o.unsent, o.intended)
	}
	return c.report(o), c.hdr.err
}

// outcome is how a run ended.
type outcome struct {
	took        time.Duration // from the beginning until the last reply
	scheduled   time.Duration // until when it was to send, from the beginning
	interrupted bool
	cpu         time.Duration // of the process
	intended    int64         // by the schedule, after the warm-up
	unsent      int64         // of intended
}

// connect opens all connections.
func (l *Load) connect(ctx context.Context) ([]*worker, []*shard, error) {
	var shards []*shard
	for a := range l.Addrs {
		for range shardsOfAddress {
			shards = append(shards, newShard(a))
		}
	}
	rings := make([]*keyRing, len(l.Topics))
	choosers := make([]chooser, len(l.Topics))
	for i, t := range l.Topics {
		rings[i] = newKeyRing(l.Model, t.Name)
		choosers[i] = l.Keys.over(records(l.Model, t.Name))
	}
	workers := make([]*worker, l.Connections)
	for i := range workers {
		address := i % len(l.Addrs)
		turn := i / len(l.Addrs)
		topic := turn % len(l.Topics)
		workers[i] = &worker{
			load: l, number: i, topic: l.Topics[topic], client: l.Client(l.Addrs[address], l.Topics[topic].Database),
			shard: shards[address*shardsOfAddress+turn%shardsOfAddress], random: rand.New(rand.NewPCG(l.Seed, uint64(i))),
			keys: rings[topic], choose: choosers[topic], total: l.Mix.total(), slots: make([]slot, l.Pipeline),
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, w := range workers {
		group.Go(func() error { return reach(ctx, w.client, l.Addrs[w.number%len(l.Addrs)]) })
	}
	return workers, shards, group.Wait()
}
