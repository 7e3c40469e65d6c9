package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	if len(args) == 2 && args[0] == workerArg {
		run, ok := workers[args[1]]
		if !ok {
			fail(fmt.Errorf("no worker %q", args[1]))
		}
		if err := run(os.Stdin, os.Stdout); err != nil {
			fail(err)
		}
		return
	}
	o, err := parseOptions(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(ctx context.Context, o options) error {
	b := &bench{options: o, progress: os.Stderr}
	defer b.close()
	if err := b.open(ctx); err != nil {
		return err
	}
	if o.smoke {
		return b.runSmoke(ctx)
	}
	var p page
	if o.out != "" {
		var err error
		if p, err = readPage(o.out); err != nil {
			return err
		}
	}
	for order, measure := range b.scenarios() {
		if measure == nil || !o.wants(scenarioNames[order]) {
			continue
		}
		began, restless := time.Now(), len(b.restless)
		sections, err := measure(ctx)
		if err != nil {
			return err
		}
		report{options: o, at: began, took: time.Since(began), machine: machineFacts(), versions: b.versions(), restless: b.restless[restless:], order: order, sections: sections}.into(&p)
		if o.out == "" {
			continue
		}
		// After each of them: what fails later takes nothing away.
		if err := writePlots(o.out, sections); err != nil {
			return err
		}
		if err := writeFile(o.out, p.String()); err != nil {
			return err
		}
	}
	if o.out == "" {
		_, err := os.Stdout.WriteString(p.String())
		return err
	}
	return nil
}

// scenarios are what measures each of scenarioNames; nil where one does it for two.
func (b *bench) scenarios() []func(context.Context) ([]section, error) {
	loads, warm := b.measureLoads, b.measureLoads
	if b.wants("load") {
		warm = nil
	}
	return []func(context.Context) ([]section, error){
		loads, warm, b.measurePeers, b.measureRebuilds, b.measureGets, b.measureConnections, b.measureMany, b.measureBusy, b.measureGrowth, b.measureSets,
		b.measureManySets, b.measureWaits, b.measureLimits,
	}
}
