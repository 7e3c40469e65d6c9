package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Sizes of the guard: small enough for the whole of it to take less than a minute on two cores that have other work too.
const (
	smokeTopic   = "bench-smoke"
	smokeEntries = 200_000
	smokeRounds  = 3
	smokeWarmup  = 300 * time.Millisecond
	smokeMeasure = time.Second
)

// bound is a ratio that has to be reached, in the best of the rounds: what else a machine does makes a round worse, and never better.
type bound struct {
	what   string
	least  float64
	reason string // why no more is asked for
	got    samples
}

func (f *bound) best() float64 {
	best := 0.0
	for _, v := range f.got {
		best = max(best, v)
	}
	return best
}

// smoke is the guard against gross regressions: ratios to what runs beside in the same round, whatever the machine is worth.
type smoke struct {
	*bench
	get  map[int]*bound
	load *bound
}

func (s *smoke) bounds() []*bound { return []*bound{s.get[1], s.get[16], s.load} }

// runSmoke measures, prints a line for each bound, and fails when one of them is missed.
func (b *bench) runSmoke(ctx context.Context) error {
	began := time.Now()
	s := &smoke{bench: b,
		get: map[int]*bound{
			1: {what: "GET, 50 connections, pipeline 1, operations/s next to redis-server", least: 0.5,
				reason: "about 1 on a quiet machine, of which other work takes up to a third"},
			16: {what: "GET, 50 connections, pipeline 16, operations/s next to redis-server", least: 0.8,
				reason: "about 1.5 on a quiet machine"},
		},
		load: &bound{what: fmt.Sprintf("cold load of %s records, rate next to a raw Broker.Fetch", thousands(smokeEntries)), least: 0.1,
			reason: "0.15 to 0.4 for so few, since the start of a process counts, which takes a tenth of a second by itself"},
	}
	if _, err := b.fill(ctx, smokeTopic, smokeEntries); err != nil {
		return err
	}
	redis, err := b.startRedis(ctx, smokeEntries)
	if err != nil {
		return err
	}
	defer redis.proc.Kill()
	for round := range smokeRounds {
		if err := s.round(ctx, redis, round); err != nil {
			return err
		}
	}
	if _, err := redis.stop(); err != nil {
		return err
	}
	err = verdicts(s.bounds(), b.logf)
	b.logf("took %v", time.Since(began).Round(time.Second))
	return err
}

func (s *smoke) round(ctx context.Context, redis *server, round int) error {
	var raw loadFigures
	if err := s.rawFetch(ctx, smokeTopic, 1, smokeEntries, &raw); err != nil {
		return err
	}
	ours, took, err := s.startDaemon(ctx, smokeTopic, "")
	if err != nil {
		return err
	}
	defer ours.proc.Kill()
	s.load.got = append(s.load.got, raw.seconds[0]/took.Seconds())
	if err := checkEntries(ours.addr, smokeEntries); err != nil {
		return ours.error(err)
	}
	for _, p := range []int{1, 16} {
		servers := []*server{redis, ours}
		if round%2 == 1 {
			servers = []*server{ours, redis}
		}
		rate := map[*server]float64{}
		for _, to := range servers {
			r, err := runWorker[getLoad, getResult](ctx, "get", getLoad{
				Addr: to.addr, ServerPID: to.proc.PID(), Connections: 50, Pipeline: p, Entries: smokeEntries,
				Warmup: smokeWarmup, Measure: smokeMeasure, Seed: rand.Uint64(),
			})
			if err != nil {
				return to.error(err)
			}
			rate[to] = r.perSecond()
		}
		s.get[p].got = append(s.get[p].got, rate[ours]/rate[redis])
	}
	_, err = ours.stop()
	return err
}

// verdicts tells of each bound what was reached, and is an error that names those that were missed.
func verdicts(bounds []*bound, logf func(string, ...any)) error {
	var errs []error
	for _, f := range bounds {
		verdict := "ok"
		if !(f.best() >= f.least) {
			verdict = "MISSED"
			errs = append(errs, fmt.Errorf("%s: %.2f at best, and at least %.2f is asked for (%s)", f.what, f.best(), f.least, f.reason))
		}
		logf("%s: %s: best %.2f, at least %.2f; %s", verdict, f.what, f.best(), f.least, f.got.show("%.2f"))
	}
	return errors.Join(errs...)
}
