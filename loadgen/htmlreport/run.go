package htmlreport

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/yolean/kafka-cache/loadgen"
)

// Run writes the page of a run.
func Run(w io.Writer, r *loadgen.Report) error {
	c := r.Configuration
	p := &page{
		Title: fmt.Sprintf("loadgen run, %s loop", r.Loop),
		Subtitle: fmt.Sprintf("%s, to %s: %s, %s keys, %d connections with %d in flight each", r.Started.Format("2006-01-02 15:04:05 MST"),
			strings.Join(c.Addresses, ", "), c.Mix, c.Keys, c.Connections, c.Pipeline),
	}
	runBanners(p, r)
	rateNote := fmt.Sprintf("in %s", duration(r.Elapsed))
	if r.Loop == "open" {
		rateNote = fmt.Sprintf("of %s/s intended", count(c.Rate))
	}
	p.Figures = []figure{
		{"operations a second", count(r.Rate), rateNote},
		{"p50", duration(r.Latency.P50), ""},
		{"p99", duration(r.Latency.P99), ""},
		{"p99.9", duration(r.Latency.P999), ""},
		{"longest", duration(r.Latency.Max), ""},
		{"errors", count(float64(r.Errors)), kinds(r.Failed)},
	}
	p.draw(throughput(r))
	p.draw(overTime(r))
	from := "from the intended start to the reply"
	if r.Loop == "closed" {
		from = "from the sending to the reply; what a stall held up is not in it"
	}
	p.draw(distributions("Latency by percentile and operation", from, r.ByOperation))
	if len(r.ByAddress) > 1 {
		p.draw(distributions("Latency by percentile and address", from, r.ByAddress))
	}
	if trouble := trouble(r); len(trouble.series) > 0 {
		p.draw(trouble)
	}
	if len(r.Objectives) > 0 {
		p.Tables = append(p.Tables, objectives(r.Objectives))
	}
	p.Tables = append(p.Tables, table{Title: "By operation", Head: latencyHead, Rows: latencyRows(r.ByOperation)},
		table{Title: "By address", Head: latencyHead, Rows: latencyRows(r.ByAddress)})
	if failed := failures(r); len(failed.Rows) > 0 {
		p.Tables = append(p.Tables, failed)
	}
	p.Tables = append(p.Tables, configuration(r))
	return p.write(w)
}

func runBanners(p *page, r *loadgen.Report) {
	add := func(class, text string) { p.Banners = append(p.Banners, banner{class, text}) }
	add("note", r.Note)
	if r.Interrupted {
		add("bad", fmt.Sprintf("interrupted after %s of %s: what was done until then", duration(r.Elapsed), duration(r.Configuration.Duration)))
	}
	if s := r.Schedule; s != nil && s.Late+s.Unsent > 0 {
		text := fmt.Sprintf("missed schedule: %d of %d operations were sent more than %s late, the latest %s", s.Late, s.Intended,
			duration(r.Configuration.LateAfter), duration(s.Lateness.Max))
		if s.Unsent > 0 {
			text += fmt.Sprintf("; %d were never sent, so every percentile is a lower bound", s.Unsent)
		}
		add("bad", text)
	} else if s != nil {
		add("good", fmt.Sprintf("schedule kept: none of %d operations was sent more than %s late", s.Intended, duration(r.Configuration.LateAfter)))
	}
	if r.Generator.Bottleneck() {
		add("bad", "the generator used nearly all CPUs that it may use: it may be what was measured")
	}
	if len(r.Objectives) > 0 {
		if r.Met {
			add("good", "all objectives are met")
		} else {
			add("bad", "not all objectives are met")
		}
	}
}

func seconds(v float64) string { return fmt.Sprintf("%g s", v) }

// timeAxis ends where the run did.
func timeAxis(r *loadgen.Report) axis {
	a := linear(0, lastSecond(r), seconds)
	a.high = lastSecond(r)
	return a
}

// lastSecond is where the time axis ends.
func lastSecond(r *loadgen.Report) float64 {
	last := 1.0
	for _, t := range r.Timeline {
		last = max(last, t.At)
	}
	return last
}

func throughput(r *loadgen.Report) plot {
	p := plot{title: "Throughput", xLabel: "time", yLabel: "operations a second", series: []series{{name: "operations"}, {name: "intended", dashed: true}}}
	most, last := r.Configuration.Rate, lastSecond(r)
	for _, t := range r.Timeline {
		p.series[0].points = append(p.series[0].points, point{t.At, t.Rate(), fmt.Sprintf("%s/s at %.0f s", count(t.Rate()), t.At)})
		most = max(most, t.Rate())
	}
	if rate := r.Configuration.Rate; rate > 0 {
		p.series[1].points = []point{{0, rate, ""}, {min(r.Configuration.Duration, last), rate, ""}}
	}
	p.x, p.y = timeAxis(r), linear(0, most, count)
	return p
}

