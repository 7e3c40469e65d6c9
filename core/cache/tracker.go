package cache

import (
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

// unread is the position of a partition of which nothing is known yet.
const unread int64 = -1

// tracker holds what a topic knows of its partitions: positions as they are published after each commit, the ends that
// were asked for, how the load goes, and who waits for what.
type tracker struct {
	mu         sync.Mutex
	topic      position.TopicID
	partitions map[int32]*partition
	err        error // set by fail: what every later waiter gets
	now        func() time.Time
	// behind counts the known partitions that have not been at their stable end since the load began; -1 until begin.
	behind int
	// onUnknown is called, without the lock, when somebody waits for a partition that is not known.
	onUnknown func()
	// former is the incarnation that was forgotten last; a position of it is refused rather than waited for.
	former position.TopicID
	// missing is since when Kafka says that the topic is not there, and gone that this is believed: who waits is refused.
	missing time.Time
	gone    bool
	// heir has taken over what this tracker knew: what is published here is published there.
	heir *tracker
	// strangers wait for partitions that are not known.
	strangers map[*waiter]struct{}
	changes
}

// partition is one partition's part of a tracker.
type partition struct {
	id          int32
	known       bool // Kafka has it, as far as is known now
	next        int64
	leaderEpoch int32
	target      int64 // the stable end when the load began
	caughtUp    bool
	logStart    int64       // the log's first offset, the highest that was heard of
	trail       kafka.Trail // anchors and leader epochs of what was applied
	ends        kafka.Ends  // as last asked for
	coveredAt   time.Time   // our clock before the request for the newest end that next has covered
	knownAt     time.Time   // as coveredAt, of ends that came with fetched records as well
	uncovered   time.Time   // where it has covered none yet: since when, as far as is known
	fetchedAt   time.Time   // our clock when the last successful fetch was applied
	heldAt      int64       // the stable end that an open transaction holds back, where blocked is set
	blocked     time.Time   // since when
	waiters     waiterHeap
}

func newTracker() *tracker {
	return &tracker{partitions: map[int32]*partition{}, now: time.Now, behind: -1}
}

// reset forgets everything about another incarnation of the topic; whoever waits for a position of the old one is told.
func (t *tracker) reset(id position.TopicID) {
	t.mu.Lock()
	if t.topic == id {
		t.mu.Unlock()
		return
	}
	if !t.topic.IsZero() {
		t.former = t.topic
	}
	t.topic = id
	woken := t.takeAll()
	t.partitions = map[int32]*partition{}
	t.behind = -1
	t.missing, t.gone = time.Time{}, false
	follow := t.turned()
	t.mu.Unlock()
	for _, w := range woken {
		w.done(ErrOtherTopic)
	}
	follow.call()
}

// forget makes all partitions unread. Who waits goes on waiting.
func (t *tracker) forget() {
	t.mu.Lock()
	for _, p := range t.partitions {
		p.forget()
	}
	follow := t.turned()
	t.mu.Unlock()
	follow.call()
}

func (p *partition) forget() {
	p.next, p.leaderEpoch, p.coveredAt, p.knownAt = unread, position.UnknownEpoch, time.Time{}, time.Time{}
	p.logStart, p.trail, p.blocked, p.uncovered = 0, kafka.Trail{}, time.Time{}, time.Time{}
}

// fail ends all waits with err, now and from now on.
func (t *tracker) fail(err error) {
	t.mu.Lock()
	t.err = err
	woken := t.takeAll()
	t.mu.Unlock()
	for _, w := range woken {
		w.done(err)
	}
}

func (t *tracker) takeAll() (woken []*waiter) {
	for _, p := range t.partitions {
		for _, it := range p.waiters {
			if w := it.waiter; !w.ended {
				w.ended = true
				woken = append(woken, w)
			}
		}
		p.waiters = nil
	}
	for w := range t.strangers {
		if !w.ended {
			w.ended = true
			woken = append(woken, w)
		}
	}
	t.strangers = nil
	return woken
}

func (t *tracker) get(id int32) *partition {
	p := t.partitions[id]
	if p == nil {
		p = &partition{id: id, next: unread, leaderEpoch: position.UnknownEpoch}
		t.partitions[id] = p
	}
	return p
}

// begin starts a load: these partitions are to reach these ends. A partition that the checkpoint has keeps its position;
// forget makes all of them unread, for a load into an empty store. A partition that was known before and has no end here
// (metadata of a broker that is behind) joins the load when it is discovered again.
func (t *tracker) begin(ends map[int32]kafka.Ends, start map[int32]begun, forget bool) {
	t.mu.Lock()
	defer func() {
		woken, follow := t.settle(), t.turned()
		t.mu.Unlock()
		for _, w := range woken {
			w.done(nil)
		}
		follow.call()
	}()
	for _, p := range t.partitions {
		p.known, p.caughtUp = false, false
		if forget {
			p.forget()
		}
	}
	for id, e := range ends {
		p := t.get(id)
		p.known, p.target, p.ends = true, e.LastStable, e
		p.logStart = max(p.logStart, e.LogStart)
		if p.uncovered.IsZero() {
			p.uncovered = e.AskedAt
		}
		if o, ok := start[id]; ok && o.next > p.next {
			p.next, p.leaderEpoch, p.trail = o.next, o.leaderEpoch, o.trail
			if !o.freshAt.IsZero() {
				p.uncovered = o.freshAt
			}
		}
	}
	t.behind = len(ends)
}

// restore gives partitions the positions of a checkpoint before anything is known of where the log ends.
func (t *tracker) restore(start map[int32]begun) {
	t.mu.Lock()
	for id, o := range start {
		p := t.get(id)
		p.known, p.next, p.leaderEpoch, p.trail, p.uncovered = true, o.next, o.leaderEpoch, o.trail, o.freshAt
	}
	woken, follow := t.settle(), t.turned()
	for _, p := range t.partitions {
		woken = append(woken, p.waiters.due(p.next)...)
	}
	t.mu.Unlock()
	for _, w := range woken {
		w.done(nil)
	}
	follow.call()
}

// topicID is the incarnation whose positions these are; zero before one was heard of.
func (t *tracker) topicID() position.TopicID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.topic
}

