package history

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Plan is what a run does: a function of the seed, the number of brokers and whether brokers may be killed. What each step meets depends
// on the clock, so two runs of a plan have different histories.
type Plan struct {
	seed    uint64
	brokers int
	long    bool
}

// NewPlan is the plan of a seed. long is for a run of minutes, in which a lone broker may be killed too.
func NewPlan(seed uint64, brokers int, long bool) *Plan {
	return &Plan{seed: seed, brokers: brokers, long: long}
}

// Shape of a run. A key is in use for two phases or so, so that its history stays small enough to be searched, and every
// later read of it must still find what was last written. A few keys live throughout. One write in onceEvery is the only one of its
// key: where an instance misses a record, no later one hides it.
const (
	clients     = 6
	phase       = 4 * time.Second
	keysAPhase  = 6
	livingKeys  = 4
	onceEvery   = 6
	partitions  = 4
	instances   = 3
	valueLength = 8 // of what follows the client and the number in a value
)

// action is what a step does.
type action uint8

const (
	actGet action = iota
	actMeta
	actSet
	actDel
	actKafkaSet
	actKafkaDel
	actSetGet       // SET and GET in one pipeline
	actDelGet       // DEL, KAFKA.LASTWRITE and GET in one pipeline
	actWaitGet      // SET; then WAIT and GET in one pipeline
	actWaitPeersGet // SET and WAIT for several instances in one pipeline; then GET on all the others
	actTokenGet     // KAFKA.SET here; then KAFKA.WAIT and GET there, in one pipeline
	actTokenDelGet  // the same of KAFKA.DEL
	actLastWriteGet // SET and KAFKA.LASTWRITE here; then KAFKA.WAIT and GET there
	actPosition     // GET and KAFKA.POSITION here; then KAFKA.WAIT there and GETs of several keys
	actSyncGet      // KAFKA.SYNC, and GETs of several keys, in one pipeline
	actFreshGet     // KAFKA.FRESH, GETs of several keys, and KAFKA.FRESH OFF, in one pipeline
	actCut          // a write whose connection is closed before its answer
	actions
)

// weights of the actions.
var weights = [actions]int{actGet: 26, actMeta: 4, actSet: 12, actDel: 5, actKafkaSet: 4, actKafkaDel: 2, actSetGet: 8, actDelGet: 4, actWaitGet: 5, actWaitPeersGet: 10,
	actTokenGet: 10, actTokenDelGet: 4, actLastWriteGet: 5, actPosition: 5, actSyncGet: 5, actFreshGet: 5, actCut: 1}

// writesValue are the actions that write a value.
var writesValue = [actions]bool{actSet: true, actKafkaSet: true, actSetGet: true, actWaitGet: true, actWaitPeersGet: true, actTokenGet: true, actLastWriteGet: true, actCut: true}

// step is one step of a client: what to do with a key, and with others where the action has several.
type step struct {
	action   action
	instance int // the first
	other    int // where a token is taken to
	count    int // of instances, of a WAIT for several
	key      string
	others   []string
	wait     time.Duration // of a WAIT
	fresh    time.Duration // of a KAFKA.FRESH
	think    time.Duration // before it
}

// steps is one client's endless list of steps of one phase.
type steps struct {
	rnd    *rand.Rand
	client int
	phase  int
	once   int // keys of one write so far
}

// steps are a client's steps in a phase, from the first.
func (p *Plan) steps(client, phase int) *steps {
	return &steps{rnd: rand.New(rand.NewPCG(p.seed, uint64(client)<<32|uint64(phase)|1<<63)), client: client, phase: phase}
}

func (s *steps) next() step {
	total := 0
	for _, w := range weights {
		total += w
	}
	n, a := s.rnd.IntN(total), action(0)
	for n >= weights[a] {
		n -= weights[a]
		a++
	}
	st := step{
		action:   a,
		instance: s.rnd.IntN(instances),
		key:      s.key(),
		wait:     time.Duration(50+s.rnd.IntN(1950)) * time.Millisecond,
		count:    2 + s.rnd.IntN(instances-1),
		fresh:    time.Duration(100+s.rnd.IntN(1400)) * time.Millisecond,
		think:    time.Duration(s.rnd.IntN(6000)) * time.Microsecond,
	}
	st.other = (st.instance + 1 + s.rnd.IntN(instances-1)) % instances
	for range 2 {
		st.others = append(st.others, s.key())
	}
	switch old, once := s.rnd.IntN(8) == 0, s.rnd.IntN(onceEvery) == 0; {
	case (a == actGet || a == actMeta) && old:
		st.key = keyName(s.rnd.IntN(s.phase+1), s.rnd.IntN(keysAPhase)) // it must not have changed
	case writesValue[a] && once:
		s.once++
		st.key = fmt.Sprintf("once-%d-%d-%d", s.phase, s.client, s.once)
	}
	return st
}

