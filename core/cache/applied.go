package cache

import (
	"slices"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// Applied is what an instance can tell others of how far it is with a topic.
type Applied struct {
	// Position is all that it has applied, and every read of it shows, while Serving.
	Position position.Position
	Serving  bool
	// Turn changes whenever the position may have gone back, or no longer counts: the contents were made anew, the topic is another, or reads
	// began or ceased to be answered. Within one turn positions only grow.
	Turn uint64
	// Version changes whenever anything of this does.
	Version uint64
}

// Applied is how far the topic is at this moment.
func (t *Topic) Applied() Applied {
	for {
		a := Applied{Serving: t.Ready()}
		a.Position, a.Turn, a.Version = t.tracker.applied()
		// What is served changes before or after the tracker, and each of it is a turn.
		if turn, _ := t.tracker.counters(); turn == a.Turn && a.Serving == t.Ready() {
			if confirmAhead {
				ahead := slices.Clone(a.Position.Offsets())
				for i := range ahead {
					ahead[i].Next++
				}
				a.Position = position.New(a.Position.Topic(), ahead...)
			}
			return a
		}
	}
}

// Follow calls changed once, when the topic's Applied is no longer of that version, at once where that is so already; where turns is set only
// when the turn is another one. changed is called with no lock held and must not block. cancel ends it; a call that is under way is not stopped.
func (t *Topic) Follow(since Applied, turns bool, changed func()) (cancel func()) {
	return t.tracker.follow(since, turns, changed)
}

// changes are the tracker's counters of changes, and those who follow them. The tracker's lock guards them.
type changes struct {
	version, turnNo uint64
	ofAll, ofTurns  map[*follower]struct{}
}

type follower struct{ changed func() }

// followers are to be called with no lock held.
type followers []*follower

func (f followers) call() {
	for _, one := range f {
		one.changed()
	}
}

// advanced notes that a position has grown.
func (c *changes) advanced() followers {
	c.version++
	if len(c.ofAll) == 0 {
		return nil
	}
	return take(c.ofAll, nil)
}

// turned notes a turn.
func (c *changes) turned() followers {
	c.version++
	c.turnNo++
	return take(c.ofTurns, take(c.ofAll, nil))
}

func take(from map[*follower]struct{}, to followers) followers {
	for f := range from {
		to = append(to, f)
	}
	clear(from)
	return to
}

// turn notes a turn of what is served.
func (t *tracker) turn() {
	t.mu.Lock()
	follow := t.turned()
	t.mu.Unlock()
	follow.call()
}

func (t *tracker) counters() (turn, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.turnNo, t.version
}

func (t *tracker) applied() (p position.Position, turn, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return position.New(t.topic), t.turnNo, t.version
	}
	return t.positionLocked(), t.turnNo, t.version
}

func (t *tracker) follow(since Applied, turns bool, changed func()) (cancel func()) {
	t.mu.Lock()
	if t.turnNo != since.Turn || !turns && t.version != since.Version {
		t.mu.Unlock()
		changed()
		return func() {}
	}
	defer t.mu.Unlock()
	all := &t.ofAll
	if turns {
		all = &t.ofTurns
	}
	if *all == nil {
		*all = map[*follower]struct{}{}
	}
	f := &follower{changed}
	(*all)[f] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(*all, f)
	}
}

// Age is how long ago this instance last knew that it had everything that the log had: the time since a moment, by this machine's clock, after
// which a leader said where its log ends and this instance's position came to be there, of the partition that is worst. It grows while brokers do not
// answer, while an open transaction hides acknowledged records, and while the log is read anew. Not known is false where there is no such moment yet.
//
// An end that is written to all the time is never reached twice; each answer of a leader counts from before its request. So in ordinary running
// the age is up to the fetches' long poll (half a second), and not 0.
func (t *Topic) Age() (age time.Duration, partition int32, known bool) { return t.tracker.age() }

func (t *tracker) age() (oldest time.Duration, partition int32, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for id, p := range t.partitions {
		if !p.known {
			continue
		}
		at, is := p.lastKnown()
		if !is {
			return 0, id, false
		}
		if age := max(0, now.Sub(at)); !known || age > oldest {
			oldest, partition = age, id
		}
		known = true
	}
	return oldest, partition, known
}

// lastKnown is when the partition was last known to be complete here.
func (p *partition) lastKnown() (time.Time, bool) {
	switch {
	case !p.knownAt.IsZero():
		return p.knownAt, true
	case !p.uncovered.IsZero():
		return p.uncovered, true
	}
	return time.Time{}, false
}
