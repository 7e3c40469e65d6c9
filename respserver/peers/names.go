package peers

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// name is a source that is looked up. Set.mu guards what follows it.
type name struct {
	source
	addrs   []string // of the last look-up that was answered, in order
	problem string   // what is wrong with the last one
}

// resolve looks names up, all at the same time. Where that fails the addresses that were known stay; one that no name has any more is left when its
// connection ends.
func (s *Set) resolve(ctx context.Context) {
	found := make([]func(), len(s.names))
	var asking sync.WaitGroup
	for i := range s.names {
		asking.Go(func() { found[i] = s.lookUp(ctx, &s.names[i]) })
	}
	asking.Wait()
	for _, take := range found {
		take()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, dropped := map[string]bool{}, map[string]bool{}
	for i := range s.names {
		name := &s.names[i]
		for _, addr := range name.addrs {
			now[addr] = true
			if !s.addLocked(ctx, addr, name.host, true) {
				dropped[addr] = true
			}
		}
	}
	for addr, p := range s.peers {
		if p.named {
			p.setLeaving(!now[addr])
		}
	}
	if s.tellDropped(len(dropped)) {
		s.cfg.Logger.Warn("there are more addresses of peers than can be asked: those beyond are not counted by WAIT", "most", maxPeers, "dropped", len(dropped))
	}
}

// tellDropped notes how many addresses there is no room for, and reports whether that is news.
func (s *Set) tellDropped(n int) bool {
	was := s.dropped
	s.dropped = n
	return n > 0 && was == 0
}

// lookUp looks one name up; what it returns takes the answer.
func (s *Set) lookUp(ctx context.Context, name *name) (take func()) {
	within, cancel := context.WithTimeout(ctx, s.cfg.Refresh)
	hosts, err := s.cfg.Lookup(within, name.host)
	cancel()
	var dns *net.DNSError
	none := errors.As(err, &dns) && dns.IsNotFound // a headless Service without pods
	why := ""
	if err != nil {
		why = err.Error()
	}
	return func() {
		if ctx.Err() != nil {
			return
		}
		if name.problem != why && why != "" {
			s.cfg.Logger.Warn("look up peers", "name", name.text, "error", why)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		name.problem = why
		if err != nil && !none {
			return
		}
		name.addrs = name.addrs[:0]
		if !none {
			for _, h := range hosts {
				name.addrs = append(name.addrs, net.JoinHostPort(h, name.port))
			}
		}
		slices.Sort(name.addrs) // where there are too many, all instances keep the same as far as they can
	}
}

// addLocked begins with an address, where it is not known, and reports false where there is no room for it.
func (s *Set) addLocked(ctx context.Context, addr, serverName string, named bool) bool {
	if p := s.peers[addr]; p != nil || ctx.Err() != nil {
		return true
	}
	if len(s.peers) >= maxPeers {
		return false
	}
	p := &peer{set: s, addr: addr, serverName: serverName, named: named, state: Connecting, since: time.Now(), nudge: make(chan struct{}, 1), stop: make(chan struct{})}
	s.peers[addr] = p
	s.running.Go(func() { p.run(ctx) })
	return true
}
