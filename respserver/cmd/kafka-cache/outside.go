package main

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// outsideHeap sums what the stores keep outside the Go heap, as their metrics have it: the resident index is mapped, and
// Pebble's memtables and block cache are C's.
func outsideHeap(registry prometheus.Gatherer, log *slog.Logger) func() int64 {
	parts := map[string]bool{
		"kafka_cache_resident_bytes":           true,
		"kafka_cache_pebble_memtable_bytes":    true,
		"kafka_cache_pebble_block_cache_bytes": true,
	}
	return func() int64 {
		families, err := registry.Gather()
		if err != nil {
			log.Debug("gather what is outside the heap", "error", err) // what could be gathered is there
		}
		var sum float64
		for _, f := range families {
			if !parts[f.GetName()] {
				continue
			}
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue()
			}
		}
		return int64(sum)
	}
}
