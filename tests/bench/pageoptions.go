package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// pageOptions are those of the scenario peers and of the guard.
type pageOptions struct {
	peerEntries int      // records of the topics that peers read
	without     []string // of peerNames
	smoke       bool
}

// register defines the options. What it returns is called once they are parsed.
func (o *pageOptions) register(f *flag.FlagSet) (check func() error) {
	without := f.String("without", "", "candidates of peers to leave out, of "+strings.Join(peerNames, ", "))
	f.IntVar(&o.peerEntries, "peer-entries", 1_500_000, "records of each of the four topics of peers")
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
		if o.peerEntries < 1 {
			return errors.New("-peer-entries must be positive")
		}
		return nil
	}
}
