package history

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seed is HISTORY_SEED, or a random one.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv("HISTORY_SEED")
	if s == "" {
		return rand.Uint64N(1 << 32)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("HISTORY_SEED: %v", err)
	}
	return n
}

// workDir is a directory that stays where the test failed.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "history-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("data, logs and visualisations are in %s", dir)
		} else {
			os.RemoveAll(dir)
		}
	})
	return dir
}

// TestHistory is a short run on one broker; `make history` is a long one on three.
func TestHistory(t *testing.T) {
	dir := workDir(t)
	binary, err := Build(t.Context(), dir, raceDetector, "")
	if err != nil {
		t.Fatal(err)
	}
	n := seed(t)
	t.Logf("HISTORY_SEED=%d repeats the plan", n)
	report, err := Run(t.Context(), Config{Seed: n, Brokers: 1, Duration: 30 * time.Second, Binary: binary, Dir: dir, Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if report.Failed() {
		t.Error("the history of a sound build is refused")
	}
	if report.Faults[KillInstance] < 2 || report.Records < 500 {
		t.Errorf("too little happened: %d kills, %d records", report.Faults[KillInstance], report.Records)
	}
	for _, name := range []string{"WAIT counting 2 ok", "WAIT counting 3 ok", "KAFKA.SYNC ok", "KAFKA.FRESH ok"} {
		if report.Events[name] < 10 {
			t.Errorf("too little was waited for: %s %d", name, report.Events[name])
		}
	}
}

// TestBrokenBuildIsFound runs builds with one fault each: positions are published before the commits that make them true, or told to other
// instances before they are reached.
func TestBrokenBuildIsFound(t *testing.T) {
	binary, err := Build(t.Context(), workDir(t), false, BrokenTag)
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"publish-before-commit", "confirm-ahead"} {
		t.Run(broken, func(t *testing.T) {
			n := seed(t)
			t.Logf("HISTORY_SEED=%d repeats the plan", n)
			report, err := Run(t.Context(), Config{Seed: n, Brokers: 1, Duration: 4 * time.Second, Binary: binary, Broken: broken, Dir: workDir(t), Logf: t.Logf})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Violations) == 0 {
				t.Errorf("a broken build is not found:\n%v", report)
			} else {
				t.Logf("found, as it should be, with %d more: %s", len(report.Violations)-1+report.More, report.Violations[0].What)
			}
		})
	}
}
