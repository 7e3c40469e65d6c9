package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// Why a store is made anew instead of resumed, as it stands in the log line, the status and
// kafka_cache_rebuilds_total.
const (
	rebuildExpired   = "expired"   // away for longer than delete.retention.ms: tombstones may have been missed
	rebuildLogStart  = "log-start" // the log no longer has what comes after the checkpoint
	rebuildTruncated = "truncated" // the log ends below the checkpoint
	rebuildRecreated = "recreated" // another topic id
	rebuildCorrupt   = "corrupt"   // what is on disk is not what was written
)

// Back-off between sessions.
const (
	backoffMin = 200 * time.Millisecond
	backoffMax = 10 * time.Second
)

// run goes from session to session until ctx ends (nil) or the configuration turns out to be wrong.
func (t *Topic) run(ctx context.Context) error {
	backoff := backoffMin
	for {
		began := time.Now()
		err := t.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrConfig) {
			t.setState(Failed, err.Error())
			return err
		}
		if t.judgeLog(err); t.rebuild != "" {
			t.setState(Rebuilding, t.rebuild+": "+plain(err))
		} else if !t.Ready() {
			t.setState(Starting, plain(err))
		} else {
			t.setState(Stale, plain(err))
		}
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

// judgeLog notes what a session's end says of the log: where it is not the one that the store was made from, nothing is
// served from here on, and no position counts as reached, so that a write to the log as it is now is not taken for applied.
func (t *Topic) judgeLog(err error) {
	var outside *kafka.OutOfRangeError
	switch {
	case errors.Is(err, kafka.ErrTopicRecreated):
		t.rebuild = rebuildRecreated
		t.stopServing()
		t.tracker.reset(position.TopicID{})
		return
	case errors.As(err, &outside) && outside.Position < outside.LogStart:
		t.rebuild = rebuildLogStart
	case errors.As(err, &outside):
		t.rebuild = rebuildTruncated
	default:
		return
	}
	t.stopServing()
	t.tracker.forget()
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
	settings, err := t.cache.client.TopicSettings(ctx, t.name)
	if err != nil {
		t.metrics.fetchErrors.Inc()
		return fmt.Errorf("read the settings of topic %s: %w", t.name, err)
	}
	if !settings.Authorized {
		t.log.Warn("the topic's settings may not be read: its size limit is not checked before a write, nor the age of a checkpoint against delete.retention.ms")
	}
	t.maxBytes.Store(int64(settings.MaxMessageBytes))
	t.tracker.reset(info.ID)
	if t.rebuild != "" {
		t.discard()
	}
	st, resumed, err := t.openStore(info)
	if err != nil {
		return err
	}
	start := checkpoint(st)
	ends, err := t.firstEnds(ctx, info)
	if err != nil {
		return err
	}
	if reason := outdated(st.Checkpoint(), ends, settings, time.Now()); reason != "" && resumed {
		t.rebuild = reason
		t.discard()
		if st, _, err = t.openStore(info); err != nil {
			return err
		}
		start = checkpoint(st)
	}
	t.tracker.begin(ends, start, len(start) == 0)
	if !t.Ready() && t.stateNow() != Rebuilding {
		t.setState(CatchingUp, "reading the log")
	}
	if len(ends) == 0 {
		return fmt.Errorf("topic %s has no partitions", t.name)
	}
	return t.tail(ctx, info, st, start, keepsTombstones(settings))
}

// tail runs the fetcher and the loop that asks for ends, until one of them cannot go on.
func (t *Topic) tail(ctx context.Context, info kafka.TopicInfo, st *store.Store, start map[int32]position.Offset, keep time.Duration) error {
	began := time.Now()
	a := newApplier(t, st, max(keep, 0), func() error { return t.caughtUp(st, began) })
	fetcher, err := kafka.NewFetcher(kafka.FetcherConfig{
		Kafka: t.cache.cfg.Kafka,
		Topic: t.name,
		ID:    info.ID,
		Start: func(partition int32) int64 {
			if o, ok := start[partition]; ok {
				return o.Next
			}
			return -1
		},
		OnError: func(e kafka.FetchError) {
			t.metrics.fetchErrors.Inc()
			if suppressed, ok := t.metrics.complaints.allow(-1 - e.Leader); ok {
				t.log.Warn("fetch", "leader", e.Leader, "partition", e.Partition, "error", e.Err, "unlogged", suppressed)
			}
		},
		OnPartitions: t.tracker.discovered,
	})
	if err != nil {
		return fmt.Errorf("make a fetcher for topic %s: %w", t.name, err)
	}
	t.fetcher.Store(fetcher)
	defer t.fetcher.Store(nil)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := fetcher.Run(ctx, a.apply); err != nil {
			return fmt.Errorf("read topic %s: %w", t.name, err)
		}
		return fmt.Errorf("read topic %s: the fetcher ended", t.name)
	})
	group.Go(func() error { return t.watchEnds(ctx) })
	return group.Wait()
}

