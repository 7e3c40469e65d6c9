package loadgen

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/sample"
)

// mixed is a mix of everything.
var mixed = Mix{40, 10, 30, 10, 10}

// seeded is a server with the model.
func seeded(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.RunT(t)
	if r, err := (Seed{Target: Target{Addrs: []string{m.Addr()}}, Model: model, Pipeline: 50}).Run(t.Context()); err != nil || r.Failures() > 0 {
		t.Fatalf("seed: %v, %v", r, err)
	}
	return m
}

func loadOn(addrs ...string) Load {
	return Load{Target: Target{Addrs: addrs}, Model: model, Mix: mixed, Rate: 1000, Duration: time.Second, Connections: 3 * len(addrs)}
}

func mustRun(t *testing.T, l Load) Report {
	t.Helper()
	r, err := l.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOpenLoopSeesAStall: a server that answers nobody for a second holds up a third of three seconds' operations. Measured from
// their intended starts, a hundredth of all takes longer than 0.9 s, and the schedule is said to be missed. A closed loop has a
// handful of slow requests among its thousands, and a p99 that tells nothing.
func TestOpenLoopSeesAStall(t *testing.T) {
	run := func(closed bool) Report {
		m := seeded(t)
		var gate sync.RWMutex
		m.Server().SetPreHook(func(*server.Peer, string, ...string) bool {
			gate.RLock()
			defer gate.RUnlock()
			return false
		})
		l := loadOn(m.Addr())
		l.Duration, l.Rate, l.Connections, l.Closed, l.Mix = 3*time.Second, 600, 12, closed, Mix{Get: 1}
		if closed {
			l.Rate = 0
		}
		stalled := make(chan struct{})
		seconds := 0
		l.Each = func(Progress) {
			if seconds++; seconds == 1 {
				gate.Lock()
				time.AfterFunc(time.Second, func() { gate.Unlock(); close(stalled) })
			}
		}
		r := mustRun(t, l)
		<-stalled
		return r
	}
	open := run(false)
	if open.Latency.P99 < 0.9 || open.Latency.Max > 1.5 {
		t.Errorf("open loop: p99 %v s, max %v s, of a stall of 1 s", open.Latency.P99, open.Latency.Max)
	}
	if s := open.Schedule; s.Intended != 1800 || s.Late < 400 || s.Unsent != 0 || s.Lateness.Max < 0.9 {
		t.Errorf("open loop: %+v, want hundreds late", s)
	}
	if open.Operations != 1800 || open.Loop != "open" {
		t.Errorf("open loop: %d operations, want all 1800", open.Operations)
	}
	if p50 := open.ByOperation[0].Service.P50; p50 > 0.1 {
		t.Errorf("from sending to reply: p50 %v s, though most operations were sent after the stall", p50)
	}
	closed := run(true)
	if closed.Latency.P99 > 0.5 || closed.Latency.Max < 0.9 || closed.Schedule != nil || closed.Loop != "closed" || !strings.Contains(closed.Note, "coordinated omission") {
		t.Errorf("closed loop: %+v, %v, %s", closed.Latency, closed.Schedule, closed.Note)
	}
}

// TestUnsent: what a server is too slow for until the end of the drain is counted, and no latency objective is met.
func TestUnsent(t *testing.T) {
	m := seeded(t)
	m.Server().SetPreHook(func(*server.Peer, string, ...string) bool {
		time.Sleep(20 * time.Millisecond)
		return false
	})
	l := loadOn(m.Addr())
	l.Topics, l.Connections, l.Rate, l.Drain, l.Mix = []Topic{{Name: sample.Users}}, 1, 500, 100*time.Millisecond, Mix{Get: 1}
	l.Objectives = objectives(t, "p50=1h", "late=100", "errors=0")
	r := mustRun(t, l)
	if s := r.Schedule; s.Intended != 500 || s.Unsent < 400 || s.Unsent+r.Operations != 500 {
		t.Errorf("%+v with %d operations", s, r.Operations)
	}
	if r.Met || r.Objectives[0].Met || !strings.Contains(r.Objectives[0].Reason, "never sent") || r.Objectives[1].Met || !r.Objectives[2].Met {
		t.Errorf("%+v", r.Objectives)
	}
}

func objectives(t *testing.T, all ...string) (parsed []Objective) {
	t.Helper()
	for _, s := range all {
		o, err := ParseObjective(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, o)
	}
	return parsed
}

// TestAllOperations: every operation is done in about its share, on both servers, and its replies are right.
func TestAllOperations(t *testing.T) {
	a, b := seeded(t), seeded(t)
	l := loadOn(a.Addr(), b.Addr())
	l.Rate, l.Pipeline, l.Keys = 2000, 4, Distribution{DefaultExponent}
	var log bytes.Buffer
	l.HDR = &log
	registry := prometheus.NewRegistry()
	l.Registerer = registry
	scraped := map[string]float64{}
	l.Each = func(p Progress) {
		families, err := registry.Gather()
		if err != nil {
			t.Error(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				scraped[f.GetName()] = max(scraped[f.GetName()], float64(m.GetHistogram().GetSampleCount()), m.GetCounter().GetValue())
			}
		}
	}
	l.Objectives = objectives(t, "errors=0", "get.p99=10s", "rate=1000", "late=100%")
	r := mustRun(t, l)
	if r.Errors != 0 || r.Operations != 2000 || !r.Met || r.Interrupted {
		t.Fatalf("%+v", r)
	}
	for i, b := range r.ByOperation {
		if want := float64(20 * mixed[i]); float64(b.Operations) < want/2 || float64(b.Operations) > 2*want {
			t.Errorf("%s: %d operations, want about %v", b.Name, b.Operations, want)
		}
		if b.Latency.Count != b.Operations || len(b.Distribution) < 3 || b.Latency.Max < b.Latency.P99 || b.Latency.P99 < b.Latency.P50 || b.Latency.P50 <= 0 {
			t.Errorf("%s: %+v", b.Name, b)
		}
	}
	for _, b := range r.ByAddress {
		if b.Operations != 1000 {
			t.Errorf("%s: %d operations, want half", b.Name, b.Operations)
		}
	}
	if r.Misses == 0 {
		t.Error("keys are deleted and never missed")
	}
	if r.Generator.CPUPerOperation <= 0 || r.Generator.Available < 1 {
		t.Errorf("%+v", r.Generator)
	}
	var count int64
	reader := hdrhistogram.NewHistogramLogReader(&log)
	tags := map[string]bool{}
	for {
		h, err := reader.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		count += h.TotalCount()
		tags[h.Tag()] = true
	}
	if count != r.Operations || len(tags) != int(operations) {
		t.Errorf("the histogram log has %d values with the tags %v", count, tags)
	}
	if scraped["loadgen_latency_seconds"] < 300 || scraped["loadgen_operations_total"] != scraped["loadgen_latency_seconds"] {
		t.Errorf("metrics: %v", scraped)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("metrics stay behind: %v, %v", families, err)
	}
}

// TestReplies: what is answered is held to what was asked for, and errors are counted by kind.
func TestReplies(t *testing.T) {
	other, err := sample.Encode(model.Session(5))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, command string
		mix           Mix
		answer        func(p *server.Peer, args []string)
		kind          string
		misses        bool
	}{
		{"another key's value", "GET", Mix{Get: 1}, func(p *server.Peer, _ []string) { p.WriteBulk(string(other)) }, KindMismatch, false},
		{"no value", "GET", Mix{Get: 1}, func(p *server.Peer, _ []string) { p.WriteNull() }, "", true},
		{"cut off", "GET", Mix{Get: 1}, func(p *server.Peer, a []string) { p.WriteBulk(`{"id":"` + a[0] + `","`) }, KindMismatch, false},
		{"other JSON", "GET", Mix{Get: 1}, func(p *server.Peer, a []string) { p.WriteBulk(`{ "x": [], "id" : "` + a[0] + `"}`) }, "", false},
		{"one of several is another's", "MGET", Mix{MGet: 1}, func(p *server.Peer, a []string) {
			p.WriteLen(len(a))
			for i, k := range a {
				if i == 3 {
					k = "x"
				}
				p.WriteBulk(`{"id":"` + k + `"}`)
			}
		}, KindMismatch, false},
		{"one too few", "MGET", Mix{MGet: 1}, func(p *server.Peer, a []string) {
			p.WriteLen(len(a) - 1)
			for _, k := range a[1:] {
				p.WriteBulk(`{"id":"` + k + `"}`)
			}
		}, KindMismatch, false},
		{"not OK", "SET", Mix{Set: 1}, func(p *server.Peer, _ []string) { p.WriteInline("NO") }, KindMismatch, false},
		{"read only", "SET", Mix{Set: 1}, func(p *server.Peer, _ []string) { p.WriteError("READONLY no") }, "READONLY", false},
		{"two deleted of one", "DEL", Mix{Del: 1}, func(p *server.Peer, _ []string) { p.WriteInt(2) }, KindMismatch, false},
		{"loading", "SCAN", Mix{Scan: 1}, func(p *server.Peer, _ []string) { p.WriteError("LOADING not yet") }, "LOADING", false},
		{"closed", "GET", Mix{Get: 1}, func(p *server.Peer, _ []string) { p.Close() }, KindConnection, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := seeded(t)
			m.Server().SetPreHook(func(p *server.Peer, command string, args ...string) bool {
				if command != tt.command {
					return false
				}
				tt.answer(p, args)
				return true
			})
			l := loadOn(m.Addr())
			l.Mix, l.Rate, l.Duration = tt.mix, 200, 500*time.Millisecond
			r := mustRun(t, l)
			if tt.kind == "" {
				if r.Errors != 0 || r.Operations != 100 || (r.Misses == 100) != tt.misses {
					t.Errorf("%d operations, %d misses, %v", r.Operations, r.Misses, r.Failed)
				}
				return
			}
			if r.Failed[tt.kind] != 100 || r.Errors != 100 || r.Operations != 0 {
				t.Errorf("%d operations, %v; want 100 %s", r.Operations, r.Failed, tt.kind)
			}
		})
	}
}

