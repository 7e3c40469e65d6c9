package conformance

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	needs := []Capability{Reports, Options, Durable}
	register(
		Scenario{ID: "R1", Name: "instances of different age hold the same, and compare says so", Needs: needs, Run: replicasAgree},
		Scenario{ID: "R1", Name: "compare while writers go on", Needs: needs, Run: replicasAgreeUnderLoad},
		Scenario{ID: "R1", Name: "compare of what cannot be compared", Needs: needs, Run: replicasNotComparable},
	)
}

// comparer is a subject that compares two instances by a command.
type comparer interface {
	compare(ctx context.Context, a, b Instance, args ...string) (code int, printed string, err error)
}

// compare runs `kafka-cache compare`.
func (k *kafkaCache) compare(ctx context.Context, a, b Instance, args ...string) (int, string, error) {
	cmd := exec.CommandContext(ctx, k.binary, append([]string{"compare", a.(*daemon).adminAddr, b.(*daemon).adminAddr}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}

// compares runs the comparison and expects its exit code.
func (r *Run) compares(ctx context.Context, a, b Instance, want int, args ...string) {
	code, printed, err := r.Subject.(comparer).compare(ctx, a, b, args...)
	if err != nil || code != want {
		r.Errorf("compare %v ends with %d, not %d: %s (%v)", args, code, want, oneLine(printed), err)
	}
}

// replicasAgree: one that has seen everything happen, one that was away for a part of it, and one that sees what is left.
func replicasAgree(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(3, with(compacted(time.Hour), map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1"})), r.TempDir()
	r.Produce(records(topic, "k", 300, "1")...)
	old := r.Start(ctx, Spec{Topic: topic})
	away := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, old)
	r.Ready(ctx, away)
	r.Produce(records(topic, "k", 100, "2")...)
	if err := away.Stop(ctx); err != nil {
		return err
	}
	r.End(ctx, r.Begin(ctx, records(topic, "k", 50, "3")...), topic, kgo.TryCommit)
	r.End(ctx, r.Begin(ctx, records(topic, "k", 150, "aborted")...), topic, kgo.TryAbort)
	for n := 200; n < 250; n++ {
		r.Produce(tombstone(topic, fmt.Sprintf("k%d", n)))
	}
	r.Produce(&kgo.Record{Topic: topic, Key: []byte("empty"), Value: []byte{}})
	r.CompactUntil(ctx, time.Minute, topic, "old values are compacted away", func(log []*kgo.Record) bool { return len(log) < 400 })
	for p, e := range r.Cluster.Ends(r, topic) {
		if p < 2 {
			r.Cluster.DeleteRecords(r, topic, int32(p), e.Start+(e.HighWatermark-e.Start)/3)
		}
	}
	away = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	fresh := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, away)
	r.Ready(ctx, fresh)
	want := r.Truth(ctx, topic)
	for who, i := range map[string]Instance{"the oldest": old, "the one that was away": away, "the fresh one": fresh} {
		r.expect(ctx, 20*time.Second, who+" has what the log has", func(ctx context.Context) error {
			got, err := i.All(ctx)
			if err != nil {
				return err
			}
			return difference(got, want)
		})
	}
	r.allAgree(ctx, topic, fresh, away, old)
	r.compares(ctx, old, fresh, 0)
	r.compares(ctx, old, away, 0, "--full", "--topic", topic)
	r.compares(ctx, fresh, away, 0, "--full")
	r.Sawf("three ages, %d keys, equal by contents, checksum and compare", len(want))
	return nil
}

// replicasAgreeUnderLoad: recorded digests make a moment that both have passed.
func replicasAgreeUnderLoad(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(records(topic, "k", 100, "1")...)
	one := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, one)
	r.Produce(records(topic, "k", 1000, "2")...)
	two := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, two)
	writing, stop := context.WithCancel(ctx)
	written := make(chan error, 1)
	go func() {
		client := r.Cluster.Client(r)
		for n := 0; ; n++ {
			batch := records(topic, "k", 500, fmt.Sprint(n))
			for i := 0; i < 500; i += 7 {
				batch[i].Value = nil
			}
			if err := client.ProduceSync(writing, batch...).FirstErr(); err != nil {
				if writing.Err() != nil {
					err = nil
				}
				written <- err
				return
			}
		}
	}()
	began := time.Now()
	const times = 20
	for range times {
		r.compares(ctx, one, two, 0, "--timeout", "30s")
	}
	took := time.Since(began)
	stop()
	if err := <-written; err != nil {
		return err
	}
	want := r.Truth(ctx, topic)
	r.Has(ctx, one, want, 20*time.Second)
	r.Has(ctx, two, want, 20*time.Second)
	r.compares(ctx, one, two, 0, "--full")
	r.Sawf("compared %d times in %.1f s under writes", times, took.Seconds())
	return nil
}

func replicasNotComparable(ctx context.Context, r *Run) error {
	topic, other := r.Topic(1, nil), r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"), record(other, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	later := r.Start(ctx, Spec{Topic: topic, Args: []string{"--start=offset:1"}})
	relative := r.Start(ctx, Spec{Topic: topic, Args: []string{"--start=-1h"}})
	another := r.Start(ctx, Spec{Topic: other})
	for _, x := range []Instance{i, later, relative, another} {
		r.Ready(ctx, x)
	}
	r.compares(ctx, i, later, 3, "--timeout", "2s")
	r.compares(ctx, relative, relative, 3, "--timeout", "2s")
	r.compares(ctx, i, another, 3, "--timeout", "2s")
	another.Kill()
	r.compares(ctx, i, another, 3, "--timeout", "2s")
	r.compares(ctx, i, i, 2, "--timeout", "soon")
	r.Sawf("exit code 3, and 2 for what is no option")
	return nil
}
