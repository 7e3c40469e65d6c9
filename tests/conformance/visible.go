package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rebuilt waits until an instance that reports says of a rebuild or verification: its reason counted n times in
// kafka_cache_rebuilds_total and in the status, and named in a line of the log. What is wrong with that does not end the scenario. It does nothing for one that does not report.
func (r *Run) Rebuilt(ctx context.Context, i Instance, reason string, n float64) {
	r.rebuilt(ctx, i, reason, func(counted float64) bool { return counted == n })
	if n > 0 {
		r.loggedReason(ctx, i, reason)
	}
}

// rebuiltOften is Rebuilt for at least one: an instance that is slowed down may fall behind for too long again.
func (r *Run) rebuiltOften(ctx context.Context, i Instance, reason string) {
	r.rebuilt(ctx, i, reason, func(counted float64) bool { return counted > 0 })
	r.loggedReason(ctx, i, reason)
}

func (r *Run) rebuilt(ctx context.Context, i Instance, reason string, enough func(counted float64) bool) {
	r.Measures(ctx, i, 10*time.Second, func(v float64, _ bool) bool { return enough(v) }, "kafka_cache_rebuilds_total", "reason="+reason)
	r.Says(ctx, i, 5*time.Second, "that it was rebuilt as "+reason, func(s TopicStatus) bool { return enough(float64(s.Rebuilds[reason])) })
}

// NotRebuilt checks that there was no rebuild of any reason.
func (r *Run) NotRebuilt(ctx context.Context, i Instance) {
	if rep, ok := i.(Reporter); ok {
		if got, _, err := rep.Metric(ctx, "kafka_cache_rebuilds_total"); err != nil || got != 0 {
			r.Errorf("kafka_cache_rebuilds_total is %v though nothing was wrong (%v)", got, err)
		}
	}
}

// loggedReason waits for a line that has a reason which is this one, or begins with it and a colon.
func (r *Run) loggedReason(ctx context.Context, i Instance, reason string) {
	r.logged(ctx, i, fmt.Sprintf("has the reason %q", reason), func(line map[string]any) bool {
		s, _ := line["reason"].(string)
		return s == reason || strings.HasPrefix(s, reason+":")
	})
}

// logged waits until an instance which reports has logged a line that is as asked. Where there is none, the scenario goes on as a failed one.
func (r *Run) logged(ctx context.Context, i Instance, what string, is func(line map[string]any) bool) {
	rep, ok := i.(Reporter)
	if !ok {
		return
	}
	r.expect(ctx, 10*time.Second, "a line of the log "+what, func(context.Context) error {
		if !slices.ContainsFunc(rep.Logged(), is) {
			return errors.New("there is none")
		}
		return nil
	})
}

// loggedSoon is logged for a message.
func (r *Run) loggedSoon(ctx context.Context, i Instance, msg string) {
	r.logged(ctx, i, fmt.Sprintf("says %q", msg), func(line map[string]any) bool { return line["msg"] == msg })
}

// Says waits until the status of an instance which reports is as done asks. Where it is not, the scenario goes on as a failed one.
func (r *Run) Says(ctx context.Context, i Instance, within time.Duration, what string, done func(TopicStatus) bool) {
	rep, ok := i.(Reporter)
	if !ok {
		return
	}
	r.expect(ctx, within, "the status says "+what, func(ctx context.Context) error {
		s, err := rep.Status(ctx)
		if err != nil {
			return err
		}
		if !done(s) {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
}

// Measures waits until a metric of an instance which reports is as done asks.
func (r *Run) Measures(ctx context.Context, i Instance, within time.Duration, done func(v float64, ok bool) bool, name string, labels ...string) {
	rep, ok := i.(Reporter)
	if !ok {
		return
	}
	r.expect(ctx, within, "metric "+name, func(ctx context.Context) error {
		v, ok, err := rep.Metric(ctx, name, labels...)
		if err == nil && !done(v, ok) {
			err = fmt.Errorf("it is %v (there: %v)", v, ok)
		}
		return err
	})
}

func positive(v float64, ok bool) bool { return ok && v > 0 }

func zero(v float64, ok bool) bool { return ok && v == 0 }

// AtEnd waits until every partition of an instance which reports is at its end, with no lag anywhere.
func (r *Run) AtEnd(ctx context.Context, i Instance, topic string) {
	ends := r.Cluster.Ends(r, topic)
	r.Says(ctx, i, 15*time.Second, fmt.Sprintf("that it is at the ends %v", ends), func(s TopicStatus) bool {
		if s.State != "Ready" || len(s.Partitions) != len(ends) {
			return false
		}
		for _, p := range s.Partitions {
			e := ends[p.Partition]
			if p.Position < e.LastStable || p.Lag != 0 || p.LagHighWatermark != 0 || p.LagSeconds != 0 {
				return false
			}
		}
		return true
	})
	r.Measures(ctx, i, 5*time.Second, zero, "kafka_cache_consumer_lag_records")
	r.Measures(ctx, i, 5*time.Second, zero, "kafka_cache_consumer_lag_high_watermark_records")
	r.loggedSoon(ctx, i, "ready")
}

// String is for sentences.
func (s TopicStatus) String() string {
	text := s.State
	if s.Reason != "" {
		text += fmt.Sprintf(" (%s)", s.Reason)
	}
	if len(s.Rebuilds) > 0 {
		text += fmt.Sprintf(", rebuilds %v", s.Rebuilds)
	}
	if s.Rebuild != nil {
		text += fmt.Sprintf(", rebuild %s verifying %v", s.Rebuild.Reason, s.Rebuild.Verifying)
	}
	for _, p := range s.Partitions {
		text += fmt.Sprintf(", %d: %d of %d/%d lag %d/%d/%.1fs", p.Partition, p.Position, p.End, p.HighWatermark, p.Lag, p.LagHighWatermark, p.LagSeconds)
	}
	return text
}

// loggedState waits for a line of the log that names the state with the reason, of which the beginning is enough where it is given with an ellipsis.
func (r *Run) loggedState(ctx context.Context, i Instance, state, reason string) {
	begins, short := strings.CutSuffix(reason, "…")
	r.logged(ctx, i, fmt.Sprintf("says state %s, reason %s", state, reason), func(line map[string]any) bool {
		s, _ := line["reason"].(string)
		return line["state"] == state && (s == reason || strings.HasPrefix(s, reason+":") || short && strings.HasPrefix(s, begins))
	})
}

// inState checks that a metric and a line of the log name the state that the status has.
func (r *Run) inState(ctx context.Context, i Instance, state, reason string) {
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v == 1 }, "kafka_cache_state", "state="+state)
	r.loggedState(ctx, i, state, reason)
}

// verifiedRemoved checks that what a verification has removed is counted.
func (r *Run) verifiedRemoved(ctx context.Context, i Instance) {
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_verified_removed_total")
	r.Says(ctx, i, 5*time.Second, "that a verification has removed something", func(s TopicStatus) bool { return s.VerifiedRemoved > 0 })
}
