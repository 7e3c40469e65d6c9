package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/sample"
)

// Propagation measures how long a write takes to be visible in each instance: it writes records on a schedule, and asks every
// instance for each of them, over and over, until it answers the new value. It writes records that the model does not have (of the
// numbers from the model's own on), which nobody else writes, and deletes them at the end.
type Propagation struct {
	Target              // the instances that are asked
	Write  string       // the address that is written to; empty: the first
	Model  sample.Model // its sizes say where the numbers begin
	Topic  Topic        // of the model; zero: users, database 0

	Rate        float64 // writes a second, from their intended start times, as in an open loop
	Duration    time.Duration
	Connections int           // that write; 0: 8
	Within      time.Duration // a write that is not visible after this is counted as a time-out; 0: 10 s
	LateAfter   time.Duration // 0: 5 ms
	Keep        bool          // leave the records

	Objectives []Objective // of the time to visibility, in each instance: pN, max, mean; errors (with time-outs), late, rate of writes
	HDR        io.Writer   // where not nil: a histogram log with an interval a second, by address
	// Each, where not nil, is called every second, from one goroutine.
	Each func(PropagationProgress)
}

// PropagationProgress is where a run is.
type PropagationProgress struct {
	Elapsed, Total time.Duration
	Last           bool // no other follows
	Writes         int64
	Late           int64
	Instances      []Point // of the last second, in the order of the addresses; Operations are what became visible
	Errors         int64   // of writes and of instances, time-outs included
}

func (p Propagation) withDefaults() Propagation {
	if p.Write == "" && len(p.Addrs) > 0 {
		p.Write = p.Addrs[0]
	}
	if p.Topic == (Topic{}) {
		p.Topic = Topic{Name: sample.Users}
	}
	if p.Connections == 0 {
		p.Connections = 8
	}
	if p.Within == 0 {
		p.Within = 10 * time.Second
	}
	if p.LateAfter == 0 {
		p.LateAfter = 5 * time.Millisecond
	}
	return p
}

// keys is how many records are written in turn: one is not written again before it is given up.
func (p *Propagation) keys() int { return max(1000, int(2*p.Rate*p.Within.Seconds())) }

// Validate names the first field that is wrong.
func (p Propagation) Validate() error {
	p = p.withDefaults()
	if err := p.Target.Validate(); err != nil {
		return err
	}
	if err := (Target{Addrs: []string{p.Write}}).Validate(); err != nil {
		return err
	}
	if err := p.Model.Validate(); err != nil {
		return err
	}
	if err := validTopics([]Topic{p.Topic}, p.Model); err != nil {
		return err
	}
	switch {
	case p.Rate <= 0 || p.Rate > 1e5:
		return errors.New("loadgen: a rate is needed, in writes a second, at most 100,000")
	case p.Duration <= 0 || p.Within < 0 || p.LateAfter < 0 || p.Connections < 1:
		return errors.New("loadgen: a duration and a connection are needed, and no time may be negative")
	}
	for _, o := range p.Objectives {
		if o.operation >= 0 || o.measure == "misses" {
			return fmt.Errorf("loadgen: objective %s: propagation has latencies, errors, late and rate", o.text)
		}
	}
	return nil
}

// propagating is a run.
type propagating struct {
	*Propagation
	schedule  *schedule
	ring      keyRing
	observers []*observer
	writers   []*redis.Client

	writes  recordedWrites
	skipped atomic.Int64

	mu       sync.Mutex
	inFlight map[string]int // how many observers still ask for the key
}

// recordedWrites is what was measured of the writes themselves.
type recordedWrites struct {
	mu       sync.Mutex
	counts   counts // latency: from the intended start to the acknowledgement
	late     int64
	lateness counts // its latency alone is used
}

