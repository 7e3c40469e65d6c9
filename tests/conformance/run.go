package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// Run is one scenario under way. It is a testing.TB for the helpers of kafkatest, which are made for tests, though no test
// needs to run: what they call is here, and anything else of the interface panics. Its methods may be called from any
// goroutine, but those that end the scenario (Fatal, FailNow) only from the scenario's.
type Run struct {
	testing.TB // nil; the interface cannot be had otherwise

	Subject Subject
	Cluster *kafkatest.Cluster
	Brokers int

	ctx       context.Context
	name      string
	instances int

	mu       sync.Mutex
	seen     []string
	wrong    []string
	detail   strings.Builder
	cleanups []func()
	ended    bool
}

// Outcome is how a scenario ended.
type Outcome int

// The outcomes.
const (
	Passed Outcome = iota
	Failed
	NotApplicable
)

func (o Outcome) String() string { return [...]string{"pass", "FAIL", "not applicable"}[o] }

// Result is what came of a scenario.
type Result struct {
	Scenario Scenario
	Brokers  int
	Outcome  Outcome
	Seen     string // one sentence
	Detail   string // the logs of a failed one
	Took     time.Duration
}

// execute runs a scenario on a cluster that is there.
func execute(ctx context.Context, subject Subject, s Scenario, cluster *kafkatest.Cluster, brokers int) Result {
	began := time.Now()
	limit := s.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the scenario's limit of %v is over", limit))
	defer cancel()
	r := &Run{Subject: subject, Cluster: cluster, Brokers: brokers, ctx: ctx, name: fmt.Sprintf("%s-%d", s.ID, brokers)}
	done := make(chan struct{})
	go func() { // of its own, since FailNow ends it
		defer close(done)
		defer r.clean()
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
				r.addLog("stack", string(debug.Stack()))
			}
		}()
		if err := s.Run(ctx, r); err != nil {
			r.Errorf("%v", err)
		}
	}()
	<-done
	result := Result{Scenario: s, Brokers: brokers, Seen: strings.Join(r.seen, "; "), Took: time.Since(began)}
	if len(r.wrong) > 0 {
		result.Outcome, result.Seen, result.Detail = Failed, strings.Join(r.wrong, "; "), r.detail.String()
	}
	return result
}

// Sawf adds to the sentence of what was seen where everything is right.
func (r *Run) Sawf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf(format, args...))
}

func (r *Run) addLog(who, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const most = 20_000
	if len(text) > most {
		text = text[:most/2] + "\n[…]\n" + text[len(text)-most/2:]
	}
	fmt.Fprintf(&r.detail, "--- %s\n%s\n", who, text)
}

func (r *Run) clean() {
	for {
		r.mu.Lock()
		if len(r.cleanups) == 0 {
			r.ended = true
			r.mu.Unlock()
			return
		}
		last := len(r.cleanups) - 1
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		r.mu.Unlock()
		f()
	}
}

// What follows is testing.TB's.

// Helper does nothing.
func (r *Run) Helper() {}

// Name is a name for topics.
func (r *Run) Name() string { return r.name }

// Context ends with the scenario.
func (r *Run) Context() context.Context { return r.ctx }

// Cleanup is called in reverse order when the scenario has ended.
func (r *Run) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// TempDir is a new directory that is removed with the scenario.
func (r *Run) TempDir() string {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Log and Logf add to the detail of a failure.
func (r *Run) Log(args ...any) { r.addLog("note", fmt.Sprintln(args...)) }

// Logf is Log with a format.
func (r *Run) Logf(format string, args ...any) { r.addLog("note", fmt.Sprintf(format, args...)) }

// Errorf says what is wrong and goes on.
func (r *Run) Errorf(format string, args ...any) {
	sentence := fmt.Errorf(format, args...).Error()
	if cause := context.Cause(r.ctx); cause != nil && !errors.Is(cause, context.Canceled) && !strings.Contains(sentence, cause.Error()) {
		sentence += " (" + cause.Error() + ")"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.wrong, sentence) {
		r.wrong = append(r.wrong, sentence)
	}
}

// Error is Errorf without a format.
func (r *Run) Error(args ...any) { r.Errorf("%s", strings.TrimSpace(fmt.Sprintln(args...))) }

// Fatalf says what is wrong and ends the scenario.
func (r *Run) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal is Fatalf without a format.
func (r *Run) Fatal(args ...any) {
	r.Error(args...)
	runtime.Goexit()
}

// FailNow ends the scenario as a failed one, of which Errorf has said why.
func (r *Run) FailNow() {
	if !r.Failed() {
		r.Error("it failed")
	}
	runtime.Goexit()
}

// Failed tells whether something was wrong so far.
func (r *Run) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wrong) > 0
}
