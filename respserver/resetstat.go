package respserver

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// usage is what was counted of a command.
type usage struct {
	calls, nanos, failed, rejected uint64
	native                         [nativeBuckets]uint64
}

// counted is what was counted since the start.
func (m *command) counted() (u usage) {
	for i := range m.durations {
		h := &m.durations[i]
		u.calls += h.count.Load()
		u.nanos += h.nanos.Load()
		for j := range u.native {
			u.native[j] += h.native[j].Load()
		}
	}
	u.failed, u.rejected = m.failed.Load(), m.rejected.Load()
	return u
}

// sinceReset is what was counted since CONFIG RESETSTAT, for INFO and LATENCY HISTOGRAM.
func (m *command) sinceReset() usage {
	u := m.counted()
	base := m.base.Load()
	if base == nil {
		return u
	}
	u.calls, u.nanos, u.failed, u.rejected = since(u.calls, base.calls), since(u.nanos, base.nanos), since(u.failed, base.failed), since(u.rejected, base.rejected)
	for i := range u.native {
		u.native[i] = since(u.native[i], base.native[i])
	}
	return u
}

// since is how far a counter has come; one that was read while others counted may be a little behind.
func since(now, base uint64) uint64 {
	if now < base {
		return 0
	}
	return now - base
}

// infoCounter is a counter of INFO stats.
type infoCounter struct {
	name  string
	value func(s *Server) uint64
}

func ofStats(f func(st *stats) *atomic.Uint64) func(*Server) uint64 {
	return func(s *Server) uint64 { return f(&s.stats).Load() }
}

func none(*Server) uint64 { return 0 }

var infoCounters = []infoCounter{
	{"total_connections_received", ofStats(func(st *stats) *atomic.Uint64 { return &st.accepted })},
	{"total_commands_processed", ofStats(func(st *stats) *atomic.Uint64 { return &st.commands })},
	{"total_net_input_bytes", ofStats(func(st *stats) *atomic.Uint64 { return &st.inputBytes })},
	{"total_net_output_bytes", ofStats(func(st *stats) *atomic.Uint64 { return &st.outputBytes })},
	{"rejected_connections", func(s *Server) uint64 { return s.stats.rejectedTotal() }},
	{"expired_keys", none}, {"evicted_keys", none},
	{"keyspace_hits", ofStats(func(st *stats) *atomic.Uint64 { return &st.hits })},
	{"keyspace_misses", ofStats(func(st *stats) *atomic.Uint64 { return &st.misses })},
	{"total_error_replies", func(s *Server) (n uint64) {
		for _, m := range s.table.all {
			n += m.failed.Load() + m.rejected.Load()
		}
		return n
	}},
	{"protocol_errors", ofStats(func(st *stats) *atomic.Uint64 { return &st.protocolErrors })},
	{"accept_errors", ofStats(func(st *stats) *atomic.Uint64 { return &st.acceptErrors })},
	{"acl_access_denied_auth", ofStats(func(st *stats) *atomic.Uint64 { return &st.deniedAuth })},
	{"acl_access_denied_cmd", ofStats(func(st *stats) *atomic.Uint64 { return &st.deniedCommands })},
	{"acl_access_denied_key", ofStats(func(st *stats) *atomic.Uint64 { return &st.deniedKeys })},
	{"rate_limit_delays", ofStats(func(st *stats) *atomic.Uint64 { return &st.rateDelays })},
}

// infoBase is what INFO's counters were at the last CONFIG RESETSTAT.
type infoBase []uint64

func infoStats(s *Server, _ *conn, b *strings.Builder) {
	base := s.infoBase.Load()
	for i, c := range infoCounters {
		v := c.value(s)
		if base != nil {
			v = since(v, (*base)[i])
		}
		fmt.Fprintf(b, "%s:%d\r\n", c.name, v)
		if c.name == "total_commands_processed" {
			fmt.Fprintf(b, "instantaneous_ops_per_sec:%d\r\n", s.stats.opsPerSecond.Load())
		}
	}
	_, keys, items, prefixes := s.tracking.sizes()
	channels, patterns := s.notifications.sizes()
	fmt.Fprintf(b, "pubsub_channels:%d\r\npubsub_patterns:%d\r\ntracking_total_keys:%d\r\ntracking_total_items:%d\r\ntracking_total_prefixes:%d\r\n", channels, patterns, keys, items,
		prefixes)
}

// runConfigResetStat has what INFO and LATENCY HISTOGRAM count begin anew. The metrics go on: Prometheus takes a counter that falls for a restart.
func runConfigResetStat(c *conn, _ [][]byte) {
	s := c.srv
	base := make(infoBase, len(infoCounters))
	for i, counter := range infoCounters {
		base[i] = counter.value(s)
	}
	s.infoBase.Store(&base)
	for _, m := range s.table.all {
		u := m.counted()
		m.base.Store(&u)
	}
	c.ok()
}
