package peers

import (
	"cmp"
	"context"
	"errors"
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
	names   []source // that are looked up
	fixed   []source
	running sync.WaitGroup

	mu      sync.Mutex
	peers   map[string]*peer // by address
	waits   map[*Wait]struct{}
	lookups map[string]string // what is wrong with a name, by Config's text
	errors  map[string]uint64 // connections that failed or ended, by reason
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Set, error) {
	s := &Set{cfg: c.withDefaults(), peers: map[string]*peer{}, waits: map[*Wait]struct{}{}, lookups: map[string]string{}, errors: map[string]uint64{}}
	for _, text := range c.Addrs {
		a, dns, err := parseAddr(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("peers: %w", err)
		case dns:
			s.names = append(s.names, a)
		default:
			s.fixed = append(s.fixed, a)
		}
	}
	return s, nil
}

// Run keeps connections to all peers until ctx ends, and returns when all have ended.
func (s *Set) Run(ctx context.Context) error {
	defer s.running.Wait()
	for _, a := range s.fixed {
		s.add(ctx, net.JoinHostPort(a.host, a.port), a.host)
	}
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

// resolve looks names up. Where that fails the addresses that were known stay; one that has gone is left when its connection ends.
func (s *Set) resolve(ctx context.Context) {
	for _, name := range s.names {
		within, cancel := context.WithTimeout(ctx, s.cfg.Refresh)
		hosts, err := s.cfg.Lookup(within, name.host)
		cancel()
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			hosts = nil // a headless Service without pods
		}
		why := ""
		if err != nil {
			why = err.Error()
		}
		s.mu.Lock()
		if s.lookups[name.text] != why && why != "" {
			s.cfg.Logger.Warn("look up peers", "name", name.text, "error", why)
		}
		s.lookups[name.text] = why
		s.mu.Unlock()
		if err != nil && hosts == nil && (dns == nil || !dns.IsNotFound) {
			continue
		}
		now := map[string]bool{}
		for _, h := range hosts {
			now[net.JoinHostPort(h, name.port)] = true
		}
		for addr := range now {
			s.add(ctx, addr, name.host)
		}
		s.mu.Lock()
		for addr, p := range s.peers {
			if p.of == name.text {
				p.setLeaving(!now[addr])
			}
		}
		s.mu.Unlock()
	}
}

// add begins with an address, where it is not known.
func (s *Set) add(ctx context.Context, addr, serverName string) {
	of := ""
	for _, n := range s.names {
		if n.host == serverName {
			of = n.text
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[addr]; p != nil || len(s.peers) >= maxPeers || ctx.Err() != nil {
		return
	}
	p := &peer{set: s, addr: addr, serverName: serverName, of: of, state: Connecting, since: time.Now(), nudge: make(chan struct{}, 1), stop: make(chan struct{})}
	s.peers[addr] = p
	s.running.Go(func() { p.run(ctx) })
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

	offset int64
}

// Report is what the status page shows of peers.
type Report struct {
	Connected int               `json:"connected"`
	Addresses []Status          `json:"addresses"`
	Lookups   map[string]string `json:"lookups,omitempty"` // what is wrong with names, by name
}

// Report is what is known of all peers, by address.
func (s *Set) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{Addresses: []Status{}, Lookups: map[string]string{}}
	for name, why := range s.lookups {
		if why != "" {
			r.Lookups[name] = why
		}
	}
	for _, p := range s.peers {
		st := Status{Addr: p.addr, State: p.state, Since: p.since, Identity: p.identity, Instance: p.instance, Reason: p.reason, Error: p.problem, AgeSeconds: -1}
		if p.state == Connected {
			r.Connected++
			st.AgeSeconds = time.Since(p.toldAt).Seconds()
			for _, t := range p.told {
				for _, o := range t.position.Offsets() {
					st.offset += o.Next
				}
			}
		}
		r.Addresses = append(r.Addresses, st)
	}
	slices.SortFunc(r.Addresses, func(a, b Status) int { return cmp.Compare(a.Addr, b.Addr) })
	return r
}

// Offset is the sum of the positions that a connected peer has told: what INFO and ROLE show.
func (s Status) Offset() int64 { return s.offset }

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
