package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options of one run.
type options struct {
	pageOptions
	only         []string // of scenarioNames
	rounds       int
	loadEntries  int // cold load and warm restart
	getEntries   int
	batchBytes   int // uncompressed bytes of a record batch in the topics
	connections  int
	pipelines    []int
	drivers      []string      // of kafka-cache's connections, for get
	warmup       time.Duration // before each measurement under load
	measure      time.Duration // of each measurement under load
	sets         int           // writes a measurement
	waits        int           // connections that wait at once
	probes       int           // writes that are timed meanwhile
	idle         int           // connections that do nothing
	readers      int           // connections that do not read
	rate         int           // GETs a second of who goes on meanwhile
	slices       int           // measurements of the cost of limits a round
	quiet        time.Duration // how long to wait for an idle machine
	out          string        // "" is standard output
	daemonBinary string        // "" builds it
}

var scenarioNames = []string{"load", "warm", "peers", "rebuild", "get", "connections", "many", "busy", "growth", "set", "sets", "waits", "limits"}

var driverNames = []string{"goroutines", "epoll"}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", strings.Join(scenarioNames, ","), "what to measure, of "+strings.Join(scenarioNames, ", "))
	entries := f.Int("entries", 0, "sets both -load-entries and -get-entries")
	pipelines := f.String("pipelines", "1,16,128", "commands that a connection has in flight, for get")
	drivers := f.String("drivers", strings.Join(driverNames, ","), "what drives kafka-cache's connections (--resp-driver), for get, of "+strings.Join(driverNames, ", "))
	f.IntVar(&o.rounds, "rounds", 3, "rounds, in each of which every candidate is measured once")
	f.IntVar(&o.loadEntries, "load-entries", 5_000_000, "records of the topics that load, warm and rebuild read")
	f.IntVar(&o.getEntries, "get-entries", 1_000_000, "entries that get reads from")
	f.IntVar(&o.batchBytes, "batch-bytes", 128<<10, "largest record batch in the topics, in bytes before compression")
	f.IntVar(&o.connections, "connections", 50, "connections of get")
	f.DurationVar(&o.warmup, "warmup", time.Second, "load before each measurement of get")
	f.DurationVar(&o.measure, "measure", 5*time.Second, "length of each measurement of get")
	f.IntVar(&o.sets, "sets", 10_000, "writes of each measurement of set")
	f.IntVar(&o.waits, "waits", 10_000, "connections that wait at once, compared with 100, for waits")
	f.IntVar(&o.probes, "probes", 2_000, "writes that are timed meanwhile, for waits")
	f.IntVar(&o.idle, "idle", 10_000, "idle connections, for limits")
	f.IntVar(&o.readers, "readers", 1_000, "connections that read nothing, for limits")
	f.IntVar(&o.rate, "rate", 5_000, "GETs a second of a client with a fixed rate meanwhile, for limits")
	f.IntVar(&o.slices, "slices", 5, "measurements of what limits cost in each round, for limits")
	f.DurationVar(&o.quiet, "quiet", 15*time.Second, "longest wait for an idle machine before each measurement")
	f.StringVar(&o.out, "out", "", "file to write the report to instead of standard output")
	f.StringVar(&o.daemonBinary, "daemon", "", "a kafka-cache binary; built from this tree when not given")
	checkPage := o.pageOptions.register(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if err := checkPage(); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if *entries != 0 {
		o.loadEntries, o.getEntries = *entries, *entries
	}
	if o.only = strings.Split(*only, ","); o.smoke {
		o.only = nil
	}
	for _, s := range o.only {
		if !slices.Contains(scenarioNames, s) {
			return o, fmt.Errorf("-only %s: not one of %s", s, strings.Join(scenarioNames, ", "))
		}
	}
	o.drivers = strings.Split(*drivers, ",")
	for _, s := range o.drivers {
		if !slices.Contains(driverNames, s) {
			return o, fmt.Errorf("-drivers %s: not one of %s", s, strings.Join(driverNames, ", "))
		}
	}
	for s := range strings.SplitSeq(*pipelines, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPipeline {
			return o, fmt.Errorf("-pipelines %s: %q is not a number from 1 to %d", *pipelines, s, maxPipeline)
		}
		o.pipelines = append(o.pipelines, n)
	}
	if o.rounds < 1 || o.loadEntries < 1 || o.getEntries < 1 || o.connections < 1 || o.sets < 1 || o.waits < 1 || o.probes < 1 || o.idle < 1 || o.readers < 1 || o.rate < 1 || o.slices < 1 || o.measure <= 0 || o.batchBytes < 1024 {
		return o, errors.New("numbers must be positive, and -batch-bytes at least 1024")
	}
	return o, nil
}

func (o options) wants(scenario string) bool { return slices.Contains(o.only, scenario) }