// TestTimeout: no reply in time is an error of its own kind.
func TestTimeout(t *testing.T) {
	m := seeded(t)
	release := make(chan struct{})
	m.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if command == "GET" {
			<-release
		}
		return false
	})
	defer close(release)
	l := loadOn(m.Addr())
	l.Mix, l.Timeout, l.Rate, l.Drain, l.Duration = Mix{Get: 1}, 100*time.Millisecond, 20, 5*time.Second, 500*time.Millisecond
	r := mustRun(t, l)
	if r.Failed[KindTimeout] == 0 || r.Operations != 0 {
		t.Errorf("%v", r.Failed)
	}
}

// TestInterrupted: what was done until then is reported, and nothing else.
func TestInterrupted(t *testing.T) {
	m := seeded(t)
	for _, closed := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		l := loadOn(m.Addr())
		l.Duration, l.Closed = time.Hour, closed
		if closed {
			l.Rate = 0
		}
		l.Each = func(p Progress) {
			if p.Operations > 0 {
				cancel()
			}
		}
		r, err := l.Run(ctx)
		cancel()
		if err != nil || !r.Interrupted || r.Operations == 0 || r.Elapsed < 0.9 || r.Elapsed > 60 {
			t.Errorf("closed %v: %v, %+v", closed, err, r)
		}
		// What was due in the moment of the interruption may not have been sent; all of the hour that is left is not counted as if it had been due.
		if !closed && (r.Schedule.Unsent > r.Schedule.Intended/10 || r.Schedule.Intended > int64(r.Elapsed*l.Rate)+1) {
			t.Errorf("%+v in %v s", r.Schedule, r.Elapsed)
		}
	}
}

