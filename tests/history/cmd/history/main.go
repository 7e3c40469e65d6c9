// Command history runs the history checker of package history against a kafka-cache that it builds from this tree, and exits with 1
// where it found anything.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/history"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx)
	cancel()
	os.Exit(code)
}

func run(ctx context.Context) int {
	var cfg history.Config
	flag.Uint64Var(&cfg.Seed, "seed", 0, "the seed of operations and faults; 0: a random one")
	flag.IntVar(&cfg.Brokers, "brokers", 3, "brokers, 1 to 3")
	flag.DurationVar(&cfg.Duration, "duration", 10*time.Minute, "how long clients and faults go on")
	flag.StringVar(&cfg.Binary, "binary", "", "a kafka-cache to run instead of one that is built from this tree")
	flag.StringVar(&cfg.Broken, "broken", "", "build with the tag "+history.BrokenTag+" and this fault, which must be found: publish-before-commit, skip-tombstones, resume-ahead or confirm-ahead")
	race := flag.Bool("race", false, "build kafka-cache with the race detector")
	out := flag.String("out", "", "directory for data, logs and visualisations; empty: one in build/history, removed where nothing was found")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "history: unexpected argument:", flag.Arg(0))
		return 2
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64N(1 << 32)
	}
	began := time.Now()
	cfg.Logf = func(format string, args ...any) {
		fmt.Printf("[%6.1f s] %s\n", time.Since(began).Seconds(), strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
	}
	failed, err := check(ctx, cfg, *out, *race)
	switch {
	case errors.Is(err, context.Canceled):
		return 1
	case err != nil:
		fmt.Fprintln(os.Stderr, "history:", err)
		return 1
	case failed != (cfg.Broken != ""):
		if cfg.Broken != "" {
			fmt.Println("the fault was not found")
		}
		return 1
	}
	return 0
}

// check makes the directory and the binary that are missing, runs, and prints the report.
func check(ctx context.Context, cfg history.Config, out string, race bool) (failed bool, err error) {
	cfg.Dir = out
	if out == "" {
		top, err := daemontest.Top()
		if err != nil {
			return false, err
		}
		parent := filepath.Join(top, "build", "history")
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return false, err
		}
		if cfg.Dir, err = os.MkdirTemp(parent, fmt.Sprintf("seed-%d-", cfg.Seed)); err != nil {
			return false, err
		}
		defer func() {
			if err == nil && !failed {
				os.RemoveAll(cfg.Dir)
			}
		}()
	} else if err := os.MkdirAll(out, 0o755); err != nil {
		return false, err
	}
	cfg.Logf("seed %d, %d brokers, %v, in %s", cfg.Seed, cfg.Brokers, cfg.Duration, cfg.Dir)
	if cfg.Binary == "" {
		tags := ""
		if cfg.Broken != "" {
			tags = history.BrokenTag
		}
		if cfg.Binary, err = history.Build(ctx, cfg.Dir, race, tags); err != nil {
			return false, err
		}
	}
	report, err := history.Run(ctx, cfg)
	if err != nil {
		return false, err
	}
	cfg.Logf("seed %d: %v", cfg.Seed, report)
	return report.Failed(), nil
}
