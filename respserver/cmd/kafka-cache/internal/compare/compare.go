package compare

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// DefaultInterval is the time between two polls.
const DefaultInterval = 500 * time.Millisecond

// Config says what is compared.
type Config struct {
	A, B     *url.URL // admin addresses, see [ParseAddress]
	Topics   []string // none: those that A has
	Full     bool     // values too, which takes both instances at the same position
	Timeout  time.Duration
	Interval time.Duration // 0: DefaultInterval
	Token    string        // bearer token for both; empty: none
	TLS      *tls.Config   // for https addresses; nil: the system's certificates
}

// Topic is what comparing a topic came to.
type Topic struct {
	Name      string
	Agreement cache.Agreement
	Why       string // empty where they agree
	// Partitions are those that were decided, ascending.
	Partitions []cache.PartitionComparison
}

// Run polls both instances until every topic is decided or the time is over. A partition agrees where it did so in one poll, and differs where
// it did so in two, one after the other: sums that follow each other through several partitions may be of different moments. The error says
// why not even the topics' names are known.
func Run(ctx context.Context, cfg Config) ([]Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	a, b := newInstance(cfg.A, cfg), newInstance(cfg.B, cfg)
	defer a.close()
	defer b.close()
	pause := newPause(cmp.Or(cfg.Interval, DefaultInterval))
	defer pause.stop()
	names := cfg.Topics
	for why := error(nil); len(names) == 0; {
		var err error
		names, err = a.topics(ctx)
		if why == nil || ctx.Err() == nil { // otherwise what was answered before tells more
			why = err
		}
		if errors.As(err, &final{}) {
			return nil, err
		}
		if err != nil && !pause.next(ctx) {
			return nil, fmt.Errorf("nothing could be compared within %s: %w", cfg.Timeout, why)
		}
	}
	var pairs []*pair
	for _, name := range names {
		pairs = append(pairs, newPair(name))
	}
	for {
		open := false
		for _, p := range pairs {
			if !p.decided {
				p.poll(ctx, a, b, cfg.Full)
			}
			open = open || !p.decided
		}
		if !open || !pause.next(ctx) {
			break
		}
	}
	topics := make([]Topic, len(pairs))
	for i, p := range pairs {
		topics[i] = p.topic
	}
	return topics, nil
}

// pause is what lies between two polls.
type pause struct{ ticker *time.Ticker }

func newPause(d time.Duration) pause { return pause{time.NewTicker(d)} }

func (p pause) stop() { p.ticker.Stop() }

// next waits, and is false when the time is over.
func (p pause) next(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case <-p.ticker.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pair is one topic of both instances.
type pair struct {
	topic   Topic
	decided bool

	of       [4]string // what the following is of: topic ids and rules
	agreed   map[int32]cache.PartitionComparison
	differed map[int32]bool // in the last poll that could compare the partition
}

func newPair(name string) *pair {
	return &pair{topic: Topic{Name: name, Agreement: cache.NotYet, Why: "nothing was answered"}}
}

func (p *pair) poll(ctx context.Context, a, b *instance, full bool) {
	x, y, err := both(ctx, a, b, p.topic.Name, full)
	switch {
	case errors.As(err, &final{}):
		p.topic.Agreement, p.topic.Why, p.decided = cache.NotComparable, err.Error(), true
	case err != nil && ctx.Err() != nil && p.topic.Why != "":
		// The time is over: what the polls before said tells more.
	case err != nil:
		p.topic.Agreement, p.topic.Why = cache.NotYet, err.Error()
	default:
		p.judge(x, y)
	}
}

// both asks at the same time, so that the sums are of about the same moment.
func both(ctx context.Context, a, b *instance, topic string, full bool) (x, y sum, err error) {
	var wg sync.WaitGroup
	var otherErr error
	wg.Go(func() { y, otherErr = b.checksum(ctx, topic, full) })
	x, err = a.checksum(ctx, topic, full)
	wg.Wait()
	for _, e := range []error{err, otherErr} {
		if errors.As(e, &final{}) {
			return x, y, e
		}
	}
	return x, y, cmp.Or(err, otherErr)
}

func (p *pair) judge(x, y sum) {
	if of := [4]string{x.ID, x.Rules, y.ID, y.Rules}; of != p.of || p.agreed == nil {
		p.of, p.agreed, p.differed = of, map[int32]cache.PartitionComparison{}, map[int32]bool{}
	}
	c := cache.CompareChecksums(x.Checksum, y.Checksum)
	p.topic.Partitions = nil
	if c.Partitions == nil && c.Agreement != cache.Agree { // not of the same topic, or never comparable
		p.topic.Agreement, p.topic.Why, p.decided = c.Agreement, clean(c.Why), c.Agreement == cache.NotComparable
		return
	}
	var differ []cache.PartitionComparison
	open := ""
	for _, q := range c.Partitions {
		switch q.Agreement {
		case cache.Agree:
			p.agreed[q.Partition] = q
			delete(p.differed, q.Partition)
		case cache.Differ:
			delete(p.agreed, q.Partition)
			if p.differed[q.Partition] {
				q.Why = clean(q.Why)
				differ = append(differ, q)
			}
			p.differed[q.Partition] = true
		}
		if _, ok := p.agreed[q.Partition]; !ok && open == "" {
			open = partitionText(q)
		}
	}
	for _, q := range p.agreed {
		p.topic.Partitions = append(p.topic.Partitions, q)
	}
	p.topic.Partitions = append(p.topic.Partitions, differ...)
	slices.SortFunc(p.topic.Partitions, func(a, b cache.PartitionComparison) int { return cmp.Compare(a.Partition, b.Partition) })
	switch {
	case len(differ) > 0:
		p.topic.Agreement, p.topic.Why, p.decided = cache.Differ, states(x, y), true
	case open == "":
		p.topic.Agreement, p.topic.Why, p.decided = cache.Agree, "", true
	default:
		p.topic.Agreement, p.topic.Why = cache.NotYet, open
	}
}

// states are those of instances that are not ready, since what these hold is not meant to be the last word.
func states(x, y sum) string {
	ready := cache.Ready.String()
	if x.State == ready && y.State == ready {
		return ""
	}
	return "their states are " + clean(x.State) + " and " + clean(y.State)
}
