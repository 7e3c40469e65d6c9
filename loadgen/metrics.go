package loadgen

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics, as of the last second. A scrape costs the load nothing: the histograms are those that are reported at the end.
var (
	operationsDesc = prometheus.NewDesc("loadgen_operations_total", "Operations that were answered as they must be.", []string{"loop", "operation"}, nil)
	missesDesc     = prometheus.NewDesc("loadgen_misses_total", "Keys that were asked for, or deleted, and not there.", []string{"loop", "operation"}, nil)
	errorsDesc     = prometheus.NewDesc("loadgen_errors_total", "Operations that failed, by kind.", []string{"loop", "operation", "kind"}, nil)
	latencyDesc    = prometheus.NewDesc("loadgen_latency_seconds", "Latencies of operations: in an open loop from the intended start.", []string{"loop", "operation"}, nil)
	lateDesc       = prometheus.NewDesc("loadgen_late_operations_total", "Operations that were sent later than the schedule allows.", nil, nil)
	rateDesc       = prometheus.NewDesc("loadgen_target_rate", "Operations a second that are intended; 0 in a closed loop.", nil, nil)
	elapsedDesc    = prometheus.NewDesc("loadgen_elapsed_seconds", "Time since the beginning.", nil, nil)
	durationDesc   = prometheus.NewDesc("loadgen_duration_seconds", "How long the run is to take, with its warm-up.", nil, nil)
)

// buckets are upper bounds in seconds: 10 µs to 10 s, three a decade.
var buckets = []float64{
	0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
}

// Describe is of prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{operationsDesc, missesDesc, errorsDesc, latencyDesc, lateDesc, rateDesc, elapsedDesc, durationDesc} {
		out <- d
	}
}

// Collect is of prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	loop := "open"
	if c.load.Closed {
		loop = "closed"
	}
	constant := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	for i := range c.total.by {
		if c.load.Mix[i] == 0 {
			continue
		}
		name, measured := Operation(i).String(), &c.total.by[i]
		constant(operationsDesc, prometheus.CounterValue, float64(measured.operations), loop, name)
		constant(missesDesc, prometheus.CounterValue, float64(measured.misses), loop, name)
		for kind, n := range measured.failed {
			constant(errorsDesc, prometheus.CounterValue, float64(n), loop, name, kind)
		}
		count, sum, cumulative := measured.cumulative()
		out <- prometheus.MustNewConstHistogram(latencyDesc, count, sum, cumulative, loop, name)
	}
	if !c.load.Closed {
		constant(lateDesc, prometheus.CounterValue, float64(c.total.late))
	}
	constant(rateDesc, prometheus.GaugeValue, c.load.Rate)
	constant(elapsedDesc, prometheus.GaugeValue, c.last.Seconds())
	constant(durationDesc, prometheus.GaugeValue, (c.load.Warmup + c.load.Duration).Seconds())
}

// cumulative is the latencies' histogram in Prometheus's form.
func (c *counts) cumulative() (count uint64, sum float64, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(buckets))
	for _, b := range buckets {
		upTo[b] = 0
	}
	if c.latency == nil {
		return 0, 0, upTo
	}
	n := 0
	for _, bar := range c.latency.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for n < len(buckets) && float64(bar.To)/1e9 > buckets[n] {
			upTo[buckets[n]] = count
			n++
		}
		count += uint64(bar.Count)
	}
	for ; n < len(buckets); n++ {
		upTo[buckets[n]] = count
	}
	if m := c.latency.Mean(); !math.IsNaN(m) {
		sum = m / 1e9 * float64(count)
	}
	return count, sum, upTo
}
