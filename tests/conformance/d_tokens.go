package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	waits := []Capability{Tokens}
	register(
		Scenario{ID: "D1", Name: "a token of another topic", Needs: waits, Run: tokenOfAnotherTopic},
		Scenario{ID: "D1", Name: "a token of another leader epoch, after an unclean election", Brokers: []int{3}, Private: true, Needs: waits, Run: tokenOfLostEpoch},
		Scenario{ID: "D2", Name: "a wait ends with its record or with its time", Needs: waits, Run: waitEnds},
	)
}

// waitRefused checks that a wait is refused at once rather than when its time is over.
func (r *Run) waitRefused(ctx context.Context, i Instance, token, what string) {
	began := time.Now()
	ok, err := i.(Waiter).Wait(ctx, token, 20*time.Second)
	if took := time.Since(began); err == nil || ok || took > 5*time.Second {
		r.Errorf("a wait for %s (%s) says %v, %v after %.1f s", what, token, ok, err, took.Seconds())
	}
}

func tokenOfAnotherTopic(ctx context.Context, r *Run) error {
	one, two := r.Topic(1, nil), r.Topic(1, nil)
	r.Produce(record(one, "a", "1"), record(two, "a", "1"))
	i, other := r.Start(ctx, Spec{Topic: one}), r.Start(ctx, Spec{Topic: two})
	r.Ready(ctx, i)
	r.Ready(ctx, other)
	own, err := i.(Waiter).Position(ctx)
	if err != nil {
		return err
	}
	foreign, err := other.(Waiter).Position(ctx)
	if err != nil {
		return err
	}
	if ok, err := i.(Waiter).Wait(ctx, own, 5*time.Second); err != nil || !ok {
		return fmt.Errorf("a wait for its own position says %v, %w", ok, err)
	}
	r.waitRefused(ctx, i, foreign, "another topic's position")
	if _, err := i.(Waiter).Wait(ctx, foreign, time.Second); err == nil || !strings.Contains(err.Error(), "another topic") {
		r.Errorf("it says %v", err)
	}
	for _, bad := range []string{"", "1", "2:" + own[2:], own + ",", strings.TrimSuffix(own, ".1") + ".x", "1:AAAA:0.1"} {
		r.waitRefused(ctx, i, bad, "what is no token")
	}
	r.Sawf("refused at once")
	return nil
}

// tokenOfLostEpoch: an instance handed out a position that the log has lost. One that knows only the log as it is now must not take what is
// at that offset now for what was there.
func tokenOfLostEpoch(ctx context.Context, r *Run) error {
	t := newTwoReplicas(ctx, r, nil)
	r.Produce(records(t.topic, "kept", 5, "1")...)
	i := r.Start(ctx, Spec{Topic: t.topic})
	r.Ready(ctx, i)
	t.leaveBehind(ctx)
	r.Produce(records(t.topic, "lost", 5, "1")...)
	r.Gets(ctx, i, "lost4", "1", 15*time.Second)
	lost, err := i.(Waiter).Position(ctx)
	if err != nil {
		return err
	}
	i.Kill()
	t.truncate(ctx)
	t.heal(ctx)
	r.Produce(records(t.topic, "later", 20, "1")...)
	fresh := r.Start(ctx, Spec{Topic: t.topic})
	r.Ready(ctx, fresh)
	now, err := fresh.(Waiter).Position(ctx)
	if err != nil {
		return err
	}
	r.Misses(ctx, fresh, "lost4", "after the log was truncated")
	r.waitRefused(ctx, fresh, lost, "a position that the log has lost")
	if ok, err := fresh.(Waiter).Wait(ctx, now, 5*time.Second); err != nil || !ok {
		r.Errorf("a wait for its own position %s says %v, %v", now, ok, err)
	}
	r.Sawf("%s is refused where %s is the position", lost, now)
	return nil
}

func waitEnds(ctx context.Context, r *Run) error {
	topic := r.Topic(2, nil)
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	ends := r.Cluster.Ends(r, topic)
	token := r.token(ctx, topic, 1, ends[1].HighWatermark+1)
	began := time.Now()
	if ok, err := i.(Waiter).Wait(ctx, token, 500*time.Millisecond); ok || err != nil || time.Since(began) < 500*time.Millisecond || time.Since(began) > 5*time.Second {
		return fmt.Errorf("a wait of 0.5 s for what is not written yet says %v, %w after %v", ok, err, time.Since(began))
	}
	done := make(chan error, 1)
	go func() {
		ok, err := i.(Waiter).Wait(ctx, token, 30*time.Second)
		if err == nil && !ok {
			err = fmt.Errorf("its time is over")
		}
		done <- err
	}()
	select {
	case err := <-done:
		return fmt.Errorf("a wait ended before what it waits for was written: %w", err)
	case <-time.After(300 * time.Millisecond):
	}
	began = time.Now()
	r.Cluster.ProduceTo(r, &kgo.Record{Topic: topic, Partition: 1, Key: []byte("b"), Value: []byte("2")})
	if err := <-done; err != nil {
		return fmt.Errorf("a wait for what was written says: %w", err)
	}
	took := time.Since(began)
	if got, found, err := i.Get(ctx, "b"); err != nil || !found || got != "2" {
		r.Errorf("after the wait it is %q (there: %v, %v)", got, found, err)
	}
	if ok, err := i.(Waiter).Wait(ctx, token, time.Millisecond); err != nil || !ok {
		r.Errorf("a wait for what is applied says %v, %v", ok, err)
	}
	r.Sawf("%.0f ms from the write to the end of the wait", took.Seconds()*1000)
	return nil
}
