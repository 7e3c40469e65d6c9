package memory

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a [Guard] is made from.
type Config struct {
	// Limit is what the process is meant to stay within, in bytes; more than 0.
	Limit int64
	// Outside is how many bytes are held outside the Go heap at this moment. It is called from one goroutine.
	Outside func() int64
	// Spare, where it is not nil, is told now and again how many bytes of the limit the store leaves for the Go heap. It is called from one goroutine.
	Spare func(bytes int64)
	// KeepRuntimeLimit leaves the Go runtime's own limit alone, where somebody has set GOMEMLIMIT.
	KeepRuntimeLimit bool
	// Logger gets a line when the process comes near the limit and one when it has left it again.
	Logger *slog.Logger
	// Registerer gets the metrics.
	Registerer prometheus.Registerer
}

const (
	interval = 100 * time.Millisecond // a load fills hundreds of megabytes a second, and garbage lies beside them up to the limit that was true before
	near     = 0.90                   // of the limit: warn
	clear    = 0.85                   // of the limit: no longer near
)

// Guard keeps the Go runtime's memory limit at what the rest of the process leaves of the limit, and warns. It cannot make
// the process stay within the limit: what is outside the heap is the store's.
type Guard struct {
	cfg      Config
	resident func() (int64, bool)
	mapped   func() int64
	setLimit func(int64) int64

	outside atomic.Int64
	runtime atomic.Int64
	isNear  atomic.Bool
}

// NewGuard registers the metrics and changes nothing before Run.
func NewGuard(cfg Config) (*Guard, error) {
	g := &Guard{cfg: cfg, resident: residentBytes, mapped: mappedBytes, setLimit: debug.SetMemoryLimit}
	g.runtime.Store(debug.SetMemoryLimit(-1))
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "kafka_cache", Name: name, Help: help}, f)
	}
	for _, c := range []prometheus.Collector{
		gauge("memory_limit_bytes", "What the process is meant to stay within (--memory-limit).", func() float64 { return float64(cfg.Limit) }),
		gauge("memory_outside_heap_bytes", "What the stores keep outside the Go heap.", func() float64 { return float64(g.outside.Load()) }),
		gauge("memory_runtime_limit_bytes", "The Go runtime's own limit, which follows from the two others.", func() float64 { return float64(g.runtime.Load()) }),
		gauge("memory_near_limit", "1 while the process's resident memory is above nine tenths of the limit.", func() float64 {
			if g.isNear.Load() {
				return 1
			}
			return 0
		}),
	} {
		if err := cfg.Registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Run adjusts until ctx ends, then gives the runtime its former limit back and returns nil.
func (g *Guard) Run(ctx context.Context) error {
	if !g.cfg.KeepRuntimeLimit {
		former := g.setLimit(-1)
		defer func() { g.setLimit(former) }()
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		g.adjust()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (g *Guard) adjust() {
	outside := g.cfg.Outside()
	g.outside.Store(outside)
	limit := runtimeLimit(g.cfg.Limit, outside+g.mapped())
	if g.cfg.Spare != nil {
		g.cfg.Spare(limit)
	}
	if !g.cfg.KeepRuntimeLimit {
		if g.runtime.Swap(limit) != limit {
			g.setLimit(limit)
		}
	}
	resident, ok := g.resident()
	if !ok {
		return
	}
	of := float64(resident) / float64(g.cfg.Limit)
	switch {
	case of > near && !g.isNear.Swap(true):
		g.cfg.Logger.Warn("memory is near its limit: more records or clients may end the process", "resident", resident,
			"limit", g.cfg.Limit, "outside heap", outside)
	case of < clear && g.isNear.Swap(false):
		g.cfg.Logger.Info("memory is no longer near its limit", "resident", resident, "limit", g.cfg.Limit)
	}
}

// runtimeLimit keeps a twentieth back for what neither the heap, the stores nor the program's own pages account for (C's
// allocator, fragments, what the runtime passes its limit by), and never goes below a tenth: under that the collector would use all of the CPU and save nothing.
func runtimeLimit(limit, outside int64) int64 {
	return max(limit-limit/20-outside, limit/10)
}

// mappedBytes is what of the process's resident set lies in files, which is the program itself; 0 where the system does not tell.
func mappedBytes() int64 { return statm(2) }

// residentBytes is the process's resident set, where the system tells.
func residentBytes() (int64, bool) {
	n := statm(1)
	return n, n > 0
}

// statm is a field of /proc/self/statm, in bytes; 0 where there is none.
func statm(field int) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) <= field {
		return 0
	}
	pages, err := strconv.ParseInt(fields[field], 10, 64)
	if err != nil || pages > math.MaxInt64/int64(os.Getpagesize()) {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
