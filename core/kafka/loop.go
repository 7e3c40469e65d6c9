package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	// starvedAlone is after how many responses that had nothing of a partition, though there was something, it is asked
	// for alone: a broker returns a record batch that is larger than the limits only for the first partition that has
	// anything (KIP-74), and sarama's requests have no order.
	starvedAlone = 8
	// overdue is how much longer than the long poll a response may take before the leader is held for troubled.
	overdue = 500 * time.Millisecond
	// unwatched is how long no fetch may have been under way for the next one to be believed without asking for the
	// topic's id: a topic is not deleted, created again and filled within.
	unwatched = 50 * time.Millisecond
)

// errMoved ends a request to a leader that does not answer while the partition has another one already.
var errMoved = fmt.Errorf("%w: the leader changed while it owed a response", ErrUnavailable)

// loop reads the partitions of one leader with two goroutines: one has a request in flight and decodes its response while
// the other applies the response before. At most one decoded response waits.
//
// A partition that is to be read elsewhere, or that met a fault, goes back to the Fetcher through the same channel as the
// responses, so that everything read of it before has been applied by then.
type loop struct {
	f      *Fetcher
	leader int32
	addr   string
	link   *link
	ctx    context.Context
	cancel context.CancelFunc

	handover chan *response
	free     chan *response
	wake     chan struct{}

	mu        sync.Mutex
	given     []*partition
	taken     map[int32]bool
	askedAt   time.Time               // when the request that is in flight was sent; zero: none is
	interrupt context.CancelCauseFunc // ends that request

	answeredAt time.Time    // the last response to a fetch; belongs to the fetching goroutine
	quietUntil time.Time    // the leader's quota asks for no request before; belongs to the fetching goroutine
	parts      []*partition // belongs to the fetching goroutine
	suspect    bool         // whose turn it is: the suspects', one at a time, or the others'
}

// response is a decoded fetch response. There are two of them, which are used in turn.
type response struct {
	decoder decoder
	batches []Batch
	give    []*partition // to be given back once the batches are applied
}

func newLoop(ctx context.Context, f *Fetcher, leader int32, addr string) *loop {
	l := &loop{
		f: f, leader: leader, addr: addr,
		link:     newLink(&f.client.config, addr, fetchFrame, true),
		handover: make(chan *response),
		free:     make(chan *response, 2),
		wake:     make(chan struct{}, 1),
		taken:    make(map[int32]bool),
	}
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.free <- new(response)
	l.free <- new(response)
	return l
}

// give hands a partition over to the loop. Its fields belong to the loop from then on.
func (l *loop) give(p *partition) {
	l.mu.Lock()
	l.given = append(l.given, p)
	l.mu.Unlock()
	l.nudge()
}

// take asks for a partition back.
func (l *loop) take(id int32) {
	l.mu.Lock()
	l.taken[id] = true
	if l.interrupt != nil && l.overdueLocked() {
		l.interrupt(errMoved)
	}
	l.mu.Unlock()
	l.nudge()
}

// isOverdue reports whether the leader should have answered by now.
func (l *loop) isOverdue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.overdueLocked()
}

func (l *loop) overdueLocked() bool {
	return !l.askedAt.IsZero() && time.Since(l.askedAt) > l.f.client.config.MaxWait+overdue
}

func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// apply hands the responses' batches to the callback, in order.
func (l *loop) apply(apply func(context.Context, *Batch) error) {
	for {
		select {
		case r := <-l.handover:
			for i := range r.batches {
				if err := apply(l.ctx, &r.batches[i]); err != nil {
					l.f.fail(err)
					return
				}
			}
			give := r.give
			r.give = nil
			clear(r.batches)
			r.batches = r.batches[:0]
			r.decoder.reset()
			l.free <- r
			l.f.giveBack(give)
		case <-l.ctx.Done():
			return
		}
	}
}

// fetch asks for records until the loop's context ends.
func (l *loop) fetch() {
	defer l.link.close()
	for l.ctx.Err() == nil {
		var r *response
		select {
		case r = <-l.free:
		case <-l.ctx.Done():
			return
		}
		r.give = l.exchangePartitions()
		if quiet := time.Until(l.quietUntil); quiet > 0 && len(r.give) == 0 {
			l.free <- r
			l.pause(quiet)
			continue
		}
		if len(r.give) == 0 {
			due, alone, wait := l.due()
			if len(due) == 0 {
				l.free <- r
				l.pause(wait)
				continue
			}
			l.fill(r, due, alone)
		}
		if len(r.give) == 0 && len(r.batches) == 0 {
			l.free <- r
			continue
		}
		select {
		case l.handover <- r:
		case <-l.ctx.Done():
			return
		}
	}
}

// exchangePartitions takes over what was given and returns what is to be given back.
func (l *loop) exchangePartitions() []*partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = append(l.parts, l.given...)
	l.given = nil
	var back []*partition
	for id := range l.taken {
		if p := l.remove(id); p != nil {
			back = append(back, p)
		}
		delete(l.taken, id)
	}
	return back
}

