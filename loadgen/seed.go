package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/core/sample"
)

// Seed writes a model, once, with pipelined SETs over one connection at a time: organizations, then users, then sessions,
// so that references are met.
type Seed struct {
	Addr     string // host:port
	Password string // empty: none
	Model    sample.Model
	Pipeline int // SETs in flight
	// Progress, where not nil, is called after each pipeline from the goroutine of Run.
	Progress func(Result)
}

// Result counts records.
type Result struct {
	Total   int // what the model has
	Written int // acknowledged
	Pending int // of Written: answered with -PENDING, in the log and not visible at the instance in time
	// Failed counts the others that were sent, by the first word of the error's reply ("READONLY") or "connection".
	Failed map[string]int
	// FirstError is the first reply, or fault of a connection, that is counted in Failed.
	FirstError error
}

// Failures is the sum of Failed.
func (r Result) Failures() (n int) {
	for _, f := range r.Failed {
		n += f
	}
	return n
}

// String is a line for people, kinds of errors in alphabetical order.
func (r Result) String() string {
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

// Validate names the first field that is wrong.
func (s Seed) Validate() error {
	if s.Addr == "" {
		return errors.New("loadgen: an address is needed")
	}
	if s.Pipeline < 1 {
		return fmt.Errorf("loadgen: a pipeline of %d: at least 1", s.Pipeline)
	}
	return s.Model.Validate()
}

// kindConnection is what a record is counted as where the connection gave no reply: it may or may not have been written.
const kindConnection = "connection"

// Run writes until all of the model is sent, a connection fails, or ctx ends. Replies that are errors are counted and do not
// end it. Nothing is retried, so that no record is written twice. The error is ctx's or that of the connection; the result is
// of what was sent by then.
func (s Seed) Run(ctx context.Context) (Result, error) {
	if err := s.Validate(); err != nil {
		return Result{}, err
	}
	run := &seeding{seed: s, result: Result{Total: s.Model.Organizations + s.Model.Users + s.Model.Sessions, Failed: map[string]int{}}}
	defer run.disconnect()
	for r := range s.Model.All() {
		if err := run.add(ctx, r); err != nil {
			return run.result, err
		}
	}
	return run.result, run.flush(ctx)
}

type seeding struct {
	seed   Seed
	result Result
	topic  string
	client *redis.Client
	pipe   redis.Pipeliner
}

// add queues a record, on a connection to its topic's database.
func (s *seeding) add(ctx context.Context, r sample.Record) error {
	if r.Topic() != s.topic {
		if err := s.flush(ctx); err != nil {
			return err
		}
		s.disconnect()
		s.topic = r.Topic()
		s.client = redis.NewClient(&redis.Options{
			Addr: s.seed.Addr, Password: s.seed.Password, DB: slices.Index(sample.Topics(), s.topic),
			PoolSize: 1, MaxRetries: -1, ContextTimeoutEnabled: true,
		})
		s.pipe = s.client.Pipeline()
	}
	value, err := sample.Encode(r)
	if err != nil {
		return err
	}
	s.pipe.Set(ctx, r.Key(), value, 0)
	if s.pipe.Len() >= s.seed.Pipeline {
		return s.flush(ctx)
	}
	return nil
}

// flush sends what is queued and counts the replies.
func (s *seeding) flush(ctx context.Context) error {
	if s.pipe == nil || s.pipe.Len() == 0 {
		return nil
	}
	commands, _ := s.pipe.Exec(ctx) // each command has its own error
	var broken error
	for _, c := range commands {
		err := c.Err()
		var reply redis.Error
		var kind string
		switch {
		case err == nil:
			s.result.Written++
			continue
		case errors.As(err, &reply):
			kind, _, _ = strings.Cut(reply.Error(), " ")
			if kind == "PENDING" {
				s.result.Written++
				s.result.Pending++
				continue
			}
		default:
			kind, broken = kindConnection, err
		}
		s.result.Failed[kind]++
		if s.result.FirstError == nil {
			s.result.FirstError = err
		}
	}
	if s.seed.Progress != nil {
		s.seed.Progress(s.result)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return broken
}

func (s *seeding) disconnect() {
	if s.client != nil {
		_ = s.client.Close() // all replies are in
		s.client = nil
	}
}
