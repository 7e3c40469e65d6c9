package admin

import (
	"net/http"
	"runtime/metrics"

	"github.com/yolean/kafka-cache/core/cache"
)

// Status is what /api/v1/status answers, and what the page shows.
type Status struct {
	cache.Status
	Peers  *Peers `json:"peers,omitempty"`
	Memory Memory `json:"memory"`
	// Rates are of the newest interval of the sampler; nil before it has seen one, and where it does not run.
	Rates *Rates `json:"rates,omitempty"`
}

// Memory is what takes memory, in bytes.
type Memory struct {
	cache.Memory
	Go    int64 `json:"go"`              // what Go's runtime has mapped and not given back
	Limit int64 `json:"limit,omitempty"` // what the process is meant to stay within; 0: nothing
}

// Rates are what happened a second, over OverSeconds.
type Rates struct {
	OverSeconds       float64            `json:"overSeconds"`
	AppliedPerSecond  map[string]float64 `json:"appliedPerSecond"` // records, by topic
	CommandsPerSecond float64            `json:"commandsPerSecond"`
	FailedPerSecond   float64            `json:"failedPerSecond"` // commands that were answered with an error
	// Latencies of commands in seconds, as fine as the buckets of kafka_cache_command_duration_seconds; -1 where no command was run.
	LatencyP50Seconds float64 `json:"latencyP50Seconds"`
	LatencyP99Seconds float64 `json:"latencyP99Seconds"`
}

func (s *Server) statusNow() Status {
	status := Status{Status: s.cache.Status(), Memory: Memory{Memory: s.cache.Memory(), Go: goMemory(), Limit: s.memoryLimit}, Rates: s.history.rates()}
	if s.peers != nil {
		status.Peers = s.peers()
	}
	return status
}

func goMemory() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.statusNow())
}

// effective answers the effective configuration, without secrets.
func (s *Server) effective(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write([]byte(s.configuration))
}
