package conformance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scenario is one situation, or one variant of it.
type Scenario struct {
	ID   string // the situation: "B5"
	Name string // the variant, in words: "recreated with fewer records while stopped"
	// Brokers are the sizes of cluster on which the situation can be made; empty: 1 and 3.
	Brokers []int
	// Settings are broker settings. Scenarios with the same settings share a cluster.
	Settings map[string]string
	// Private asks for a cluster that no other scenario uses: one that stops brokers, say.
	Private bool
	// Needs is what the subject must offer for the situation to exist.
	Needs []Capability
	// Slow keeps the scenario out of TestConformance.
	Slow bool
	// Alone keeps other scenarios from running at the same time: one that asks for a rate, which the machine would not reach beside them.
	Alone bool
	// Limit is the time after which the scenario has failed, without that of starting its cluster; 0: two minutes.
	Limit time.Duration
	// Run makes the situation and looks at what the subject does. An error, like Run.Fatalf, is the sentence of what is wrong.
	Run func(ctx context.Context, r *Run) error
}

const defaultLimit = 2 * time.Minute

// String is what -only and the names of subtests are matched with: "B5/recreated-with-fewer-records-while-stopped".
func (s Scenario) String() string {
	return s.ID + "/" + strings.Trim(strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, s.Name), "-")
}

// OnBrokers tells whether the situation can be made on a cluster of n brokers.
func (s Scenario) OnBrokers(n int) bool { return len(s.Brokers) == 0 || slices.Contains(s.Brokers, n) }

var registered []Scenario

// register adds scenarios; each file of them calls it from an init function.
func register(scenarios ...Scenario) {
	for _, s := range scenarios {
		if slices.ContainsFunc(registered, func(o Scenario) bool { return o.String() == s.String() }) {
			panic(fmt.Sprintf("conformance: two scenarios are %s", s))
		}
		registered = append(registered, s)
	}
}

// Scenarios are all that are registered, by situation, and within one in the order of their file.
func Scenarios() []Scenario {
	all := slices.Clone(registered)
	slices.SortStableFunc(all, func(a, b Scenario) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Select keeps the scenarios that one of the patterns chooses: a group ("B"), a situation ("B5") or the beginning of
// Scenario.String. No pattern chooses all; one that chooses none is an error.
func Select(all []Scenario, patterns []string) ([]Scenario, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	var chosen []Scenario
	used := make([]bool, len(patterns))
	for _, s := range all {
		keep := false
		for i, p := range patterns {
			if p == s.ID || p == s.ID[:1] || strings.Contains(p, "/") && strings.HasPrefix(s.String(), p) {
				keep, used[i] = true, true
			}
		}
		if keep {
			chosen = append(chosen, s)
		}
	}
	for i, p := range patterns {
		if !used[i] {
			return nil, fmt.Errorf("no scenario is %q", p)
		}
	}
	return chosen, nil
}
