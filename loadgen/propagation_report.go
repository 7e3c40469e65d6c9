package loadgen

import (
	"maps"
	"runtime"
	"time"
)

// PropagationSchema names the form of a PropagationReport in JSON. Fields may be added to it; what is there keeps its name and meaning.
const PropagationSchema = "kafka-cache/loadgen/propagate/1"

// PropagationReport is what a Propagation measured. All times are seconds.
type PropagationReport struct {
	Schema        string                   `json:"schema"`
	Started       time.Time                `json:"started"`
	Interrupted   bool                     `json:"interrupted"`
	Configuration PropagationConfiguration `json:"configuration"`

	Elapsed      float64          `json:"elapsed"`
	Writes       int64            `json:"writes"`       // acknowledged, and visible where they were written to unless the daemon says otherwise (--write-reply)
	Rate         float64          `json:"rate"`         // writes a second of Elapsed
	Errors       int64            `json:"errors"`       // of writes
	Failed       map[string]int64 `json:"failed"`       // the same by kind
	Skipped      int64            `json:"skipped"`      // not made, since the record of the turn was still waited for
	Acknowledged Latency          `json:"acknowledged"` // from the intended start of a write to its reply
	Schedule     Schedule         `json:"schedule"`

	Instances  []Visibility `json:"instances"`
	Left       string       `json:"left"` // why records may be left behind; empty: they are deleted, or kept as asked
	Generator  Generator    `json:"generator"`
	Objectives []Attainment `json:"objectives"` // each of the instance that is farthest from it
	Met        bool         `json:"met"`
}

// PropagationConfiguration is what was asked for.
type PropagationConfiguration struct {
	Addresses   []string `json:"addresses"`
	Write       string   `json:"write"`
	Topic       Topic    `json:"topic"`
	Rate        float64  `json:"rate"`
	Duration    float64  `json:"duration"`
	Connections int      `json:"connections"`
	Within      float64  `json:"within"`
	LateAfter   float64  `json:"lateAfter"`
	Keys        int      `json:"keys"` // records that are written in turn
	Model       Model    `json:"model"`
	TLS         bool     `json:"tls"`
}

// Visibility is what one instance showed.
type Visibility struct {
	Name         string           `json:"name"`
	Seen         int64            `json:"seen"`
	Unseen       int64            `json:"unseen"` // not within the time
	Errors       int64            `json:"errors"` // of asking, and Unseen
	Failed       map[string]int64 `json:"failed"`
	Visible      Latency          `json:"visible"`    // from the intended start of a write to the first reply that has it
	Resolution   Latency          `json:"resolution"` // round trips of asking: a write was visible at most one earlier
	Distribution []Quantile       `json:"distribution"`
	Timeline     []Point          `json:"timeline"`
}

// collect takes what observers have, every second, until done.
func (r *propagating) collect(log *hdrLog, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := time.Duration(0)
	for {
		ended := false
		select {
		case <-tick.C:
		case <-done:
			ended = true
		}
		now := time.Since(r.schedule.begin)
		p := PropagationProgress{Elapsed: now, Total: r.Duration, Last: ended}
		for _, o := range r.observers {
			p.Instances = append(p.Instances, o.take(now.Seconds(), (now-last).Seconds(), log, r.schedule.begin.Add(last), r.schedule.begin.Add(now)))
			o.mu.Lock()
			p.Errors += o.total.errors()
			o.mu.Unlock()
		}
		r.writes.mu.Lock()
		p.Writes, p.Late = r.writes.counts.operations, r.writes.late
		p.Errors += r.writes.counts.errors()
		r.writes.mu.Unlock()
		last = now
		if r.Each != nil {
			r.Each(p)
		}
		if ended {
			return
		}
	}
}

func (r *propagating) report(o outcome) PropagationReport {
	w := &r.writes
	w.mu.Lock()
	defer w.mu.Unlock()
	report := PropagationReport{
		Schema: PropagationSchema, Started: r.schedule.begin.UTC(), Interrupted: o.interrupted,
		Configuration: PropagationConfiguration{
			Addresses: r.Addrs, Write: r.Write, Topic: r.Topic, Rate: r.Propagation.Rate, Duration: r.Duration.Seconds(), Connections: r.Connections,
			Within: r.Within.Seconds(), LateAfter: r.LateAfter.Seconds(), Keys: r.keys(), TLS: r.TLS != nil,
			Model: Model{r.Model.Seed, r.Model.Organizations, r.Model.Users, r.Model.Sessions},
		},
		Elapsed: o.took.Seconds(), Writes: w.counts.operations, Errors: w.counts.errors(), Failed: map[string]int64{}, Skipped: r.skipped.Load(),
		Acknowledged: latencyOf(w.counts.latency), Schedule: Schedule{Intended: o.intended, Late: w.late, Unsent: o.unsent, Lateness: latencyOf(w.lateness.latency)},
		Generator: Generator{Available: runtime.GOMAXPROCS(0), GoVersion: runtime.Version()}, Objectives: []Attainment{}, Met: true,
	}
	maps.Copy(report.Failed, w.counts.failed)
	if o.scheduled > 0 {
		report.Rate = float64(report.Writes) / o.scheduled.Seconds()
	}
	if o.took > 0 && o.cpu > 0 {
		report.Generator.CPUs = o.cpu.Seconds() / o.took.Seconds()
		if n := report.Writes + report.Errors; n > 0 {
			report.Generator.CPUPerOperation = o.cpu.Seconds() / float64(n)
		}
	}
	for _, i := range r.observers {
		i.mu.Lock()
		v := Visibility{
			Name: i.addr, Seen: i.total.operations, Unseen: i.total.failed[kindUnseen], Errors: i.total.errors(), Failed: map[string]int64{},
			Visible: latencyOf(i.total.latency), Resolution: latencyOf(i.polls.latency), Distribution: distributionOf(i.total.latency), Timeline: i.timeline,
		}
		maps.Copy(v.Failed, i.total.failed)
		i.mu.Unlock()
		report.Instances = append(report.Instances, v)
	}
	for _, objective := range r.Objectives {
		a := r.attainment(objective, &report)
		report.Objectives = append(report.Objectives, a)
		report.Met = report.Met && a.Met
	}
	return report
}

// attainment holds an objective against every instance, and returns the worst.
func (r *propagating) attainment(o Objective, report *PropagationReport) Attainment {
	whole := &Report{Rate: report.Rate, Schedule: &report.Schedule}
	var worst Attainment
	for n, i := range r.observers {
		i.mu.Lock()
		c := &collector{load: &Load{}}
		c.total.by[Get].add(&i.total)
		i.mu.Unlock()
		for kind, failed := range report.Failed {
			c.total.by[Get].fail(kind, failed)
		}
		a := c.attainment(o, whole)
		if n == 0 || worst.Met && !a.Met || worst.Met == a.Met && a.Actual > worst.Actual {
			worst = a
		}
	}
	return worst
}
