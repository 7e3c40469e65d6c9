// Command conformance runs the conformance scenarios on one subject and prints the table of what came of them.
//
//	go run ./conformance/cmd/conformance [-adapter kafka-cache] [-brokers 1,3] [-only B5,A1/commit] [-out docs/conformance.md]
//
// It ends with 1 when a scenario failed, and with 2 when it was asked for what there is not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/tests/conformance"
	_ "github.com/yolean/kafka-cache/tests/conformance/peers"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

type options struct {
	adapter  string
	brokers  []int
	only     []string
	out      string
	parallel int
	list     bool
	logs     bool
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.StringVar(&o.adapter, "adapter", "kafka-cache", "subject: "+strings.Join(conformance.SubjectNames(), ", "))
	brokers := f.String("brokers", "1,3", "sizes of cluster, comma-separated")
	only := f.String("only", "", "scenarios, comma-separated: B, B5 or the beginning of a name, B5/recreated")
	f.StringVar(&o.out, "out", "", "file whose table of this subject is replaced; without it the table is printed")
	f.IntVar(&o.parallel, "parallel", 3, "scenarios at once on one broker; on more brokers it is one third of that")
	f.BoolVar(&o.list, "list", false, "print the scenarios and end")
	f.BoolVar(&o.logs, "logs", false, "print the logs of scenarios that fail")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for s := range strings.SplitSeq(*brokers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 3 {
			return o, fmt.Errorf("-brokers: %q is not 1 to 3", s)
		}
		o.brokers = append(o.brokers, n)
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
		if o.out != "" {
			return o, errors.New("-out with -only would write a table that misses scenarios")
		}
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	failed, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func run(o options) (failed int, err error) {
	scenarios, err := conformance.Select(conformance.Scenarios(), o.only)
	if err != nil {
		return 0, err
	}
	if o.list {
		for _, s := range scenarios {
			fmt.Println(s)
		}
		return 0, nil
	}
	subject, err := conformance.NewSubject(o.adapter)
	if err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	runner := conformance.NewRunner(subject)
	defer func() { err = errors.Join(err, runner.Close()) }()
	var all []conformance.Result
	began := time.Now()
	for _, n := range o.brokers {
		parallel := o.parallel
		if n > 1 {
			parallel = max(1, o.parallel/3)
		}
		results, err := runner.RunAll(ctx, scenarios, n, parallel, func(r conformance.Result) {
			if r.Outcome == conformance.NotApplicable && !r.Scenario.OnBrokers(n) {
				return
			}
			fmt.Fprintf(os.Stderr, "%-14s %6.1fs  %d  %s: %s\n", r.Outcome, r.Took.Seconds(), n, r.Scenario, r.Seen)
			if o.logs && r.Detail != "" {
				fmt.Fprintln(os.Stderr, r.Detail)
			}
		})
		if err != nil {
			return 0, err
		}
		runner.CloseClusters()
		all = append(all, results...)
	}
	for _, r := range all {
		if r.Outcome == conformance.Failed {
			failed++
		}
	}
	fmt.Fprintf(os.Stderr, "%d of %d failed, in %v\n", failed, len(all), time.Since(began).Round(time.Second))
	var sizes []string
	for _, n := range o.brokers {
		sizes = append(sizes, strconv.Itoa(n))
	}
	repeat := fmt.Sprintf("make conformance CONFORMANCE_ARGS='-adapter %s -brokers %s'", o.adapter, strings.Join(sizes, ","))
	table := conformance.Table(subject, kafkatest.DefaultVersion, repeat, began, time.Since(began), o.brokers, all)
	if o.out == "" {
		fmt.Print(table)
		return failed, nil
	}
	return failed, conformance.WriteTable(o.out, o.adapter, table)
}
