package cache

import (
	"slices"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// Status is what an instance knows of itself; /api/v1/status prints it.
type Status struct {
	Identity string        `json:"identity"`
	Version  string        `json:"version"`
	State    State         `json:"state"`
	Since    time.Time     `json:"since"`
	Topics   []TopicStatus `json:"topics"`
}

// TopicStatus is one topic's part.
type TopicStatus struct {
	Name     string           `json:"name"`
	ID       position.TopicID `json:"id,omitzero"` // not there before the topic was first reached
	Database int              `json:"database"`
	Writable bool             `json:"writable"`
	State    State            `json:"state"`
	Reason   string           `json:"reason"`
	Since    time.Time        `json:"since"`
	Serving  bool             `json:"serving"` // reads are answered
	Keys     int64            `json:"keys"`
	// Resident says that Keys are all there are. Otherwise they are being read in from the data directory behind what is served, which reads the others there.
	Resident bool `json:"resident"`
	// Durable says that what was applied survives a crash, but for the last seconds: not while a first load is being persisted behind what is
	// served already, nor without a data directory. NotDurable is why it cannot be persisted, where an attempt has failed.
	Durable    bool   `json:"durable"`
	NotDurable string `json:"notDurable,omitempty"`
	Start      string `json:"start"` // where reading begins without a checkpoint
	// Rebuild is there while the log is read into a new generation, or verified.
	Rebuild *RebuildStatus `json:"rebuild,omitempty"`
	// Rebuilds counts rebuilds and verifications since the start of the process, by reason.
	Rebuilds map[string]uint64 `json:"rebuilds"`
	// Writes counts writes through this instance since its start, by what was told of them.
	Writes map[string]uint64 `json:"writes"`
	// SplitKeys have records in several partitions; of SplitKeysDeleted the newest is a tombstone.
	SplitKeys        int64 `json:"splitKeys"`
	SplitKeysDeleted int64 `json:"splitKeysDeleted"`
	// RetentionRemoved counts keys that left because the log's start moved past them, VerifiedRemoved those that a verification found
	// to be missing from the log.
	RetentionRemoved uint64 `json:"retentionRemoved"`
	VerifiedRemoved  uint64 `json:"verifiedRemoved"`
	// Comparable says that an instance of any age holds the same; NotComparable why not.
	Comparable    bool   `json:"comparable"`
	NotComparable string `json:"notComparable,omitempty"`
	// Applied, Keyless and Invalid count records since the start of the process.
	Applied uint64 `json:"appliedRecords"`
	Keyless uint64 `json:"keylessRecords"`
	Invalid uint64 `json:"invalidRecords"`
	// InvalidByRule are those of Invalid, and under "write" writes that were refused before they were produced.
	InvalidByRule map[string]uint64 `json:"invalidByRule"`
	// Records have a value in the log; as many as Keys, but where a resolver yields other keys.
	Records int64 `json:"records"`
	// HistoryDependent says that what is here may depend on what this instance has seen, and so differ from what another one has; HeldOver counts keys
	// whose value is held over a newer record that a rule refused.
	HistoryDependent bool              `json:"historyDependent"`
	HeldOver         int64             `json:"heldOverKeys"`
	Partitions       []PartitionStatus `json:"partitions"`
}

// RebuildStatus says why the log is read again, and how far that is.
type RebuildStatus struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Verifying: what is served is compared with the log. Otherwise it is read into a new generation.
	Verifying bool `json:"verifying"`
	// Serving: what was there before is served meanwhile.
	Serving bool `json:"serving"`
	// Positions of the new generation, by partition.
	Positions map[int32]int64 `json:"positions,omitempty"`
}

// PartitionStatus is one partition's part. Offsets are -1, and ages -1, where they are not known yet.
type PartitionStatus struct {
	Partition int32 `json:"partition"`
	// Position is the next offset to read.
	Position int64 `json:"position"`
	// End is what can be read: the last stable offset as last asked for.
	End int64 `json:"end"`
	// HighWatermark is Kafka's, exclusive; above End while a transaction is open.
	HighWatermark int64 `json:"highWatermark"`
	LogStart      int64 `json:"logStart"`
	// Lag is End − Position in offsets, LagHighWatermark HighWatermark − Position.
	Lag              int64 `json:"lag"`
	LagHighWatermark int64 `json:"lagHighWatermark"`
	// BlockedSince is since when an open transaction holds back what is above the position, and BlockedSeconds for how long.
	BlockedSince   *time.Time `json:"blockedSince,omitempty"`
	BlockedSeconds float64    `json:"blockedSeconds"`
	// LagSeconds is the time since the position last covered a freshly asked high watermark; 0 while it covers the newest. Before it has covered one it
	// counts from the checkpoint's, or without one from when the load began.
	LagSeconds float64 `json:"lagSeconds"`
	// AgeSeconds is the time since this instance knew that it had everything: see [Topic.Age], which KAFKA.FRESH goes by.
	AgeSeconds float64 `json:"ageSeconds"`
	// LeaderEpoch is that of the last record that was read, -1 where it is not known.
	LeaderEpoch int32 `json:"leaderEpoch"`
	// FetchAgeSeconds is the time since the last successful fetch.
	FetchAgeSeconds float64 `json:"fetchAgeSeconds"`
}

