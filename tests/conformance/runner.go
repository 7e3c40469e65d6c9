package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// Runner runs scenarios on a subject, several at once where its caller does, and owns the clusters that they share.
type Runner struct {
	subject Subject

	prepare    sync.Once
	prepareErr error
	mu         sync.Mutex
	shared     map[string]*sharedCluster
	dead       []*kafkatest.Cluster // of those that were shared
}

type sharedCluster struct {
	once    sync.Once
	cluster *kafkatest.Cluster
	err     error
}

// NewRunner prepares nothing yet.
func NewRunner(subject Subject) *Runner {
	return &Runner{subject: subject, shared: map[string]*sharedCluster{}}
}

// Prepare prepares the subject once.
func (u *Runner) Prepare(ctx context.Context) error {
	u.prepare.Do(func() {
		if err := u.subject.Prepare(ctx); err != nil {
			u.prepareErr = fmt.Errorf("prepare %s: %w", u.subject.Name(), err)
		}
	})
	return u.prepareErr
}

// Run runs a scenario on a cluster of that many brokers. ctx ends it early, as one that failed.
func (u *Runner) Run(ctx context.Context, s Scenario, brokers int) Result {
	result := Result{Scenario: s, Brokers: brokers}
	if !s.OnBrokers(brokers) {
		result.Outcome, result.Seen = NotApplicable, fmt.Sprintf("cannot be made with %d brokers", brokers)
		return result
	}
	if missing := (&Run{Subject: u.subject}).missing(s.Needs); missing != "" {
		result.Outcome, result.Seen = NotApplicable, "there is no such thing as "+string(missing)
		return result
	}
	if err := u.Prepare(ctx); err != nil {
		result.Outcome, result.Seen = Failed, err.Error()
		return result
	}
	for attempt := 1; ; attempt++ {
		cluster, done, err := u.cluster(ctx, s, brokers)
		if err != nil {
			result.Outcome, result.Seen = Failed, "start a cluster: "+err.Error()
			return result
		}
		result = execute(ctx, u.subject, s, cluster, brokers)
		died := u.died(cluster)
		if result.Outcome == Failed {
			for _, b := range cluster.Brokers {
				result.Detail += fmt.Sprintf("--- broker %d\n%s\n", b.ID, b.Log())
			}
			if died {
				result.Seen += " (a broker that others shared has ended by itself)"
			}
		}
		done()
		if !died || result.Outcome != Failed || attempt == attempts || ctx.Err() != nil {
			return result
		}
	}
}

// attempts are those of a scenario beside which a broker ends that nobody has ended: what came of it then says nothing of the subject.
const attempts = 3

// died tells whether the cluster is a shared one of which a broker has ended by itself, since no scenario ends those. It is not shared any more then.
func (u *Runner) died(c *kafkatest.Cluster) bool {
	if !slices.ContainsFunc(c.Brokers, (*kafkatest.Broker).Ended) {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, sc := range u.shared {
		if sc.cluster == c {
			delete(u.shared, key)
			u.dead = append(u.dead, c)
			return true
		}
	}
	return slices.Contains(u.dead, c)
}

// cluster is the scenario's own or the one that it shares, and what to call when the scenario has ended.
func (u *Runner) cluster(ctx context.Context, s Scenario, brokers int) (*kafkatest.Cluster, func(), error) {
	o := kafkatest.Options{Brokers: brokers, Overrides: s.Settings}
	if s.Private {
		o.Private = true
		c, err := kafkatest.Open(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		return c, c.Close, nil
	}
	key := fmt.Sprint(brokers)
	for _, k := range slices.Sorted(maps.Keys(s.Settings)) {
		key += " " + k + "=" + s.Settings[k]
	}
	u.mu.Lock()
	sc := u.shared[key]
	if sc == nil {
		sc = &sharedCluster{}
		u.shared[key] = sc
	}
	u.mu.Unlock()
	// It outlives the scenario that asked first.
	sc.once.Do(func() {
		c, err := kafkatest.Open(context.WithoutCancel(ctx), o)
		u.mu.Lock()
		defer u.mu.Unlock()
		sc.cluster, sc.err = c, err
	})
	return sc.cluster, func() {}, sc.err
}

// CloseClusters ends the clusters that scenarios have shared so far.
func (u *Runner) CloseClusters() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, sc := range u.shared {
		if sc.cluster != nil {
			sc.cluster.Close()
		}
	}
	clear(u.shared)
	for _, c := range u.dead {
		c.Close()
	}
	u.dead = nil
}

// Close ends everything that outlived scenarios.
func (u *Runner) Close() error {
	u.CloseClusters()
	if err := u.subject.Close(); err != nil {
		return fmt.Errorf("close %s: %w", u.subject.Name(), err)
	}
	return nil
}

// RunAll runs the scenarios, parallel at once, and calls each with each result as it comes, one call at a time. The
// results are in the order of the scenarios; those that ctx left no time for are not among them.
func (u *Runner) RunAll(ctx context.Context, scenarios []Scenario, brokers, parallel int, each func(Result)) ([]Result, error) {
	if err := u.Prepare(ctx); err != nil {
		return nil, err
	}
	results := make([]*Result, len(scenarios))
	slots := make(chan struct{}, max(1, parallel))
	var running sync.WaitGroup
	var mu sync.Mutex
	for i, s := range scenarios {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		if s.Alone {
			running.Wait() // those that run; none is begun meanwhile
		}
		run := func() {
			defer func() { <-slots }()
			result := u.Run(ctx, s, brokers)
			mu.Lock()
			defer mu.Unlock()
			results[i] = &result
			each(result)
		}
		if s.Alone {
			run()
		} else {
			running.Go(run)
		}
	}
	running.Wait()
	var all []Result
	for _, r := range results {
		if r != nil {
			all = append(all, *r)
		}
	}
	if ctx.Err() != nil {
		return all, errors.New("interrupted")
	}
	return all, nil
}

// oneLine is a sentence for a table or a progress line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
