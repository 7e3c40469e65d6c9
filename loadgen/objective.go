package loadgen

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Objective is what a run has to attain, as in "p99=2ms", "get.p99.9=5ms", "errors=0", "late=1%", "rate=20000".
type Objective struct {
	text       string
	operation  Operation // -1: of all
	measure    string    // "percentile", "max", "mean", "errors", "misses", "late", "rate"
	percentile float64
	limit      float64 // seconds, a number, or a part of 1 where share is true
	share      bool
}

// Attainment is an objective with what came of it.
type Attainment struct {
	Objective string  `json:"objective"`
	Unit      string  `json:"unit"` // of the next two: "seconds", "perSecond", "count", or "share" (1 is all)
	Limit     float64 `json:"limit"`
	Actual    float64 `json:"actual"`
	Met       bool    `json:"met"`
	Reason    string  `json:"reason"` // why it is not met, where the numbers do not say; otherwise empty
}

// ParseObjective parses one. Latencies (p50 … p99.99, any pN; max, mean) and errors and misses may be of one operation
// ("get.p99"); errors, misses and late are a number or a share ("0.1%") at most, rate is operations a second at least.
func ParseObjective(s string) (Objective, error) {
	o := Objective{text: s, operation: -1}
	left, right, ok := strings.Cut(s, "=")
	if name, rest, dotted := strings.Cut(left, "."); ok && dotted {
		if op, known := operationOf(name); known {
			o.operation, left = op, rest
		}
	}
	bad := func(why string) (Objective, error) {
		return Objective{}, fmt.Errorf("loadgen: objective %.64q: %s", s, why)
	}
	switch {
	case !ok:
		return bad("MEASURE=LIMIT, as in p99=2ms")
	case left == "max" || left == "mean" || strings.HasPrefix(left, "p"):
		o.measure = left
		if left[0] == 'p' {
			p, err := strconv.ParseFloat(left[1:], 64)
			if err != nil || !(p > 0 && p <= 100) {
				return bad("a percentile is above 0 and at most 100")
			}
			o.measure, o.percentile = "percentile", p
		}
		d, err := time.ParseDuration(right)
		if err != nil || d <= 0 {
			return bad("its limit is a time, as in 2ms")
		}
		o.limit = d.Seconds()
		return o, nil
	case left == "errors" || left == "misses" || left == "late":
		o.measure = left
		right, o.share = strings.CutSuffix(right, "%")
	case left == "rate":
		o.measure = left
	default:
		return bad("measures are pN, max, mean, errors, misses, late, rate, of one operation as in get.p99")
	}
	if o.operation >= 0 && (o.measure == "late" || o.measure == "rate") {
		return bad(o.measure + " is of all operations")
	}
	n, err := strconv.ParseFloat(right, 64)
	if err != nil || !(n >= 0 && n <= 1e12) {
		return bad("its limit is a number that is not negative")
	}
	if o.limit = n; o.share {
		o.limit /= 100
	}
	return o, nil
}

// String is what was parsed.
func (o Objective) String() string { return o.text }

func (o Objective) unit() string {
	switch {
	case o.measure == "rate":
		return "perSecond"
	case o.share:
		return "share"
	case o.measure == "errors" || o.measure == "misses" || o.measure == "late":
		return "count"
	}
	return "seconds"
}

// fits tells whether a load can attain it at all.
func (o Objective) fits(l Load) error {
	switch {
	case o.measure == "late" && l.Closed:
		return fmt.Errorf("loadgen: objective %s: a closed loop has no schedule", o.text)
	case o.operation >= 0 && l.Mix[o.operation] == 0:
		return fmt.Errorf("loadgen: objective %s: the mix has no %s", o.text, o.operation)
	}
	return nil
}

// attainment compares an objective with what was measured.
func (c *collector) attainment(o Objective, r *Report) Attainment {
	a := Attainment{Objective: o.text, Unit: o.unit(), Limit: o.limit}
	measured := c.total.all()
	if o.operation >= 0 {
		measured = c.total.by[o.operation]
	}
	tried := float64(measured.operations + measured.errors())
	part := func(n int64) float64 {
		if o.share && tried > 0 {
			return float64(n) / tried
		}
		return float64(n)
	}
	switch o.measure {
	case "rate":
		a.Actual = r.Rate
		a.Met = a.Actual >= a.Limit
		return a
	case "errors":
		a.Actual = part(measured.errors())
	case "misses":
		a.Actual = part(measured.misses)
	case "late":
		a.Actual = float64(r.Schedule.Late + r.Schedule.Unsent)
		if o.share {
			a.Actual /= max(float64(r.Schedule.Intended), 1)
		}
	default:
		return o.latency(a, &measured, r)
	}
	if a.Met = a.Actual <= a.Limit; a.Met && tried == 0 {
		a.Met, a.Reason = false, "nothing was measured"
	}
	return a
}

func (o Objective) latency(a Attainment, measured *counts, r *Report) Attainment {
	h := measured.latency
	if h == nil || h.TotalCount() == 0 {
		a.Reason = "nothing was measured"
		return a
	}
	switch o.measure {
	case "max":
		a.Actual = float64(h.Max()) / 1e9
	case "mean":
		a.Actual = h.Mean() / 1e9
	default:
		a.Actual = seconds(h, o.percentile)
	}
	a.Met = a.Actual <= a.Limit
	if a.Met && r.Schedule != nil && r.Schedule.Unsent > 0 {
		a.Met, a.Reason = false, fmt.Sprintf("%d operations were never sent, so that the latency is a lower bound", r.Schedule.Unsent)
	}
	return a
}
