package cache

import (
	"context"
	"math/rand/v2"
	"time"
)

// commitLoop commits the positions as the offsets of the group that Identity names, without membership, so that stock
// tools show this instance's lag: changed positions every CommitInterval, all of them every CommitIdleInterval, since
// Kafka expires what is not renewed. A commit that fails is tried again at the next interval. It returns nil when ctx ends.
func (c *Cache) commitLoop(ctx context.Context) error {
	if c.cfg.Identity == "" || c.cfg.NoCommit {
		<-ctx.Done()
		return nil
	}
	committed := map[*Topic]map[int32]int64{}
	renewed := time.Now()
	for {
		tenth := c.cfg.CommitInterval / 10
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.cfg.CommitInterval - tenth + rand.N(2*tenth+1)):
		}
		renew := time.Since(renewed) >= c.cfg.CommitIdleInterval
		if renew {
			renewed = time.Now()
		}
		for _, t := range c.topics {
			next := map[int32]int64{}
			for _, o := range t.Position().Offsets() {
				if last, ok := committed[t][o.Partition]; renew || !ok || last != o.Next {
					next[o.Partition] = o.Next
				}
			}
			if len(next) == 0 {
				continue
			}
			if err := c.client.CommitGroup(ctx, c.cfg.Identity, t.name, next, t.commitNote()); err != nil {
				c.metrics.commitErrors.Inc()
				if suppressed, ok := t.metrics.complaints.allow(commitComplaint); ok && ctx.Err() == nil {
					c.log.Warn("commit group offsets", "group", c.cfg.Identity, "topic", t.name, "error", err, "unlogged", suppressed)
				}
				continue
			}
			if committed[t] == nil {
				committed[t] = map[int32]int64{}
			}
			for p, n := range next {
				committed[t][p] = n
			}
		}
	}
}

const commitComplaint = endsComplaint + 1

// commitNote is the metadata of a committed offset.
func (t *Topic) commitNote() string {
	if t.Ready() {
		return "ready"
	}
	return "loading"
}

// deleteGroup removes the group on a clean exit: an instance that is gone has no lag.
func (c *Cache) deleteGroup() {
	if c.cfg.Identity == "" || c.cfg.NoCommit {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), deleteGroupTimeout)
	defer cancel()
	if err := c.client.DeleteGroup(ctx, c.cfg.Identity); err != nil {
		c.log.Warn("delete the group", "group", c.cfg.Identity, "error", err)
		return
	}
	c.log.Info("the group was deleted", "group", c.cfg.Identity)
}
