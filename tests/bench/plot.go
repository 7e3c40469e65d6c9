package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// plot is a picture of a section, in a file of its own beside the page.
type plot interface {
	name() string // of the file, without its ending
	caption() string
	svg() string
}

// bar is one value, group several that are compared. NaN has no bar.
type (
	bar struct {
		name  string
		value float64
	}
	barGroup struct {
		name string
		bars []bar
	}
)

// barPlot draws horizontal bars in groups, each with its value.
type barPlot struct {
	file, title, unit string
	groups            []barGroup
}

func (p barPlot) name() string    { return p.file }
func (p barPlot) caption() string { return p.title }

// colours of series and bars: distinct without red against green, and legible on white.
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a3d9a", "#7f7f7f", "#a6761d", "#1b1b1b"}

// Sizes in the units of a picture.
const (
	plotWidth  = 760.0
	plotLeft   = 230.0 // of bars: the room for their names
	rowHeight  = 18.0
	lineLeft   = 74.0
	lineHeight = 320.0
)

// picture is an SVG that is being drawn. It has a white ground, since its reader's page may be dark.
type picture struct{ strings.Builder }

func newPicture(height float64, title string) *picture {
	p := &picture{}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-label="%s" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, height, plotWidth, height, html.EscapeString(title))
	fmt.Fprintf(p, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", plotWidth, height)
	p.text(plotWidth/2, 18, "middle", `font-size="14" font-weight="bold"`, title)
	return p
}

func (p *picture) text(x, y float64, anchor, more, s string) {
	fmt.Fprintf(p, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#222" %s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(s))
}

func (p *picture) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(p, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (p *picture) end() string {
	p.WriteString("</svg>\n")
	return p.String()
}

func (p barPlot) svg() string {
	height, most := 44.0, 0.0
	colour := map[string]string{}
	for _, g := range p.groups {
		height += 26 + rowHeight*float64(len(g.bars))
		for _, b := range g.bars {
			if colour[b.name] == "" {
				colour[b.name] = colours[len(colour)%len(colours)]
			}
			most = math.Max(most, b.value) // NaN where there is one
			if math.IsNaN(most) {
				most = 0
			}
		}
	}
	pic := newPicture(height, p.title+", "+p.unit)
	y := 34.0
	for _, g := range p.groups {
		y += 18
		pic.text(8, y, "start", `font-weight="bold"`, g.name)
		y += 8
		for _, b := range g.bars {
			pic.text(plotLeft-6, y+13, "end", "", b.name)
			if math.IsNaN(b.value) {
				pic.text(plotLeft+4, y+13, "start", "", "not measured")
			} else {
				w := 0.0
				if most > 0 {
					w = b.value / most * (plotWidth - plotLeft - 70)
				}
				fmt.Fprintf(pic, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", plotLeft, y+2, w, rowHeight-4, colour[b.name])
				pic.text(plotLeft+w+4, y+13, "start", "", short(b.value))
			}
			y += rowHeight
		}
	}
	return pic.end()
}

// short is a number in three digits or so.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case a >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}

// linePlot draws values over sizes, whose axis is logarithmic; the axis of values begins at 0.
type linePlot struct {
	file, title, xLabel, yLabel string
	x                           []float64 // ascending, positive
	lines                       []lineSeries
}

// lineSeries has a value for each x, NaN where there is none.
type lineSeries struct {
	name   string
	values []float64
}

func (p linePlot) name() string    { return p.file }
func (p linePlot) caption() string { return p.title }

func (p linePlot) svg() string {
	most := 0.0
	for _, l := range p.lines {
		for _, v := range l.values {
			if v > most {
				most = v
			}
		}
	}
	step := niceStep(most)
	top := math.Max(1, math.Ceil(most/step)) * step
	const above, below = 34.0, 44.0
	height := lineHeight + 18*float64(len(p.lines))
	pic := newPicture(height, p.title)
	px := func(i int) float64 {
		if len(p.x) < 2 {
			return (lineLeft + plotWidth - 30) / 2
		}
		return lineLeft + math.Log(p.x[i]/p.x[0])/math.Log(p.x[len(p.x)-1]/p.x[0])*(plotWidth-lineLeft-30)
	}
	py := func(v float64) float64 { return lineHeight - below - v/top*(lineHeight-above-below) }
	for v := 0.0; v <= top+step/2; v += step {
		pic.line(lineLeft, py(v), plotWidth-30, py(v), "#ddd")
		pic.text(lineLeft-6, py(v)+4, "end", "", short(v))
	}
	for i, x := range p.x {
		pic.line(px(i), above, px(i), lineHeight-below, "#eee")
		pic.text(px(i), lineHeight-below+16, "middle", "", short(x))
	}
	pic.text((lineLeft+plotWidth)/2, lineHeight-10, "middle", "", p.xLabel)
	pic.text(0, 0, "middle", fmt.Sprintf(`transform="translate(14 %.1f) rotate(-90)"`, (above+lineHeight-below)/2), p.yLabel)
	for n, l := range p.lines {
		colour := colours[n%len(colours)]
		var points []string
		for i, v := range l.values {
			if math.IsNaN(v) {
				continue
			}
			points = append(points, fmt.Sprintf("%.1f,%.1f", px(i), py(v)))
			fmt.Fprintf(pic, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px(i), py(v), colour)
		}
		fmt.Fprintf(pic, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour)
		y := lineHeight + 18*float64(n)
		fmt.Fprintf(pic, `<rect x="%.1f" y="%.1f" width="12" height="12" fill="%s"/>`+"\n", lineLeft, y, colour)
		pic.text(lineLeft+18, y+10, "start", "", l.name)
	}
	return pic.end()
}

// niceStep is 1, 2 or 5 times a power of ten, about a fifth of most.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/4)))
	for _, f := range []float64{5, 2} {
		if most/(step*f) >= 3 {
			return step * f
		}
	}
	return step
}

// plotsDir is where the pictures are, beside the page.
const plotsDir = "benchmarks"

// writePlots writes the pictures of all sections beside the page at out.
func writePlots(out string, sections []section) error {
	dir := filepath.Join(filepath.Dir(out), plotsDir)
	for _, s := range sections {
		for _, p := range s.plots {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, p.name()+".svg"), []byte(p.svg()), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
