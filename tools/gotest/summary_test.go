package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSummary runs the real go test over a module with tests that end in every way.
func TestSummary(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module x\n\ngo 1.26\n")
	write("good/a_test.go", `package good
import "testing"
func TestA(t *testing.T) { t.Log("not shown"); t.Run("sub", func(*testing.T) {}) }
func TestB(t *testing.T) { t.Skip("because") }
`)
	write("bad/a_test.go", `package bad
import "testing"
func TestC(t *testing.T) { t.Error("wrong here") }
func TestD(t *testing.T) {}
`)
	write("broken/a_test.go", "package broken\nfunc f() { undefined() }\n")
	write("panics/a_test.go", "package panics\nimport \"testing\"\nfunc TestE(t *testing.T) { panic(\"no luck\") }\n")
	write("dies/a_test.go", "package dies\nimport (\"os\"; \"testing\")\nfunc TestMain(*testing.M) { println(\"no main\"); os.Exit(3) }\n")

	for _, c := range []struct {
		packages string
		want     string
		shown    []string
		hidden   []string
	}{
		{"./good", "2 passed, 0 failed, 1 skipped", []string{"ok  \tx/good", "because"}, []string{"not shown"}},
		{"./bad", "1 passed, 1 failed", []string{"wrong here", "FAIL\tx/bad"}, nil},
		{"./broken", "0 passed, 1 failed", []string{"undefined: undefined"}, nil},
		{"./panics", "0 passed, 1 failed", []string{"no luck"}, nil},
		{"./dies", "0 passed, 1 failed", []string{"no main"}, nil},
		{"./...", "3 passed, 4 failed, 1 skipped", nil, nil},
	} {
		cmd := exec.Command("go", "test", "-json", c.packages)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off")
		out, err := cmd.Output()
		if err == nil && strings.Contains(c.want, " 1 failed") {
			t.Errorf("%s: go test is content", c.packages)
		}
		var s summary
		var w strings.Builder
		if err := s.read(strings.NewReader(string(out)), &w); err != nil {
			t.Fatal(err)
		}
		if s.String() != c.want {
			t.Errorf("%s: %q, want %q; printed:\n%s", c.packages, s.String(), c.want, w.String())
		}
		for _, text := range c.shown {
			if !strings.Contains(w.String(), text) {
				t.Errorf("%s: %q is not in:\n%s", c.packages, text, w.String())
			}
		}
		for _, text := range c.hidden {
			if strings.Contains(w.String(), text) {
				t.Errorf("%s: %q is in:\n%s", c.packages, text, w.String())
			}
		}
	}
}

func TestSlowest(t *testing.T) {
	var s summary
	for _, e := range []event{
		{"pass", "x/a", "TestShort", "", 0.5}, {"pass", "x/a", "TestLong", "", 7.2}, {"pass", "x/a", "TestLong/part", "", 7.1},
		{"fail", "x/b", "TestLonger", "", 9}, {"pass", "x/b", "TestThird", "", 2}, {"pass", "x/b", "", "", 20},
	} {
		s.event(e, io.Discard)
	}
	if got, want := s.slowest(2), "slow\tx/b.TestLonger\t9s\nslow\tx/a.TestLong\t7s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := strings.Count(s.slowest(9), "\n"); got != 3 {
		t.Errorf("%d lines, want 3", got)
	}
}
