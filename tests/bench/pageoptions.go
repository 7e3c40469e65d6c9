package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pageOptions are those of the scenarios peers, connections, busy and growth, and of the guard.
type pageOptions struct {
	connectionCounts []int    // of connections
	growthEntries    []int    // of growth
	busyReads        int      // GETs a second, for busy
	busyWrites       int      // records a second, for busy
	peerEntries      int      // records of the topics that peers read
	without          []string // of peerNames
	smoke            bool
}

// register defines the options. What it returns is called once they are parsed.
func (o *pageOptions) register(f *flag.FlagSet) (check func() error) {
	without := f.String("without", "", "candidates of peers to leave out, of "+strings.Join(peerNames, ", "))
	f.IntVar(&o.peerEntries, "peer-entries", 1_500_000, "records of each of the four topics of peers")
	counts := f.String("connection-counts", "1,10,50,200,500", "numbers of connections, for connections")
	growth := f.String("growth", "100000,1000000,10000000,20000000", "numbers of entries, for growth")
	f.IntVar(&o.busyReads, "busy-reads", 30_000, "GETs a second, for busy")
	f.IntVar(&o.busyWrites, "busy-writes", 50_000, "records a second meanwhile, for busy")
	f.BoolVar(&o.smoke, "smoke", false, "guard against gross regressions, in less than a minute, instead of everything else")
	return func() error {
		if *without != "" {
			o.without = strings.Split(*without, ",")
		}
		for _, s := range o.without {
			if !slices.Contains(peerNames, s) {
				return fmt.Errorf("-without %s: not one of %s", s, strings.Join(peerNames, ", "))
			}
		}
		if o.peerEntries < 1 || o.busyReads < 1 || o.busyWrites < 1 {
			return errors.New("-peer-entries, -busy-reads and -busy-writes must be positive")
		}
		var err1, err2 error
		o.connectionCounts, err1 = ascending("-connection-counts", *counts)
		o.growthEntries, err2 = ascending("-growth", *growth)
		return errors.Join(err1, err2)
	}
}

// ascending are positive numbers, separated by commas, each greater than the one before.
func ascending(option, text string) ([]int, error) {
	var all []int
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || len(all) > 0 && n <= all[len(all)-1] {
			return nil, fmt.Errorf("%s %s: %q is no positive number above the one before", option, text, s)
		}
		all = append(all, n)
	}
	return all, nil
}
