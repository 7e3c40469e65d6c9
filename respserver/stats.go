package respserver

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/respserver/peers"
)

// stats are the server's counters, for INFO and the metrics alike.
type stats struct {
	accepted       atomic.Uint64
	commands       atomic.Uint64 // that were run
	inputBytes     atomic.Uint64
	outputBytes    atomic.Uint64
	protocolErrors atomic.Uint64
	acceptErrors   atomic.Uint64
	panics         atomic.Uint64
	hits, misses   atomic.Uint64 // of keys that were read
	deniedAuth     atomic.Uint64 // log-ins that failed
	deniedCommands atomic.Uint64 // that the user may not run
	deniedKeys     atomic.Uint64 // commands on keys of topics that the user may not access
	blocked        atomic.Int64  // connections in a WAIT, without those of other instances
	opsPerSecond   atomic.Uint64
	rateDelays     atomic.Uint64 // times that a connection was held back by the rate limit
	rateLimited    atomic.Int64  // connections that are

	mu       sync.Mutex
	rejected map[string]uint64 // connections, by reason
	killed   map[string]uint64 // connections, by reason
}

func (s *stats) reject(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected[reason]++
}

func (s *stats) kill(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed[reason]++
}

func (s *stats) rejectedTotal() (n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.rejected {
		n += v
	}
	return n
}

// The reasons are known beforehand, so that each exists as 0.
var (
	rejectReasons = []string{"maxclients", "protected", "tls"}
	killReasons   = []string{"auth", "buffers", "client_kill", "idle", "notifications", "output", "panic", "protocol", "pubsub", "query", "security", "shutdown", "unauthenticated", "user"}
)

// collector is the server's prometheus.Collector.
type collector struct {
	srv                                                 *Server
	duration, failed, refused                           *prometheus.Desc
	connections, accepted, rejected, killed, clientsMax *prometheus.Desc
	protocolErrors, acceptErrors, panics                *prometheus.Desc
	input, output, buffers, hits, misses, denied        *prometheus.Desc
	unauthenticated, rateDelays, rateLimited            *prometheus.Desc
	peers, peersDropped, peerAge, peerErrors            *prometheus.Desc
}

// newMetrics registers the server's metrics; nil registers none.
func newMetrics(s *Server, r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_cache_"+name, help, labels, nil)
	}
	return r.Register(&collector{
		srv: s,
		duration: desc("command_duration_seconds",
			"Time from a command's arrival to its reply being known, for writes including Kafka. Equal commands of a pipeline are timed together.", "command"),
		failed:          desc("command_errors_total", "Commands that were answered with an error after they were run.", "command"),
		refused:         desc("command_rejections_total", "Commands that were refused before they were run: arity, authentication, options.", "command"),
		connections:     desc("resp_connections", "Connections that are open."),
		accepted:        desc("resp_connections_accepted_total", "Connections that were accepted."),
		rejected:        desc("resp_connections_rejected_total", "Connections that were refused.", "reason"),
		killed:          desc("resp_connections_killed_total", "Connections that the server closed.", "reason"),
		clientsMax:      desc("resp_connections_max", "Connections that may be open."),
		protocolErrors:  desc("resp_protocol_errors_total", "Frames that could not be parsed."),
		acceptErrors:    desc("resp_accept_errors_total", "Errors of accepting a connection."),
		panics:          desc("resp_panics_total", "Commands that panicked."),
		input:           desc("resp_input_bytes_total", "Bytes that clients sent, without TLS's."),
		output:          desc("resp_output_bytes_total", "Bytes that were sent to clients, with TLS's."),
		buffers:         desc("resp_buffer_bytes", "Memory that connections hold."),
		hits:            desc("key_hits_total", "Keys that were read and had a value."),
		misses:          desc("key_misses_total", "Keys that were read and had none."),
		denied:          desc("resp_denied_total", "What users were denied: auth (a log-in that failed), command, key (a topic that the user may not access).", "reason"),
		unauthenticated: desc("resp_connections_unauthenticated", "Connections that are in the TLS handshake, or have not logged in where that is asked for."),
		rateDelays:      desc("resp_rate_limit_delays_total", "Times that a connection was held back by the rate limit."),
		rateLimited:     desc("resp_rate_limited_connections", "Connections that the rate limit holds back."),
		peers:           desc("peers_connected", "Other instances that are connected, which WAIT can count."),
		peersDropped:    desc("peers_dropped", "Addresses of peers beyond the 1,024 that are asked, which WAIT cannot count."),
		peerAge:         desc("peers_position_age_seconds", "Time since the connected peer that was silent for longest told its positions."),
		peerErrors:      desc("peer_errors_total", "Connections to peers that failed or ended, by reason.", "reason"),
	})
}

// Describe is prometheus.Collector's.
func (m *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.duration, m.failed, m.refused, m.connections, m.accepted, m.rejected, m.killed, m.clientsMax, m.protocolErrors,
		m.acceptErrors, m.panics, m.input, m.output, m.buffers, m.hits, m.misses, m.denied, m.unauthenticated, m.rateDelays, m.rateLimited,
		m.peers, m.peersDropped, m.peerAge, m.peerErrors} {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (m *collector) Collect(ch chan<- prometheus.Metric) {
	s := m.srv
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	for _, c := range s.table.all {
		if c.called() {
			ch <- commandMetric{m.duration, c}
			counter(m.failed, c.failed.Load(), c.name)
		}
		if n := c.rejected.Load(); n > 0 {
			counter(m.refused, n, c.name)
		}
	}
	gauge(m.connections, int64(s.connected()))
	gauge(m.clientsMax, int64(s.cfg.MaxClients))
	counter(m.accepted, s.stats.accepted.Load())
	s.stats.mu.Lock()
	for _, r := range rejectReasons {
		counter(m.rejected, s.stats.rejected[r], r)
	}
	for _, r := range killReasons {
		counter(m.killed, s.stats.killed[r], r)
	}
	s.stats.mu.Unlock()
	counter(m.protocolErrors, s.stats.protocolErrors.Load())
	counter(m.acceptErrors, s.stats.acceptErrors.Load())
	counter(m.panics, s.stats.panics.Load())
	counter(m.input, s.stats.inputBytes.Load())
	counter(m.output, s.stats.outputBytes.Load())
	gauge(m.buffers, s.buffers.Load())
	counter(m.hits, s.stats.hits.Load())
	counter(m.misses, s.stats.misses.Load())
	counter(m.denied, s.stats.deniedAuth.Load(), "auth")
	counter(m.denied, s.stats.deniedCommands.Load(), "command")
	counter(m.denied, s.stats.deniedKeys.Load(), "key")
	gauge(m.unauthenticated, int64(s.strangersNow()))
	counter(m.rateDelays, s.stats.rateDelays.Load())
	gauge(m.rateLimited, s.stats.rateLimited.Load())
	if s.peers == nil {
		return
	}
	oldest := 0.0
	report := s.peers.Report()
	for _, p := range report.Addresses {
		if p.State == peers.Connected {
			oldest = max(oldest, p.AgeSeconds)
		}
	}
	gauge(m.peers, int64(report.Connected))
	gauge(m.peersDropped, int64(report.Dropped))
	ch <- prometheus.MustNewConstMetric(m.peerAge, prometheus.GaugeValue, oldest)
	failed := s.peers.Errors()
	for _, reason := range peers.Reasons() {
		counter(m.peerErrors, failed[reason], reason)
	}
}
