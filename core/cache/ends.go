package cache

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/store"
)

// watchEnds asks for the partitions' ends regularly, which is what lag is measured from, removes what retention has taken off the log's
// start, and says when a ready topic becomes stale and when it is fresh again. It returns ctx's error, or one of the store.
func (s *session) watchEnds(ctx context.Context) error {
	t := s.topic
	ticker := time.NewTicker(t.cache.cfg.EndsInterval)
	defer ticker.Stop()
	settingsAt := time.Now() // the session has just read them
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		ends, err := t.cache.client.Ends(ctx, t.name, s.to.tracker().known())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.metrics.fetchErrors.Inc()
			if suppressed, ok := t.metrics.complaints.allow(endsComplaint); ok {
				t.log.Warn("ask for ends", "error", err, "unlogged", suppressed)
			}
		}
		for id, was := range s.to.tracker().asked(ends) {
			t.log.Warn("the log ends below where it did when the load began: it was truncated", "partition", id, "end", ends[id].LastStable, "was", was)
		}
		if t.tracker != s.to.tracker() {
			t.tracker.asked(ends)
		}
		if _, all := s.to.store.Resident(); all { // otherwise it would wait, and the next question with it
			if err := s.removeBelow(ctx); err != nil {
				return err
			}
		}
		t.judge()
		s.tellSplit()
		if time.Since(settingsAt) < settingsEvery {
			continue
		}
		// Somebody may have changed the topic's settings. A question that fails leaves what was known.
		settingsAt = time.Now()
		if r, err := t.readSettings(ctx); err == nil {
			s.freshness.keeps(r)
		}
	}
}

// judgeLoop says in time that a topic is stale: a question for ends that a broker does not answer would hold that up.
func (s *session) judgeLoop(ctx context.Context) error {
	ticker := time.NewTicker(s.topic.cache.cfg.EndsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			s.topic.judge()
		}
	}
}

// settingsEvery is how often the topic's settings are read again.
const settingsEvery = time.Minute

// endsComplaint is the key under which failed questions for ends are limited in the log; partitions have keys from 0,
// leaders' fetch errors small negative ones.
const endsComplaint = -1 << 30

// throttleComplaint is the same for a leader's quota, less the leader's id.
const throttleComplaint = endsComplaint - 1

// unverifiedComplaint is that for sessions that end while what was stored is served unverified.
const unverifiedComplaint = endsComplaint + 2

// goneAfter is how long Kafka says without a break that a topic is not there until this is believed: brokers that have just started, or that lag
// behind, say so for a moment.
const goneAfter = 5 * time.Second

const goneReason = "the topic does not exist any more: what is answered is what it had"

// blockedAfter is how long an open transaction holds back the stable end until the state says so.
const blockedAfter = time.Second

// judge tells Ready from Stale and Rebuilding where reads are answered.
func (t *Topic) judge() {
	if !t.Ready() {
		return
	}
	partition, age := t.tracker.oldestFetch()
	t.mu.Lock()
	reason := t.verifying
	if reason == "" && t.aside != nil {
		reason = t.aside.reason + ": the log is read into a new generation"
		age = 0 // of the one that is served nothing is fetched
	}
	t.mu.Unlock()
	blocked, where := t.tracker.blockedFor(-1)
	switch {
	case t.halted.Load() != nil: // and says so
	case t.unverified.Load():
		t.setState(Stale, unverifiedReason)
	case t.tracker.isGone():
		t.setState(Stale, goneReason)
	case age > t.cache.cfg.StaleAfter:
		// The reason stays the same while the outage lasts, so that it is logged once; the age is in the status.
		why := ""
		if time.Since(time.Unix(0, t.throttledUntil.Load())) < t.cache.cfg.StaleAfter {
			why = ": a quota of the broker's holds it back"
		}
		t.setState(Stale, fmt.Sprintf("no fetch of partition %d has succeeded for more than %s%s", partition, t.cache.cfg.StaleAfter, why))
	case reason != "":
		t.setState(Rebuilding, reason)
	case blocked > blockedAfter:
		t.setState(Ready, fmt.Sprintf("partition %d is blocked by an open transaction", where))
	default:
		t.setState(Ready, "")
	}
}

// retention is how long tombstones stay in the log: delete.retention.ms, or store.KeepsForever where no compaction drops them.
type retention time.Duration

// allows is how long a reader may be away from the end without missing a tombstone: how long they are kept, less a margin. It may be below 0.
func (r retention) allows() time.Duration {
	if r == forever {
		return time.Duration(forever)
	}
	return time.Duration(r-r/10) - 5*time.Second
}

const forever = retention(store.KeepsForever)

// covers reports whether all tombstones since the checkpoints are in the log still.
func (r retention) covers(points []store.Checkpoint, now time.Time) bool {
	for _, c := range points {
		if kept := min(r, retention(c.Keeps)); kept != forever && (c.FreshAt.IsZero() || missed(now, c.FreshAt, kept.allows())) {
			return false
		}
	}
	return true
}

// readSettings reads the topic's settings. Where the cluster does not allow it, the configuration has to say how long tombstones are kept.
func (t *Topic) readSettings(ctx context.Context) (retention, error) {
	settings, err := t.cache.client.TopicSettings(ctx, t.name)
	if err != nil {
		t.metrics.fetchErrors.Inc()
		return 0, fmt.Errorf("read the settings of topic %s: %w", t.name, err)
	}
	if !settings.Authorized {
		if t.deleteRetention == 0 {
			return 0, fmt.Errorf("%w: topic %s: its settings may not be read (that takes the ACL operation DescribeConfigs on the topic), so its delete.retention.ms has to be given as delete-retention", ErrConfig, t.name)
		}
		t.maxBytes.Store(0)
		return t.keeps(retention(t.deleteRetention)), nil
	}
	t.maxBytes.Store(int64(settings.MaxMessageBytes))
	t.appendTime.Store(settings.LogAppendTime)
	if !strings.Contains(settings.CleanupPolicy, "compact") {
		return t.keeps(forever), nil
	}
	return t.keeps(retention(settings.DeleteRetention)), nil
}

// keeps notes how long the log keeps tombstones.
func (t *Topic) keeps(r retention) retention {
	t.kept.Store(int64(r))
	return r
}
