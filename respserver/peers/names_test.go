package peers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

func TestNamesAreLookedUpAgain(t *testing.T) {
	addr := fake(t, honest("other", "c", func() (int, int, position.Position) { return 1, 1, at(7) }))
	_, port, _ := net.SplitHostPort(addr)
	var mode atomic.Int32
	s := run(t, func(c *Config) {
		c.Lookup = func(context.Context, string) ([]string, error) {
			switch mode.Load() {
			case 0:
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			case 1:
				return []string{"127.0.0.1"}, nil
			}
			return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
		}
	}, "dns:pods:"+port)
	eventually(t, "the failed look-up is told", func() bool { return len(s.Report().Lookups) == 1 })
	mode.Store(1)
	eventually(t, "it is connected", func() bool { return s.Report().Connected == 1 })
	mode.Store(2)
	eventually(t, "the failed look-up is told", func() bool { return len(s.Report().Lookups) == 1 })
	if s.Report().Connected != 1 {
		t.Error("a failed look-up ended a connection")
	}
}

// replies has each name looked up as the table says now.
type replies struct {
	asked atomic.Int64
	mu    sync.Mutex
	of    map[string][]string
}

func (r *replies) set(name string, hosts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[name] = hosts
}

func (r *replies) lookup(_ context.Context, name string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked.Add(1)
	if len(r.of[name]) == 0 {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return r.of[name], nil
}

func addresses(s *Set) (all []string) {
	for _, p := range s.Report().Addresses {
		all = append(all, p.Addr)
	}
	return all
}

// A name's addresses come and go; what another name, or the configuration, has as well stays.
func TestAddressesOfNamesChange(t *testing.T) {
	dns := &replies{of: map[string][]string{}}
	dns.set("pods", "127.0.0.1", "127.0.0.2")
	dns.set("others", "127.0.0.2")
	s := run(t, func(c *Config) { c.Lookup = dns.lookup }, "dns:pods:1", "dns:pods:2", "dns:others:1", "pods:1", "127.0.0.9:1")
	has := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprint(want), func() bool { return slices.Equal(addresses(s), want) })
	}
	has("127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "127.0.0.2:2", "127.0.0.9:1", "pods:1")
	dns.set("pods", "127.0.0.3")
	has("127.0.0.2:1", "127.0.0.3:1", "127.0.0.3:2", "127.0.0.9:1", "pods:1")
	s.mu.Lock()
	first := maps.Clone(s.peers)
	s.mu.Unlock()
	rounds := dns.asked.Load()
	eventually(t, "names are looked up again", func() bool { return dns.asked.Load() > rounds+9 })
	s.mu.Lock()
	for addr, p := range s.peers {
		if first[addr] != p {
			t.Errorf("%s was left and begun with again", addr)
		}
	}
	s.mu.Unlock()
	dns.set("pods")
	dns.set("others")
	has("127.0.0.9:1", "pods:1")
}

// What there is no room for is told and counted, and comes when there is room.
func TestMoreAddressesThanCanBeAsked(t *testing.T) {
	var hosts []string
	for i := range maxPeers + 50 {
		hosts = append(hosts, fmt.Sprintf("127.1.%d.%d", i/200, i%200))
	}
	dns := &replies{of: map[string][]string{}}
	dns.set("pods", hosts...)
	var log syncBuffer
	s := run(t, func(c *Config) {
		c.Lookup, c.Logger, c.Refresh = dns.lookup, slog.New(slog.NewTextHandler(&log, nil)), 300*time.Millisecond
	}, "dns:pods:1")
	eventually(t, "50 are dropped", func() bool { return s.Report().Dropped == 50 })
	if n := len(s.Report().Addresses); n != maxPeers {
		t.Errorf("%d are asked", n)
	}
	rounds := dns.asked.Load()
	eventually(t, "the name is looked up again", func() bool { return dns.asked.Load() > rounds+2 })
	if n := strings.Count(log.String(), "dropped=50"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	dns.set("pods", hosts[60:]...)
	eventually(t, "there is room for all", func() bool {
		r := s.Report()
		return r.Dropped == 0 && len(r.Addresses) == maxPeers-10
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write is io.Writer's.
func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what was written.
func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
