package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/yolean/kafka-cache/loadgen"
	"github.com/yolean/kafka-cache/loadgen/htmlreport"
)

// runLoad drives the load; its status tells whether the objectives are met.
func runLoad(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := newFlags("run")
	var l loadgen.Load
	var target targetFlags
	var topics, objectives list
	var out outputs
	target.register(f)
	registerModel(f, &l.Model)
	f.Var(&topics, "topics", "`name=database,…` of the topics that the load is on (default users=0,organizations=1,sessions=2)")
	mix := f.String("mix", "get=80,mget=5,set=10,del=2,scan=3", "`operation=weight,…` of get, mget, set, del, scan")
	f.IntVar(&l.MGetKeys, "mget-keys", 10, "`number` of keys in an MGET")
	f.IntVar(&l.ScanCount, "scan-count", 100, "`COUNT` of a SCAN")
	keys := f.String("keys", "uniform", "`which` keys: uniform, zipf, or zipf:EXPONENT (0.99)")
	f.Uint64Var(&l.Seed, "choices", 1, "seed of what is chosen: the same `number` chooses the same operations and keys on each connection")
	f.BoolVar(&l.Closed, "closed", false, "closed loop: as fast as replies come, for the greatest throughput; its latencies leave out what a stall holds up")
	f.Float64Var(&l.Rate, "rate", 1000, "`operations` a second, of all connections together, from their intended start times")
	f.DurationVar(&l.Duration, "duration", 30*time.Second, "how long")
	f.DurationVar(&l.Warmup, "warmup", 0, "how long before that without counting")
	f.IntVar(&l.Connections, "connections", 50, "`number` of connections, dealt to addresses and topics in turn")
	f.IntVar(&l.Pipeline, "pipeline", 1, "`number` of requests in flight on a connection; in an open loop of those that are due, at most")
	f.DurationVar(&l.LateAfter, "late-after", 5*time.Millisecond, "what is sent later than this after its intended start has missed its schedule")
	f.DurationVar(&l.Drain, "drain", 5*time.Second, "how long after the duration what was intended before its end is still sent")
	f.Var(&objectives, "slo", "`objective,…` that decide the exit status: p99=2ms, get.p99.9=5ms, max=1s, errors=0, misses=0, late=1%, rate=20000; repeatable")
	out.register(f)
	out.registerMetrics(f)
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	rateGiven := false
	f.Visit(func(g *flag.Flag) { rateGiven = rateGiven || g.Name == "rate" })
	if l.Closed && !rateGiven {
		l.Rate = 0
	}
	err := errors.Join(
		set(&l.Target)(target.target()), set(&l.Topics)(modelTopics(topics)), set(&l.Mix)(loadgen.ParseMix(*mix)), set(&l.Keys)(loadgen.ParseDistribution(*keys)))
	for _, s := range objectives {
		o, e := loadgen.ParseObjective(s)
		l.Objectives, err = append(l.Objectives, o), errors.Join(err, e)
	}
	if err == nil {
		err = l.Validate()
	}
	if err == nil {
		err = out.open()
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitUsage
	}
	defer out.close()
	l.HDR = out.hdrWriter()
	if out.registry != nil {
		l.Registerer = out.registry
		fmt.Fprintf(stderr, "loadgen: metrics at http://%s/metrics\n", out.listening())
	}

	lines := newLive(stderr)
	l.Each = func(p loadgen.Progress) {
		lines.line(p.Last, func() string { return progressLine(&l, p) })
	}
	fmt.Fprintln(stderr, "loadgen:", headline(&l))
	r, err := l.Run(ctx)
	lines.end()
	if r.Schema != "" {
		printReport(out.text(stdout, stderr), &r)
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitFailed
	}
	if err := out.write(stdout, &r, func(w io.Writer) error { return htmlreport.Run(w, &r) }); err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitFailed
	}
	switch {
	case r.Interrupted:
		return exitInterrupted
	case !r.Met:
		return exitObjective
	case r.Operations == 0:
		fmt.Fprintln(stderr, "loadgen: no operation succeeded")
		return exitFailed
	}
	return exitOK
}

// set is a value's place in an expression of several.
func set[T any](into *T) func(T, error) error {
	return func(v T, err error) error {
		*into = v
		return err
	}
}
