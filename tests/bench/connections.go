package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

const connectionsTopic = "bench-connections"

// crowds measures GET over how many connections ask, next to redis-server.
type crowds struct {
	*bench
	redis, ours map[crowdCase]*pipelineFigures
}

// crowdCase is one number of connections with one number of commands in flight on each.
type crowdCase struct{ connections, pipeline int }

// crowdPipelines are what is measured over the number of connections; get measures the others over one number of them.
var crowdPipelines = []int{1, 16}

func (c *crowds) cases() []crowdCase {
	var all []crowdCase
	for _, p := range crowdPipelines {
		for _, n := range c.connectionCounts {
			all = append(all, crowdCase{n, p})
		}
	}
	return all
}

func (b *bench) measureConnections(ctx context.Context) ([]section, error) {
	c := &crowds{bench: b, redis: map[crowdCase]*pipelineFigures{}, ours: map[crowdCase]*pipelineFigures{}}
	for _, k := range c.cases() {
		c.redis[k], c.ours[k] = &pipelineFigures{}, &pipelineFigures{}
	}
	if _, err := b.fill(ctx, connectionsTopic, b.getEntries); err != nil {
		return nil, err
	}
	err := b.besideRedis(ctx, connectionsTopic,
		func(s *server) error { return c.measure(ctx, s, c.redis) },
		func(s *server) error { return c.measure(ctx, s, c.ours) },
	)
	if err != nil {
		return nil, err
	}
	return []section{c.section()}, nil
}

// measure takes all cases of one server, and ends it.
func (c *crowds) measure(ctx context.Context, s *server, to map[crowdCase]*pipelineFigures) error {
	defer s.proc.Kill()
	if err := checkEntries(s.addr, c.getEntries); err != nil {
		return s.error(err)
	}
	for _, k := range c.cases() {
		if err := c.awaitQuiet(ctx, fmt.Sprintf("GET of %s over %d connections", s.name, k.connections)); err != nil {
			return err
		}
		r, err := runWorker[getLoad, getResult](ctx, "get", getLoad{
			Addr: s.addr, ServerPID: s.proc.PID(), Connections: k.connections, Pipeline: k.pipeline, Entries: uint64(c.getEntries),
			Warmup: c.warmup / 2, Measure: c.options.measure / 2, Seed: rand.Uint64(),
		})
		if err != nil {
			return s.error(err)
		}
		c.logf("%s, %s, pipeline %d: %.0f operations/s, p99 %v", s.name, plural(k.connections, "connection"), k.pipeline, r.perSecond(), r.P99)
		to[k].add(r)
	}
	_, err := s.stop()
	return err
}

func (c *crowds) section() section {
	s := section{
		title: "GET over the number of connections",
		text: []string{fmt.Sprintf("As above, over other numbers of connections; kafka-cache with a data directory and its default driver. %v are measured of each.",
			c.options.measure/2)},
	}
	t := table{head: []string{"pipeline", "connections", "operations/s, redis-server = 1", "kafka-cache, operations/s", "redis-server, operations/s", "CPU an operation, redis-server = 1", "kafka-cache's CPU µs an operation", "kafka-cache, p50 µs", "kafka-cache, p99 µs", "redis-server, p99 µs"}}
	for _, p := range crowdPipelines {
		lines := linePlot{file: fmt.Sprintf("connections-%d", p), title: fmt.Sprintf("GET over the number of connections, pipeline %d", p), xLabel: "connections", yLabel: "operations/s"}
		ours, theirs := lineSeries{name: "kafka-cache"}, lineSeries{name: "redis-server"}
		for _, n := range c.connectionCounts {
			k := crowdCase{n, p}
			a, r := c.ours[k], c.redis[k]
			t.rows = append(t.rows, []string{fmt.Sprint(p), fmt.Sprint(n), a.perSecond.over(r.perSecond).show("%.2f"), a.perSecond.show("%.0f"), r.perSecond.show("%.0f"),
				a.cpuNanos.over(r.cpuNanos).show("%.2f"), a.cpuNanos.scaled(1e-3).show("%.2f"), a.p50.show("%.0f"), a.p99.show("%.0f"), r.p99.show("%.0f")})
			lines.x = append(lines.x, float64(n))
			ours.values, theirs.values = append(ours.values, a.perSecond.median()), append(theirs.values, r.perSecond.median())
		}
		lines.lines = []lineSeries{ours, theirs}
		s.plots = append(s.plots, lines)
	}
	s.tables = []table{t}
	return s
}
