package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// busy measures GETs at a fixed rate while records are applied.
type busy struct {
	*bench
	cases []*busyCase
	redis []*busyCase
}

// busyCase is one thing that goes on meanwhile.
type busyCase struct {
	name     string
	topic    string // that records are written to; empty: none
	fresh    bool   // the records have new keys, and the index grows
	p50, p99 samples
	cpu      samples // of the server, µs a GET, with what it applies
	behind   samples // ms from the last GET until all that was written is applied
	pebble   samples // flushes and compactions meanwhile
}

const (
	busyTopic  = "bench-busy"
	otherTopic = "bench-busy-other" // on the same broker, which nobody reads
	wantBusy   = 1.5                // p99, at rest = 1
)

func (b *bench) measureBusy(ctx context.Context) ([]section, error) {
	y := &busy{bench: b,
		cases: []*busyCase{
			{name: "kafka-cache at rest"},
			{name: "kafka-cache, records written to a topic that nobody reads", topic: otherTopic},
			{name: "kafka-cache, records applied that overwrite", topic: busyTopic},
			{name: "kafka-cache, records applied with new keys", topic: busyTopic, fresh: true},
		},
		redis: []*busyCase{{name: "redis-server at rest"}, {name: "redis-server, SETs that overwrite", topic: "redis"}},
	}
	if _, err := b.fill(ctx, busyTopic, b.getEntries); err != nil {
		return nil, err
	}
	if err := createTopic(ctx, b.kafka.Bootstrap, otherTopic); err != nil {
		return nil, err
	}
	if err := b.inTurn(func() error { return y.ofDaemon(ctx) }, func() error { return y.ofRedis(ctx) }); err != nil {
		return nil, err
	}
	return []section{y.section()}, nil
}

func (y *busy) ofDaemon(ctx context.Context) error {
	dir, err := y.tempDir("data")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, _, err := y.startDaemon(ctx, busyTopic, dir)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	c, err := dialRESP(s.addr)
	if err != nil {
		return err
	}
	defer c.close()
	for _, f := range y.cases {
		if err := y.measureCase(ctx, s, f, c); err != nil {
			return err
		}
	}
	_, err = s.stop()
	return err
}

func (y *busy) ofRedis(ctx context.Context) error {
	s, err := y.startRedis(ctx, y.getEntries)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	for _, f := range y.redis {
		if err := y.measureCase(ctx, s, f, nil); err != nil {
			return err
		}
	}
	_, err = s.stop()
	return err
}

// measureCase has GETs asked at their rate while records are written at theirs. sync is a connection to a kafka-cache, nil for redis-server.
func (y *busy) measureCase(ctx context.Context, s *server, f *busyCase, sync *respConn) error {
	if err := y.awaitQuiet(ctx, f.name); err != nil {
		return err
	}
	before, err := y.storeWork(ctx, s)
	if err != nil {
		return s.error(err)
	}
	written := make(chan error, 1)
	lead := time.Duration(0)
	if f.topic != "" {
		// The writer begins first, and ends last: it is there all the time that is measured.
		lead = time.Second
		load := rateLoad{Addr: y.bootstrap(), Topic: f.topic, PerSecond: y.busyWrites, Entries: uint64(y.getEntries), Fresh: f.fresh,
			For: lead + y.warmup + y.options.measure + time.Second}
		worker := "produce-rate"
		if sync == nil {
			load.Addr, worker = s.addr, "set-rate"
		}
		go func() {
			r, err := runWorker[rateLoad, rateResult](ctx, worker, load)
			if err == nil && float64(r.Written) < 0.98*float64(y.busyWrites)*load.For.Seconds() {
				err = fmt.Errorf("only %d records were written in %v, of %d a second", r.Written, load.For, y.busyWrites)
			}
			written <- err
		}()
	} else {
		written <- nil
	}
	r, err := runWorker[getLoad, getResult](ctx, "get", getLoad{
		Addr: s.addr, ServerPID: s.proc.PID(), Connections: y.connections, Pipeline: 1, Rate: y.busyReads, Entries: uint64(y.getEntries),
		Warmup: lead + y.warmup, Measure: y.options.measure, Seed: rand.Uint64(),
	})
	if writeErr := <-written; err == nil {
		err = writeErr
	}
	if err != nil {
		return s.error(err)
	}
	f.p50, f.p99 = append(f.p50, float64(r.P50.Nanoseconds())/1e3), append(f.p99, float64(r.P99.Nanoseconds())/1e3)
	f.cpu = append(f.cpu, r.serverCPUPerOp()/1e3)
	if sync != nil {
		began := time.Now()
		if _, err := sync.do([]byte("KAFKA.SYNC"), []byte("20000")); err != nil {
			return s.error(fmt.Errorf("%s: it does not reach the end: %w", f.name, err))
		}
		f.behind = append(f.behind, float64(time.Since(began).Microseconds())/1e3)
		after, err := y.storeWork(ctx, s)
		if err != nil {
			return s.error(err)
		}
		f.pebble = append(f.pebble, after-before)
	}
	y.logf("%s: p50 %v, p99 %v", f.name, r.P50, r.P99)
	return nil
}

// storeWork counts the flushes and compactions of a kafka-cache.
func (y *busy) storeWork(ctx context.Context, s *server) (float64, error) {
	if s.admin == "" {
		return 0, nil
	}
	sum := 0.0
	for _, name := range []string{"kafka_cache_pebble_flushes_total", "kafka_cache_pebble_compactions_total"} {
		v, err := s.metric(ctx, name)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

func (y *busy) section() section {
	rest, redisRest := y.cases[0], y.redis[0]
	t := table{head: []string{"", "p99, at rest = 1", "p50 µs", "p99 µs", "CPU µs a GET, all that it does", "flushes and compactions", "ms until the end is reached, afterwards"}}
	for _, f := range y.cases {
		t.rows = append(t.rows, []string{f.name, f.p99.over(rest.p99).show("%.2f"), f.p50.show("%.0f"), f.p99.show("%.0f"), f.cpu.show("%.1f"), f.pebble.show("%.0f"), f.behind.show("%.1f")})
	}
	for _, f := range y.redis {
		t.rows = append(t.rows, []string{f.name, f.p99.over(redisRest.p99).show("%.2f"), f.p50.show("%.0f"), f.p99.show("%.0f"), f.cpu.show("%.1f"), "—", "—"})
	}
	longest := largest(y.cases[2:], func(f *busyCase) samples { return f.p99.over(rest.p99) })
	return section{
		title: "GET while records are applied",
		text: []string{fmt.Sprintf("An open loop: %s GETs a second fall due at even distances over %d connections and are timed from when they were due. Meanwhile %s records a second of %d B are written, by franz-go to Kafka or in pipelines to redis-server, for the whole of the %v that are measured. "+
			"What the writer and the broker alone cost, on a machine that they share with the server and the generator, shows where the records go to a topic that nobody reads. kafka-cache with a data directory of %s entries at first.",
			thousands(y.busyReads), y.connections, thousands(y.busyWrites), keySize+valueSize, y.options.measure, thousands(y.getEntries))},
		tables: []table{t},
		targets: []target{{
			fmt.Sprintf("p99 of %s GETs a second while %s records a second are applied, at rest = 1, the longer of overwritten and of new keys", thousands(y.busyReads), thousands(y.busyWrites)),
			"at most " + strconv.FormatFloat(wantBusy, 'f', 1, 64), longest.show("%.2f"), longest.median() <= wantBusy,
		}},
	}
}
