package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/yolean/kafka-cache/loadgen"
	"github.com/yolean/kafka-cache/loadgen/htmlreport"
)

// propagate measures the time from a write to its visibility in each instance; its status tells whether the objectives are met.
func propagate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := newFlags("propagate")
	var p loadgen.Propagation
	var target targetFlags
	var topics, objectives list
	var out outputs
	target.register(f)
	registerModel(f, &p.Model)
	f.StringVar(&p.Write, "write-addr", "", "`host:port` of the instance that is written to (default: the first of --addr)")
	f.Var(&topics, "topics", "`name=database` of the topic that is written to (default users=0)")
	f.Float64Var(&p.Rate, "rate", 50, "`writes` a second, from their intended start times")
	f.DurationVar(&p.Duration, "duration", 30*time.Second, "how long")
	f.IntVar(&p.Connections, "connections", 8, "`number` of connections that write; each instance is asked over one")
	f.DurationVar(&p.Within, "within", 10*time.Second, "a write that is not visible after this is counted as unseen, an error")
	f.DurationVar(&p.LateAfter, "late-after", 5*time.Millisecond, "what is written later than this after its intended start has missed its schedule")
	f.BoolVar(&p.Keep, "keep", false, "leave the records, which are otherwise deleted at the end")
	f.Var(&objectives, "slo", "`objective,…` that each instance has to attain: p99=20ms, max=1s, errors=0, late=1%, rate=50; repeatable")
	out.register(f)
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	var err error
	p.Target, err = target.target()
	if chosen, e := modelTopics(topics); e != nil || len(topics) > 1 {
		err = errors.Join(err, e)
		if len(topics) > 1 {
			err = errors.Join(err, errors.New("--topics: one is written to"))
		}
	} else {
		p.Topic = chosen[0]
	}
	for _, s := range objectives {
		o, e := loadgen.ParseObjective(s)
		p.Objectives, err = append(p.Objectives, o), errors.Join(err, e)
	}
	if err == nil {
		err = p.Validate()
	}
	if err == nil {
		err = out.open()
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitUsage
	}
	defer out.close()
	p.HDR = out.hdrWriter()
	lines := newLive(stderr)
	p.Each = func(s loadgen.PropagationProgress) {
		lines.line(s.Last, func() string { return propagationLine(&p, s) })
	}
	fmt.Fprintf(stderr, "loadgen: %s writes/s of %s for %v, seen in %s\n", number(p.Rate), p.Topic.Name, p.Duration, strings.Join(p.Addrs, ", "))
	r, err := p.Run(ctx)
	lines.end()
	if r.Schema != "" {
		printPropagation(out.text(stdout, stderr), &r)
	}
	if err == nil {
		err = out.write(stdout, &r, func(w io.Writer) error { return htmlreport.Propagation(w, &r) })
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitFailed
	case r.Interrupted:
		return exitInterrupted
	case !r.Met:
		return exitObjective
	case r.Writes == 0:
		fmt.Fprintln(stderr, "loadgen: no write was acknowledged")
		return exitFailed
	}
	return exitOK
}

// propagationLine is the live line.
func propagationLine(p *loadgen.Propagation, s loadgen.PropagationProgress) string {
	b := fmt.Sprintf("%v of %v, %v left: %d writes, errors %d, late %d", s.Elapsed.Round(time.Second), s.Total,
		max(s.Total-s.Elapsed, 0).Round(time.Second), s.Writes, s.Errors, s.Late)
	for i, v := range s.Instances {
		if s.Last {
			break // of the last second is left what came behind it
		}
		b += fmt.Sprintf("; %s p50 %s p99 %s max %s", p.Addrs[i], short(v.P50), short(v.P99), short(v.Max))
	}
	return b
}

func printPropagation(w io.Writer, r *loadgen.PropagationReport) {
	c := r.Configuration
	if r.Interrupted {
		fmt.Fprintf(w, "interrupted after %s of %s: what was done until then\n", short(r.Elapsed), short(c.Duration))
	}
	fmt.Fprintln(w, "open loop: times are from the intended start of each write to the first reply that has it")
	fmt.Fprintf(w, "%d writes to %s, %.0f/s; %d errors%s, %d skipped; acknowledged in p50 %s p99 %s max %s\n", r.Writes, c.Write, r.Rate, r.Errors,
		kinds(r.Failed), r.Skipped, short(r.Acknowledged.P50), short(r.Acknowledged.P99), short(r.Acknowledged.Max))
	fmt.Fprintln(w, scheduleLine(&r.Schedule, c.LateAfter))
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "visible\tseen\terrors\tunseen\tp50\tp90\tp99\tp99.9\tmax\tresolution p50\t")
	for _, v := range r.Instances {
		l := v.Visible
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", v.Name, v.Seen, v.Errors, v.Unseen, short(l.P50), short(l.P90), short(l.P99),
			short(l.P999), short(l.Max), short(v.Resolution.P50))
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, v := range r.Instances {
		if len(v.Failed) > 0 {
			fmt.Fprintf(w, "%s: errors%s\n", v.Name, kinds(v.Failed))
		}
	}
	if r.Left != "" {
		fmt.Fprintln(w, r.Left)
	}
	for _, o := range r.Objectives {
		fmt.Fprintln(w, objectiveLine(o))
	}
}