// caughtUp is called once a session, when every partition has been at its stable end.
func (t *Topic) caughtUp(st *store.Store, began time.Time) error {
	if err := st.EndLoad(); err != nil {
		return err
	}
	again := t.wasReady()
	wasServing := t.Ready()
	t.startServing()
	if again && !wasServing {
		t.watchers.tell(Event{Kind: EventFlush}) // the contents were made anew
	}
	t.setState(Ready, "")
	t.log.Info("ready", "keys", t.Len(), "took", time.Since(began).Round(time.Millisecond).String(), "position", t.Position().String())
	return nil
}

func (t *Topic) stateNow() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// openStore returns the running store where it belongs to this incarnation, and otherwise the generation on disk, or
// a new one; resumed says that what it holds was applied before this session. A reason to rebuild stays until it has been
// followed.
func (t *Topic) openStore(info kafka.TopicInfo) (st *store.Store, resumed bool, err error) {
	if st := t.store.Load(); st != nil {
		if t.storeOf == info.ID {
			return st, true, nil
		}
		t.rebuild = rebuildRecreated
		t.discard()
	}
	rebuild := t.rebuild
	dir := ""
	if t.cache.cfg.DataDir != "" {
		g, err := store.ChooseGeneration(t.cache.cfg.DataDir, store.Identity{
			ClusterID: info.ClusterID, Topic: t.name, TopicID: info.ID, Rules: t.rules(),
		})
		if errors.Is(err, store.ErrOtherCluster) || errors.Is(err, store.ErrTopicName) {
			return nil, false, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if err != nil {
			return nil, false, fmt.Errorf("choose a generation in %s: %w", t.cache.cfg.DataDir, err)
		}
		if rebuild != "" && g.Reason == "" {
			g = g.Anew(rebuild)
		}
		if g.Reason != "" && g.Reason != "new" {
			rebuild = g.Reason
		}
		if err := g.Prepare(); err != nil {
			if errors.Is(err, store.ErrInUse) {
				return nil, false, fmt.Errorf("%w: %w", ErrConfig, err)
			}
			return nil, false, fmt.Errorf("prepare %s: %w", g.Dir, err)
		}
		dir, resumed = g.Dir, g.Reason == ""
	}
	if rebuild != "" {
		t.metrics.rebuilds.WithLabelValues(rebuild).Inc()
		t.setState(Rebuilding, rebuild)
		t.log.Warn("store is made anew from the log", "reason", rebuild)
	}
	st, err = store.Open(store.Options{Dir: dir, CacheBytes: t.cache.blockCacheShare(), Logger: t.log, Load: true})
	if err != nil {
		switch {
		case errors.Is(err, store.ErrInUse):
			return nil, false, fmt.Errorf("%w: %w", ErrConfig, err)
		case errors.Is(err, store.ErrCorrupt):
			t.rebuild = rebuildCorrupt // the log has it all
		}
		return nil, false, fmt.Errorf("open the store: %w", err)
	}
	t.storeOf, t.rebuild = info.ID, ""
	t.store.Store(st)
	return st, resumed, nil
}

// rules names everything, beside the log itself, that decides what a record means here.
func (t *Topic) rules() string {
	return "key=" + t.keyCodec.Name() + " value=" + t.valueCodec.Name()
}

// discard closes the running store. Readers of it get ErrNotReady.
func (t *Topic) discard() {
	t.stopServing()
	if st := t.store.Swap(nil); st != nil {
		if err := st.Close(); err != nil {
			t.log.Warn("close the store", "error", err)
		}
	}
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

// checkpoint is where to go on, by partition.
func checkpoint(st *store.Store) map[int32]position.Offset {
	start := map[int32]position.Offset{}
	for _, c := range st.Checkpoint() {
		start[c.Partition] = position.Offset{Partition: c.Partition, Next: c.Next, LeaderEpoch: c.LeaderEpoch}
	}
	return start
}

// outdated says why a checkpoint must not be resumed; "" where it may. A checkpoint that was last at its end longer ago
// than tombstones are kept may have missed some: keys that were deleted would live on.
func outdated(points []store.Checkpoint, ends map[int32]kafka.Ends, settings kafka.TopicSettings, now time.Time) string {
	for _, c := range points {
		end, ok := ends[c.Partition]
		switch {
		case !ok:
			return rebuildTruncated // a partition that the log no longer has
		case c.Next < end.LogStart:
			return rebuildLogStart
		case c.Next > end.HighWatermark:
			return rebuildTruncated
		}
		if keep := keepsTombstones(settings); keep != 0 && (c.FreshAt.IsZero() || now.Round(0).Sub(c.FreshAt) > keep) {
			return rebuildExpired
		}
	}
	return ""
}

// keepsTombstones is how long a reader may be away from the end of the log without missing a tombstone: delete.retention.ms
// less a margin, below 0 where that leaves nothing, and 0 where the topic is not compacted or its settings may not be read.
func keepsTombstones(s kafka.TopicSettings) time.Duration {
	d := s.DeleteRetention
	if !s.Authorized || !strings.Contains(s.CleanupPolicy, "compact") {
		return 0
	}
	return d - d/10 - 5*time.Second
}