func (s *steps) key() string {
	switch n := s.rnd.IntN(100); {
	case n < 3:
		return fmt.Sprintf("living-%d", s.rnd.IntN(livingKeys))
	case n < 20 && s.phase > 0:
		return keyName(s.phase-1, s.rnd.IntN(keysAPhase))
	default:
		return keyName(s.phase, s.rnd.IntN(keysAPhase))
	}
}

func keyName(phase, n int) string { return fmt.Sprintf("key-%d-%d", phase, n) }

// FaultKind is what goes wrong.
type FaultKind uint8

// The faults of instances, and of brokers.
const (
	KillInstance      FaultKind = iota // SIGKILL; it is started again on its data directory after For
	StopInstance                       // SIGTERM; the same
	PauseInstance                      // SIGSTOP for For
	CutFromBrokers                     // its connections to the brokers are reset
	IsolateInstance                    // it reaches no broker for For
	CutClients                         // all its clients' connections are closed by it, its peers' among them
	IsolateFromPeers                   // its peers do not reach it for For
	PauseBroker                        // SIGSTOP for For
	KillBroker                         // SIGKILL; it is started again on its data after For
	faultKinds        = iota
	lastInstanceFault = IsolateFromPeers
)

var faultNames = [faultKinds]string{"kill instance", "stop instance", "pause instance", "cut from brokers", "isolate instance", "cut clients", "isolate from peers", "pause broker", "kill broker"}

// String is the fault's name.
func (k FaultKind) String() string { return faultNames[k] }

// Fault is one fault of a plan.
type Fault struct {
	Kind   FaultKind
	Target int           // instance, or index of the broker
	After  time.Duration // since the one before it, of instances or of brokers, was healed
	For    time.Duration // how long it lasts
	// Acknowledged is how a restarted instance answers writes: once they are acknowledged, rather than applied.
	Acknowledged bool
}

// String is the fault as the log of a run shows it.
func (f Fault) String() string {
	target := fmt.Sprintf("broker %d", f.Target+1)
	if f.Kind <= lastInstanceFault {
		target = instanceName(f.Target)
	}
	s := fmt.Sprintf("%v %s for %v", f.Kind, target, f.For)
	if (f.Kind == KillInstance || f.Kind == StopInstance) && f.Acknowledged {
		s += ", then with --write-reply acknowledged"
	}
	return s
}

// faults is one of the two endless lists of faults: those of instances and those of brokers come side by side.
type faults struct {
	rnd   *rand.Rand
	plan  *Plan
	count int
	next  func() Fault
}

func (p *Plan) instanceFaults() *faults {
	f := &faults{rnd: rand.New(rand.NewPCG(p.seed, 1)), plan: p}
	f.next = f.instance
	return f
}

func (p *Plan) brokerFaults() *faults {
	f := &faults{rnd: rand.New(rand.NewPCG(p.seed, 2)), plan: p}
	f.next = f.broker
	return f
}

func (f *faults) millis(from, to int) time.Duration {
	return time.Duration(from+f.rnd.IntN(to-from)) * time.Millisecond
}

// instance begins with a kill of each, so that a short run has them too.
func (f *faults) instance() Fault {
	kinds := []FaultKind{KillInstance, KillInstance, KillInstance, PauseInstance, PauseInstance, CutFromBrokers, IsolateInstance, CutClients, IsolateFromPeers, StopInstance}
	r := Fault{Kind: kinds[f.rnd.IntN(len(kinds))], Target: f.rnd.IntN(instances), After: f.millis(300, 2000), Acknowledged: f.rnd.IntN(2) == 0}
	if f.count < instances {
		r.Kind, r.Target = KillInstance, int((f.plan.seed+uint64(f.count))%instances)
	}
	f.count++
	switch r.Kind {
	case KillInstance, StopInstance:
		r.For = f.millis(0, 800)
	case PauseInstance:
		r.For = f.millis(100, 1500)
	case IsolateInstance, IsolateFromPeers:
		r.For = f.millis(200, 3000)
	}
	return r
}

func (f *faults) broker() Fault {
	r := Fault{Kind: PauseBroker, Target: f.rnd.IntN(f.plan.brokers), After: f.millis(2000, 6000), For: f.millis(200, 1500)}
	kill := f.rnd.IntN(2) == 0
	longer := f.millis(1000, 8000)
	if f.plan.brokers > 1 {
		r.For = longer
	}
	if kill && (f.plan.brokers > 1 || f.plan.long) {
		r.Kind, r.For = KillBroker, r.For/2
	}
	return r
}
