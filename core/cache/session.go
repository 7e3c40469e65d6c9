package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// Why a topic is made anew from the log, or verified against it, as it stands in the log line, the status and kafka_cache_rebuilds_total.
const (
	rebuildExpired   = "expired"   // not at the end for longer than delete.retention.ms: tombstones may have been missed
	rebuildLogStart  = "log-start" // the log no longer has what comes after the checkpoint
	rebuildTruncated = "truncated" // the log lost what was applied
	rebuildRecreated = "recreated" // another topic id
	rebuildCorrupt   = "corrupt"   // what is on disk is not what was written
)

// Back-off between sessions.
const (
	backoffMin = 200 * time.Millisecond
	backoffMax = 10 * time.Second
)

// run goes from session to session until ctx ends (nil) or the configuration turns out to be wrong. Where that is found once the topic has been
// ready, it alone fails: other topics of the instance are not touched.
func (t *Topic) run(ctx context.Context) error {
	t.mu.Lock()
	t.reason = unanswered
	t.mu.Unlock()
	backoff := backoffMin
	for {
		began, unverified := time.Now(), t.unverified.Load()
		err := t.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrConfig) {
			t.setState(Failed, plain(err))
			if !t.wasReady() || unverified {
				return err
			}
			t.stopServing()
			t.log.Error("the topic is given up until a restart", "error", err)
			<-ctx.Done()
			return nil
		}
		t.judgeLog(err)
		t.sessionEnded(err)
		t.serveUnverified(err)
		if time.Since(began) > backoffMax {
			backoff = backoffMin
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff/2 + rand.N(backoff)):
		}
		backoff = min(2*backoff, backoffMax)
	}
}

// sessionEnded says what a topic is between two sessions.
func (t *Topic) sessionEnded(err error) {
	if errors.Is(err, kafka.ErrUnknownTopic) && t.tracker.absent(goneAfter) && t.Ready() {
		t.setState(Stale, goneReason)
		return
	}
	switch {
	case t.rebuild != "":
		t.setState(Rebuilding, t.rebuild+": "+plain(err))
	case t.aside != nil:
		t.setState(Rebuilding, t.aside.reason+": "+plain(err))
	case !t.Ready():
		t.setState(Starting, plain(err))
	case t.unverified.Load():
		t.setState(Stale, unverifiedReason)
		if suppressed, ok := t.metrics.complaints.allow(unverifiedComplaint); ok {
			t.log.Warn("Kafka is not reached", "error", err, "unlogged", suppressed)
		}
	default:
		t.setState(Stale, plain(err))
	}
}

// judgeLog notes what a session's end says of the log. Where it is not the one that the store was made from, nothing is
// served from here on, and no position counts as reached, so that a write to the log as it is now is not taken for applied.
// Where only what comes next is missing from the log, what is here is true of an earlier time, and goes on being served.
func (t *Topic) judgeLog(err error) {
	var outside *kafka.OutOfRangeError
	var diverged *kafka.DivergedError
	switch {
	case errors.Is(err, kafka.ErrTopicRecreated):
		t.rebuild = rebuildRecreated
		t.stopServing()
		t.tracker.reset(position.TopicID{})
	case errors.As(err, &outside) && outside.Position < outside.LogStart:
		t.rebuild = rebuildLogStart
	case errors.As(err, &outside), errors.As(err, &diverged):
		t.rebuild = rebuildTruncated
		t.stopServing()
		t.tracker.forget()
	case errors.Is(err, store.ErrFailed):
		// The disk failed under it. What is durable is a state of the log: the directory is opened again, and read on from there.
		t.dropAside()
		t.discard()
	case errors.Is(err, store.ErrCorrupt):
		t.rebuild = rebuildCorrupt
		t.stopServing()
		t.tracker.forget()
	}
}

// plain is an error's text on one line, for the reason of a state.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// session reads one incarnation of the topic for as long as that goes. It always returns an error.
func (t *Topic) session(ctx context.Context) error {
	info, err := t.cache.client.DescribeTopic(ctx, t.name)
	if err != nil {
		t.metrics.fetchErrors.Inc()
		return err // it names the topic
	}
	t.cache.clusterID.Store(&info.ClusterID)
	if len(info.Partitions) == 0 {
		return fmt.Errorf("topic %s has no partitions", t.name)
	}
	retention, err := t.readSettings(ctx)
	if err != nil {
		return err
	}
	t.tracker.reset(info.ID)
	ends, err := t.firstEnds(ctx, info)
	if err != nil {
		return err
	}
	g, err := t.generationFor(ctx, info, ends, retention)
	if err != nil {
		return err
	}
	start, err := checkpoint(g.store)
	if err != nil {
		t.rebuild = rebuildCorrupt
		return err
	}
	g.tracker().begin(ends, start, len(start) == 0)
	g.store.SetPartitions(g.tracker().known())
	if !t.Ready() && t.stateNow() != Rebuilding {
		if len(start) == 0 {
			t.setState(CatchingUp, "reading the log")
		} else {
			t.setState(CatchingUp, "reading on from what is stored")
		}
	}
	s := &session{topic: t, info: info, to: g, began: time.Now(), suspect: make(chan struct{}, 1)}
	s.freshness = newFreshness(t.log, g.store.Checkpoint(), s.suspected)
	s.freshness.keeps(retention)
	return s.run(ctx)
}