// Status is the instance's status at this moment, topics in their configured order, partitions ascending.
func (c *Cache) Status() Status {
	s := Status{Identity: c.cfg.Identity, Version: c.cfg.Version, Since: c.since, State: Ready, Topics: make([]TopicStatus, 0, len(c.topics))}
	for i, t := range c.topics {
		ts := t.Status()
		s.Topics = append(s.Topics, ts)
		if i == 0 || severity(ts.State) > severity(s.State) {
			s.State, s.Since = ts.State, ts.Since
		}
	}
	if c.draining.Load() {
		s.State = Stopping
	}
	return s
}

// severity orders states so that the instance shows what needs attention most.
func severity(s State) int {
	return slices.Index([]State{Ready, Stale, CatchingUp, Rebuilding, Starting, Failed, Stopping}, s)
}

// State is what the topic is doing.
func (t *Topic) State() State { return t.stateNow() }

// Status is the topic's status at this moment.
func (t *Topic) Status() TopicStatus {
	t.mu.Lock()
	s := TopicStatus{Name: t.name, Database: t.index, Writable: t.writable, State: t.state, Reason: t.reason, Since: t.since}
	t.mu.Unlock()
	s.Reason = t.waits.withWaits(s.Reason)
	s.Serving = t.Ready()
	if v := t.reads.Load(); v != nil {
		s.Keys, s.Resident = v.Resident()
	}
	if st := t.store.Load(); st != nil {
		s.Records, _ = st.Resident()
		stats := st.Stats()
		var err error
		if s.Durable, err = st.Durable(); err != nil {
			s.NotDurable = plain(err)
		}
		s.SplitKeys, s.SplitKeysDeleted, s.HeldOver = stats.SplitKeys, stats.SplitDeleted, stats.Held
	}
	s.Start, s.NotComparable = t.start.spec, t.notComparable()
	s.Comparable = s.NotComparable == ""
	s.Rebuild, s.Rebuilds = t.rebuildStatus(s.Serving), t.metrics.rebuildsByReason()
	s.Writes = t.metrics.writesByOutcome()
	s.RetentionRemoved, s.VerifiedRemoved = counted(t.metrics.retentionRemoved), counted(t.metrics.verifiedRemoved)
	s.HistoryDependent = t.meaning.history() != ""
	s.Applied, s.Keyless, s.InvalidByRule = t.metrics.totals()
	for rule, n := range s.InvalidByRule {
		if rule != RuleWrite {
			s.Invalid += n
		}
	}
	s.ID, s.Partitions = t.tracker.status(t.cache.cfg.EndsInterval)
	return s
}

// status is a tracker's part of the status.
func (t *tracker) status(endsInterval time.Duration) (position.TopicID, []PartitionStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	all := make([]PartitionStatus, 0, len(t.partitions))
	for _, p := range t.partitions {
		if p.known {
			all = append(all, p.status(now, endsInterval))
		}
	}
	slices.SortFunc(all, func(a, b PartitionStatus) int { return int(a.Partition) - int(b.Partition) })
	return t.topic, all
}

func (p *partition) status(now time.Time, endsInterval time.Duration) PartitionStatus {
	s := PartitionStatus{Partition: p.id, Position: p.next, End: -1, HighWatermark: -1, LogStart: -1, Lag: -1, LagHighWatermark: -1, LagSeconds: -1, AgeSeconds: -1, LeaderEpoch: p.leaderEpoch, FetchAgeSeconds: -1}
	if !p.blocked.IsZero() {
		since := p.blocked
		s.BlockedSince, s.BlockedSeconds = &since, now.Sub(since).Seconds()
	}
	if at, known := p.lastKnown(); known {
		s.AgeSeconds = max(0, now.Sub(at).Seconds())
	}
	if !p.fetchedAt.IsZero() {
		s.FetchAgeSeconds = now.Sub(p.fetchedAt).Seconds()
	}
	if p.ends.AskedAt.IsZero() {
		if !p.uncovered.IsZero() {
			s.LagSeconds = now.Sub(p.uncovered).Seconds()
		}
		return s
	}
	// What was read since the ends were asked for shows that they have moved on.
	s.End, s.HighWatermark, s.LogStart = max(p.ends.LastStable, p.next), max(p.ends.HighWatermark, p.next), p.ends.LogStart
	s.Lag = max(0, s.End-max(p.next, s.LogStart)) // what retention removed cannot be read any more
	s.LagHighWatermark = max(s.Lag, s.HighWatermark-max(p.next, s.LogStart))
	switch {
	case p.coveredAt.IsZero() && p.uncovered.IsZero():
		// A partition that was found a moment ago.
	case p.coveredAt.IsZero():
		s.LagSeconds = now.Sub(p.uncovered).Seconds()
	case p.coveredAt.Equal(p.ends.AskedAt) && now.Sub(p.coveredAt) < 3*endsInterval:
		s.LagSeconds = 0
	default:
		s.LagSeconds = now.Sub(p.coveredAt).Seconds()
	}
	return s
}

// rebuildStatus is nil while there is no rebuild.
func (t *Topic) rebuildStatus(serving bool) *RebuildStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch g, c := t.aside, t.current; {
	case g != nil:
		r := &RebuildStatus{Reason: g.reason, Since: g.since, Serving: serving, Positions: map[int32]int64{}}
		for _, o := range g.tracker().position().Offsets() {
			r.Positions[o.Partition] = o.Next
		}
		return r
	case t.verifying != "":
		return &RebuildStatus{Reason: rebuildExpired, Since: t.verifyingSince, Verifying: true, Serving: serving}
	case c != nil && c.reason != "" && !serving:
		return &RebuildStatus{Reason: c.reason, Since: c.since}
	}
	return nil
}
