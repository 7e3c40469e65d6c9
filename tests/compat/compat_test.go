package compat

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func openStage(t *testing.T) *Stage {
	t.Helper()
	s, err := OpenStage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestLight tries the libraries and tools that need nothing which make setup has not got; make compat tries the others too.
func TestLight(t *testing.T) {
	s := openStage(t)
	for _, l := range Libraries() {
		if !l.Light {
			continue
		}
		t.Run(l.Name, func(t *testing.T) {
			r, err := s.Try(t.Context(), l)
			check(t, r, err)
		})
	}
	for _, tool := range Tools() {
		t.Run(tool.Name, func(t *testing.T) {
			r, err := s.TryTool(t.Context(), tool)
			check(t, r, err)
		})
	}
}

func check(t *testing.T, r Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s: %d results", r.Name, r.Version, len(r.Results))
	for _, f := range r.Failures() {
		t.Error(f)
	}
	if t.Failed() {
		t.Logf("the probe printed:\n%s", r.Detail)
	}
}

// TestLiesAreSeen: with a liar between probe and daemon, every column that it can lie in fails. The daemons with a password and with TLS are not behind it.
func TestLiesAreSeen(t *testing.T) {
	s := openStage(t)
	l := newLiar(t, s.plain.addr)
	s.through = l.through
	straight := []string{"auth", "tls", "cluster"} // and cluster is an error, in which there is nothing to lie about
	for _, lib := range Libraries() {
		if !lib.Light {
			continue
		}
		t.Run(lib.Name, func(t *testing.T) {
			probe, err := lib.Prepare(t.Context(), s.top)
			if err != nil {
				t.Fatal(err)
			}
			columns := slices.DeleteFunc(lib.columns(), func(c string) bool {
				return slices.Contains(straight, c) || slices.Contains([]string{"reconnect", "subscribe", "cache"}, c) // these wait for what is right
			})
			r, err := s.run(t.Context(), lib.Name, probe, columns)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Results {
				if c.OK {
					t.Errorf("%s passes although it was lied to: %s", c.Column, c.Note)
				}
			}
			if !r.Failed() || len(r.Failures()) != len(columns) {
				t.Errorf("%d of %d columns failed", len(r.Failures()), len(columns))
			}
			page := Page{Libraries: []Library{lib}, Reports: map[string]Report{lib.Name: r}, Date: time.Now()}
			if n := strings.Count(page.String(), "| **FAIL** "); n < len(columns) {
				t.Errorf("the page has %d failed cells:\n%s", n, page)
			}
		})
	}
}

// TestWhatIsNotTriedFails: neither silence nor a library that is missing passes.
func TestWhatIsNotTriedFails(t *testing.T) {
	l := Library{Name: "mute"}
	page := Page{Libraries: []Library{l}, Reports: map[string]Report{l.Name: {Name: l.Name}}}
	if len(page.Failures()) != 1 || strings.Count(page.String(), "**FAIL**") != len(Columns) {
		t.Errorf("%v\n%s", page.Failures(), page)
	}
	page.Reports[l.Name] = Report{Name: l.Name, NotHad: "no such package"}
	if len(page.Failures()) != 1 || !strings.Contains(page.String(), "**mute could not be had**: no such package") || strings.Contains(page.String(), "| yes |") {
		t.Errorf("%v\n%s", page.Failures(), page)
	}
	delete(page.Reports, l.Name)
	if len(page.Failures()) != 1 {
		t.Errorf("%v", page.Failures())
	}
}
