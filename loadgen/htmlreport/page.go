package htmlreport

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/yolean/kafka-cache/loadgen"
)

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	Title, Subtitle string
	Banners         []banner
	Figures         []figure
	Plots           []drawing
	Tables          []table
}

// banner is a line that must not be missed.
type banner struct {
	Class string // "good", "bad" or "note"
	Text  string
}

// figure is a number with its name.
type figure struct{ Name, Value, Note string }

type drawing struct {
	Title, Note string
	Legend      []legendEntry
	SVG         template.HTML
}

// table is rows under a head; the first column is text, the others are numbers unless Text.
type table struct {
	Title string
	Head  []string
	Rows  [][]string
	Text  bool
}

func (p *page) draw(d plot) {
	p.Plots = append(p.Plots, drawing{d.title, d.note, d.legend(), d.svg()})
}

func (p *page) write(w io.Writer) error {
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// duration prints seconds with a unit and three digits.
func duration(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.4g s", s)
}

// count prints a number shortly.
func count(n float64) string {
	switch {
	case math.Abs(n) >= 1e6:
		return fmt.Sprintf("%.4g M", n/1e6)
	case math.Abs(n) >= 1e4:
		return fmt.Sprintf("%.4g k", n/1e3)
	}
	return fmt.Sprintf("%.5g", n)
}

// distributions draws latencies by percentile, of each part.
func distributions(title, note string, parts []loadgen.Breakdown) plot {
	p := plot{title: title, note: note, xLabel: "percentile", yLabel: "latency"}
	low, high, most := math.Inf(1), 0.0, 10.0
	for _, b := range parts {
		s := series{name: b.Name}
		for _, q := range b.Distribution {
			if q.Percentile >= 100 {
				continue // it has no place on this axis; the maximum is in the table
			}
			x := 1 / (1 - q.Percentile/100)
			s.points = append(s.points, point{x, q.Value, fmt.Sprintf("%.5g %%: %s", q.Percentile, duration(q.Value))})
			low, high, most = min(low, q.Value), max(high, q.Value), max(most, x)
		}
		p.series = append(p.series, s)
	}
	p.y = logarithmic(low, high, duration)
	p.x = axis{log: true, low: 1, high: math.Pow(10, math.Ceil(math.Log10(most)))}
	for x := 1.0; x <= p.x.high*1.001; x *= 10 {
		var label string
		switch x {
		case 1:
			label = "0 %"
		case 10:
			label = "90 %"
		case 100:
			label = "99 %"
		default:
			label = fmt.Sprintf("%.8g %%", 100-100/x)
		}
		p.x.ticks = append(p.x.ticks, tick{x, label})
	}
	return p
}

var latencyHead = []string{"", "operations", "errors", "misses", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean", "sent to reply p50", "sent to reply p99"}

func latencyRows(parts []loadgen.Breakdown) [][]string {
	var rows [][]string
	for _, b := range parts {
		l := b.Latency
		rows = append(rows, []string{
			b.Name, fmt.Sprint(b.Operations), fmt.Sprint(b.Errors), fmt.Sprint(b.Misses), duration(l.P50), duration(l.P90), duration(l.P99),
			duration(l.P999), duration(l.P9999), duration(l.Max), duration(l.Mean), duration(b.Service.P50), duration(b.Service.P99),
		})
	}
	return rows
}