func (l *loop) remove(id int32) *partition {
	i := slices.IndexFunc(l.parts, func(p *partition) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	p := l.parts[i]
	l.parts = slices.Delete(l.parts, i, i+1)
	return p
}

// due lists the partitions to ask for now, or says how long to wait until one is due. alone says that it is one while
// others are due too.
func (l *loop) due() (due []*partition, alone bool, wait time.Duration) {
	now := time.Now()
	wait = time.Hour
	var apart []*partition
	for _, p := range l.parts {
		switch {
		case p.retryAt.After(now):
			wait = min(wait, p.retryAt.Sub(now))
		case p.suspect || p.starved >= starvedAlone:
			apart = append(apart, p)
		default:
			due = append(due, p)
		}
	}
	if len(apart) > 0 && (l.suspect || len(due) == 0) {
		l.suspect = false
		// The one that has waited longest: whoever was asked for alone goes to the end.
		p := apart[0]
		l.remove(p.id)
		l.parts = append(l.parts, p)
		return []*partition{p}, len(due)+len(apart) > 1, 0
	}
	l.suspect = true
	return due, false, wait
}

// unturn has the same asked for again, where a request came to nothing: otherwise a quota could hold back always the same.
func (l *loop) unturn(due []*partition) {
	if apart := !l.suspect; apart && l.remove(due[0].id) != nil {
		l.parts = slices.Insert(l.parts, 0, due[0])
	}
	l.suspect = !l.suspect
}

func (l *loop) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.wake:
	case <-l.ctx.Done():
	}
}

// fill makes one request and decodes its response into r.
func (l *loop) fill(r *response, due []*partition, alone bool) {
	due, err := l.resolveStarts(r, l.confirm(r, due))
	if err != nil || len(due) == 0 {
		if err != nil {
			l.failAll(r, due, err)
		}
		return
	}
	if due = l.checkTrails(r, l.withoutDone(r, due)); len(due) == 0 {
		return
	}
	asked := time.Now()
	var res *sarama.FetchResponse
	err = l.ask(func(b *sarama.Broker) (time.Duration, error) {
		var err error
		res, err = b.Fetch(l.request(due, alone))
		if err != nil {
			return 0, err
		}
		if res.ErrorCode != 0 {
			return res.ThrottleTime, sarama.KError(res.ErrorCode)
		}
		return res.ThrottleTime, nil
	})
	if err != nil {
		l.failAll(r, due, err)
		return
	}
	now := time.Now()
	l.answeredAt = now
	if isThrottled(res) {
		l.unturn(due)
		return
	}
	for _, p := range due {
		block := res.GetBlock(l.f.config.Topic, p.id)
		switch {
		case block == nil:
			l.failOne(r, p, fmt.Errorf("%w: %w", ErrCorrupt, sarama.ErrIncompleteResponse))
		case block.Err == sarama.ErrOffsetOutOfRange:
			l.outOfRange(r, p)
		case block.Err != sarama.ErrNoError:
			l.failOne(r, p, classify(block.Err))
		default:
			l.decode(r, p, block, asked, now, len(due) == 1)
		}
	}
	slices.SortFunc(r.batches, func(a, b Batch) int { return int(a.Partition) - int(b.Partition) })
}

func (l *loop) request(due []*partition, alone bool) *sarama.FetchRequest {
	c := &l.f.config
	req := &sarama.FetchRequest{
		Version: 12, MinBytes: 1, MaxBytes: c.MaxBytes, Isolation: sarama.ReadCommitted,
		MaxWaitTime:  int32(l.f.client.config.MaxWait / time.Millisecond),
		SessionEpoch: -1, // no session (KIP-227)
	}
	if alone {
		req.MaxWaitTime = 1 // the others wait meanwhile
	}
	for _, p := range due {
		if !p.begun {
			req.MaxWaitTime = 1 // whoever waits to be at the end is told so at once, not after a long poll
		}
		req.AddBlock(c.Topic, p.id, p.next, p.limit, p.epoch)
	}
	return req
}

// isThrottled reports whether a broker has answered with nothing but how long its quota asks to stay away for (KIP-219).
func isThrottled(res *sarama.FetchResponse) bool { return res.ThrottleTime > 0 && len(res.Blocks) == 0 }

// ask runs an exchange with the leader, which can be interrupted once it is overdue. It waits before where the leader's quota asks for that.
func (l *loop) ask(r request) error {
	if quiet := time.Until(l.quietUntil); quiet > 0 {
		if err := sleep(l.ctx, quiet); err != nil {
			return err
		}
	}
	if !l.quietUntil.IsZero() {
		l.quietUntil = time.Time{}
		l.link.rested()
	}
	ctx, interrupt := context.WithCancelCause(l.ctx)
	l.mu.Lock()
	l.askedAt, l.interrupt = time.Now(), interrupt
	l.mu.Unlock()
	var throttle time.Duration
	_, err := l.link.do(ctx, func(b *sarama.Broker) (time.Duration, error) {
		var err error
		throttle, err = r(b)
		return throttle, err
	})
	l.mu.Lock()
	l.askedAt, l.interrupt = time.Time{}, nil
	l.mu.Unlock()
	err = endedBy(ctx, err)
	interrupt(nil)
	if throttle > 0 {
		l.throttled(throttle)
	}
	return err
}