// begun is where a checkpoint lets a partition go on.
type begun struct {
	next        int64
	leaderEpoch int32
	trail       kafka.Trail
	freshAt     time.Time
}

// discovered adds partitions that Kafka has got since the load began. They do not make a ready topic less ready.
func (t *tracker) discovered(ids []int32) {
	t.mu.Lock()
	defer func() {
		woken := t.settle()
		t.mu.Unlock()
		for _, w := range woken {
			w.done(nil)
		}
	}()
	for _, id := range ids {
		p := t.get(id)
		if !p.known {
			p.known = true
			if t.behind > 0 {
				t.behind++ // still loading: a key that moved there is part of the load
			} else {
				p.caughtUp = true
			}
		}
	}
}

// published is what moving a position came to.
type published struct {
	ready  bool // this was the last partition to reach its stable end
	woken  []*waiter
	follow followers
}

// wake calls those that waited for the position. It is for who holds no lock.
func (r published) wake() {
	for _, w := range r.woken {
		w.done(nil)
	}
	r.follow.call()
}

// publish moves a partition's position, after the commit that made it true, and wakes who waited for it.
func (t *tracker) publish(b *kafka.Batch, next int64, last bool) published {
	r := t.move(b, next, last)
	r.wake()
	return r
}

// move is publish without waking anybody.
func (t *tracker) move(b *kafka.Batch, next int64, last bool) (r published) {
	t.mu.Lock()
	if h := t.heir; h != nil {
		t.mu.Unlock()
		return h.move(b, next, last)
	}
	defer t.mu.Unlock()
	news := t.partitions[b.Partition] == nil
	p := t.get(b.Partition)
	p.known = true
	p.logStart = max(p.logStart, b.LogStart)
	moved := next > p.next
	if epoch := epochBefore(b, next); next > p.next || epoch != position.UnknownEpoch {
		p.next, p.leaderEpoch = max(next, p.next), epoch
	}
	if last {
		p.trail.Add(b)
		p.fetchedAt = t.now()
		p.holdBack(b.LastStable, b.HighWatermark, p.fetchedAt)
		t.missing, t.gone = time.Time{}, false
		// A new leader does not know the high watermark at first: what it says with records may be below what was acknowledged, until it has answered a
		// question for its end (KIP-207).
		if p.next >= b.HighWatermark && b.Leader == p.ends.LeaderEpoch && b.Leader != position.UnknownEpoch && b.AskedAt.After(p.knownAt) {
			p.knownAt = b.AskedAt
		}
		if !p.caughtUp && p.next >= p.target && p.next >= b.LastStable {
			p.caughtUp = true
			t.behind--
			r.ready = t.behind == 0
		}
	}
	t.coverLocked(p)
	if news {
		r.woken = t.settle()
	}
	r.woken = append(r.woken, p.waiters.due(p.next)...)
	if moved {
		r.follow = t.advanced()
	}
	return r
}