func overTime(r *loadgen.Report) plot {
	p := plot{title: "Latency over time", note: "of each second", xLabel: "time", yLabel: "latency", series: []series{{name: "p50"}, {name: "p99"}, {name: "max"}}}
	low, high := 0.0, 0.0
	for _, t := range r.Timeline {
		if t.Operations == 0 {
			continue
		}
		for i, v := range []float64{t.P50, t.P99, t.Max} {
			p.series[i].points = append(p.series[i].points, point{t.At, v, fmt.Sprintf("%s at %.0f s", duration(v), t.At)})
			if high = max(high, v); low == 0 || v < low {
				low = v
			}
		}
	}
	p.x, p.y = timeAxis(r), logarithmic(low, high, duration)
	return p
}

// trouble draws errors and missed schedules, where there are any.
func trouble(r *loadgen.Report) plot {
	p := plot{title: "Errors and missed schedule", note: "of each second", xLabel: "time", yLabel: "operations"}
	errors, late := series{name: "errors"}, series{name: "sent late"}
	most, any := 0.0, int64(0)
	for _, t := range r.Timeline {
		errors.points = append(errors.points, point{t.At, float64(t.Errors), fmt.Sprintf("%d at %.0f s", t.Errors, t.At)})
		late.points = append(late.points, point{t.At, float64(t.Late), fmt.Sprintf("%d at %.0f s", t.Late, t.At)})
		most = max(most, float64(t.Errors), float64(t.Late))
		any += t.Errors + t.Late
	}
	if any > 0 {
		p.series = []series{errors, late}
		p.x, p.y = timeAxis(r), linear(0, most, count)
	}
	return p
}

func objectives(all []loadgen.Attainment) table {
	t := table{Title: "Objectives", Head: []string{"", "measured", "", ""}, Text: true}
	for _, o := range all {
		met := "met"
		if !o.Met {
			met = "not met"
		}
		actual := count(o.Actual)
		switch o.Unit {
		case "seconds":
			actual = duration(o.Actual)
		case "share":
			actual = fmt.Sprintf("%.4g %%", 100*o.Actual)
		}
		t.Rows = append(t.Rows, []string{o.Objective, actual, met, o.Reason})
	}
	return t
}

func failures(r *loadgen.Report) table {
	t := table{Title: "Errors by kind", Head: []string{"", "kind", "number"}, Text: true}
	for _, b := range r.ByOperation {
		for _, k := range slices.Sorted(maps.Keys(b.Failed)) {
			t.Rows = append(t.Rows, []string{b.Name, k, fmt.Sprint(b.Failed[k])})
		}
	}
	return t
}

func configuration(r *loadgen.Report) table {
	c, g := r.Configuration, r.Generator
	var topics []string
	for _, t := range c.Topics {
		topics = append(topics, fmt.Sprintf("%s=%d", t.Name, t.Database))
	}
	rows := [][]string{
		{"addresses", strings.Join(c.Addresses, ", ")}, {"topics", strings.Join(topics, ", ")}, {"mix", c.Mix}, {"keys", c.Keys},
		{"model", fmt.Sprintf("%d organizations, %d users, %d sessions of seed %d", c.Model.Organizations, c.Model.Users, c.Model.Sessions, c.Model.Seed)},
		{"keys of an MGET, COUNT of a SCAN", fmt.Sprintf("%d, %d", c.MGetKeys, c.ScanCount)},
		{"duration, warm-up", duration(c.Duration) + ", " + duration(c.Warmup)}, {"connections, in flight each", fmt.Sprintf("%d, %d", c.Connections, c.Pipeline)},
		{"TLS", fmt.Sprint(c.TLS)},
		{"generator", fmt.Sprintf("%s CPU an operation, %.2f of %d CPUs, %s", duration(g.CPUPerOperation), g.CPUs, g.Available, g.GoVersion)},
	}
	if s := r.Schedule; s != nil {
		rows = append(rows, []string{"sent after its intended start", fmt.Sprintf("p50 %s, p99 %s, at most %s", duration(s.Lateness.P50), duration(s.Lateness.P99), duration(s.Lateness.Max))})
	}
	return table{Title: "What was run", Rows: rows, Text: true}
}

func kinds(failed map[string]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(failed)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, failed[k]))
	}
	return strings.Join(parts, ", ")
}
