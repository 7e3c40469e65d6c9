package conformance

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	needs := []Capability{Reports, Options, Durable}
	register(
		Scenario{ID: "R1", Name: "instances of different age hold the same, and compare says so", Needs: needs, Run: replicasAgree},
		Scenario{ID: "R1", Name: "compare while writers go on", Needs: needs, Run: replicasAgreeUnderLoad},
		Scenario{ID: "R1", Name: "instances differ where the log has lost a tombstone, and compare says so", Needs: append(needs, Writes, Redis), Run: replicasDiffer},
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

// compares runs the comparison, expects its exit code, and is what it printed.
func (r *Run) compares(ctx context.Context, a, b Instance, want int, args ...string) (printed string) {
	code, printed, err := r.Subject.(comparer).compare(ctx, a, b, args...)
	if err != nil || code != want {
		r.Errorf("compare %v ends with %d, not %d: %s (%v)", args, code, want, oneLine(printed), err)
	}
	return printed
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

// replicasDiffer: a key's older value lies in one partition, and its tombstone in another, which the brokers have dropped. Who has read the tombstone knows, who comes later cannot:
// that is what the guarantees except. Both say what they have, the comparison says that it is not the same, and a repair by the one that knows brings them together.
func replicasDiffer(ctx context.Context, r *Run) error {
	topic, other := r.Topic(2, compacted(time.Hour)), r.Topic(1, nil)
	at := time.Now().Add(-time.Minute)
	r.Produce(records(topic, "k", 50, "1")...)
	r.Produce(records(other, "k", 50, "1")...)
	r.Cluster.ProduceTo(r, on(topic, 0, "gone", "old", at), on(topic, 1, "gone", "", at.Add(time.Second)))
	start := func() Instance {
		i := r.Start(ctx, Spec{Topic: topic, Writable: true, Args: []string{"--topic", other}})
		r.Ready(ctx, i)
		return i
	}
	old := start()
	r.Misses(ctx, old, "gone", "while its tombstone is in the log")
	early := start()
	agree := fmt.Sprintf("%s: agree (2 partitions)\n%s: agree (1 partition)\n", topic, other)
	if printed := r.compares(ctx, old, early, 0); printed != agree {
		r.Errorf("while the tombstone is in the log compare prints %q, not %q", printed, agree)
	}
	early.Kill()
	r.Cluster.SetTopicConfig(r, topic, map[string]string{"delete.retention.ms": "0"})
	r.CompactUntil(ctx, time.Minute, topic, "the tombstone is compacted away", func(log []*kgo.Record) bool {
		for _, rec := range log {
			if string(rec.Key) == "gone" && rec.Partition == 1 {
				return false
			}
		}
		return true
	})
	fresh := start()
	r.Gets(ctx, fresh, "gone", "old", 10*time.Second)
	r.Misses(ctx, old, "gone", "for who has read its tombstone")
	for _, c := range []struct {
		a, b Instance
		args []string
		want string
	}{
		{old, fresh, nil, "partition 0: tombstones of other partitions hide 1 of its values in the first and 0 in the second at offset "},
		{fresh, old, nil, "partition 0: tombstones of other partitions hide 0 of its values in the first and 1 in the second at offset "},
		{old, fresh, []string{"--full", "--topic", topic}, "partition 0: the values differ at offset "},
	} {
		printed := r.compares(ctx, c.a, c.b, 1, c.args...)
		lines := strings.Split(printed, "\n")
		if len(lines) < 2 || lines[0] != topic+": differ" || !strings.HasPrefix(lines[1], "  "+c.want) || strings.Contains(printed, "partition 1") ||
			c.args == nil && !strings.HasSuffix(printed, other+": agree (1 partition)\n") {
			r.Errorf("compare %v prints %q", c.args, printed)
		}
	}
	r.compares(ctx, old, fresh, 0, "--topic", other)
	if n, err := old.(RedisServer).Redis().Do(ctx, "KAFKA.REPAIR").Int(); err != nil || n != 1 {
		return fmt.Errorf("KAFKA.REPAIR replies %d, %w", n, err)
	}
	r.Await(ctx, 10*time.Second, "the fresh instance does not have the key either", func(ctx context.Context) error {
		if _, found, err := fresh.Get(ctx, "gone"); err != nil || found {
			return fmt.Errorf("it is there: %v, %w", found, err)
		}
		return nil
	})
	r.compares(ctx, old, fresh, 0)
	r.compares(ctx, old, fresh, 0, "--full", "--topic", topic)
	r.Sawf("exit code 1 with the partition whose value one has and the other hides, 0 after a repair")
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
