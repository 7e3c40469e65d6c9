package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func init() {
	for _, running := range []bool{false, true} {
		when, needs := "while stopped", []Capability{Durable}
		if running {
			when, needs = "while running", nil
		}
		for _, v := range []struct {
			name       string
			partitions int
			n          int
		}{
			{"with fewer records", 2, 5}, {"with more records", 2, 200}, {"with more partitions", 4, 50}, {"with fewer partitions", 1, 50}, {"empty", 2, 0},
		} {
			register(Scenario{ID: "B5", Name: "recreated " + v.name + " " + when, Needs: needs, Slow: running && v.n == 50, Run: func(ctx context.Context, r *Run) error {
				return recreated(ctx, r, running, v.partitions, v.n)
			}})
		}
	}
	register(Scenario{ID: "B5", Name: "recreated while an instance stands still", Run: recreatedWhilePaused})
}

// recreated: the name is the same, the topic is another one. Old keys are ghosts, and offsets of the old topic mean nothing.
func recreated(ctx context.Context, r *Run, running bool, partitions, n int) error {
	topic, dir := r.Topic(2, nil), ""
	if r.Offers(Durable) {
		dir = r.TempDir()
	}
	r.Produce(append(records(topic, "old", 40, "old"), records(topic, "both", 10, "old")...)...)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	oldID, oldToken := "", r.token(ctx, topic, 0, 1)
	if rep, ok := i.(Reporter); ok {
		s, err := rep.Status(ctx)
		if err != nil {
			return err
		}
		oldID = s.ID
	}
	if !running {
		if err := i.Stop(ctx); err != nil {
			return err
		}
	}
	r.Cluster.DeleteTopic(r, topic)
	r.Cluster.CreateTopic(r, topic, partitions, nil)
	if n > 0 {
		r.Produce(append(records(topic, "new", n-1, "new"), record(topic, "both1", "new"))...)
	}
	want := r.Truth(ctx, topic)
	if !running {
		i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
		r.Ready(ctx, i)
		r.HasNow(ctx, i, want, "when ready")
	}
	r.Has(ctx, i, want, 30*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Rebuilt(ctx, i, "recreated", 1)
	r.loggedState(ctx, i, "Rebuilding", "recreated")
	r.Says(ctx, i, 5*time.Second, "another topic id, and its partitions alone", func(s TopicStatus) bool {
		return s.ID != "" && s.ID != oldID && len(s.Partitions) == partitions
	})
	r.refused(ctx, i, oldToken)
	r.Produce(record(topic, "later", "x"))
	r.Gets(ctx, i, "later", "x", 10*time.Second)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the %d keys of the new topic and none of the old", len(want))
	return nil
}

// refused is a token that no instance on the topic can ever cover: an error, at once.
func (r *Run) refused(ctx context.Context, i Instance, token string) {
	w, ok := i.(Waiter)
	if !ok {
		return
	}
	began := time.Now()
	done, err := w.Wait(ctx, token, 10*time.Second)
	if took := time.Since(began); err == nil || took > 2*time.Second {
		r.Errorf("a token of what the log no longer is: %v, %v after %.1f s, rather than an error at once", done, err, took.Seconds())
	} else if strings.Contains(err.Error(), "timeout") {
		r.Errorf("a token of what the log no longer is: %v", err)
	}
}

// recreatedWhilePaused: who waits with a token of the old topic is told, as soon as the instance sees the new one.
func recreatedWhilePaused(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(records(topic, "old", 20, "old")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	token := r.token(ctx, topic, 0, 1000)
	refused := make(chan error, 1)
	if w, ok := i.(Waiter); ok {
		go func() {
			done, err := w.Wait(ctx, token, time.Minute)
			if err != nil {
				refused <- nil
				return
			}
			refused <- fmt.Errorf("a wait that was under way when the topic was recreated ended with %v", done)
		}()
	} else {
		refused <- nil
	}
	i.Pause()
	r.Cluster.DeleteTopic(r, topic)
	r.Cluster.CreateTopic(r, topic, 1, nil)
	r.Produce(records(topic, "new", 60, "new")...) // past the position of the old one
	i.Resume()
	r.Has(ctx, i, r.Truth(ctx, topic), 30*time.Second)
	if err := <-refused; err != nil {
		r.Errorf("%v", err)
	}
	r.Rebuilt(ctx, i, "recreated", 1)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the new topic's keys and none of the old")
	return nil
}
