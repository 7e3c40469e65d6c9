package loadgen

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// collector adds up what the shards have, every second, and tells of it. It is a prometheus.Collector too.
type collector struct {
	load   *Load
	shards []*shard
	begin  time.Time
	hdr    hdrLog

	mu        sync.Mutex // of what follows: metrics are asked for from other goroutines
	total     interval
	addresses []counts
	timeline  []Point
	last      time.Duration // up to when, after the beginning, it has collected
}

func newCollector(l *Load, shards []*shard) *collector {
	return &collector{load: l, shards: shards, addresses: make([]counts, len(l.Addrs)), hdr: hdrLog{out: l.HDR}}
}

// run collects until done, and then what is left.
func (c *collector) run(done <-chan struct{}) {
	c.hdr.start(c.begin)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.collect(false)
		case <-done:
			c.collect(true)
			return
		}
	}
}

func (c *collector) collect(last bool) {
	now := time.Since(c.begin)
	var second interval
	c.mu.Lock()
	for _, s := range c.shards {
		i := s.take()
		second.add(i)
		all := i.all()
		c.addresses[s.address].add(&all)
	}
	c.total.add(&second)
	all := second.all()
	p := Point{
		At: (now - c.load.Warmup).Seconds(), Length: (now - max(c.last, c.load.Warmup)).Seconds(),
		Operations: all.operations, Errors: all.errors(), Late: second.late,
	}
	if all.latency != nil {
		p.P50, p.P99, p.Max = seconds(all.latency, 50), seconds(all.latency, 99), float64(all.latency.Max())/1e9
	}
	warming := now <= c.load.Warmup
	if !warming && (p.Length > 0.05 || p.Operations > 0) {
		c.timeline = append(c.timeline, p)
	}
	begin, end := c.begin.Add(max(c.last, c.load.Warmup)), c.begin.Add(now)
	c.last = now
	sum := c.total.all()
	progress := Progress{
		Elapsed: now, Total: c.load.Warmup + c.load.Duration, Warming: warming, Last: last, Second: p,
		Operations: sum.operations, Errors: sum.errors(), Late: c.total.late,
	}
	c.mu.Unlock()

	if !warming {
		for o := range second.by {
			c.hdr.write(Operation(o).String(), second.by[o].latency, begin, end)
		}
	}
	if c.load.Each != nil {
		c.load.Each(progress)
	}
}

func seconds(h *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(h.ValueAtPercentile(percentile)) / 1e9
}
