package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSkipsAreDocumented: docs/commands.md has the list as it is.
func TestSkipsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	var list bytes.Buffer
	printSkips(&list)
	if !strings.Contains(string(doc), list.String()) {
		t.Error("docs/commands.md does not have the table that -list prints")
	}
	for file := range skips {
		if !slices.Contains(files, file) {
			t.Errorf("skips of %s, which is not run", file)
		}
	}
}

// TestResultsAreCounted: what failed and what was not there to be skipped is told.
func TestResultsAreCounted(t *testing.T) {
	var r result
	for _, l := range []string{"\x1b[0;32m[ok]\x1b[0m: SCAN basic (3 ms)", "[err]: SCAN TYPE in tests/unit/scan.tcl", "[skip]: SSCAN", "[ignore]: tag", "[exception]: Executing test client: x", "[1/1 done]: unit/scan"} {
		r.line(l)
	}
	stale := r.missing([]skip{{"a reason", []string{"SSCAN", "ZSCAN"}}})
	if r.passed != 1 || len(r.failed) != 2 || !slices.Equal(r.skipped, []string{"SSCAN"}) || r.ignored != 1 || !slices.Equal(stale, []string{"ZSCAN"}) {
		t.Errorf("%+v, %q", r, stale)
	}
}
