package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is what `go test -json` writes, see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

type testName struct{ pkg, test string }

// summary counts tests, subtests included, and keeps the output of those that run.
type summary struct {
	passed, failed, skipped int
	output                  map[testName][]string
	counted                 map[string]bool // packages of which a test was counted as failed
	slow                    []slowTest
}

// slowTest is a top-level test that took a second or more.
type slowTest struct {
	testName
	seconds float64
}

func (s *summary) line(b []byte, w io.Writer) {
	var e event
	if err := json.Unmarshal(b, &e); err != nil {
		fmt.Fprintf(w, "%s", b) // not from test2json: better shown than lost
		return
	}
	s.event(e, w)
}

func (s *summary) event(e event, w io.Writer) {
	if s.output == nil {
		s.output, s.counted = map[testName][]string{}, map[string]bool{}
	}
	name := testName{e.Package, e.Test}
	if (e.Action == "pass" || e.Action == "fail") && e.Test != "" && !strings.Contains(e.Test, "/") && e.Elapsed >= 1 {
		s.slow = append(s.slow, slowTest{name, e.Elapsed})
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(w, e.Output)
	case "output":
		s.keep(name, e.Output, w)
	case "pass", "skip":
		if e.Test == "" {
			break
		}
		if e.Action == "skip" {
			s.skipped++
			s.show(name, w) // with its reason
		} else {
			s.passed++
		}
		delete(s.output, name)
	case "fail":
		s.fail(e, name, w)
	}
}

func (s *summary) keep(name testName, output string, w io.Writer) {
	if name.test != "" {
		s.output[name] = append(s.output[name], output)
		return
	}
	if strings.HasPrefix(output, "ok  \t") || strings.HasPrefix(output, "FAIL\t") || strings.HasPrefix(output, "?   \t") {
		fmt.Fprint(w, output)
		return
	}
	s.output[name] = append(s.output[name], output)
}

// fail counts a failed test; a package that failed without one (its build, its
// TestMain, a panic, a time-out) counts as one.
func (s *summary) fail(e event, name testName, w io.Writer) {
	if e.Test != "" {
		s.failed++
		s.counted[e.Package] = true
		s.show(name, w)
		return
	}
	if !s.counted[e.Package] {
		s.failed++
	}
	for n := range s.output { // of tests that had not ended
		if n.pkg == e.Package {
			s.show(n, w)
		}
	}
}

func (s *summary) show(name testName, w io.Writer) {
	for _, o := range s.output[name] {
		fmt.Fprint(w, o)
	}
	delete(s.output, name)
}

// slowest lists the n tests that took the longest: where the time of a run goes.
func (s *summary) slowest(n int) string {
	slices.SortStableFunc(s.slow, func(a, b slowTest) int { return cmp.Compare(b.seconds, a.seconds) })
	var b strings.Builder
	for _, t := range s.slow[:min(n, len(s.slow))] {
		fmt.Fprintf(&b, "slow\t%s.%s\t%.0fs\n", t.pkg, t.test, t.seconds)
	}
	return b.String()
}

func (s *summary) String() string {
	line := fmt.Sprintf("%d passed, %d failed", s.passed, s.failed)
	if s.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", s.skipped)
	}
	return line
}