// generationFor is the generation to read into: the one that is there, or one that replaces it, at once or by and by.
func (t *Topic) generationFor(ctx context.Context, info kafka.TopicInfo, ends map[int32]kafka.Ends, r retention) (*generation, error) {
	if err := t.checkUnverified(info); err != nil {
		return nil, err
	}
	if c := t.current; c != nil && c.id != info.ID {
		t.rebuild = rebuildRecreated
	}
	reading := t.aside
	if reading == nil {
		reading = t.current
	}
	if reading != nil && t.rebuild == "" {
		if t.rebuild = outside(reading.store.Checkpoint(), ends); t.rebuild == "" {
			return reading, nil
		}
	}
	reason := t.rebuild
	t.dropAside()
	if t.current != nil && (!t.Ready() || reason != rebuildLogStart) {
		t.discard()
	}
	disk, err := t.choose(info, reason)
	if err != nil {
		return nil, err
	}
	if t.current != nil { // what is served was true, and stays until the new one is complete
		return t.buildAside(ctx, info, disk, reason, ends)
	}
	if disk.Reason != "" {
		if _, err := t.start.offsets(ctx, t.cache.client, t.name, ends); err != nil {
			return nil, err // before anything is served
		}
	}
	if disk.Previous != "" && disk.PreviousRules != t.rules() && reason == "" && t.servePrevious(info, disk, ends, r) {
		return t.buildAside(ctx, info, disk, store.ReasonRules, ends)
	}
	g, err := t.openWithin(ctx, info, disk, reason, t.tracker, ends)
	if err != nil {
		return nil, err
	}
	t.rebuild = ""
	t.setCurrent(g)
	return g, nil
}

// buildAside opens a generation that is read into while the current one is served.
func (t *Topic) buildAside(ctx context.Context, info kafka.TopicInfo, disk store.Generation, reason string, ends map[int32]kafka.Ends) (*generation, error) {
	tr := newTracker()
	tr.reset(info.ID)
	g, err := t.openWithin(ctx, info, disk, reason, tr, ends)
	if err != nil {
		return nil, err
	}
	t.rebuild = ""
	t.setAside(g)
	return g, nil
}

// openWithin opens a generation, another one where its positions are outside the log, and gives one in which nothing is yet the positions at which
// reading begins.
func (t *Topic) openWithin(ctx context.Context, info kafka.TopicInfo, disk store.Generation, reason string, tr *tracker, ends map[int32]kafka.Ends) (*generation, error) {
	g, err := t.open(info, disk, reason, tr)
	if err != nil {
		return nil, err
	}
	if why := outside(g.store.Checkpoint(), ends); why != "" {
		t.closeGeneration(g)
		reason = cmp.Or(reason, why)
		if disk, err = t.choose(info, reason); err != nil {
			return nil, err
		}
		if g, err = t.open(info, disk, reason, tr); err != nil {
			return nil, err
		}
	}
	if len(g.store.Checkpoint()) == 0 {
		if err := t.begin(ctx, g.store, ends); err != nil {
			t.closeGeneration(g)
			return nil, err
		}
	}
	return g, nil
}

// servePrevious serves what an earlier configuration's rules made of the same log, where that is still a true older state of it,
// and reports whether it does.
func (t *Topic) servePrevious(info kafka.TopicInfo, disk store.Generation, ends map[int32]kafka.Ends, r retention) bool {
	st, err := store.Open(t.storeOptions(store.Options{Dir: disk.Previous, ReadOnly: true}))
	if err != nil {
		t.log.Warn("the previous generation is not served meanwhile", "directory", disk.Previous, "error", err)
		return false
	}
	g := newGeneration(info.ID, st, t.tracker)
	g.yields = strings.Contains(disk.PreviousRules, yieldsMany)
	start, err := checkpoint(st)
	why := outside(st.Checkpoint(), ends)
	if why == "" && !r.covers(st.Checkpoint(), time.Now()) {
		why = rebuildExpired
	}
	for _, p := range info.Partitions {
		// Whether its records are still those of the log is checked only where they are read on.
		if trail := start[p.ID].trail; len(trail.Epochs) > 0 && trail.Epochs[len(trail.Epochs)-1].Epoch != p.LeaderEpoch {
			why = "there was another leader meanwhile"
		}
	}
	if err != nil || why != "" || len(start) == 0 {
		t.log.Info("the previous generation is not served meanwhile", "directory", disk.Previous, "reason", why, "error", err)
		t.closeGeneration(g)
		return false
	}
	if err := t.project(g); err != nil {
		t.log.Warn("the previous generation is not served meanwhile", "directory", disk.Previous, "error", err)
		t.closeGeneration(g)
		return false
	}
	t.tracker.begin(ends, start, false)
	t.setCurrent(g)
	t.setState(Rebuilding, store.ReasonRules+": what earlier rules made of the log is served meanwhile")
	t.startServing()
	return true
}

// firstEnds asks until every partition has answered: the load has to know where it goes.
func (t *Topic) firstEnds(ctx context.Context, info kafka.TopicInfo) (map[int32]kafka.Ends, error) {
	ids := make([]int32, len(info.Partitions))
	for i, p := range info.Partitions {
		ids[i] = p.ID
	}
	ends, err := t.cache.client.Ends(ctx, t.name, ids)
	if err != nil {
		t.metrics.fetchErrors.Inc()
		return nil, fmt.Errorf("ask for the ends of topic %s: %w", t.name, err)
	}
	if len(ends) != len(ids) {
		return nil, fmt.Errorf("ask for the ends of topic %s: %d of %d partitions answered", t.name, len(ends), len(ids))
	}
	return ends, nil
}

func (t *Topic) stateNow() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}
