package main

import (
	"context"
	"fmt"
	"time"
)

// setEntries is how many different keys are written.
const setEntries = 10_000

// setFigures are one candidate's, in µs.
type setFigures struct {
	p50, p99, max, mean, cpu samples
}

func (f *setFigures) add(r *writeResult) {
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	f.p50, f.p99, f.max = append(f.p50, micros(r.P50)), append(f.p99, micros(r.P99)), append(f.max, micros(r.Max))
	f.mean = append(f.mean, micros(r.Elapsed)/float64(r.Writes))
	if r.ServerCPU > 0 {
		f.cpu = append(f.cpu, micros(r.ServerCPU)/float64(r.Writes))
	}
}

// sets measures writes through the log.
type sets struct {
	*bench
	applied, acknowledged, produce setFigures
}

func (b *bench) measureSets(ctx context.Context) ([]section, error) {
	s := &sets{bench: b}
	for _, topic := range []string{"bench-set-applied", "bench-set-acknowledged", "bench-set-produce"} {
		if err := createTopic(ctx, b.kafka.Bootstrap, topic); err != nil {
			return nil, err
		}
	}
	// A broker that has just started compiles its code under the first load: nobody's round pays for that.
	if _, err := s.producer(ctx); err != nil {
		return nil, err
	}
	err := b.inTurn(
		func() error { return s.daemonSets(ctx, &s.applied, "applied") },
		func() error { return s.daemonSets(ctx, &s.acknowledged, "acknowledged") },
		func() error {
			if err := b.awaitQuiet(ctx, "a plain producer"); err != nil {
				return err
			}
			r, err := s.producer(ctx)
			if err == nil {
				s.produce.add(r)
				s.logf("plain producer: p50 %v, p99 %v", r.P50, r.P99)
			}
			return err
		},
	)
	if err != nil {
		return nil, err
	}
	return []section{s.section()}, nil
}

func (s *sets) load(addr, topic string) writeLoad {
	return writeLoad{Addr: addr, Topic: topic, Entries: setEntries, Warmup: max(100, s.options.sets/5), Writes: s.options.sets}
}

func (s *sets) producer(ctx context.Context) (*writeResult, error) {
	return runWorker[writeLoad, writeResult](ctx, "produce", s.load(s.kafka.Bootstrap[0], "bench-set-produce"))
}

func (s *sets) daemonSets(ctx context.Context, f *setFigures, reply string) error {
	d, _, err := s.startDaemon(ctx, "bench-set-"+reply, "", "--read-only=false", "--write-reply", reply)
	if err != nil {
		return err
	}
	defer d.proc.Kill()
	if err := s.awaitQuiet(ctx, "SET, "+reply); err != nil {
		return err
	}
	load := s.load(d.addr, "")
	load.ServerPID, load.CheckVisible = d.proc.PID(), reply == "applied"
	r, err := runWorker[writeLoad, writeResult](ctx, "set", load)
	if err != nil {
		return d.error(err)
	}
	f.add(r)
	s.logf("SET, %s: p50 %v, p99 %v", reply, r.P50, r.P99)
	_, err = d.stop()
	return err
}

const wantSetMicros = 1000

func (s *sets) section() section {
	row := func(name string, f setFigures) []string {
		return []string{name, f.p50.over(s.produce.p50).show("%.2f"), f.p50.show("%.0f"), f.p99.over(s.produce.p99).show("%.2f"), f.p99.show("%.0f"), f.mean.show("%.0f"), f.max.show("%.0f"), f.cpu.show("%.0f")}
	}
	return section{
		title: "SET",
		text: []string{fmt.Sprintf("One client that writes %d B values one after the other, %s writes after a warm-up, to a topic of one partition on one broker on the same machine, acks=all, no compression. "+
			"`applied` replies once this instance answers reads with the value: after each of those replies a GET on another connection, outside the time measured (its CPU time is in the table), must answer what was written, or the run fails. "+
			"The plain producer is franz-go, idempotent, without a linger, in a process of its own.", valueSize, thousands(s.options.sets))},
		tables: []table{{
			head: []string{"", "p50, plain producer = 1", "p50 µs", "p99, plain producer = 1", "p99 µs", "mean µs", "max µs", "kafka-cache's CPU µs a write"},
			rows: [][]string{
				row("SET, reply when applied", s.applied),
				row("SET, reply when acknowledged", s.acknowledged),
				row("plain producer", s.produce),
			},
		}},
		targets: []target{{"SET until it is visible on the same instance, one client, p50", "under 1 ms",
			s.applied.p50.scaled(1e-3).show("%.2f") + " ms", s.applied.p50.median() < wantSetMicros}},
	}
}
