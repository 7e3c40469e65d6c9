package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "B7", Name: "killed again and again under load", Needs: []Capability{Durable}, Run: func(ctx context.Context, r *Run) error {
			return killedUnderLoad(ctx, r, 5)
		}},
		Scenario{ID: "B7", Name: "killed thirty times under load", Needs: []Capability{Durable}, Slow: true, Limit: 5 * time.Minute, Run: func(ctx context.Context, r *Run) error {
			return killedUnderLoad(ctx, r, 30)
		}},
		Scenario{ID: "B8", Name: "started with another value encoding, and with the first one again", Needs: []Capability{Durable, Rules}, Run: func(ctx context.Context, r *Run) error {
			return otherRules(ctx, r, "a", "\xff\xfe", func(s *Spec, encoding string) { s.ValueEncoding = encoding })
		}},
		Scenario{ID: "B8", Name: "started with another key encoding, and with the first one again", Needs: []Capability{Durable, Rules}, Run: func(ctx context.Context, r *Run) error {
			return otherRules(ctx, r, "\xff\xfe", "a", func(s *Spec, encoding string) { s.KeyEncoding = encoding })
		}},
		Scenario{ID: "B8", Name: "the old contents are served while those of other rules are built", Settings: throttledSettings, Private: true,
			Needs: []Capability{Durable, Rules, Reports, Redis}, Run: servedWhileRebuilt},
	)
}

// killedUnderLoad: after each SIGKILL the contents are those of a fresh instance and of the log. Now and then it is
// killed before it is ready, and once it ends in order, so that there is something to go on from.
func killedUnderLoad(ctx context.Context, r *Run, rounds int) error {
	seed := rand.Uint64()
	r.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	topic, dir := r.Topic(3, nil), r.TempDir()
	written := 0
	write := func(n int) *kgo.Client {
		client := r.Cluster.Client(r)
		for range n {
			written++
			rec := record(topic, fmt.Sprintf("k%d", rnd.IntN(2000)), fmt.Sprintf("%d-%s", written, strings.Repeat("v", rnd.IntN(200))))
			if rnd.IntN(5) == 0 {
				rec.Value = nil
			}
			client.Produce(ctx, rec, func(_ *kgo.Record, err error) {
				if err != nil {
					r.Errorf("produce: %v", err)
				}
			})
		}
		return client
	}
	if err := write(5000).Flush(ctx); err != nil {
		return err
	}
	for n := range rounds {
		i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
		if rnd.IntN(3) > 0 {
			r.Ready(ctx, i)
		}
		client := write(2000 + rnd.IntN(4000))
		if n == 0 {
			r.Ready(ctx, i)
			if err := i.Stop(ctx); err != nil {
				return err
			}
		}
		i.Kill() // while it reads what is being written
		if err := client.Flush(ctx); err != nil {
			return err
		}
		again := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
		r.Ready(ctx, again)
		want := r.Truth(ctx, topic)
		r.Has(ctx, again, want, 20*time.Second)
		r.NotRebuilt(ctx, again)
		if n == rounds-1 {
			r.AtEnd(ctx, again, topic)
			r.sameAsFresh(ctx, again, topic)
			r.Sawf("after %d kills the %d keys of %d records are a fresh instance's and the log's", rounds, len(want), written)
		}
		again.Kill()
		if r.Failed() {
			return fmt.Errorf("in round %d of seed %d", n+1, seed)
		}
	}
	return nil
}

// otherRules: a record that one encoding holds and the other cannot decode shows which of them made the store.
func otherRules(ctx context.Context, r *Run, key, value string, set func(*Spec, string)) error {
	topic, dir := r.Topic(1, nil), r.TempDir()
	r.Produce(record(topic, "plain", "1"), record(topic, key, value))
	all, text := map[string]string{"plain": "1", key: value}, map[string]string{"plain": "1"}
	for n, step := range []struct {
		encoding string
		want     map[string]string
		rebuilt  float64
	}{{"binary", all, 0}, {"utf-8", text, 1}, {"utf-8", text, 0}, {"binary", all, 1}} {
		spec := Spec{Topic: topic, DataDir: dir}
		set(&spec, step.encoding)
		i := r.Start(ctx, spec)
		r.Ready(ctx, i)
		// What was made with the rules before may be served while the new generation is built.
		r.Has(ctx, i, step.want, 15*time.Second)
		r.AtEnd(ctx, i, topic)
		r.HasNow(ctx, i, step.want, "at the end")
		r.Rebuilt(ctx, i, "rules", step.rebuilt)
		if step.rebuilt > 0 {
			r.loggedState(ctx, i, "Rebuilding", "rules")
		}
		how := i.Stop
		if n%2 == 1 {
			how = func(context.Context) error { i.Kill(); return nil }
		}
		if err := how(ctx); err != nil {
			return err
		}
	}
	r.Sawf("rebuilt for each change of the encoding, and only for one")
	return nil
}

// servedWhileRebuilt slows the building down: meanwhile what the old rules made is served, a SIGKILL in between loses
// neither, and those who cache are told when the new contents take over.
func servedWhileRebuilt(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, nil), r.TempDir()
	r.Produce(record(topic, "plain", "1"), record(topic, "raw", "\xff\xfe"))
	r.fillSlowly(ctx, topic, 15)
	first := r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: "binary"})
	r.Ready(ctx, first)
	if err := first.Stop(ctx); err != nil {
		return err
	}
	r.Throttle(ctx, slowRate)
	var i Instance
	for n := range 2 {
		i = r.Start(ctx, Spec{Topic: topic, DataDir: dir, ValueEncoding: "utf-8"})
		took := r.Ready(ctx, i)
		if took > 8*time.Second {
			r.Errorf("it served %.1f s after the start, although the old contents were there", took.Seconds())
		}
		r.Gets(ctx, i, "raw", "\xff\xfe", 5*time.Second)
		r.Says(ctx, i, 10*time.Second, "that it is rebuilt for other rules, and serves", func(s TopicStatus) bool {
			return s.State == "Rebuilding" && s.Serving && s.Rebuild != nil && s.Rebuild.Reason == "rules" && !s.Rebuild.Verifying
		})
		r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == 1 }, "kafka_cache_state", "state=Rebuilding")
		if n == 0 {
			i.Kill() // in the middle of it
		}
	}
	t, err := track(ctx, i.(RedisServer).RedisAddr())
	if err != nil {
		return err
	}
	defer t.conn.Close()
	r.Throttle(ctx, 0)
	for all := false; !all; {
		keys, err := t.next(time.Now().Add(30 * time.Second))
		if err != nil {
			return fmt.Errorf("clients that cache are not told of the new contents: %w", err)
		}
		all = keys[0] == "*"
	}
	r.AtEnd(ctx, i, topic)
	want := r.Truth(ctx, topic)
	delete(want, "raw")
	r.HasNow(ctx, i, want, "when it is rebuilt")
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("the old contents until the new ones were whole, through a SIGKILL in between")
	return nil
}
