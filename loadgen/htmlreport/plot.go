package htmlreport

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// plot is a diagram of lines over one pair of axes.
type plot struct {
	title, note    string
	xLabel, yLabel string
	x, y           axis
	series         []series
}

type series struct {
	name   string
	points []point
	dashed bool
}

// point is a place with what is said of it when it is pointed at.
type point struct {
	x, y float64
	says string
}

// axis maps values to places. Ticks are where a line and a label are.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
}

type tick struct {
	at    float64
	label string
}

// Sizes in the units of the picture, which is scaled to the page.
const (
	width, height            = 760.0, 270.0
	left, right, top, bottom = 64.0, 12.0, 12.0, 38.0
	colors                   = 6   // of which the style has as many classes
	maxDots                  = 240 // a series with more has a line alone
)

// place is where a value is between 0 and 1.
func (a axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(max(v, low)), math.Log(low), math.Log(high)
	}
	if high <= low {
		return 0.5
	}
	return min(max((v-low)/(high-low), 0), 1)
}

// linear is an axis from 0 (or the smaller low) to above high, with round ticks.
func linear(low, high float64, label func(float64) string) axis {
	if high <= low {
		high = low + 1
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, f := range []float64{5, 2} {
		if (high-low)/(step*f) >= 3 {
			step *= f
			break
		}
	}
	a := axis{low: low, high: math.Ceil(high/step) * step}
	for n := math.Ceil(low / step); n*step <= a.high+step/1e6; n++ {
		a.ticks = append(a.ticks, tick{n * step, label(n * step)})
	}
	return a
}

// logarithmic is an axis over whole decades, with a tick at 1, 2 and 5 of each where there are few.
func logarithmic(low, high float64, label func(float64) string) axis {
	if low <= 0 || high <= 0 {
		low, high = 1e-4, 1
	}
	a := axis{log: true, low: math.Pow(10, math.Floor(math.Log10(low))), high: math.Pow(10, math.Ceil(math.Log10(high)))}
	if a.high <= a.low {
		a.high = 10 * a.low
	}
	decades := math.Round(math.Log10(a.high / a.low))
	steps := []float64{1}
	if decades <= 3 {
		steps = []float64{1, 2, 5}
	}
	for d := 0.0; d < decades; d++ {
		for _, s := range steps {
			v := a.low * math.Pow(10, d) * s
			a.ticks = append(a.ticks, tick{v, label(v)})
		}
	}
	a.ticks = append(a.ticks, tick{a.high, label(a.high)})
	return a
}

// svg draws it. All text is escaped.
func (p plot) svg() template.HTML {
	var b strings.Builder
	px := func(v float64) float64 { return left + p.x.place(v)*(width-left-right) }
	py := func(v float64) float64 { return height - bottom - p.y.place(v)*(height-top-bottom) }
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, width, height, html.EscapeString(p.title))
	for _, t := range p.y.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, left, width-right, py(t.at), py(t.at))
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, left-6, py(t.at)+4, html.EscapeString(t.label))
	}
	for _, t := range p.x.ticks {
		if t.at > p.x.high {
			continue
		}
		anchor := "middle"
		if px(t.at) > width-40 {
			anchor = "end"
		}
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, px(t.at), px(t.at), top, height-bottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, px(t.at), height-bottom+15, anchor, html.EscapeString(t.label))
	}
	fmt.Fprintf(&b, `<text class="label" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, (left+width-right)/2, height-4, html.EscapeString(p.xLabel))
	fmt.Fprintf(&b, `<text class="label" transform="translate(12 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, (top+height-bottom)/2, html.EscapeString(p.yLabel))
	for i, s := range p.series {
		if len(s.points) == 0 {
			continue
		}
		var line strings.Builder
		for _, at := range s.points {
			fmt.Fprintf(&line, "%.1f,%.1f ", px(at.x), py(at.y))
		}
		class := fmt.Sprintf("s%d", i%colors)
		if s.dashed {
			class += " dashed"
		}
		fmt.Fprintf(&b, `<polyline class="%s" points="%s"/>`, class, strings.TrimSpace(line.String()))
		if s.dashed || len(s.points) > maxDots {
			continue
		}
		for _, at := range s.points {
			fmt.Fprintf(&b, `<circle class="s%d" cx="%.1f" cy="%.1f" r="2.2"><title>%s</title></circle>`, i%colors, px(at.x), py(at.y), html.EscapeString(s.name+": "+at.says))
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// legend is the names of the series with their colours.
func (p plot) legend() []legendEntry {
	var all []legendEntry
	for i, s := range p.series {
		if len(s.points) > 0 {
			all = append(all, legendEntry{fmt.Sprintf("s%d", i%colors), s.name})
		}
	}
	return all
}

type legendEntry struct{ Class, Name string }