// throttled notes that the leader's quota asks for no request for a while. After maxThrottle it is asked again all the same, over a new
// connection: a quota that has been raised meanwhile shows only there, since a broker reads nothing from one that it has throttled.
func (l *loop) throttled(d time.Duration) {
	l.quietUntil = time.Now().Add(min(d, maxThrottle))
	if f := l.f.config.OnThrottle; f != nil {
		f(l.leader, d)
	}
}

// decode appends the partition's batch to r.
func (l *loop) decode(r *response, p *partition, block *sarama.FetchResponseBlock, asked, now time.Time, alone bool) {
	is, err := r.decoder.block(block, p.next)
	next := is.next
	if err != nil {
		p.suspect = true
		l.failOne(r, p, err)
		return
	}
	if block.HighWaterMarkOffset < p.highWatermark || block.LogStartOffset < p.logStart {
		// A new leader can be behind for a moment; or this is another topic of the same name. Metadata tells.
		l.failOne(r, p, fmt.Errorf("%w: the log went back from %d..%d to %d..%d, to be confirmed", ErrUnavailable,
			p.logStart, p.highWatermark, block.LogStartOffset, block.HighWaterMarkOffset))
		p.logStart, p.highWatermark = block.LogStartOffset, block.HighWaterMarkOffset
		return
	}
	p.logStart, p.highWatermark = block.LogStartOffset, block.HighWaterMarkOffset
	p.progressed(now)
	switch {
	case next > p.next || next >= block.LastStableOffset:
		p.starved, p.limit = 0, l.f.config.MaxPartitionBytes
	case alone:
		// Even alone there was nothing: the broker cuts batches at the limit.
		if p.limit > fetchFrame/2 {
			l.failOne(r, p, fmt.Errorf("%w: nothing at offset %d in %d bytes, though the log goes on to %d", ErrCorrupt, p.next, p.limit, block.LastStableOffset))
			return
		}
		p.starved++
		p.limit *= 2
	default:
		p.starved++
	}
	if is.wentBack >= 0 || len(is.epochs) > 0 && is.epochs[0].Epoch < p.readEpoch {
		l.wentBack(p, is)
		return
	}
	p.next = next
	if n := len(is.epochs); n > 0 {
		p.readEpoch = is.epochs[n-1].Epoch
	}
	if next >= p.until {
		is.cut(p.until)
		l.finish(r, p)
	}
	b := Batch{
		Partition: p.id, Records: is.records, Next: is.next, LeaderEpoch: is.epochAt(is.next - 1), Epochs: is.epochs,
		LogStart: block.LogStartOffset, LastStable: block.LastStableOffset, HighWatermark: block.HighWaterMarkOffset,
		Leader: p.epoch, Last: true, AskedAt: asked,
	}
	if n := len(is.records); n > 0 {
		b.Anchor, b.HasAnchor = anchorOf(&is.records[n-1], is.epochAt(is.records[n-1].Offset)), true
	}
	r.batches = append(r.batches, b)
}

// wentBack ends Run: leader epochs only grow along a log (KIP-101).
func (l *loop) wentBack(p *partition, is decoded) {
	offset, epoch := is.wentBack, p.readEpoch
	if offset < 0 {
		offset = is.epochs[0].First
	} else {
		epoch = is.epochs[len(is.epochs)-1].Epoch
	}
	l.f.fail(&DivergedError{Partition: p.id, Offset: offset, Reason: fmt.Sprintf("a record batch of an older leader epoch than %d, which was read before it", epoch)})
}

// failOne reports a partition's fault and has the partition given back.
func (l *loop) failOne(r *response, p *partition, err error) {
	l.f.report(FetchError{Leader: l.leader, Partition: p.id, Err: err})
	p.failed(time.Now())
	l.remove(p.id)
	r.give = append(r.give, p)
}

// failAll reports a fault of the whole exchange. Where the response did not decode each partition becomes a suspect, to
// be asked for alone. Otherwise all of the leader's partitions are given back.
func (l *loop) failAll(r *response, due []*partition, err error) {
	if l.ctx.Err() != nil {
		return
	}
	if errors.Is(err, ErrCorrupt) {
		if len(due) == 1 {
			due[0].suspect = true
			l.failOne(r, due[0], err)
			return
		}
		for _, p := range due {
			p.suspect = true
		}
		l.f.report(FetchError{Leader: l.leader, Partition: -1, Err: err})
		return
	}
	l.f.report(FetchError{Leader: l.leader, Partition: -1, Err: err})
	now := time.Now()
	for _, p := range l.parts {
		p.failed(now)
	}
	r.give = append(r.give, l.parts...)
	l.parts = nil
}
