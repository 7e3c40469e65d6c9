package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"time"
)

// floodFigures are of a daemon within one pair of limits.
type floodFigures struct {
	memory, buffers string // --memory-limit and --resp-buffer-limit; "" for the latter leaves it to the daemon
	bytes           int64  // what memory is

	before, peak samples // resident bytes
	opened       samples // connections of the flood
	closed, open floodEffect
}

// floodEffect is what a client that goes on sees before the flood, during one that another process's socket takes and nobody answers, which is what the
// attacker itself takes of the machine, and during it.
type floodEffect struct{ before, elsewhere, during bystander }

type bystander struct{ perSecond, p50, p99 samples } // latencies in µs

func (b *bystander) add(r *getResult) {
	b.perSecond = append(b.perSecond, r.perSecond())
	b.p50 = append(b.p50, float64(r.P50.Nanoseconds())/1e3)
	b.p99 = append(b.p99, float64(r.P99.Nanoseconds())/1e3)
}

func newFloods() []*floodFigures {
	return []*floodFigures{
		{memory: "768Mi", bytes: 768 << 20},
		{memory: "448Mi", bytes: 448 << 20},
	}
}

const (
	floodDepth = 100
	// floodTime is how long a flood lasts and its effect is measured: long enough for its beginning, in which what is asked for is made, to be a part of it.
	floodTime = 10 * time.Second
)

// flood measures one daemon before and during it.
func (l *limits) flood(ctx context.Context, f *floodFigures) error {
	if err := l.awaitQuiet(ctx, "a flood within "+f.memory); err != nil {
		return err
	}
	args := []string{"--memory-limit", f.memory}
	if f.buffers != "" {
		args = append(args, "--resp-buffer-limit", f.buffers)
	}
	s, _, err := l.startDaemon(ctx, limitsTopic, "", args...)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := l.measureFlood(ctx, s, f); err != nil {
		return s.error(err)
	}
	_, err = s.stop()
	return err
}

func (l *limits) measureFlood(ctx context.Context, s *server, f *floodFigures) error {
	load := getLoad{Addr: s.addr, ServerPID: s.proc.PID(), Connections: l.connections, Pipeline: 1, Entries: limitsEntries, Warmup: l.warmup, Measure: floodTime}
	for _, effect := range []struct {
		rate int
		*floodEffect
	}{{0, &f.closed}, {l.rate, &f.open}} {
		load.Rate, load.Seed = effect.rate, rand.Uint64()
		quiet, err := runWorker[getLoad, getResult](ctx, "get", load)
		if err != nil {
			return err
		}
		effect.before.add(quiet)
		unanswered, err := l.floodElsewhere(ctx, load)
		if err != nil {
			return err
		}
		effect.elsewhere.add(unanswered)
		m, err := memoryOf(s.proc.PID())
		if err != nil {
			return err
		}
		if err := resetPeak(s.proc.PID()); err != nil {
			return err
		}
		disturbed, o, err := l.getDuringFlood(ctx, load, s.addr)
		if err != nil {
			return err
		}
		effect.during.add(disturbed)
		after, err := memoryOf(s.proc.PID())
		if err != nil {
			return err
		}
		f.before, f.peak, f.opened = append(f.before, float64(m.resident)), append(f.peak, float64(after.peak)), append(f.opened, float64(o.Opened))
		l.logf("within %s, rate %d: %.0f MB before, peak %.0f MB; %.0f/s p50 %v p99 %v before, %.0f/s p50 %v p99 %v with one elsewhere, %.0f/s p50 %v p99 %v during; %d opened, %d failed", f.memory, effect.rate, float64(m.resident)/1e6, float64(after.peak)/1e6,
			quiet.perSecond(), quiet.P50, quiet.P99, unanswered.perSecond(), unanswered.P50, unanswered.P99, disturbed.perSecond(), disturbed.P50, disturbed.P99, o.Opened, o.Failed)
	}
	return nil
}

// floodElsewhere measures GETs while the flood goes to a socket that the kernel answers alone.
func (l *limits) floodElsewhere(ctx context.Context, load getLoad) (*getResult, error) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer nobody.Close()
	r, _, err := l.getDuringFlood(ctx, load, nobody.Addr().String())
	return r, err
}

