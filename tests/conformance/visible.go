package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Rebuilt waits until an instance that reports says of a rebuild or verification: its reason counted n times in
// kafka_cache_rebuilds_total and in the status, and named in a line of the log. What is wrong with that does not end the scenario. It does nothing for one that does not report.
func (r *Run) Rebuilt(ctx context.Context, i Instance, reason string, n float64) {
	r.rebuilt(ctx, i, reason, func(counted float64) bool { return counted == n })
	if rep, ok := i.(Reporter); ok && n > 0 && !logged(rep, reason) {
		r.Errorf("no line of the log has the reason %q", reason)
	}
}

// rebuiltOften is Rebuilt for at least one: an instance that is slowed down may fall behind for too long again.
func (r *Run) rebuiltOften(ctx context.Context, i Instance, reason string) {
	r.rebuilt(ctx, i, reason, func(counted float64) bool { return counted > 0 })
	if rep, ok := i.(Reporter); ok && !logged(rep, reason) {
		r.Errorf("no line of the log has the reason %q", reason)
	}
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

// logged tells whether a line has a reason that is this one, or begins with it and a colon.
func logged(rep Reporter, reason string) bool {
	for _, line := range rep.Logged() {
		if s, _ := line["reason"].(string); s == reason || strings.HasPrefix(s, reason+":") {
			return true
		}
	}
	return false
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
	if rep, ok := i.(Reporter); ok && !loggedMessage(rep, "ready") {
		r.Errorf("no line of the log says that it is ready")
	}
}

func loggedMessage(rep Reporter, msg string) bool {
	for _, line := range rep.Logged() {
		if line["msg"] == msg {
			return true
		}
	}
	return false
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

// loggedState checks that a line of the log names the state with the reason.
func (r *Run) loggedState(i Instance, state, reason string) {
	rep, ok := i.(Reporter)
	if !ok {
		return
	}
	for _, line := range rep.Logged() {
		if s, _ := line["reason"].(string); line["state"] == state && (s == reason || strings.HasPrefix(s, reason+":")) {
			return
		}
	}
	r.Errorf("no line of the log says state %s, reason %s", state, reason)
}

// verifiedRemoved checks that what a verification has removed is counted.
func (r *Run) verifiedRemoved(ctx context.Context, i Instance) {
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_verified_removed_total")
	r.Says(ctx, i, 5*time.Second, "that a verification has removed something", func(s TopicStatus) bool { return s.VerifiedRemoved > 0 })
}
