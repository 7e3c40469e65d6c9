// Command loadgen puts the sample model to a kafka-cache as a load.
//
//	loadgen seed --addr 127.0.0.1:6379 --users 100000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/core/sample"
	"github.com/yolean/kafka-cache/loadgen"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // records were not written
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "seed" {
		fmt.Fprintln(stderr, "loadgen: usage: loadgen seed [options] (loadgen seed --help lists them)")
		return exitUsage
	}
	return seed(ctx, args[1:], stdout, stderr)
}

// seed writes the model once; its status tells whether all of it was written.
func seed(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("loadgen seed", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var s loadgen.Seed
	flags.StringVar(&s.Addr, "addr", "127.0.0.1:6379", "`host:port` of the instance; databases 0, 1, 2 are users, organizations, sessions")
	flags.IntVar(&s.Model.Organizations, "organizations", 100, "`number` of organizations")
	flags.IntVar(&s.Model.Users, "users", 10_000, "`number` of users")
	flags.IntVar(&s.Model.Sessions, "sessions", 20_000, "`number` of sessions")
	flags.Uint64Var(&s.Model.Seed, "seed", 1, "the same `number` makes the same records")
	flags.IntVar(&s.Pipeline, "pipeline", 500, "`number` of SETs in flight")
	passwordFile := flags.String("password-file", "", "`file` with the instance's password")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "loadgen: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *passwordFile != "" {
		b, err := os.ReadFile(*passwordFile)
		if err != nil {
			fmt.Fprintln(stderr, "loadgen: --password-file:", err)
			return exitUsage
		}
		s.Password = strings.TrimRight(string(b), "\r\n")
	}
	if err := s.Validate(); err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}

	began := time.Now()
	printed := began
	s.Progress = func(r loadgen.Result) {
		if now := time.Now(); now.Sub(printed) >= time.Second {
			printed = now
			fmt.Fprintf(stderr, "%s, %.0f/s\n", r, float64(r.Written)/now.Sub(began).Seconds())
		}
	}
	fmt.Fprintf(stderr, "seeding %s with %d organizations, %d users, %d sessions of %s\n", s.Addr, s.Model.Organizations, s.Model.Users,
		s.Model.Sessions, describe(s.Model))
	r, err := s.Run(ctx)
	took := time.Since(began)
	fmt.Fprintf(stdout, "%s in %s, %.0f/s\n", r, took.Round(time.Millisecond), float64(r.Written)/took.Seconds())
	if r.FirstError != nil {
		fmt.Fprintln(stderr, "loadgen: the first error:", r.FirstError)
	}
	if err != nil && !errors.Is(err, r.FirstError) {
		fmt.Fprintln(stderr, "loadgen:", err)
	}
	if err != nil || r.Failures() > 0 {
		return exitFailed
	}
	return exitOK
}

func describe(m sample.Model) string { return fmt.Sprintf("seed %d", m.Seed) }
