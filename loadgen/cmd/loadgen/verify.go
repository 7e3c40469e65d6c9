package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/yolean/kafka-cache/loadgen/verify"
)

// verifyInstances compares instances with the log; its status tells whether they agree.
func verifyInstances(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := newFlags("verify")
	var v verify.Verify
	var target targetFlags
	var kafka kafkaFlags
	var topics list
	target.register(f)
	kafka.register(f)
	f.Var(&topics, "topics", "`name=database,…` of the topics; without a database it is the place in the list (default users,organizations,sessions)")
	memory := f.Int("memory", 512, "`MiB` for the log's keys; where they do not fit, the log is read several times")
	f.DurationVar(&v.Wait, "wait", time.Minute, "how long an instance may take to have applied what the log has")
	f.IntVar(&v.Named, "differences", 20, "`number` of differences that are named, of each topic in each instance")
	jsonFile := f.String("json", "", "`file` for the results as JSON, - for the standard output")
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	if len(topics) == 0 {
		topics = list{"users", "organizations", "sessions"}
	}
	if len(kafka.bootstrap) == 0 {
		kafka.bootstrap = list{"127.0.0.1:9092"}
	}
	out := outputs{jsonFile: *jsonFile}
	v.Bootstrap, v.Memory = kafka.bootstrap, int64(*memory)<<20
	var err error
	if v.Target, err = target.target(); err == nil {
		v.Topics, err = parseTopics(topics)
	}
	if err == nil {
		v.KafkaTLS, v.SASL, err = kafka.security()
	}
	if err == nil && *memory < 1 {
		err = fmt.Errorf("--memory: %d MiB: at least 1", *memory)
	}
	if err == nil {
		err = v.Validate()
	}
	if err == nil {
		err = out.open()
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitUsage
	}
	defer out.close()
	lines := newLive(stderr)
	began := time.Now()
	v.Each = func(p verify.Progress) { lines.line(false, func() string { return verifyLine(p, time.Since(began)) }) }
	r, err := v.Run(ctx)
	lines.end()
	printVerification(out.text(stdout, stderr), &r)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "loadgen: interrupted: not all was compared")
		return exitInterrupted
	}
	if err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitFailed
	}
	if err := out.write(stdout, &r, nil); err != nil {
		fmt.Fprintln(stderr, "loadgen:", unprefixed(err))
		return exitFailed
	}
	switch r.Verdict {
	case verify.Differs:
		return exitFailed
	case verify.Undecided:
		return exitUndecided
	}
	return exitOK
}

// verifyLine is the live line.
func verifyLine(p verify.Progress, took time.Duration) string {
	what := "reading the log"
	if p.Address != "" {
		what = "comparing " + p.Address
	}
	if p.Waiting {
		return fmt.Sprintf("%v: %s: waiting for %s to have applied what the log has", took.Round(time.Second), p.Topic, p.Address)
	}
	line := fmt.Sprintf("%v: %s: %s, %s of %s", took.Round(time.Second), p.Topic, what, number(float64(p.Done)), number(float64(p.Total)))
	if p.Total > 0 {
		line += fmt.Sprintf(" (%.0f%%)", 100*float64(p.Done)/float64(p.Total))
	}
	if p.Pass > 1 {
		line += fmt.Sprintf(", pass %d", p.Pass)
	}
	return line
}

func printVerification(w io.Writer, r *verify.Result) {
	for _, t := range r.Topics {
		fmt.Fprintf(w, "%s: the log has %d keys, of %d records in %s", t.Name, t.Keys, t.Records, partitions(len(t.Partitions)))
		if t.Passes > 1 {
			fmt.Fprintf(w, "; it was read %d times", t.Passes)
		}
		fmt.Fprintln(w)
		for _, c := range r.Instances {
			if c.Topic != t.Name {
				continue
			}
			fmt.Fprintf(w, "  %s %s: %d keys compared", c.Address, c.Verdict, c.Keys)
			if c.Differing > 0 {
				fmt.Fprintf(w, ", %d differ", c.Differing)
			}
			if c.Reason != "" {
				fmt.Fprintf(w, "; not compared in full: %s", c.Reason)
			}
			fmt.Fprintln(w)
			for _, d := range c.Differences {
				fmt.Fprintf(w, "    %q\n      log       %s\n      instance  %s\n", d.Key, side(d.Log), side(d.Instance))
			}
			if n := c.Differing - int64(len(c.Differences)); n > 0 {
				fmt.Fprintf(w, "    and %d more\n", n)
			}
		}
	}
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

// side prints what one of both has of a key.
func side(s verify.Side) string {
	text := "nothing"
	if s.Present {
		text = "?"
		if s.Length > 0 || s.Note == "" {
			text = fmt.Sprintf("%q", s.Value)
			if s.Length > len(s.Value) {
				text += fmt.Sprintf(" … (%d bytes)", s.Length)
			}
		}
	}
	if s.Offset >= 0 {
		text = fmt.Sprintf("partition %d offset %d: %s", s.Partition, s.Offset, text)
	}
	if s.Note != "" {
		text += " (" + s.Note + ")"
	}
	return text
}