// TestWarmup: what is started in it is not counted.
func TestWarmup(t *testing.T) {
	m := seeded(t)
	l := loadOn(m.Addr())
	l.Warmup, l.Duration, l.Rate = time.Second, time.Second, 300
	r := mustRun(t, l)
	if r.Operations != 300 || r.Schedule.Intended != 300 || r.Elapsed < 0.9 || r.Elapsed > 1.9 {
		t.Errorf("%d operations in %v s, %+v", r.Operations, r.Elapsed, r.Schedule)
	}
}

func TestUnreachableLoad(t *testing.T) {
	m := miniredis.RunT(t)
	addr := m.Addr()
	m.Close()
	if _, err := loadOn(addr).Run(t.Context()); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
}

func TestValidateLoad(t *testing.T) {
	if err := loadOn("a:1").Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Load){
		"no address":           func(l *Load) { l.Addrs = nil },
		"no mix":               func(l *Load) { l.Mix = Mix{} },
		"no rate":              func(l *Load) { l.Rate = 0 },
		"a rate and closed":    func(l *Load) { l.Closed = true },
		"no duration":          func(l *Load) { l.Duration = 0 },
		"too few connections":  func(l *Load) { l.Connections = 2 },
		"unknown topic":        func(l *Load) { l.Topics = []Topic{{Name: "events"}} },
		"no records":           func(l *Load) { l.Model.Sessions = 0 },
		"negative database":    func(l *Load) { l.Topics = []Topic{{sample.Users, -1}} },
		"negative pipeline":    func(l *Load) { l.Pipeline = -1 },
		"negative warm-up":     func(l *Load) { l.Warmup = -1 },
		"objective of nothing": func(l *Load) { l.Mix, l.Objectives = Mix{Get: 1}, objectives(t, "set.p99=1s") },
		"late in closed":       func(l *Load) { l.Closed, l.Rate, l.Objectives = true, 0, objectives(t, "late=0") },
	} {
		l := loadOn("a:1")
		change(&l)
		if l.Validate() == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}
