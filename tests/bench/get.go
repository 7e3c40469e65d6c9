package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
)

const getTopic = "bench-get"

// getFigures are one server's.
type getFigures struct {
	name              string
	inMemory          bool
	driver            string // of kafka-cache; empty for redis-server
	byPipeline        map[int]*pipelineFigures
	loaded, afterGets memorySamples
}

type pipelineFigures struct {
	perSecond, cpuNanos, p50, p99, ownCPUNanos samples // latencies in µs
}

func (f *pipelineFigures) add(r *getResult) {
	f.perSecond = append(f.perSecond, r.perSecond())
	f.cpuNanos = append(f.cpuNanos, r.serverCPUPerOp())
	f.ownCPUNanos = append(f.ownCPUNanos, float64(r.OwnCPU.Nanoseconds())/float64(r.Operations))
	f.p50 = append(f.p50, float64(r.P50.Nanoseconds())/1e3)
	f.p99 = append(f.p99, float64(r.P99.Nanoseconds())/1e3)
}

type memorySamples struct{ resident, proportional samples }

func (m *memorySamples) add(pid int) error {
	now, err := memoryOf(pid)
	if err != nil {
		return err
	}
	m.resident = append(m.resident, float64(now.resident))
	if now.proportional > 0 {
		m.proportional = append(m.proportional, float64(now.proportional))
	}
	return nil
}

// gets measures GET next to redis-server.
type gets struct {
	*bench
	redis   *getFigures
	daemons []*getFigures
	sanity  map[int]*sanityFigures
}

// sanityFigures hold the load generator of this program against the stock one.
type sanityFigures struct{ own, stock samples }

func (b *bench) measureGets(ctx context.Context) ([]section, error) {
	g := &gets{bench: b, sanity: map[int]*sanityFigures{}}
	figures := func(name string) *getFigures {
		f := &getFigures{name: name, byPipeline: map[int]*pipelineFigures{}}
		for _, p := range b.pipelines {
			f.byPipeline[p] = &pipelineFigures{}
		}
		return f
	}
	g.redis = figures("redis-server")
	for _, driver := range b.drivers {
		for _, inMemory := range []bool{false, true} {
			f := figures("kafka-cache, " + map[bool]string{false: "data directory", true: "in memory"}[inMemory] + ", " + driver)
			f.inMemory, f.driver = inMemory, driver
			g.daemons = append(g.daemons, f)
		}
	}
	for _, p := range b.pipelines {
		g.sanity[p] = &sanityFigures{}
	}
	if _, err := b.fill(ctx, getTopic, b.getEntries); err != nil {
		return nil, err
	}
	candidates := []func() error{func() error { return g.serveRedis(ctx) }}
	for _, f := range g.daemons {
		candidates = append(candidates, func() error { return g.serveDaemon(ctx, f) })
	}
	if err := b.inTurn(candidates...); err != nil {
		return nil, err
	}
	return []section{g.section()}, nil
}

func (g *gets) serveRedis(ctx context.Context) error {
	s, err := g.startRedis(ctx, g.getEntries)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := g.measureServer(ctx, g.redis, s); err != nil {
		return err
	}
	for _, p := range g.pipelines {
		f := g.sanity[p]
		own, err := g.load(ctx, s, p, 1)
		if err != nil {
			return err
		}
		stock, err := redisBenchmark(ctx, s.addr, g.connections, p, int(own.Operations))
		if err != nil {
			return err
		}
		f.own, f.stock = append(f.own, own.perSecond()), append(f.stock, stock)
	}
	_, err = s.stop()
	return err
}

