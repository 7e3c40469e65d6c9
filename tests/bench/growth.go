package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
)

// growth measures everything over the number of entries: memory, loads, and GET.
type growth struct {
	*bench
	sizes []*growthSize
}

// growthSize is one number of entries.
type growthSize struct {
	entries                int
	topic                  string
	redis, inMemory, onDir growthFigures
}

type growthFigures struct {
	seconds, resident, index, perSecond, cpuNanos, p99 samples
}

// Targets of memory, next to redis-server, at memoryEntries.
const (
	memoryEntries  = 10_000_000
	wantIndex      = 0.85
	wantWithDir    = 1.05 // fixed caches apart
	wantInMemory   = 1.3
	growthPipeline = 16
)

// fixedCaches are what a kafka-cache with a data directory holds however few entries there are: Pebble's block cache and its memtables, both of a size that is set.
var fixedCaches = []string{"kafka_cache_pebble_block_cache_bytes", "kafka_cache_pebble_memtable_bytes"}

func (b *bench) measureGrowth(ctx context.Context) ([]section, error) {
	g := &growth{bench: b}
	for _, n := range b.growthEntries {
		g.sizes = append(g.sizes, &growthSize{entries: n, topic: "bench-growth-" + strconv.Itoa(n)})
	}
	for _, s := range g.sizes {
		if _, err := b.fill(ctx, s.topic, s.entries); err != nil {
			return nil, err
		}
		err := b.inTurn(
			func() error { return g.ofRedis(ctx, s) },
			func() error { return g.ofDaemon(ctx, s, &s.onDir, true) },
			func() error { return g.ofDaemon(ctx, s, &s.inMemory, false) },
		)
		if err != nil {
			return nil, err
		}
		if err := deleteTopic(ctx, b.kafka.Bootstrap, s.topic); err != nil {
			return nil, err
		}
	}
	return []section{g.section()}, nil
}

func (g *growth) ofRedis(ctx context.Context, n *growthSize) error {
	s, err := g.startRedis(ctx, n.entries)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	return g.measureServer(ctx, s, n, &n.redis)
}

