package loadgen

import (
	"maps"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ReportSchema names the form of a Report in JSON. Fields may be added to it; what is there keeps its name and meaning.
const ReportSchema = "kafka-cache/loadgen/run/1"

// Report is what a run measured. All times are seconds. docs/loadgen.md describes its JSON.
type Report struct {
	Schema        string        `json:"schema"`
	Started       time.Time     `json:"started"`
	Interrupted   bool          `json:"interrupted"` // it was ended before its time
	Loop          string        `json:"loop"`        // "open" or "closed"
	Note          string        `json:"note"`        // what the loop means for latencies, for people
	Configuration Configuration `json:"configuration"`

	Elapsed    float64          `json:"elapsed"` // from the end of the warm-up to the last reply
	Operations int64            `json:"operations"`
	Rate       float64          `json:"rate"`   // operations a second of Elapsed
	Misses     int64            `json:"misses"` // keys that were asked for, or deleted, and not there
	Errors     int64            `json:"errors"`
	Failed     map[string]int64 `json:"failed"`  // the errors by kind
	Latency    Latency          `json:"latency"` // of operations without an error

	Schedule    *Schedule    `json:"schedule"` // of an open loop; null of a closed one
	ByOperation []Breakdown  `json:"byOperation"`
	ByAddress   []Breakdown  `json:"byAddress"`
	Timeline    []Point      `json:"timeline"`
	Generator   Generator    `json:"generator"`
	Objectives  []Attainment `json:"objectives"`
	Met         bool         `json:"met"` // all objectives
}

// Configuration is what was asked for.
type Configuration struct {
	Addresses   []string `json:"addresses"`
	Topics      []Topic  `json:"topics"`
	Mix         string   `json:"mix"`
	MGetKeys    int      `json:"mgetKeys"`
	ScanCount   int      `json:"scanCount"`
	Keys        string   `json:"keys"`
	Rate        float64  `json:"rate"` // 0 of a closed loop
	Duration    float64  `json:"duration"`
	Warmup      float64  `json:"warmup"`
	Connections int      `json:"connections"`
	Pipeline    int      `json:"pipeline"`
	LateAfter   float64  `json:"lateAfter"`
	Drain       float64  `json:"drain"`
	Seed        uint64   `json:"seed"`
	Model       Model    `json:"model"`
	TLS         bool     `json:"tls"`
}

// Model is the records that the load is about.
type Model struct {
	Seed          uint64 `json:"seed"`
	Organizations int    `json:"organizations"`
	Users         int    `json:"users"`
	Sessions      int    `json:"sessions"`
}

// Latency is what a histogram says.
type Latency struct {
	Count int64   `json:"count"`
	Min   float64 `json:"min"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	P9999 float64 `json:"p99.99"`
	Max   float64 `json:"max"`
}

// Schedule is how an open loop kept to its own. An operation that was sent later than LateAfter after its intended start has
// missed it: its connection was still waiting for replies, or the generator had no time.
type Schedule struct {
	Intended int64   `json:"intended"` // operations that were to start within the duration
	Late     int64   `json:"late"`     // of those that were sent
	Unsent   int64   `json:"unsent"`   // never sent, since no connection was free until the end: percentiles are then a lower bound
	Lateness Latency `json:"lateness"` // from the intended start to the sending
}

// Breakdown is the part of one operation or of one address.
type Breakdown struct {
	Name       string           `json:"name"`
	Operations int64            `json:"operations"`
	Misses     int64            `json:"misses"`
	Errors     int64            `json:"errors"`
	Failed     map[string]int64 `json:"failed"`
	Latency    Latency          `json:"latency"`
	Service    Latency          `json:"service"` // from the sending alone
	// Distribution are latencies by percentile, from 0 to 100.
	Distribution []Quantile `json:"distribution"`
}

// Quantile is a point of a distribution.
type Quantile struct {
	Percentile float64 `json:"percentile"`
	Value      float64 `json:"value"`
}

// Point is about a second of a run.
type Point struct {
	At         float64 `json:"at"`     // its end, from the end of the warm-up
	Length     float64 `json:"length"` // how long it was
	Operations int64   `json:"operations"`
	Errors     int64   `json:"errors"`
	Late       int64   `json:"late"`
	P50        float64 `json:"p50"`
	P99        float64 `json:"p99"`
	Max        float64 `json:"max"`
}

// Rate is operations a second.
func (p Point) Rate() float64 {
	if p.Length <= 0 {
		return 0
	}
	return float64(p.Operations) / p.Length
}

// Generator is what the load itself took. Where CPUs is near Available it was the generator that was measured.
type Generator struct {
	CPUPerOperation float64 `json:"cpuPerOperation"` // 0: not known
	CPUs            float64 `json:"cpus"`            // used on average
	Available       int     `json:"available"`       // GOMAXPROCS
	GoVersion       string  `json:"goVersion"`
}

// Bottleneck tells whether the generator used so much of what it may use that its own limit may have been measured.
func (g Generator) Bottleneck() bool { return g.CPUs > 0.8*float64(g.Available) }

// Notes of what a loop means.
const (
	noteOpen   = "open loop: latencies are from the intended start of each operation, so that what a stall holds up is in them"
	noteClosed = "closed loop: each connection waits for its replies before it sends again, so latencies leave out what a stall would have held up (coordinated omission); good for throughput, not for latency objectives"
)

// ticks is how many points a distribution has for each halving of what is left to 100 %.
const ticks = 5

func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h == nil || h.TotalCount() == 0 {
		return Latency{}
	}
	return Latency{
		Count: h.TotalCount(), Min: float64(h.Min()) / 1e9, Mean: h.Mean() / 1e9, Max: float64(h.Max()) / 1e9,
		P50: seconds(h, 50), P90: seconds(h, 90), P99: seconds(h, 99), P999: seconds(h, 99.9), P9999: seconds(h, 99.99),
	}
}

func distributionOf(h *hdrhistogram.Histogram) []Quantile {
	points := []Quantile{}
	if h == nil || h.TotalCount() == 0 {
		return points
	}
	for _, b := range h.CumulativeDistributionWithTicks(ticks) {
		points = append(points, Quantile{b.Quantile, float64(b.ValueAt) / 1e9})
	}
	return points
}

func breakdownOf(name string, c *counts) Breakdown {
	b := Breakdown{
		Name: name, Operations: c.operations, Misses: c.misses, Errors: c.errors(), Failed: map[string]int64{},
		Latency: latencyOf(c.latency), Service: latencyOf(c.service), Distribution: distributionOf(c.latency),
	}
	maps.Copy(b.Failed, c.failed)
	return b
}

// report is what was measured, at the end.
func (c *collector) report(o outcome) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.load
	all := c.total.all()
	r := Report{
		Schema: ReportSchema, Started: c.begin.UTC(), Interrupted: o.interrupted, Loop: "open", Note: noteOpen, Configuration: l.configuration(),
		Elapsed: max((o.took - l.Warmup).Seconds(), 0), Operations: all.operations, Misses: all.misses, Errors: all.errors(),
		Failed: map[string]int64{}, Latency: latencyOf(all.latency), Timeline: c.timeline,
		Generator: Generator{Available: runtime.GOMAXPROCS(0), GoVersion: runtime.Version()}, Objectives: []Attainment{}, Met: true,
	}
	if r.Timeline == nil {
		r.Timeline = []Point{}
	}
	maps.Copy(r.Failed, all.failed)
	if r.Elapsed > 0 {
		r.Rate = float64(r.Operations) / r.Elapsed
	}
	if l.Closed {
		r.Loop, r.Note = "closed", noteClosed
	} else {
		r.Schedule = &Schedule{Intended: o.intended, Late: c.total.late, Unsent: o.unsent, Lateness: latencyOf(c.total.lateness)}
	}
	for i := range c.total.by {
		if l.Mix[i] > 0 {
			r.ByOperation = append(r.ByOperation, breakdownOf(Operation(i).String(), &c.total.by[i]))
		}
	}
	for i := range c.addresses {
		r.ByAddress = append(r.ByAddress, breakdownOf(l.Addrs[i], &c.addresses[i]))
	}
	if o.took > 0 && o.cpu > 0 {
		r.Generator.CPUs = o.cpu.Seconds() / o.took.Seconds()
		if n := r.Operations + r.Errors; n > 0 && r.Elapsed > 0 { // the warm-up's operations are not counted, so its share of the time is not either
			r.Generator.CPUPerOperation = r.Generator.CPUs * r.Elapsed / float64(n)
		}
	}
	for _, objective := range l.Objectives {
		a := c.attainment(objective, &r)
		r.Objectives = append(r.Objectives, a)
		r.Met = r.Met && a.Met
	}
	return r
}

func (l *Load) configuration() Configuration {
	return Configuration{
		Addresses: l.Addrs, Topics: l.Topics, Mix: l.Mix.String(), MGetKeys: l.MGetKeys, ScanCount: l.ScanCount, Keys: l.Keys.String(), Rate: l.Rate,
		Duration: l.Duration.Seconds(), Warmup: l.Warmup.Seconds(), Connections: l.Connections, Pipeline: l.Pipeline,
		LateAfter: l.LateAfter.Seconds(), Drain: l.Drain.Seconds(), Seed: l.Seed, TLS: l.TLS != nil,
		Model: Model{l.Model.Seed, l.Model.Organizations, l.Model.Users, l.Model.Sessions},
	}
}