// Run writes and observes for the duration, or until ctx ends, waits for what is still on its way, and reports. Errors are counted, not
// returned, as those of Load.Run are.
func (p Propagation) Run(ctx context.Context) (PropagationReport, error) {
	p = p.withDefaults()
	if err := p.Validate(); err != nil {
		return PropagationReport{}, err
	}
	r := &propagating{
		Propagation: &p, schedule: newSchedule(p.Rate, p.Connections, p.Duration), inFlight: map[string]int{},
		ring: keyRing{model: p.Model, topic: p.Topic.Name},
	}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return PropagationReport{}, err
	}
	cpu, begin := cpuTime(), time.Now()
	r.schedule.begin = begin
	log := &hdrLog{out: p.HDR}
	log.start(begin)

	var observing, writing sync.WaitGroup
	for _, o := range r.observers {
		observing.Go(func() { o.run(begin) })
	}
	sent := make([]int64, p.Connections)
	writing.Go(func() { r.schedule.run(ctx) })
	for w := range r.writers {
		writing.Go(func() { sent[w] = r.write(ctx, w) })
	}
	done, collected := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(collected)
		r.collect(log, done)
	}()
	writing.Wait()
	scheduled := min(p.Duration, time.Since(begin))
	for _, o := range r.observers {
		o.finish()
	}
	observing.Wait()
	outcome := outcome{took: time.Since(begin), scheduled: scheduled, interrupted: ctx.Err() != nil, cpu: cpuTime() - cpu}
	if outcome.interrupted {
		outcome.scheduled = max(scheduled-p.LateAfter, 0)
	}
	outcome.intended = r.schedule.before(outcome.scheduled)
	for w, n := range sent {
		due := r.schedule.due(w, outcome.scheduled)
		outcome.unsent += due - min(n, due)
	}
	close(done)
	<-collected
	report := r.report(outcome)
	if !p.Keep {
		report.Left = r.clean()
	}
	return report, log.err
}

func (r *propagating) connect(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range r.Connections {
		c := r.Client(r.Write, r.Topic.Database)
		r.writers = append(r.writers, c)
		group.Go(func() error { return reach(ctx, c, r.Write) })
	}
	for _, addr := range r.Addrs {
		o := newObserver(r, addr)
		r.observers = append(r.observers, o)
		group.Go(func() error { return reach(ctx, o.client, addr) })
	}
	return group.Wait()
}

func (r *propagating) close() {
	for _, c := range r.writers {
		c.Close()
	}
	for _, o := range r.observers {
		o.client.Close()
	}
}

// first is the number of the first record that the model does not have.
func (r *propagating) first() int { return records(r.Model, r.Topic.Name) }

// write makes one connection's writes. It returns how many of the schedule's it has made, or given up.
func (r *propagating) write(stop context.Context, w int) (sent int64) {
	s := r.schedule
	for stop.Err() == nil {
		due, now := s.of(w, sent), time.Since(s.begin)
		switch {
		case due >= s.end || now >= s.end+r.Within:
			return sent
		case due > now:
			select {
			case <-stop.Done():
			case <-s.wake[w]:
			}
			continue
		}
		number := sent*int64(s.connections) + int64(w)
		i := r.first() + int(number%int64(r.keys()))
		r.one(w, i, int(number)+1, due)
		sent++
	}
	return sent
}

// one makes a write and has it observed.
func (r *propagating) one(w, i, revision int, intended time.Duration) {
	key := r.ring.key(i)
	value, err := revised(r.Model, r.Topic.Name, i, revision)
	if err != nil || !r.begin(key) {
		r.skipped.Add(1)
		return
	}
	started := time.Since(r.schedule.begin)
	for _, o := range r.observers {
		o.add(&sighting{key: key, value: string(value), intended: intended, started: started})
	}
	err = r.writers[w].Set(context.Background(), key, value, 0).Err()
	took := time.Since(r.schedule.begin) - intended
	kind := ""
	if err != nil {
		kind = kindOf(err)
	}
	if kind != "" && kind != kindPending && kind != "UNKNOWN" && !broken(kind) { // otherwise it is in the log, or may be
		for _, o := range r.observers {
			o.drop(key)
		}
	}
	r.writes.record(kind, took, started-intended, r.LateAfter)
}

func (w *recordedWrites) record(kind string, took, lateness, lateAfter time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lateness > lateAfter {
		w.late++
	}
	w.lateness.measured(lateness)
	if kind != "" {
		w.counts.fail(kind, 1)
		return
	}
	w.counts.operations++
	w.counts.measured(took)
}

// begin tells whether nobody asks for the key, and takes note that all observers do from now on.
func (r *propagating) begin(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight[key] > 0 {
		return false
	}
	r.inFlight[key] = len(r.observers)
	return true
}

// done is told by each observer.
func (r *propagating) done(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight[key]--; r.inFlight[key] <= 0 {
		delete(r.inFlight, key)
	}
}

// clean deletes the records, and returns why some may be left.
func (r *propagating) clean() string {
	const atOnce = 500
	n := int(min(r.schedule.before(r.Duration), int64(r.keys())))
	keys := make([]string, 0, n)
	for i := range n {
		keys = append(keys, r.ring.key(r.first()+i))
	}
	for chunk := range slices.Chunk(keys, atOnce) {
		if err := r.writers[0].Del(context.Background(), chunk...).Err(); err != nil {
			return fmt.Sprintf("records %d to %d of %s could not be deleted: %v", r.first(), r.first()+n-1, r.Topic.Name, err)
		}
	}
	return ""
}
