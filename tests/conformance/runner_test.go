package conformance

import (
	"context"
	"errors"
	"testing"
	"time"
)

// nobody is a subject of which no instance is started.
type nobody struct{}

func (nobody) Name() string                                  { return "nobody" }
func (nobody) Prepare(context.Context) error                 { return nil }
func (nobody) Version() string                               { return "none" }
func (nobody) Offers(Capability) bool                        { return true }
func (nobody) Close() error                                  { return nil }
func (nobody) Start(context.Context, Spec) (Instance, error) { return nil, errors.New("there is none") }

// What comes of a scenario while a broker that others share ends is nothing that its subject has done.
func TestScenarioIsRunAgainWhereABrokerEnds(t *testing.T) {
	u := NewRunner(nobody{})
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	runs := 0
	s := Scenario{ID: "X1", Name: "a broker ends", Limit: time.Minute}
	s.Run = func(ctx context.Context, r *Run) error {
		if runs++; runs == 1 {
			r.Cluster.Brokers[0].Kill()
			return errors.New("connection refused")
		}
		r.Topic(1, nil) // by a broker that runs
		return nil
	}
	if got := u.Run(t.Context(), s, 1); got.Outcome != Passed || runs != 2 {
		t.Fatalf("%s after %d runs: %s", got.Outcome, runs, got.Seen)
	}
	s.Run = func(context.Context, *Run) error {
		runs++
		return errors.New("it is wrong")
	}
	if got := u.Run(t.Context(), s, 1); got.Outcome != Failed || got.Seen != "it is wrong" || runs != 3 {
		t.Fatalf("%s after %d runs: %s", got.Outcome, runs, got.Seen)
	}
}