// getDuringFlood measures GETs while addr is flooded.
func (l *limits) getDuringFlood(ctx context.Context, load getLoad, addr string) (*getResult, *floodResult, error) {
	type outcome struct {
		*floodResult
		error
	}
	flooded := make(chan outcome, 1)
	go func() {
		r, err := runWorker[flood, floodResult](ctx, "flood", flood{Addr: addr, Connections: l.readers, Depth: floodDepth, Key: largeKey, Delay: l.warmup, For: floodTime})
		flooded <- outcome{r, err}
	}()
	r, err := runWorker[getLoad, getResult](ctx, "get", load)
	o := <-flooded
	return r, o.floodResult, errors.Join(err, o.error)
}

// resetPeak makes the kernel count a process's peak anew (clear_refs, proc(5)).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// wantFloodOver is how much slower who goes on may become.
const wantFloodOver = 1.2

func (l *limits) floodSection() section {
	memory := table{head: []string{"`--memory-limit`, MB", "resident MB before", "peak MB", "peak, limit = 1", "connections that came, with those that came again"}}
	others := table{
		title: "Of the client that goes on meanwhile:",
		head:  []string{"`--memory-limit`", "", "GETs/s before", "GETs/s during, before = 1", "p50 µs before", "p50 during, before = 1", "p99 µs before", "p99 with a flood elsewhere, before = 1", "p99 during, before = 1"},
	}
	n := thousands(l.readers)
	s := section{
		title: "Who does not read",
		text: []string{fmt.Sprintf("%s connections send %d GETs of a value of 1 MB at once and read nothing. Once a second each sends one more, by which it notices that it has been closed, and comes again. The peak is of the process's resident memory in the %v from the first of them on. "+
			"Meanwhile another client, over %d connections, reads small values: in a closed loop, where each reply is followed by the next GET, and at a fixed rate of %s a second, where a GET is timed from when it was due. All share the machine, and the flood takes a part of the processors before it has sent anything: how much that is shows the same flood at a socket that nobody accepts from, *elsewhere*, while the client reads from a daemon that is not attacked.",
			n, floodDepth, floodTime, l.connections, thousands(l.rate))},
	}
	for _, f := range l.floods {
		over := f.peak.scaled(1 / float64(f.bytes))
		memory.rows = append(memory.rows, []string{fmt.Sprintf("%s, %.0f", f.memory, float64(f.bytes)/1e6), f.before.scaled(1e-6).show("%.0f"), f.peak.scaled(1e-6).show("%.0f"), over.show("%.2f"), f.opened.show("%.0f")})
		s.targets = append(s.targets, target{fmt.Sprintf("memory with %s connections that do not read, within `--memory-limit=%s`", n, f.memory), "at most 1.00 of it", over.show("%.2f"), slices.Max(over) <= 1})
		for _, e := range []struct {
			name string
			floodEffect
		}{{"closed loop", f.closed}, {"at a fixed rate", f.open}} {
			perSecond, p50, p99 := e.during.perSecond.over(e.before.perSecond), e.during.p50.over(e.before.p50), e.during.p99.over(e.before.p99)
			others.rows = append(others.rows, []string{f.memory, e.name, e.before.perSecond.show("%.0f"), perSecond.show("%.2f"), e.before.p50.show("%.0f"), p50.show("%.2f"), e.before.p99.show("%.0f"), e.elsewhere.p99.over(e.before.p99).show("%.2f"), p99.show("%.2f")})
			s.targets = append(s.targets,
				target{"GETs of others meanwhile, " + e.name + ", within " + f.memory, fmt.Sprintf("at least %.2f of before", 1/wantFloodOver), perSecond.show("%.2f"), perSecond.median() >= 1/wantFloodOver},
				target{"their p99", fmt.Sprintf("at most %.1f of before", wantFloodOver), p99.show("%.2f"), p99.median() <= wantFloodOver},
			)
		}
	}
	s.tables = []table{memory, others}
	return s
}
