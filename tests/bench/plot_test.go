package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elements are how many of each there are in a picture, which has to be well-formed.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	n := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			n[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestBarsOfEveryValue(t *testing.T) {
	p := barPlot{file: "f", title: `Rates & "more" <b>`, unit: "M records/s", groups: []barGroup{
		{"one", []bar{{"a", 1}, {"b", math.NaN()}}},
		{"two", []bar{{"a", 2}}},
	}}
	svg := p.svg()
	n := elements(t, svg)
	if n["rect"] != 3 { // the ground and two bars
		t.Errorf("%d rectangles in\n%s", n["rect"], svg)
	}
	for _, want := range []string{"not measured", "&lt;b&gt;", `>2<`} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is not in\n%s", want, svg)
		}
	}
	elements(t, barPlot{groups: []barGroup{{"none", []bar{{"a", math.NaN()}, {"b", 0}}}}}.svg())
}

func TestLinesLeaveOutWhatWasNotMeasured(t *testing.T) {
	p := linePlot{title: "t", x: []float64{1e5, 1e6, 2e7}, lines: []lineSeries{
		{"a", []float64{1, 2, 3}}, {"b", []float64{1, math.NaN(), 2}}, {"c", []float64{math.NaN(), math.NaN(), math.NaN()}},
	}}
	svg := p.svg()
	if n := elements(t, svg); n["circle"] != 5 || n["polyline"] != 3 {
		t.Errorf("%v in\n%s", n, svg)
	}
	for _, want := range []string{"20M", "100k", "1M"} {
		if !strings.Contains(svg, ">"+want+"<") {
			t.Errorf("no tick %q in\n%s", want, svg)
		}
	}
	elements(t, linePlot{x: []float64{1}, lines: []lineSeries{{"a", []float64{0}}}}.svg())
}

func TestPlotsStandBesideThePage(t *testing.T) {
	out := filepath.Join(t.TempDir(), "page.md")
	p := linePlot{file: "growth", title: "t", x: []float64{1, 10}, lines: []lineSeries{{"a", []float64{1, 2}}}}
	if err := writePlots(out, []section{{plots: []plot{p}}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(filepath.Dir(out), plotsDir, "growth.svg"))
	if err != nil || string(got) != p.svg() {
		t.Errorf("%v, %d bytes", err, len(got))
	}
}
