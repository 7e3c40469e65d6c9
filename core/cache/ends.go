package cache

import (
	"context"
	"fmt"
	"time"
)

// watchEnds asks for the partitions' ends regularly, which is what lag is measured from, and says when a ready topic
// becomes stale and when it is fresh again. It returns ctx's error.
func (t *Topic) watchEnds(ctx context.Context) error {
	ticker := time.NewTicker(t.cache.cfg.EndsInterval)
	defer ticker.Stop()
	settingsAt := time.Now() // the session has just read them
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		ends, err := t.cache.client.Ends(ctx, t.name, t.tracker.known())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.metrics.fetchErrors.Inc()
			if suppressed, ok := t.metrics.complaints.allow(endsComplaint); ok {
				t.log.Warn("ask for ends", "error", err, "unlogged", suppressed)
			}
		}
		t.tracker.asked(ends)
		t.judge()
		if time.Since(settingsAt) < settingsEvery {
			continue
		}
		// Somebody may have raised the topic's size limit. A question that fails leaves what was known.
		settingsAt = time.Now()
		if settings, err := t.cache.client.TopicSettings(ctx, t.name); err == nil && settings.Authorized {
			t.maxBytes.Store(int64(settings.MaxMessageBytes))
		}
	}
}

// settingsEvery is how often the topic's settings are read again.
const settingsEvery = 5 * time.Minute

// endsComplaint is the key under which failed questions for ends are limited in the log; partitions have keys from 0,
// leaders' fetch errors small negative ones.
const endsComplaint = -1 << 30

// judge tells Ready from Stale.
func (t *Topic) judge() {
	if !t.Ready() {
		return
	}
	partition, age := t.tracker.oldestFetch()
	if age > t.cache.cfg.StaleAfter {
		// The reason stays the same while the outage lasts, so that it is logged once; the age is in the status.
		t.setState(Stale, fmt.Sprintf("no fetch of partition %d has succeeded for more than %s", partition, t.cache.cfg.StaleAfter))
		return
	}
	t.setState(Ready, "")
}
