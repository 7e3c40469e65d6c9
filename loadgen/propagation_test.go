package loadgen

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/yolean/kafka-cache/core/sample"
)

// follower is a server that has what is written to leader, a while later.
func follower(t *testing.T, leader *miniredis.Miniredis, later time.Duration) *miniredis.Miniredis {
	t.Helper()
	f := miniredis.RunT(t)
	var copying sync.WaitGroup
	t.Cleanup(copying.Wait)
	leader.Server().SetPreHook(func(_ *server.Peer, command string, args ...string) bool {
		if command == "SET" {
			copying.Go(func() {
				time.Sleep(later)
				_ = f.Set(args[0], args[1])
			})
		}
		return false
	})
	return f
}

// TestPropagation: an instance that is 50 ms behind is seen to be, and the other is not.
func TestPropagation(t *testing.T) {
	leader := miniredis.RunT(t)
	behind := follower(t, leader, 50*time.Millisecond)
	p := Propagation{Target: Target{Addrs: []string{leader.Addr(), behind.Addr()}}, Model: model, Rate: 100, Duration: time.Second,
		Objectives: objectives(t, "p50=40ms", "errors=0", "max=10s")}
	r, err := p.Run(t.Context())
	if err != nil || r.Writes != 100 || r.Errors != 0 || r.Skipped != 0 || r.Schedule.Intended != 100 || r.Schedule.Unsent != 0 || r.Interrupted {
		t.Fatalf("%v, %+v", err, r)
	}
	a, b := r.Instances[0], r.Instances[1]
	if a.Seen != 100 || b.Seen != 100 || a.Errors+b.Errors != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	if a.Visible.P50 >= 0.04 || b.Visible.Min < 0.05 || b.Visible.P50 > 1 || b.Resolution.Count == 0 {
		t.Errorf("visible in %v s and %v s, one is 50 ms behind", a.Visible, b.Visible)
	}
	if r.Met || r.Objectives[0].Met || r.Objectives[0].Actual < 0.05 || !r.Objectives[1].Met || !r.Objectives[2].Met {
		t.Errorf("%+v: the worst instance counts", r.Objectives)
	}
	for i := range 100 {
		if leader.DB(0).Exists(model.UserID(model.Users + i).String()) {
			t.Fatalf("record %d is left behind", i)
		}
	}
	if r.Left != "" {
		t.Error(r.Left)
	}
}

// TestUnseen: what an instance never shows is an error of its own kind, and records are kept where that is asked for.
func TestUnseen(t *testing.T) {
	leader, other := miniredis.RunT(t), miniredis.RunT(t)
	p := Propagation{Target: Target{Addrs: []string{leader.Addr(), other.Addr()}}, Model: model, Rate: 50, Duration: 400 * time.Millisecond,
		Within: 200 * time.Millisecond, Keep: true, Topic: Topic{sample.Sessions, 2}, Objectives: objectives(t, "errors=0")}
	r, err := p.Run(t.Context())
	if err != nil || r.Writes != 20 || r.Instances[0].Seen != 20 || r.Instances[0].Unseen != 0 || r.Instances[1].Seen != 0 || r.Instances[1].Unseen != 20 || r.Met {
		t.Fatalf("%v, %+v", err, r)
	}
	if !leader.DB(2).Exists(model.SessionID(model.Sessions).String()) {
		t.Error("the records are not kept")
	}
}

// TestFailedWrites: a write that is refused is an error of the writes, and waited for nowhere.
func TestFailedWrites(t *testing.T) {
	leader := miniredis.RunT(t)
	leader.Server().SetPreHook(func(p *server.Peer, command string, _ ...string) bool {
		if command == "SET" {
			p.WriteError("READONLY no")
			return true
		}
		return false
	})
	p := Propagation{Target: Target{Addrs: []string{leader.Addr()}}, Model: model, Rate: 50, Duration: 400 * time.Millisecond}
	began := time.Now()
	r, err := p.Run(t.Context())
	if err != nil || r.Failed["READONLY"] != 20 || r.Writes != 0 || r.Instances[0].Seen+r.Instances[0].Unseen != 0 {
		t.Errorf("%v, %+v", err, r)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestValidatePropagation(t *testing.T) {
	good := Propagation{Target: Target{Addrs: []string{"a:1"}}, Model: model, Rate: 1, Duration: time.Second}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Propagation){
		"no address":    func(p *Propagation) { p.Addrs = nil },
		"bad address":   func(p *Propagation) { p.Write = "b" },
		"no rate":       func(p *Propagation) { p.Rate = 0 },
		"no duration":   func(p *Propagation) { p.Duration = 0 },
		"unknown topic": func(p *Propagation) { p.Topic.Name = "x" },
		"an objective":  func(p *Propagation) { p.Objectives = objectives(t, "get.p99=1s") },
		"misses":        func(p *Propagation) { p.Objectives = objectives(t, "misses=0") },
	} {
		p := good
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "loadgen: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
