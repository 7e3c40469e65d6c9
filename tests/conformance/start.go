package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	options := []Capability{Options, Reports}
	register(
		Scenario{ID: "S1", Name: "start: an offset", Needs: options, Run: startAtOffset},
		Scenario{ID: "S1", Name: "start: a time", Needs: options, Run: startAtTime},
		Scenario{ID: "S1", Name: "start: what there is not", Needs: options, Run: startAtNothing},
		Scenario{ID: "S1", Name: "start: another than the data directory was made with", Needs: options, Run: startChanged},
	)
}

// hourly writes a hundred records, the last of them an hour ago and each a minute after the one before.
func hourly(r *Run, topic string) (at func(n int) time.Time) {
	first := time.Now().Add(-160 * time.Minute).Truncate(time.Second)
	at = func(n int) time.Time { return first.Add(time.Duration(n) * time.Minute) }
	var all []*kgo.Record
	for n := range 100 {
		all = append(all, on(topic, 0, fmt.Sprintf("k%d", n), "1", at(n)))
	}
	r.Cluster.ProduceTo(r, all...)
	return at
}

// from is what hourly has written from a record on.
func from(n int) map[string]string {
	want := map[string]string{}
	for ; n < 100; n++ {
		want[fmt.Sprintf("k%d", n)] = "1"
	}
	return want
}

// started starts an instance with the option and holds its contents against want; then it must follow the tail.
func (r *Run) started(ctx context.Context, topic, start string, want map[string]string) {
	i := r.Start(ctx, Spec{Topic: topic, Args: []string{"--start=" + start}})
	took := r.Ready(ctx, i)
	r.HasNow(ctx, i, want, "started at "+start)
	r.Says(ctx, i, 5*time.Second, "start "+start, func(s TopicStatus) bool { return s.Start == start })
	r.AtEnd(ctx, i, topic)
	if took > 10*time.Second {
		r.Errorf("started at %s it is ready after %v", start, took)
	}
	i.Kill()
}

func startAtOffset(ctx context.Context, r *Run) error {
	topic := r.Topic(1, map[string]string{"cleanup.policy": "delete"})
	hourly(r, topic)
	r.started(ctx, topic, "earliest", from(0))
	r.started(ctx, topic, "offset:0", from(0))
	r.started(ctx, topic, "offset:60", from(60))
	r.started(ctx, topic, "offset:100", from(100))
	r.Cluster.DeleteRecords(r, topic, 0, 20)
	r.started(ctx, topic, "offset:20", from(20))
	i := r.Start(ctx, Spec{Topic: topic, Args: []string{"--start=offset:100"}})
	r.Ready(ctx, i)
	r.Cluster.ProduceTo(r, on(topic, 0, "k100", "1", time.Now()))
	r.Has(ctx, i, map[string]string{"k100": "1"}, 10*time.Second)
	r.Sawf("exactly what the log has from there")
	return nil
}

func startAtTime(ctx context.Context, r *Run) error {
	topic := r.Topic(1, map[string]string{"cleanup.policy": "delete"})
	at := hourly(r, topic)
	stamp := func(t time.Time) string { return "timestamp:" + t.UTC().Format(time.RFC3339) }
	r.started(ctx, topic, stamp(at(40)), from(40))
	r.started(ctx, topic, stamp(at(40).Add(time.Second)), from(41))
	r.started(ctx, topic, stamp(at(0).Add(-time.Hour)), from(0))
	// Past the last record: ready at once, at the end.
	r.started(ctx, topic, stamp(at(99).Add(time.Minute)), from(100))
	// Relative: the last record is 61 minutes old.
	r.started(ctx, topic, "-30m", from(100))
	minutes := int(time.Since(at(80)).Minutes()) // whole ones, so that record 80 is older and 81 is younger, for half a minute or more
	if rest := time.Since(at(80)) - time.Duration(minutes)*time.Minute; rest < 30*time.Second {
		r.started(ctx, topic, fmt.Sprintf("-%dm", minutes), from(81))
	} else {
		r.started(ctx, topic, fmt.Sprintf("-%dm%ds", minutes, 30), from(81))
	}
	i := r.Start(ctx, Spec{Topic: topic, Args: []string{"--start=-1h"}})
	r.Ready(ctx, i)
	r.Says(ctx, i, 5*time.Second, "that it cannot be compared", func(s TopicStatus) bool { return !s.Comparable && strings.Contains(s.NotComparable, "-1h") })
	r.Sawf("from the first record that is not older")
	return nil
}

// endsByItself starts an instance that has to end by itself and is the code and what it printed.
func (r *Run) endsByItself(ctx context.Context, spec Spec) (code int, printed string) {
	spec.Bootstrap, spec.Identity = r.Cluster.Addr(), "conformance."+spec.Topic+".ends"
	i, err := r.Subject.Start(ctx, spec)
	if err != nil { // before it listened
		if !errors.Is(err, ErrEnded) {
			r.Fatalf("start: %v", err)
		}
		return 2, err.Error() // told from other codes by its text
	}
	defer i.Kill()
	p := i.(interface {
		Done() <-chan struct{}
		ExitCode() int
	})
	select {
	case <-p.Done():
		return p.ExitCode(), i.Log()
	case <-time.After(20 * time.Second):
		r.Errorf("with %v it still runs", spec.Args)
		return 0, i.Log()
	}
}

func startAtNothing(ctx context.Context, r *Run) error {
	topic := r.Topic(1, map[string]string{"cleanup.policy": "delete"})
	hourly(r, topic)
	r.Cluster.DeleteRecords(r, topic, 0, 20)
	for _, start := range []string{"offset:101", "offset:10"} {
		code, printed := r.endsByItself(ctx, Spec{Topic: topic, Args: []string{"--start=" + start}})
		if code != 2 || !strings.Contains(printed, start) || !strings.Contains(printed, "20 to 100") {
			r.Errorf("with %s it ended with %d and says neither that nor the bounds: %.300s", start, code, lastLine(printed))
		}
	}
	for _, start := range []string{"offset:", "offset:-1", "offset:x", "timestamp:yesterday", "timestamp:2026-13-01T00:00:00Z", "24h", "-", "latest"} {
		code, printed := r.endsByItself(ctx, Spec{Topic: topic, Args: []string{"--start=" + start}})
		if code != 2 || !strings.Contains(printed, "start") {
			r.Errorf("with %q it ended with %d: %.300s", start, code, lastLine(printed))
		}
	}
	r.Sawf("it ends with code 2 and names both bounds")
	return nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// startChanged: the choice belongs to the checkpoint.
func startChanged(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, map[string]string{"cleanup.policy": "delete"}), r.TempDir()
	hourly(r, topic)
	start := func(where string) Instance {
		i := r.Start(ctx, Spec{Topic: topic, DataDir: dir, Args: []string{"--start=" + where}})
		r.Ready(ctx, i)
		return i
	}
	i := start("offset:60")
	r.HasNow(ctx, i, from(60), "started at 60")
	if err := i.Stop(ctx); err != nil {
		return err
	}
	i = start("offset:60")
	r.HasNow(ctx, i, from(60), "started again")
	r.NotRebuilt(ctx, i)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	// What was there may go on being served while the log is read.
	i = start("earliest")
	r.Has(ctx, i, from(0), 20*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Rebuilt(ctx, i, "rules", 1)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	i = start("offset:90")
	r.Has(ctx, i, from(90), 20*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Rebuilt(ctx, i, "rules", 1)
	r.Sawf("another start is read anew, in both directions")
	return nil
}
