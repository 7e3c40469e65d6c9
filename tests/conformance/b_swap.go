package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

func init() {
	needs := []Capability{Durable, Rules, Reports}
	register(
		Scenario{ID: "B5", Name: "recreated while other rules are being applied", Settings: throttledSettings, Private: true, Needs: needs, Run: recreatedWhileRebuilt},
		Scenario{ID: "B5", Name: "deleted while stopped, and created after the start", Needs: []Capability{Durable}, Run: createdAfterStart},
		Scenario{ID: "B8", Name: "killed around the moment in which the new contents take over", Needs: needs, Limit: 3 * time.Minute, Run: killedAtSwap},
	)
}

// recreatedWhileRebuilt: neither what is served meanwhile nor what is being built is of the topic as it is now.
func recreatedWhileRebuilt(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, nil), r.TempDir()
	r.Produce(records(topic, "old", 20, "old")...)
	r.fillSlowly(ctx, topic, 15)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: "binary"})
	r.Ready(ctx, i)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	r.Throttle(ctx, slowRate)
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: "utf-8"})
	r.Ready(ctx, i)
	r.Says(ctx, i, 10*time.Second, "that it is rebuilt for other rules, and serves", func(s TopicStatus) bool {
		return s.State == "Rebuilding" && s.Serving && s.Rebuild != nil && s.Rebuild.Reason == "rules"
	})
	r.Cluster.DeleteTopic(r, topic)
	r.Cluster.CreateTopic(r, topic, 1, nil)
	r.Produce(records(topic, "new", 30, "new")...)
	r.Throttle(ctx, 0)
	want := r.Truth(ctx, topic)
	r.Has(ctx, i, want, 30*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Rebuilt(ctx, i, "recreated", 1)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: "utf-8"})
	r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "started again")
	r.NotRebuilt(ctx, i)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the new topic's keys, from neither generation of the old one")
	return nil
}

// createdAfterStart: nothing is served of a topic that there is not.
func createdAfterStart(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, nil), r.TempDir()
	r.Produce(records(topic, "old", 20, "old")...)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.DeleteTopic(r, topic)
	i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Says(ctx, i, 10*time.Second, "that there is no such topic", func(s TopicStatus) bool { return s.State == "Starting" && s.Reason != "" && !s.Serving })
	if _, found, err := i.Get(ctx, "old7"); err == nil && found {
		r.Errorf("a key of a topic that does not exist is answered")
	}
	r.Cluster.CreateTopic(r, topic, 1, nil)
	r.Produce(records(topic, "new", 30, "new")...)
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 30*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Rebuilt(ctx, i, "recreated", 1)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the new topic's keys and none of the old")
	return nil
}

// killedAtSwap: each start has other rules than the one before, and is killed when it has just become ready, or is about to. Whatever is on disk then, what is served when
// it is at the end is the log's, and a start with the same rules does not go back to what was served before those took over.
func killedAtSwap(ctx context.Context, r *Run) error {
	seed := rand.Uint64()
	r.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	topic, dir := r.Topic(2, nil), r.TempDir()
	r.Produce(records(topic, "k", 2000, "0")...)
	const rounds = 20
	again := 0
	for n := range rounds {
		encoding := []string{"utf-8", "binary"}[n%2]
		i := r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: encoding})
		// Some delete, some change: what an earlier generation has of these is outdated.
		r.Produce(record(topic, "now", fmt.Sprint(n)), tombstone(topic, fmt.Sprintf("k%d", n)))
		swapped := false
		if rnd.IntN(3) > 0 {
			r.Await(ctx, 20*time.Second, "it is ready by the new rules", func(ctx context.Context) error {
				s, err := i.(Reporter).Status(ctx)
				if err == nil && (s.State != "Ready" || s.Rebuild != nil) {
					err = fmt.Errorf("it is %s", s)
				}
				return err
			})
			r.Gets(ctx, i, "now", fmt.Sprint(n), 10*time.Second)
			swapped = true
		} else {
			tick := time.NewTimer(time.Duration(rnd.IntN(400)) * time.Millisecond)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		i.Kill()
		if swapped {
			again++
			j := r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: encoding})
			r.Ready(ctx, j)
			if got, _, err := j.Get(ctx, "now"); err != nil || got != fmt.Sprint(n) {
				r.Errorf("round %d: it had answered %d, was killed, and answers %q when it is ready again (%v)", n, n, got, err)
			}
			r.Misses(ctx, j, fmt.Sprintf("k%d", n), "after the restart")
			r.Has(ctx, j, r.Truth(ctx, topic), 15*time.Second)
			j.Kill()
		}
		if r.Failed() {
			return fmt.Errorf("in round %d of seed %d", n, seed)
		}
	}
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 15*time.Second)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("%d changes of the rules, each killed; %d times the new contents had taken over, and were what the next start answered", rounds, again)
	return nil
}
