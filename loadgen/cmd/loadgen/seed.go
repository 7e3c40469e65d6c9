package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/loadgen"
)

// seed writes the model once; its status tells whether all of it was written.
func seed(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := newFlags("seed")
	var s loadgen.Seed
	var target targetFlags
	var topics list
	target.register(f)
	registerModel(f, &s.Model)
	f.IntVar(&s.Connections, "connections", 1, "`number` of connections, dealt to the addresses in turn")
	f.IntVar(&s.Pipeline, "pipeline", 500, "`number` of SETs in flight on each connection")
	f.Var(&topics, "topics", "`name=database,…` of the model's topics (default users=0,organizations=1,sessions=2); what is not named is not written")
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	var err error
	if s.Target, err = target.target(); err == nil {
		s.Topics, err = modelTopics(topics)
	}
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitUsage
	}

	live := newLive(stderr)
	began := time.Now()
	s.Progress = func(r loadgen.SeedResult) {
		live.line(false, func() string {
			took := time.Since(began)
			rate := float64(r.Written) / took.Seconds()
			left := "?"
			if rate > 0 {
				left = time.Duration(float64(r.Total-r.Written) / rate * float64(time.Second)).Round(time.Second).String()
			}
			return fmt.Sprintf("%3.0f%%, %s left: %s, %.0f/s", 100*float64(r.Written)/float64(max(r.Total, 1)), left, r, rate)
		})
	}
	fmt.Fprintf(stderr, "seeding %s with %d organizations, %d users, %d sessions of seed %d\n", strings.Join(s.Addrs, ","), s.Model.Organizations, s.Model.Users,
		s.Model.Sessions, s.Model.Seed)
	r, err := s.Run(ctx)
	live.end()
	took := time.Since(began)
	fmt.Fprintf(stdout, "%s in %s, %.0f/s\n", r, took.Round(time.Millisecond), float64(r.Written)/took.Seconds())
	if r.FirstError != nil {
		fmt.Fprintln(stderr, "loadgen: the first error:", r.FirstError)
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil:
		if !errors.Is(err, r.FirstError) {
			fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		}
		return exitFailed
	case r.Failures() > 0:
		return exitFailed
	}
	return exitOK
}
