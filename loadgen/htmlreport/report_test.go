package htmlreport

import (
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/loadgen"
)

// sampleReport is a run that has everything that a page can show.
func sampleReport() *loadgen.Report {
	latency := loadgen.Latency{Count: 900, Min: 1e-5, Mean: 2e-4, P50: 1e-4, P90: 1e-3, P99: 5e-3, P999: 0.02, P9999: 0.9, Max: 1.2}
	get := loadgen.Breakdown{Name: "get", Operations: 900, Errors: 3, Misses: 2, Failed: map[string]int64{"LOADING<&>": 3}, Latency: latency, Service: latency}
	for _, q := range []float64{0, 50, 90, 99, 99.9, 99.99, 100} {
		get.Distribution = append(get.Distribution, loadgen.Quantile{Percentile: q, Value: 1e-5 + q*q/1e5})
	}
	r := &loadgen.Report{
		Schema: loadgen.ReportSchema, Started: time.Unix(1_700_000_000, 0).UTC(), Interrupted: true, Loop: "open", Note: "an open loop",
		Configuration: loadgen.Configuration{Addresses: []string{"a:1", `<script>alert(1)</script>:2`}, Topics: loadgen.Topics(), Mix: "get=1", Keys: "uniform", Rate: 100, Duration: 10, Connections: 3, Pipeline: 1},
		Elapsed:       9, Operations: 900, Rate: 100, Errors: 3, Failed: get.Failed, Latency: latency, Schedule: &loadgen.Schedule{Intended: 1000, Late: 40, Unsent: 57},
		ByOperation: []loadgen.Breakdown{get}, ByAddress: []loadgen.Breakdown{get, get},
		Objectives: []loadgen.Attainment{{Objective: "p99=2ms", Unit: "seconds", Limit: 0.002, Actual: 0.005}, {Objective: "errors=1%", Unit: "share", Actual: 0.003, Met: true}},
	}
	for i := range 9 {
		r.Timeline = append(r.Timeline, loadgen.Point{At: float64(i + 1), Length: 1, Operations: int64(90 + i), Errors: int64(i % 2), Late: 4, P50: 1e-4, P99: 1e-3 * float64(i+1), Max: 0.1})
	}
	return r
}

var (
	outside = regexp.MustCompile(`(?i)(src|href|action|xlink:href)\s*=\s*"[^"]+"|url\(|@import|<script|<iframe|<form|<object|<embed`)
	number  = regexp.MustCompile(`NaN|Inf`)
)

// wellFormed fails the test where the page asks for anything outside, has a number that is none, or an SVG that is no XML.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	if found := outside.FindAllString(text, -1); len(found) != 1 || found[0] != `href="data:,"` { // no icon is asked for
		t.Errorf("the page refers to %q", found)
	}
	if found := number.FindString(text); found != "" {
		t.Errorf("the page has %s", found)
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
		}
	}
}

func TestRunPage(t *testing.T) {
	var b strings.Builder
	if err := Run(&b, sampleReport()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	wellFormed(t, text)
	for _, want := range []string{
		"missed schedule: 40 of 1000", "57 were never sent", "interrupted after", "not all objectives are met", "LOADING&lt;&amp;&gt;", "&lt;script&gt;alert(1)", "Throughput", "Latency over time",
		"Latency by percentile and operation", "Latency by percentile and address", "Errors and missed schedule", "99.99 %", "default-src 'none'",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := strings.Count(text, "<svg"); n != 5 {
		t.Errorf("%d plots, want 5", n)
	}
}

// TestEmptyPages: what measured nothing has a page all the same.
func TestEmptyPages(t *testing.T) {
	var b strings.Builder
	if err := Run(&b, &loadgen.Report{Loop: "closed", ByAddress: []loadgen.Breakdown{{Name: "a:1"}}}); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	b.Reset()
	if err := Propagation(&b, &loadgen.PropagationReport{Instances: []loadgen.Visibility{{Name: "a:1"}}}); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
}

func TestPropagationPage(t *testing.T) {
	r := sampleReport()
	v := loadgen.Visibility{Name: "cache-0:6379", Seen: 900, Unseen: 7, Visible: r.Latency, Distribution: r.ByOperation[0].Distribution, Timeline: r.Timeline}
	var b strings.Builder
	if err := Propagation(&b, &loadgen.PropagationReport{Instances: []loadgen.Visibility{v}, Objectives: r.Objectives, Schedule: *r.Schedule}); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	for _, want := range []string{"cache-0:6379", "missed schedule", "Visible by percentile", "Visible over time", "<td>7</td>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestAxes: ticks lie on the axis, grow, and are few.
func TestAxes(t *testing.T) {
	for _, a := range []axis{linear(0, 1, count), linear(0, 17, count), linear(0, 123456, count), linear(0, 0, count), linear(0, 0.003, count),
		logarithmic(1e-5, 0.1, duration), logarithmic(0, 0, duration), logarithmic(1e-3, 1e-3, duration), logarithmic(3e-4, 2e-3, duration)} {
		if len(a.ticks) < 2 || len(a.ticks) > 13 {
			t.Errorf("%+v: %d ticks", a, len(a.ticks))
		}
		for i, k := range a.ticks {
			if p := a.place(k.at); p < 0 || p > 1 || i > 0 && k.at <= a.ticks[i-1].at {
				t.Errorf("%+v: tick %+v at %v", a, k, p)
			}
		}
	}
}
