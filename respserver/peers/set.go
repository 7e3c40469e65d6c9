package peers

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// Lookup is net.Resolver's LookupHost.
type Lookup func(ctx context.Context, host string) ([]string, error)

// Set is the other instances. Make one with [New]; its methods may be called from any goroutine.
type Set struct {
	cfg     Config
	names   []name // that are looked up
	fixed   []source
	running sync.WaitGroup

	mu      sync.Mutex
	peers   map[string]*peer // by address
	waits   map[*Wait]struct{}
	dropped int               // addresses beyond the most that are asked
	errors  map[string]uint64 // connections that failed or ended, by reason
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Set, error) {
	s := &Set{cfg: c.withDefaults(), peers: map[string]*peer{}, waits: map[*Wait]struct{}{}, errors: map[string]uint64{}}
	for _, text := range c.Addrs {
		a, dns, err := parseAddr(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("peers: %w", err)
		case dns:
			s.names = append(s.names, name{source: a})
		default:
			s.fixed = append(s.fixed, a)
		}
	}
	if len(s.fixed) > maxPeers {
		return nil, fmt.Errorf("peers: %d addresses, and at most %d can be asked", len(s.fixed), maxPeers)
	}
	return s, nil
}

// Run keeps connections to all peers until ctx ends, and returns when all have ended.
func (s *Set) Run(ctx context.Context) error {
	defer s.running.Wait()
	s.mu.Lock()
	for _, a := range s.fixed {
		s.addLocked(ctx, net.JoinHostPort(a.host, a.port), a.host, false)
	}
	s.mu.Unlock()
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.resolve(ctx)
		tick.Reset(s.cfg.Refresh*3/4 + rand.N(s.cfg.Refresh/2))
	}
}

// States of a peer.
const (
	Connecting  = "connecting"
	Connected   = "connected"
	Self        = "self"
	Duplicate   = "duplicate"
	Unreachable = "unreachable"
)

// Status is what is known of one address.
type Status struct {
	Addr     string    `json:"addr"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Identity string    `json:"identity,omitempty"`
	Instance string    `json:"instance,omitempty"`
	// Reason is a word for why it is not connected, and Error the whole of it.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
	// AgeSeconds is the time since it last told its positions, -1 where it has not.
	AgeSeconds float64 `json:"ageSeconds"`
	// Positions are what a connected peer has told: topic → partition → the next offset that it reads.
	Positions map[string]map[int32]int64 `json:"positions,omitempty"`
}

// Report is what the status page shows of peers.
type Report struct {
	Connected int      `json:"connected"`
	Addresses []Status `json:"addresses"`
	// Dropped is how many addresses names have beyond the 1,024 that are asked.
	Dropped int               `json:"dropped,omitempty"`
	Lookups map[string]string `json:"lookups,omitempty"` // what is wrong with names, by name
}

// Report is what is known of all peers, by address.
func (s *Set) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{Addresses: []Status{}, Dropped: s.dropped, Lookups: map[string]string{}}
	for i := range s.names {
		if why := s.names[i].problem; why != "" {
			r.Lookups[s.names[i].text] = why
		}
	}
	for _, p := range s.peers {
		st := Status{Addr: p.addr, State: p.state, Since: p.since, Identity: p.identity, Instance: p.instance, Reason: p.reason, Error: p.problem, AgeSeconds: -1}
		if p.state == Connected {
			r.Connected++
			st.AgeSeconds = time.Since(p.toldAt).Seconds()
			st.Positions = make(map[string]map[int32]int64, len(p.told))
			for name, t := range p.told {
				next := map[int32]int64{}
				for _, o := range t.position.Offsets() {
					next[o.Partition] = o.Next
				}
				st.Positions[name] = next
			}
		}
		r.Addresses = append(r.Addresses, st)
	}
	slices.SortFunc(r.Addresses, func(a, b Status) int { return cmp.Compare(a.Addr, b.Addr) })
	return r
}

// Offset is the sum of the positions that a connected peer has told of a topic: what INFO and ROLE show, for all topics together.
func (s Status) Offset(topic string) (n int64) {
	for _, next := range s.Positions[topic] {
		n += next
	}
	return n
}

// Errors counts connections that failed or ended, by reason.
func (s *Set) Errors() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.errors)
}

// Count is how many connected peers have told that they have applied all of the positions, and answer reads of them; with none it is how many are
// connected.
func (s *Set) Count(all []position.Position) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.peers {
		if p.state == Connected && p.covers(all) {
			n++
		}
	}
	return n
}