// epochBefore is the leader epoch of what lies right before next in the log, which is where the batch was applied up to; a token says so, and a wrong
// one would be refused elsewhere.
func epochBefore(b *kafka.Batch, next int64) int32 {
	if next >= b.Next {
		return b.LeaderEpoch
	}
	for _, e := range b.Epochs {
		if e.First < next && next <= e.Last+1 {
			return e.Epoch
		}
	}
	return position.UnknownEpoch
}

// holdBack notes whether an open transaction holds the stable end back where the position is (KIP-98), and since when it is
// that transaction.
func (p *partition) holdBack(lastStable, highWatermark int64, now time.Time) {
	switch {
	case p.next < lastStable || highWatermark <= lastStable:
		p.blocked = time.Time{}
	case p.blocked.IsZero() || p.heldAt != lastStable:
		p.blocked, p.heldAt = now, lastStable
	}
}

// blockedFor is how long an open transaction has held back what is above the position of a partition, -1 for the one that
// is blocked the longest of all; 0 where none does.
func (t *tracker) blockedFor(id int32) (longest time.Duration, partition int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, p := range t.partitions {
		if (id < 0 || p.id == id) && p.known && !p.blocked.IsZero() {
			if d := now.Sub(p.blocked); d > longest {
				longest, partition = d, p.id
			}
		}
	}
	return longest, partition
}

// blockedBelow is for how long a transaction that is open below an offset has held a partition back; 0 where none does.
func (t *tracker) blockedBelow(id int32, offset int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.partitions[id]
	if p == nil || !p.known || p.blocked.IsZero() || p.heldAt >= offset {
		return 0
	}
	return t.now().Sub(p.blocked)
}

// asked takes freshly asked ends. A log that was truncated below the end that a load waits for lowers it; lowered are the ends that were, by partition.
func (t *tracker) asked(ends map[int32]kafka.Ends) (lowered map[int32]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range ends {
		p := t.partitions[id]
		if p == nil || !p.known {
			continue
		}
		p.ends = e
		p.logStart = max(p.logStart, e.LogStart)
		if !p.caughtUp && e.LastStable < p.target {
			if lowered == nil {
				lowered = map[int32]int64{}
			}
			lowered[id] = p.target
			p.target = e.LastStable
		}
		t.coverLocked(p)
	}
	return lowered
}

// coverLocked counts freshness from the high watermark: an acknowledged write that an open transaction hides is not covered.
func (t *tracker) coverLocked(p *partition) {
	if !p.ends.AskedAt.IsZero() && p.next >= p.ends.HighWatermark && p.ends.AskedAt.After(p.coveredAt) {
		p.coveredAt = p.ends.AskedAt
	}
	if p.coveredAt.After(p.knownAt) {
		p.knownAt = p.coveredAt
	}
}

// position is the whole position as published.
func (t *tracker) position() position.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.positionLocked()
}

func (t *tracker) positionLocked() position.Position {
	offsets := make([]position.Offset, 0, len(t.partitions))
	for _, p := range t.partitions {
		if p.known && p.next != unread {
			offsets = append(offsets, position.Offset{Partition: p.id, Next: p.next, LeaderEpoch: p.leaderEpoch})
		}
	}
	return position.New(t.topic, offsets...)
}

// next is the position of one partition as published; false where nothing of it has been read.
func (t *tracker) next(id int32) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.partitions[id]
	if p == nil || p.next == unread {
		return 0, false
	}
	return p.next, true
}

// oldestFetch is the known partition whose last successful fetch is longest ago.
func (t *tracker) oldestFetch() (partition int32, age time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for id, p := range t.partitions {
		if p.known && !p.fetchedAt.IsZero() && now.Sub(p.fetchedAt) > age {
			partition, age = id, now.Sub(p.fetchedAt)
		}
	}
	return partition, age
}

// known are the ids of the partitions that Kafka is known to have.
func (t *tracker) known() []int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make([]int32, 0, len(t.partitions))
	for id, p := range t.partitions {
		if p.known {
			ids = append(ids, id)
		}
	}
	return ids
}
