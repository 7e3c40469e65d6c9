package main

import (
	"strings"
	"testing"
)

// TestBoundsAreHeldToTheBestRound: one good round passes, none fails and is named, and what was not measured fails.
func TestBoundsAreHeldToTheBestRound(t *testing.T) {
	err := verdicts([]*bound{
		{what: "good", least: 0.5, got: samples{0.1, 0.5, 0.2}},
		{what: "slow", least: 0.5, got: samples{0.49, 0.3}},
		{what: "absent", least: 0.5},
	}, t.Logf)
	if err == nil {
		t.Fatal("a bound that was missed passes")
	}
	for name, named := range map[string]bool{"good": false, "slow": true, "absent": true} {
		if strings.Contains(err.Error(), name) != named {
			t.Errorf("%s is named: %v, in %v", name, !named, err)
		}
	}
	if err := verdicts([]*bound{{what: "good", least: 0.5, got: samples{0.6}}}, t.Logf); err != nil {
		t.Error(err)
	}
}
