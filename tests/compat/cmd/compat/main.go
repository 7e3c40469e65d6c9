// Command compat connects every library and tool to the daemon and writes the table of what came of it.
//
//	go run ./compat/cmd/compat [-only "redis-py 8,Jedis"] [-light] [-out docs/compatibility.md]
//
// It ends with 1 when something failed or could not be had, and with 2 when it could not be run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/tests/compat"
)

type options struct {
	only  []string
	light bool
	out   string
	logs  bool
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("compat", flag.ContinueOnError)
	only := f.String("only", "", "beginnings of names of libraries and tools, comma-separated")
	f.BoolVar(&o.light, "light", false, "only what needs no download")
	f.StringVar(&o.out, "out", "", "file for the page; without it the page is printed")
	f.BoolVar(&o.logs, "logs", false, "print what failing probes printed")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	if o.out != "" && (o.light || o.only != nil) {
		return o, errors.New("-out with -only or -light would write a page that misses libraries")
	}
	return o, nil
}

// chosen tells whether the name is one of those that were asked for.
func (o options) chosen(name string) bool {
	for _, p := range o.only {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(p)) {
			return true
		}
	}
	return o.only == nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	failures := 0
	if err == nil {
		failures, err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
		os.Exit(2)
	}
	if failures > 0 {
		os.Exit(1)
	}
}

func run(o options) (failures int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stage, err := compat.OpenStage(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	page := compat.Page{Reports: map[string]compat.Report{}, Kafka: stage.Kafka(), Machine: compat.Machine(ctx), Date: time.Now()}
	told := func(r compat.Report, began time.Time) {
		failed := r.Failures()
		fmt.Fprintf(os.Stderr, "%-20s %-12s %5.1fs  %d results, %d failed\n", r.Name, r.Version, time.Since(began).Seconds(), len(r.Results), len(failed))
		if o.logs && len(failed) > 0 {
			fmt.Fprintln(os.Stderr, r.Detail)
		}
	}
	for _, l := range compat.Libraries() {
		if !o.chosen(l.Name) || (o.light && !l.Light) {
			continue
		}
		began := time.Now()
		r, err := stage.Try(ctx, l)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", l.Name, err)
		}
		page.Libraries, page.Reports[l.Name] = append(page.Libraries, l), r
		told(r, began)
	}
	for _, t := range compat.Tools() {
		if !o.chosen(t.Name) {
			continue
		}
		began := time.Now()
		r, err := stage.TryTool(ctx, t)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t.Name, err)
		}
		page.Tools = append(page.Tools, r)
		told(r, began)
	}
	if len(page.Libraries)+len(page.Tools) == 0 {
		return 0, errors.New("there is none of that name")
	}
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(page.String()), 0o644); err != nil { //nolint:gosec // a page of the documentation
			return 0, err
		}
	} else {
		fmt.Print(page)
	}
	all := page.Failures()
	for _, f := range all {
		fmt.Fprintln(os.Stderr, "FAIL", f)
	}
	fmt.Fprintf(os.Stderr, "compat: %d libraries, %d tools, %d failures\n", len(page.Libraries), len(page.Tools), len(all))
	return len(all), nil
}
