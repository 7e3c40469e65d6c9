package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/yolean/kafka-cache/core/sample"
)

// Seed writes a model, once, with pipelined SETs: organizations, then users, then sessions, so that references are met.
type Seed struct {
	Target // connections are dealt to its addresses in turn
	Model  sample.Model
	// Topics are the databases that the model's topics are; nil: those of Topics. The model's records of other topics are not written.
	Topics      []Topic
	Connections int // 0: 1
	Pipeline    int // SETs in flight on each connection
	// Progress, where not nil, is called after each pipeline, never twice at the same time.
	Progress func(SeedResult)
}

// SeedResult counts records.
type SeedResult struct {
	Total   int `json:"total"`   // what is to be written
	Written int `json:"written"` // acknowledged
	Pending int `json:"pending"` // of Written: answered with -PENDING, in the log and not visible at the instance in time
	// Failed counts the others that were sent, by the first word of the error's reply ("READONLY"), or KindConnection and so on.
	Failed map[string]int `json:"failed"`
	// FirstError is the first reply, or fault of a connection, that is counted in Failed.
	FirstError error `json:"-"`
}

// Failures is the sum of Failed.
func (r SeedResult) Failures() (n int) {
	for _, f := range r.Failed {
		n += f
	}
	return n
}

// String is a line for people, kinds of errors in alphabetical order.
func (r SeedResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d written", r.Written, r.Total)
	if r.Pending > 0 {
		fmt.Fprintf(&b, " (%d of them not visible yet)", r.Pending)
	}
	var kinds []string
	for k := range r.Failed {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for i, k := range kinds {
		sep := ", "
		if i == 0 {
			sep = "; failed: "
		}
		fmt.Fprintf(&b, "%s%s %d", sep, k, r.Failed[k])
	}
	return b.String()
}

func (s Seed) topics() []Topic {
	if s.Topics == nil {
		return Topics()
	}
	return s.Topics
}

// Validate names the first field that is wrong.
func (s Seed) Validate() error {
	if err := s.Target.Validate(); err != nil {
		return err
	}
	if s.Pipeline < 1 {
		return fmt.Errorf("loadgen: a pipeline of %d: at least 1", s.Pipeline)
	}
	if s.Connections < 0 {
		return fmt.Errorf("loadgen: %d connections", s.Connections)
	}
	for _, t := range s.topics() {
		if !slices.Contains(sample.Topics(), t.Name) {
			return fmt.Errorf("loadgen: %.64q is not a topic of the model: %s", t.Name, strings.Join(sample.Topics(), ", "))
		}
	}
	return s.Model.Validate()
}

// Run writes until all of the model is sent, a connection fails, or ctx ends. Replies that are errors are counted and do not
// end it. Nothing is retried, so that no record is written twice. The error is ctx's or that of the connection; the result is
// of what was sent by then.
func (s Seed) Run(ctx context.Context) (SeedResult, error) {
	if err := s.Validate(); err != nil {
		return SeedResult{}, err
	}
	run := &seeding{Seed: s, result: SeedResult{Failed: map[string]int{}}}
	var stages []Topic
	for _, name := range []string{sample.Organizations, sample.Users, sample.Sessions} {
		for _, t := range s.topics() {
			if t.Name == name {
				stages = append(stages, t)
				run.result.Total += records(s.Model, name)
			}
		}
	}
	for _, t := range stages {
		if err := run.stage(ctx, t); err != nil {
			return run.result, err
		}
	}
	return run.result, nil
}

type seeding struct {
	Seed

	mu     sync.Mutex
	result SeedResult
}

// stage writes one topic's records, each connection every n-th.
func (s *seeding) stage(ctx context.Context, t Topic) error {
	n := max(s.Connections, 1)
	group, ctx := errgroup.WithContext(ctx)
	for w := range n {
		group.Go(func() error {
			client := s.Client(s.Addrs[w%len(s.Addrs)], t.Database)
			defer client.Close()
			pipe := client.Pipeline()
			for i := w; i < records(s.Model, t.Name); i += n {
				r := record(s.Model, t.Name, i)
				value, err := sample.Encode(r)
				if err != nil {
					return err
				}
				pipe.Set(ctx, r.Key(), value, 0)
				if pipe.Len() >= s.Pipeline {
					if err := s.flush(ctx, pipe); err != nil {
						return err
					}
				}
			}
			return s.flush(ctx, pipe)
		})
	}
	return group.Wait()
}

// record is a topic's record of that number.
func record(m sample.Model, topic string, i int) sample.Record {
	switch topic {
	case sample.Users:
		return m.User(i)
	case sample.Organizations:
		return m.Organization(i)
	default:
		return m.Session(i)
	}
}

// flush sends what is queued and counts the replies.
func (s *seeding) flush(ctx context.Context, pipe redis.Pipeliner) error {
	if pipe.Len() == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	commands, _ := pipe.Exec(context.WithoutCancel(ctx)) // each command has its own error; what is sent is waited for, and counted
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost error
	for _, c := range commands {
		err := c.Err()
		if err == nil {
			s.result.Written++
			continue
		}
		kind := kindOf(err)
		if kind == kindPending {
			s.result.Written++
			s.result.Pending++
			continue
		}
		if broken(kind) {
			lost = err
		}
		s.result.Failed[kind]++
		if s.result.FirstError == nil {
			s.result.FirstError = err
		}
	}
	if s.Progress != nil {
		s.Progress(s.result)
	}
	return errors.Join(lost, ctx.Err())
}
