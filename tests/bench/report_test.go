package main

import (
	"strings"
	"testing"
	"time"
)

// TestReport renders every section from figures that are made up, and looks at what a reader relies on.
func TestReport(t *testing.T) {
	o, err := parseOptions([]string{"-entries", "1000000", "-rounds", "2"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{options: o}
	load := func(a, b float64) loadFigures {
		s := samples{a, b}
		return loadFigures{seconds: s, cpuSeconds: s, resident: s, peak: s, proportional: s}
	}
	l := &loads{bench: b, inMemory: load(2, 2), withDir: load(2.5, 5), globalTable: load(5, 4), floor: load(1, 1), restarted: load(1, 1), killed: load(1, 1), globalRestarted: load(2, 4)}
	server := func(name, driver string, inMemory bool, perSecond, resident, p99 float64) *getFigures {
		f := &getFigures{name: name, driver: driver, inMemory: inMemory, byPipeline: map[int]*pipelineFigures{}}
		for _, p := range o.pipelines {
			f.byPipeline[p] = &pipelineFigures{perSecond: samples{perSecond, perSecond}, p99: samples{p99, p99}}
		}
		f.loaded = memorySamples{resident: samples{resident, resident}}
		f.afterGets = f.loaded
		return f
	}
	g := &gets{bench: b, redis: server("redis-server", "", false, 100, 10, 1), daemons: []*getFigures{
		server("with", "goroutines", false, 90, 14, 5), server("without", "goroutines", true, 140, 12, 5),
		server("with epoll", "epoll", false, 150, 13, 1.5), server("without epoll", "epoll", true, 120, 15, 3),
	}, sanity: map[int]*sanityFigures{}}
	for _, p := range o.pipelines {
		g.sanity[p] = &sanityFigures{}
	}
	p := &pipelineFigures{perSecond: samples{10, 10}, cpuNanos: samples{5, 5}, p50: samples{1, 1}, p99: samples{2, 2}}
	c := &crowds{bench: b, redis: map[crowdCase]*pipelineFigures{}, ours: map[crowdCase]*pipelineFigures{}}
	for _, k := range c.cases() {
		c.redis[k], c.ours[k] = p, p
	}
	m := &many{bench: b}
	y := &busy{bench: b, redis: []*busyCase{{name: "r"}}, cases: []*busyCase{
		{name: "rest", p99: samples{10, 10}}, {name: "other", p99: samples{12, 12}}, {name: "over", p99: samples{14, 14}}, {name: "new", p99: samples{16, 16}},
	}}
	space := func(v float64) growthFigures { return growthFigures{resident: samples{v, v}, index: samples{v, v}} }
	w := &growth{bench: b}
	for _, n := range o.growthEntries {
		w.sizes = append(w.sizes, &growthSize{entries: n, redis: space(10), onDir: space(8), inMemory: space(9)})
	}
	ms := &manySets{bench: b, cases: []*manySetsCase{{clients: 50}}}
	s := &sets{bench: b, applied: setFigures{p50: samples{900, 1200}}}
	r := report{options: o, at: time.Unix(0, 0), took: time.Minute, machine: []fact{{"CPU", "some"}}, restless: []string{"x", "y"},
		sections: []section{l.coldSection(), l.warmSection(), g.section(), c.section(), m.section(), y.section(), w.section(), s.section(), ms.section()}}
	for _, s := range r.sections {
		for _, tab := range s.tables {
			for _, row := range tab.rows {
				if len(row) != len(tab.head) {
					t.Errorf("%s: %d cells under %d heads: %q", s.title, len(row), len(tab.head), row)
				}
			}
		}
	}
	var written page
	r.into(&written)
	text := written.String()
	for _, want := range []string{
		"2 measurements began",
		"| at least 0.4 M records/s | 0.30 (0.20–0.40) M records/s | **missed** |",
		"| the same next to GlobalKTable | at least 4 | 1.40 (0.80–2.00) | **missed** |",
		"GET at pipeline 16 with epoll next to redis-server, the slower of in memory and with a data directory | at least 1.50 | 1.20 (1.20–1.20) | **missed** |",
		"| at most 2.0 | 3.00 (3.00–3.00) | **missed** |",
		"| at least 1.00 | 1.20 (1.20–1.20) | met |",
		"| at least 1.50 | 0.90 (0.90–0.90) | **missed** |",
		"| at most 1.3 | 1.40 (1.40–1.40) | **missed** |",
		"| under 1 ms | 1.05 (0.90–1.20) ms | **missed** |",
		"| kafka-cache, in memory | 2.25 (2.00–2.50) | 0.50 (0.50–0.50) |",
		"| at most 1.5 | 1.60 (1.60–1.60) | **missed** |",
		"memory of 10,000,000 entries next to redis-server: the resident index | at most 0.85 | 0.90 (0.90–0.90) | **missed** |",
		"| at most 1.05 | 0.80 (0.80–0.80) | met |",
		"1,000,000 records",
		"| CPU | some |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}

	// What is measured anew takes the place of what was, and all else stays as it is.
	again := parsePage(text)
	if again.String() != text {
		t.Errorf("read and written again it is another page:\n%s\nbefore:\n%s", again.String(), text)
	}
	s.applied = setFigures{p50: samples{300, 300}}
	report{options: o, at: time.Unix(1, 0), machine: []fact{{"CPU", "another"}}, versions: []fact{{revisionFact, "abc"}}, order: 9, sections: []section{s.section()}}.into(&again)
	text = again.String()
	for _, want := range []string{"| under 1 ms | 0.30 (0.30–0.30) ms | met |", "| at least 0.4 M records/s | 0.30 (0.20–0.40) M records/s | **missed** |", "| CPU | another |", "kafka-cache abc.*"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page in which a section was measured anew", want)
		}
	}
	for _, no := range []string{"1.05 (0.90–1.20) ms", "| CPU | some |"} {
		if strings.Contains(text, no) {
			t.Errorf("%q is still in the page in which its section was measured anew", no)
		}
	}
	if n := strings.Count(text, "\n## "+s.section().title+"\n"); n != 1 {
		t.Errorf("a section stands %d times in the page", n)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-only", "load,nothing"}, {"-pipelines", "1,x"}, {"-pipelines", "100000"}, {"-rounds", "0"}, {"-drivers", "threads"}, {"-no-such"}, {"-growth", "10,5"}, {"-connection-counts", "0"}, {"-busy-reads", "0"}, {"get"}} {
		if _, err := parseOptions(args, t.Output()); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