func (g *growth) ofDaemon(ctx context.Context, n *growthSize, f *growthFigures, withDir bool) error {
	what, dir := "kafka-cache in memory", ""
	if withDir {
		what = "kafka-cache with a data directory"
		var err error
		if dir, err = g.tempDir("data"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := g.awaitQuiet(ctx, fmt.Sprintf("%s, %s entries", what, thousands(n.entries))); err != nil {
		return err
	}
	s, took, err := g.startDaemon(ctx, n.topic, dir)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	f.seconds = append(f.seconds, took.Seconds())
	index, err := s.metric(ctx, "kafka_cache_resident_bytes")
	if err != nil {
		return err
	}
	f.index = append(f.index, index)
	return g.measureServer(ctx, s, n, f)
}

// measureServer asks a server with all entries, looks at its memory, and ends it.
func (g *growth) measureServer(ctx context.Context, s *server, n *growthSize, f *growthFigures) error {
	if err := checkEntries(s.addr, n.entries); err != nil {
		return s.error(err)
	}
	if err := g.awaitQuiet(ctx, fmt.Sprintf("GET of %s with %s entries", s.name, thousands(n.entries))); err != nil {
		return err
	}
	r, err := runWorker[getLoad, getResult](ctx, "get", getLoad{
		Addr: s.addr, ServerPID: s.proc.PID(), Connections: g.connections, Pipeline: growthPipeline, Entries: uint64(n.entries),
		Warmup: g.warmup, Measure: g.options.measure / 2, Seed: rand.Uint64(),
	})
	if err != nil {
		return s.error(err)
	}
	m, err := memoryOf(s.proc.PID())
	if err != nil {
		return err
	}
	resident := float64(m.resident)
	if s.admin != "" {
		for _, name := range fixedCaches {
			fixed, err := s.metric(ctx, name)
			if err != nil {
				return err
			}
			resident -= fixed
		}
	}
	f.resident, f.perSecond = append(f.resident, resident), append(f.perSecond, r.perSecond())
	f.cpuNanos, f.p99 = append(f.cpuNanos, r.serverCPUPerOp()), append(f.p99, float64(r.P99.Nanoseconds())/1e3)
	g.logf("%s, %s entries: %.0f GETs/s, %.0f B an entry", s.name, thousands(n.entries), r.perSecond(), resident/float64(n.entries))
	_, err = s.stop()
	return err
}

func (g *growth) section() section {
	s := section{
		title: "From few entries to many",
		text: []string{fmt.Sprintf("The same over the number of entries (%d B keys, %d B values): random GETs at pipeline %d over %d connections; the time from the start of the process until it is ready; and the resident memory after the GETs, "+
			"of kafka-cache without Pebble's block cache and memtables, whose sizes are set and do not depend on the entries. The index is what `kafka_cache_resident_bytes` says. %s of processors.",
			keySize, valueSize, growthPipeline, g.connections, plural(runtime.NumCPU(), "core"))},
	}
	t := table{head: []string{"entries", "", "GET/s, redis-server = 1", "M GETs/s", "CPU a GET, redis-server = 1", "p99 µs", "memory, redis-server = 1", "B an entry", "index, redis-server = 1", "index B an entry", "s to ready"}}
	speed := linePlot{file: "growth-get", title: fmt.Sprintf("GET over the number of entries, pipeline %d", growthPipeline), xLabel: "entries", yLabel: "operations/s"}
	space := linePlot{file: "growth-memory", title: "Memory of an entry over the number of entries", xLabel: "entries", yLabel: "B an entry"}
	names := []string{"redis-server", "kafka-cache, data directory", "kafka-cache, in memory"}
	speed.lines, space.lines = make([]lineSeries, len(names)), make([]lineSeries, len(names))
	for _, n := range g.sizes {
		each := 1 / float64(n.entries)
		speed.x, space.x = append(speed.x, float64(n.entries)), append(space.x, float64(n.entries))
		for i, f := range []*growthFigures{&n.redis, &n.onDir, &n.inMemory} {
			t.rows = append(t.rows, []string{
				thousands(n.entries), names[i], f.perSecond.over(n.redis.perSecond).show("%.2f"), f.perSecond.scaled(1e-6).show("%.2f"), f.cpuNanos.over(n.redis.cpuNanos).show("%.2f"), f.p99.show("%.0f"),
				f.resident.over(n.redis.resident).show("%.2f"), f.resident.scaled(each).show("%.0f"), f.index.over(n.redis.resident).show("%.2f"), f.index.scaled(each).show("%.0f"), f.seconds.show("%.1f"),
			})
			speed.lines[i].name, space.lines[i].name = names[i], names[i]
			speed.lines[i].values = append(speed.lines[i].values, f.perSecond.median())
			space.lines[i].values = append(space.lines[i].values, f.resident.scaled(each).median())
		}
		if n.entries != memoryEntries {
			continue
		}
		for _, w := range []struct {
			what string
			got  samples
			most float64
		}{
			{"the resident index", largest([]*growthFigures{&n.onDir, &n.inMemory}, func(f *growthFigures) samples { return f.index.over(n.redis.resident) }), wantIndex},
			{"the process with a data directory, fixed caches apart", n.onDir.resident.over(n.redis.resident), wantWithDir},
			{"the process without a data directory", n.inMemory.resident.over(n.redis.resident), wantInMemory},
		} {
			s.targets = append(s.targets, target{fmt.Sprintf("memory of %s entries next to redis-server: %s", thousands(n.entries), w.what), fmt.Sprintf("at most %.2f", w.most), w.got.show("%.2f"), w.got.median() <= w.most})
		}
	}
	s.tables, s.plots = []table{t}, []plot{speed, space}
	return s
}