func (g *gets) serveDaemon(ctx context.Context, f *getFigures) error {
	dir := ""
	if !f.inMemory {
		var err error
		if dir, err = g.tempDir("data"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	s, _, err := g.startDaemon(ctx, getTopic, dir, "--resp-driver", f.driver)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := g.measureServer(ctx, f, s); err != nil {
		return err
	}
	_, err = s.stop()
	return err
}

func (g *gets) measureServer(ctx context.Context, f *getFigures, s *server) error {
	if err := checkEntries(s.addr, g.getEntries); err != nil {
		return s.error(err)
	}
	if err := f.loaded.add(s.proc.PID()); err != nil {
		return err
	}
	for _, p := range g.pipelines {
		if err := g.awaitQuiet(ctx, fmt.Sprintf("GET of %s, pipeline %d", f.name, p)); err != nil {
			return err
		}
		r, err := g.load(ctx, s, p, g.getEntries)
		if err != nil {
			return s.error(err)
		}
		g.logf("%s, pipeline %d: %.0f operations/s, p50 %v, p99 %v", f.name, p, r.perSecond(), r.P50, r.P99)
		f.byPipeline[p].add(r)
	}
	return f.afterGets.add(s.proc.PID())
}

func (g *gets) load(ctx context.Context, s *server, pipeline, entries int) (*getResult, error) {
	return runWorker[getLoad, getResult](ctx, "get", getLoad{
		Addr: s.addr, ServerPID: s.proc.PID(), Connections: g.connections, Pipeline: pipeline, Entries: uint64(entries),
		Warmup: g.warmup, Measure: g.measure, Seed: rand.Uint64(),
	})
}

// Targets of GET, next to redis-server.
var wantGetOver = map[int]float64{1: 1, 16: 1.5}

// wantGetCPU is the most CPU of an operation at a pipeline.
var wantGetCPU = map[int]float64{16: 0.8}

const wantP99Over = 2.0

const wantMemoryOver = 1.3

// driven are the daemons with one driver.
func (g *gets) driven(driver string) []*getFigures {
	return slices.DeleteFunc(slices.Clone(g.daemons), func(f *getFigures) bool { return f.driver != driver })
}

// slowest and largest are the samples with the least and the greatest median, of those that there are.
func slowest[T any](all []T, of func(T) samples) samples { return extreme(all, of, -1) }

func largest[T any](all []T, of func(T) samples) samples { return extreme(all, of, 1) }

func extreme[T any](all []T, of func(T) samples, sign float64) (most samples) {
	for _, x := range all {
		if s := of(x); len(s) > 0 && (most == nil || sign*s.median() > sign*most.median()) {
			most = s
		}
	}
	return most
}

func (g *gets) section() section {
	s := section{
		title: "GET",
		text: []string{fmt.Sprintf("Random ones of %s entries (%d B keys, %d B values) over %d connections, each with `pipeline` commands in flight: "+
			"it writes them at once, waits for all replies, and writes the next. One generator for all servers, a process of one thread on epoll that shares the machine with the server, checks every reply against its key. "+
			"Every server is a fresh process in every round; redis-server runs with `--save '' --appendonly no`. "+
			"%v of warm-up, then %v measured. CPU is the server's, user and system. Latencies are from the write of a batch to the reply.",
			thousands(g.getEntries), keySize, valueSize, g.connections, g.warmup, g.measure)},
	}
	servers := append([]*getFigures{g.redis}, g.daemons...)
	speed := table{head: []string{"pipeline", "", "operations/s, redis-server = 1", "operations/s", "server CPU an operation, redis-server = 1", "server CPU µs an operation", "p50 µs", "p99 µs"}}
	for _, p := range g.pipelines {
		base := g.redis.byPipeline[p]
		for _, f := range servers {
			x := f.byPipeline[p]
			speed.rows = append(speed.rows, []string{
				fmt.Sprint(p), f.name, x.perSecond.over(base.perSecond).show("%.2f"), x.perSecond.show("%.0f"),
				x.cpuNanos.over(base.cpuNanos).show("%.2f"), x.cpuNanos.scaled(1e-3).show("%.2f"), x.p50.show("%.0f"), x.p99.show("%.0f"),
			})
		}
		want, ok := wantGetOver[p]
		for _, driver := range g.drivers {
			slower := slowest(g.driven(driver), func(f *getFigures) samples { return f.byPipeline[p].perSecond.over(base.perSecond) })
			if ok {
				s.targets = append(s.targets, target{
					fmt.Sprintf("GET at pipeline %d with %s next to redis-server, the slower of in memory and with a data directory", p, driver),
					fmt.Sprintf("at least %.2f", want), slower.show("%.2f"), slower.median() >= want,
				})
			}
		}
		if most, ok := wantGetCPU[p]; ok {
			costlier := largest(g.daemons, func(f *getFigures) samples { return f.byPipeline[p].cpuNanos.over(base.cpuNanos) })
			s.targets = append(s.targets, target{
				fmt.Sprintf("CPU of a GET at pipeline %d next to redis-server, the most of all drivers and with and without a data directory", p),
				fmt.Sprintf("at most %.1f", most), costlier.show("%.2f"), costlier.median() <= most,
			})
		}
		if p == 1 && slices.Contains(g.drivers, "epoll") {
			longer := largest(g.driven("epoll"), func(f *getFigures) samples { return f.byPipeline[p].p99.over(base.p99) })
			s.targets = append(s.targets, target{
				"p99 of GET at pipeline 1 with epoll next to redis-server, the longer of in memory and with a data directory",
				fmt.Sprintf("at most %.1f", wantP99Over), longer.show("%.2f"), longer.median() <= wantP99Over,
			})
		}
	}
	space := table{head: []string{"", "resident, redis-server = 1", "resident MB", "B an entry", "resident after the GETs, redis-server = 1", "resident MB after the GETs", "Pss MB after the GETs"}}
	for _, f := range servers {
		space.rows = append(space.rows, []string{
			f.name, f.loaded.resident.over(g.redis.loaded.resident).show("%.2f"), f.loaded.resident.scaled(1e-6).show("%.0f"),
			f.loaded.resident.scaled(1 / float64(g.getEntries)).show("%.0f"),
			f.afterGets.resident.over(g.redis.afterGets.resident).show("%.2f"), f.afterGets.resident.scaled(1e-6).show("%.0f"), f.afterGets.proportional.scaled(1e-6).show("%.0f"),
		})
	}
	larger := largest(g.daemons, func(f *getFigures) samples {
		if f.inMemory {
			return nil
		}
		return largest([]*memorySamples{&f.loaded, &f.afterGets}, func(m *memorySamples) samples {
			if m == &f.loaded {
				return m.resident.over(g.redis.loaded.resident)
			}
			return m.resident.over(g.redis.afterGets.resident)
		})
	})
	s.targets = append(s.targets, target{
		"resident memory with a data directory next to redis-server, the larger of when loaded and after the GETs",
		fmt.Sprintf("at most %.1f", wantMemoryOver), larger.show("%.2f"), larger.median() <= wantMemoryOver,
	})
	check := table{
		title: "The load generator next to the stock one, both on a redis-server and on one entry alone (redis-benchmark cannot ask for such keys at random):",
		head:  []string{"pipeline", "this generator, redis-benchmark = 1", "this generator, operations/s", "redis-benchmark, operations/s", "this generator's CPU µs an operation, redis-server under the load above"},
	}
	for _, p := range g.pipelines {
		f := g.sanity[p]
		check.rows = append(check.rows, []string{fmt.Sprint(p), f.own.over(f.stock).show("%.2f"), f.own.show("%.0f"), f.stock.show("%.0f"),
			g.redis.byPipeline[p].ownCPUNanos.scaled(1e-3).show("%.2f")})
	}
	s.tables = []table{speed, space, check}
	return s
}
