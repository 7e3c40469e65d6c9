package caching

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/history"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func config(t *testing.T, duration time.Duration, tags string) Config {
	t.Helper()
	dir := t.TempDir()
	binary, err := history.Build(t.Context(), dir, tags == "", tags)
	if err != nil {
		t.Fatal(err)
	}
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CACHING_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("CACHING_SEED=%d repeats what is random, though not when it happens", seed)
	script, err := filepath.Abs("redispy.py")
	if err != nil {
		t.Fatal(err)
	}
	libraries, err := filepath.Glob(filepath.Join(top, "build", "python", "redis-8.*"))
	if err != nil || len(libraries) == 0 {
		t.Fatalf("redis-py 8 is not in build/python: make setup gets it (%v)", err)
	}
	return Config{Seed: seed, Duration: duration, Binary: binary, Python: filepath.Join(top, "build", "python", "bin", "python"), Library: libraries[0], Script: script}
}

// TestNoCacheKeepsAnOverwrittenValue runs for CACHING_DURATION, or a few seconds.
func TestNoCacheKeepsAnOverwrittenValue(t *testing.T) {
	duration := 6 * time.Second
	if s := os.Getenv("CACHING_DURATION"); s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Run(t.Context(), config(t, duration, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if len(r.Violations) > 0 {
		t.Error("a client keeps what was overwritten")
	}
	if len(r.Kept) != 13 || r.Told < 100 || r.Writes < 500 || r.Cuts+r.Restarts+r.Rebuilds+r.Flushes < 4 {
		t.Error("too little happened")
	}
	for name, kept := range r.Kept {
		if kept == 0 {
			t.Errorf("%s kept nothing", name)
		}
	}
}

// TestFaultsAreFound runs builds that leave out or misorder invalidations.
func TestFaultsAreFound(t *testing.T) {
	cfg := config(t, 30*time.Second, history.BrokenTag) // at most: it ends with the first violation
	for _, fault := range []string{"drop-invalidations", "drop-flush", "remember-late", "noloop-by-key"} {
		t.Run(fault, func(t *testing.T) {
			cfg.Broken = fault
			r, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r)
			if len(r.Violations) == 0 {
				t.Error("it is not found")
			}
		})
	}
}
