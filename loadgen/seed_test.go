package loadgen

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/yolean/kafka-cache/core/sample"
)

var model = sample.Model{Seed: 3, Organizations: 4, Users: 57, Sessions: 91}

func TestSeedWritesTheModel(t *testing.T) {
	redis := miniredis.RunT(t)
	calls := 0
	s := Seed{Target: Target{Addrs: []string{redis.Addr()}}, Model: model, Pipeline: 10, Progress: func(SeedResult) { calls++ }}
	r, err := s.Run(t.Context())
	if err != nil || r.Written != 152 || r.Total != 152 || r.Failures() != 0 {
		t.Fatalf("%v, %v", r, err)
	}
	if want := 1 + 6 + 10; calls != want {
		t.Errorf("%d pipelines, want %d", calls, want)
	}
	n := 0
	for record := range model.All() {
		want, err := sample.Encode(record)
		if err != nil {
			t.Fatal(err)
		}
		got, err := redis.DB(slices.Index(sample.Topics(), record.Topic())).Get(record.Key())
		if err != nil || got != string(want) {
			t.Fatalf("%s %s: %q, %v; want %s", record.Topic(), record.Key(), got, err, want)
		}
		n++
	}
	if n != r.Written {
		t.Errorf("%d records in the model, %d written", n, r.Written)
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	redis := miniredis.RunT(t)
	tests := []struct {
		reply   string
		written int
		kind    string
	}{
		{"READONLY You can't write against a read only replica.", 0, "READONLY"},
		{"LOADING Redis is loading the dataset in memory", 0, "LOADING"},
		{"PENDING 1:x:0.1", 152, ""},
	}
	for _, tt := range tests {
		redis.Server().SetPreHook(func(p *server.Peer, command string, _ ...string) bool {
			if command != "SET" {
				return false
			}
			p.WriteError(tt.reply)
			return true
		})
		r, err := (Seed{Target: Target{Addrs: []string{redis.Addr()}}, Model: model, Pipeline: 20}).Run(t.Context())
		if err != nil || r.Written != tt.written {
			t.Errorf("%s: %v, %v", tt.reply, r, err)
		}
		if tt.kind == "" {
			if r.Pending != tt.written || r.Failures() != 0 {
				t.Errorf("%s: %v, want all pending", tt.reply, r)
			}
			continue
		}
		if r.Failed[tt.kind] != 152 || r.Failures() != 152 || r.FirstError == nil || !strings.Contains(r.String(), "failed: "+tt.kind+" 152") {
			t.Errorf("%s: %v (%v)", tt.reply, r, r.FirstError)
		}
	}
}

func TestUnreachable(t *testing.T) {
	redis := miniredis.RunT(t)
	addr := redis.Addr()
	redis.Close()
	r, err := (Seed{Target: Target{Addrs: []string{addr}}, Model: model, Pipeline: 20}).Run(t.Context())
	if err == nil || r.Written != 0 || r.Failed["connection"] == 0 {
		t.Errorf("%v, %v", r, err)
	}
	if r.Failures() > 20 {
		t.Errorf("%v: it went on after the connection had failed", r)
	}
}

func TestContextEndsIt(t *testing.T) {
	redis := miniredis.RunT(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := Seed{Target: Target{Addrs: []string{redis.Addr()}}, Model: model, Pipeline: 1, Progress: func(r SeedResult) {
		if r.Written == 5 {
			cancel()
		}
	}}
	r, err := s.Run(ctx)
	if !errors.Is(err, context.Canceled) || r.Written != 5 {
		t.Errorf("%v, %v", r, err)
	}
}

func TestValidate(t *testing.T) {
	for _, s := range []Seed{
		{Pipeline: 1},
		{Target: Target{Addrs: []string{"a:1"}}},
		{Target: Target{Addrs: []string{"a:1"}}, Pipeline: 1, Model: sample.Model{Users: 1}},
		{Target: Target{Addrs: []string{"a"}}, Pipeline: 1},
		{Target: Target{Addrs: []string{"a:1"}, User: "u"}, Pipeline: 1},
		{Target: Target{Addrs: []string{"a:1"}}, Pipeline: 1, Connections: -1},
		{Target: Target{Addrs: []string{"a:1"}}, Pipeline: 1, Topics: []Topic{{Name: "events"}}},
	} {
		if _, err := s.Run(t.Context()); err == nil {
			t.Errorf("%+v is not refused", s)
		}
	}
}
