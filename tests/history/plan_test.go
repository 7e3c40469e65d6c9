package history

import (
	"reflect"
	"testing"
)

// drawn is the beginning of all that a plan has.
func drawn(seed uint64, brokers int) (all []any) {
	p := NewPlan(seed, brokers, true)
	for c := range clients {
		for ph := range 3 {
			s := p.steps(c, ph)
			for range 200 {
				all = append(all, s.next())
			}
		}
	}
	for _, f := range []*faults{p.instanceFaults(), p.brokerFaults()} {
		for range 100 {
			all = append(all, f.next())
		}
	}
	return all
}

func TestPlanIsOfItsSeed(t *testing.T) {
	if !reflect.DeepEqual(drawn(7, 3), drawn(7, 3)) {
		t.Error("a seed has two plans")
	}
	if reflect.DeepEqual(drawn(7, 3), drawn(8, 3)) {
		t.Error("two seeds have one plan")
	}
}

func TestPlanHasEverything(t *testing.T) {
	seenActions, seenFaults := map[action]bool{}, map[FaultKind]bool{}
	for _, x := range drawn(1, 3) {
		switch x := x.(type) {
		case step:
			seenActions[x.action] = true
		case Fault:
			seenFaults[x.Kind] = true
			if x.Kind > lastInstanceFault && x.Target > 2 || x.Kind <= lastInstanceFault && x.Target >= instances {
				t.Errorf("%+v", x)
			}
		}
	}
	if len(seenActions) != int(actions) || len(seenFaults) != faultKinds {
		t.Errorf("%d of %d actions, %d of %d faults", len(seenActions), actions, len(seenFaults), faultKinds)
	}
	f := NewPlan(3, 1, false).instanceFaults()
	first, second := f.next(), f.next()
	if first.Kind != KillInstance || second.Kind != KillInstance || first.Target == second.Target {
		t.Errorf("a short run begins with %v and %v, not with a kill of each instance", first, second)
	}
	short := NewPlan(3, 1, false).brokerFaults()
	for range 100 {
		if f := short.next(); f.Kind != PauseBroker || f.Target != 0 {
			t.Errorf("a short run on one broker has %v", f)
		}
	}
}
