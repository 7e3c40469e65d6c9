package main

import (
	"bytes"
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
	began := time.Now()
	b := &bench{options: o, progress: os.Stderr}
	defer b.close()
	if err := b.open(ctx); err != nil {
		return err
	}
	if o.smoke {
		return b.runSmoke(ctx)
	}
	var sections []section
	for _, s := range []struct {
		wanted  bool
		measure func(context.Context) ([]section, error)
	}{
		{o.wants("load") || o.wants("warm"), b.measureLoads},
		{o.wants("peers"), b.measurePeers},
		{o.wants("rebuild"), b.measureRebuilds},
		{o.wants("get"), b.measureGets},
		{o.wants("connections"), b.measureConnections},
		{o.wants("many"), b.measureMany},
		{o.wants("busy"), b.measureBusy},
		{o.wants("growth"), b.measureGrowth},
		{o.wants("set"), b.measureSets},
		{o.wants("sets"), b.measureManySets},
		{o.wants("waits"), b.measureWaits},
		{o.wants("limits"), b.measureLimits},
	} {
		if !s.wanted {
			continue
		}
		done, err := s.measure(ctx)
		if err != nil {
			return err
		}
		sections = append(sections, done...)
	}
	r := report{options: o, at: began, took: time.Since(began), machine: machineFacts(), versions: b.versions(), restless: b.restless, sections: sections}
	var page bytes.Buffer
	if err := r.write(&page); err != nil {
		return err
	}
	if o.out == "" {
		_, err := os.Stdout.Write(page.Bytes())
		return err
	}
	if err := writePlots(o.out, sections); err != nil {
		return err
	}
	return os.WriteFile(o.out, page.Bytes(), 0o644)
}
