package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/yolean/kafka-cache/loadgen"
)

// headline says what is about to run.
func headline(l *loadgen.Load) string {
	what := fmt.Sprintf("open loop, %s operations/s", number(l.Rate))
	if l.Closed {
		what = "closed loop, as fast as replies come"
	}
	names := make([]string, len(l.Topics))
	for i, t := range l.Topics {
		names[i] = t.Name
	}
	return fmt.Sprintf("%s for %v on %d connections with %d in flight each, to %s (%s): %s, %s keys", what, l.Duration, l.Connections, l.Pipeline,
		strings.Join(l.Addrs, ","), strings.Join(names, ","), l.Mix, l.Keys)
}

// progressLine is the live line.
func progressLine(l *loadgen.Load, p loadgen.Progress) string {
	left := max(p.Total-p.Elapsed, 0).Round(time.Second)
	loop := "open"
	if l.Closed {
		loop = "closed"
	}
	b := fmt.Sprintf("%v of %v, %v left, %s loop: ", p.Elapsed.Round(time.Second), p.Total, left, loop)
	if p.Warming {
		return b + "warming up"
	}
	if p.Last { // of the last second is left what came behind it
		b += fmt.Sprintf("%d operations, errors %d", p.Operations, p.Errors)
		if !l.Closed {
			b += fmt.Sprintf(", late %d", p.Late)
		}
		return b
	}
	if p.Elapsed > p.Total+300*time.Millisecond {
		b += "draining, "
	}
	b += fmt.Sprintf("%s/s", number(p.Second.Rate()))
	if !l.Closed {
		b += fmt.Sprintf(" of %s/s", number(l.Rate))
	}
	b += fmt.Sprintf(", p50 %s p99 %s max %s, errors %d", short(p.Second.P50), short(p.Second.P99), short(p.Second.Max), p.Errors)
	if !l.Closed {
		b += fmt.Sprintf(", late %d", p.Late)
	}
	return b
}

// number prints a count or a rate shortly.
func number(f float64) string {
	switch {
	case f >= 1e6:
		return fmt.Sprintf("%.2fM", f/1e6)
	case f >= 1e4:
		return fmt.Sprintf("%.1fk", f/1e3)
	}
	return fmt.Sprintf("%.0f", f)
}

// short prints seconds with a unit and three digits.
func short(seconds float64) string {
	switch {
	case seconds == 0:
		return "-"
	case seconds < 1e-3:
		return fmt.Sprintf("%.3gµs", seconds*1e6)
	case seconds < 1:
		return fmt.Sprintf("%.3gms", seconds*1e3)
	}
	return fmt.Sprintf("%.3gs", seconds)
}

// printReport prints a report for people.
func printReport(w io.Writer, r *loadgen.Report) {
	c := r.Configuration
	if r.Interrupted {
		fmt.Fprintf(w, "interrupted after %s of %s: what was done until then\n", short(r.Elapsed), short(c.Duration))
	}
	fmt.Fprintln(w, r.Note)
	fmt.Fprintf(w, "%d operations in %s, %.0f/s", r.Operations, short(r.Elapsed), r.Rate)
	if r.Loop == "open" {
		fmt.Fprintf(w, " of %s/s intended", number(c.Rate))
	}
	fmt.Fprintf(w, "; %d misses; %d errors%s\n", r.Misses, r.Errors, kinds(r.Failed))
	if s := r.Schedule; s != nil {
		fmt.Fprintln(w, scheduleLine(s, c.LateAfter))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s loop\toperations\terrors\tp50\tp90\tp99\tp99.9\tp99.99\tmax\tsent to reply p99\t\n", r.Loop)
	row := func(b loadgen.Breakdown) {
		l := b.Latency
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", b.Name, b.Operations, b.Errors, short(l.P50), short(l.P90), short(l.P99),
			short(l.P999), short(l.P9999), short(l.Max), short(b.Service.P99))
	}
	for _, b := range r.ByOperation {
		row(b)
	}
	if len(r.ByAddress) > 1 {
		for _, b := range r.ByAddress {
			row(b)
		}
	}
	t.Flush()
	fmt.Fprintln(w)
	g := r.Generator
	if g.CPUPerOperation > 0 {
		fmt.Fprintf(w, "generator: %s CPU an operation, %.2f of %d CPUs\n", short(g.CPUPerOperation), g.CPUs, g.Available)
	}
	if g.Bottleneck() {
		fmt.Fprintln(w, "the generator used nearly all CPUs that it may use: it may be what was measured")
	}
	for _, o := range r.Objectives {
		fmt.Fprintln(w, objectiveLine(o))
	}
}

func scheduleLine(s *loadgen.Schedule, lateAfter float64) string {
	if s.Late == 0 && s.Unsent == 0 {
		return fmt.Sprintf("schedule kept: none of %d operations was sent more than %s late (the latest %s)", s.Intended, short(lateAfter), short(s.Lateness.Max))
	}
	line := fmt.Sprintf("missed schedule: %d of %d operations were sent more than %s late, the latest %s", s.Late, s.Intended, short(lateAfter), short(s.Lateness.Max))
	if s.Unsent > 0 {
		line += fmt.Sprintf("; %d were never sent, so every percentile is a lower bound", s.Unsent)
	}
	return line
}

func kinds(failed map[string]int64) string {
	if len(failed) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, failed[k]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func objectiveLine(o loadgen.Attainment) string {
	met := "met"
	if !o.Met {
		met = "NOT MET"
	}
	actual := fmt.Sprintf("%.6g", o.Actual)
	switch o.Unit {
	case "seconds":
		actual = short(o.Actual)
	case "share":
		actual = fmt.Sprintf("%.4g%%", 100*o.Actual)
	}
	line := fmt.Sprintf("objective %s: %s, %s", o.Objective, met, actual)
	if o.Reason != "" {
		line += ": " + o.Reason
	}
	return line
}
