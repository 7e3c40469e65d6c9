package htmlreport

import (
	"fmt"
	"io"
	"strings"

	"github.com/yolean/kafka-cache/loadgen"
)

// Propagation writes the page of a Propagation.
func Propagation(w io.Writer, r *loadgen.PropagationReport) error {
	c := r.Configuration
	p := &page{
		Title: "loadgen propagate",
		Subtitle: fmt.Sprintf("%s, %s writes a second of %s to %s, seen in %s", r.Started.Format("2006-01-02 15:04:05 MST"), count(c.Rate), c.Topic.Name,
			c.Write, strings.Join(c.Addresses, ", ")),
		Figures: []figure{
			{"writes", count(float64(r.Writes)), fmt.Sprintf("%s/s", count(r.Rate))},
			{"acknowledged p50", duration(r.Acknowledged.P50), ""}, {"acknowledged p99", duration(r.Acknowledged.P99), ""},
			{"errors of writes", count(float64(r.Errors)), kinds(r.Failed)},
		},
	}
	p.Banners = append(p.Banners, banner{"note", "times are from the intended start of each write to the first reply that has it"})
	if r.Interrupted {
		p.Banners = append(p.Banners, banner{"bad", fmt.Sprintf("interrupted after %s of %s: what was done until then", duration(r.Elapsed), duration(c.Duration))})
	}
	if s := r.Schedule; s.Late+s.Unsent > 0 {
		p.Banners = append(p.Banners, banner{"bad", fmt.Sprintf("missed schedule: %d of %d writes were sent more than %s late, %d never", s.Late, s.Intended, duration(c.LateAfter), s.Unsent)})
	}
	if len(r.Objectives) > 0 {
		verdict := banner{"good", "all objectives are met"}
		if !r.Met {
			verdict = banner{"bad", "not all objectives are met"}
		}
		p.Banners = append(p.Banners, verdict)
	}
	var parts []loadgen.Breakdown
	shown := table{Title: "Visible in", Head: []string{"", "seen", "unseen", "errors", "p50", "p90", "p99", "p99.9", "max", "mean", "resolution p50"}}
	over := plot{title: "Visible over time", note: "p99 of each second", xLabel: "time", yLabel: "time to visibility"}
	low, high, last := 0.0, 0.0, 1.0
	for _, v := range r.Instances {
		l := v.Visible
		parts = append(parts, loadgen.Breakdown{Name: v.Name, Distribution: v.Distribution})
		shown.Rows = append(shown.Rows, []string{v.Name, fmt.Sprint(v.Seen), fmt.Sprint(v.Unseen), fmt.Sprint(v.Errors), duration(l.P50), duration(l.P90),
			duration(l.P99), duration(l.P999), duration(l.Max), duration(l.Mean), duration(v.Resolution.P50)})
		s := series{name: v.Name}
		for _, t := range v.Timeline {
			if last = max(last, t.At); t.Operations > 0 {
				s.points = append(s.points, point{t.At, t.P99, fmt.Sprintf("%s at %.0f s", duration(t.P99), t.At)})
				if high = max(high, t.P99); low == 0 || t.P99 < low {
					low = t.P99
				}
			}
		}
		over.series = append(over.series, s)
	}
	over.x, over.y = linear(0, last, seconds), logarithmic(low, high, duration)
	over.x.high = last
	p.draw(distributions("Visible by percentile", "", parts))
	p.draw(over)
	if len(r.Objectives) > 0 {
		p.Tables = append(p.Tables, objectives(r.Objectives))
	}
	g := r.Generator
	p.Tables = append(p.Tables, shown, table{Title: "What was run", Text: true, Rows: [][]string{
		{"written to", c.Write}, {"seen in", strings.Join(c.Addresses, ", ")}, {"topic", fmt.Sprintf("%s=%d", c.Topic.Name, c.Topic.Database)},
		{"records written in turn", fmt.Sprint(c.Keys)}, {"connections that write", fmt.Sprint(c.Connections)}, {"unseen after", duration(c.Within)},
		{"generator", fmt.Sprintf("%.2f of %d CPUs, %s", g.CPUs, g.Available, g.GoVersion)},
	}})
	return p.write(w)
}
