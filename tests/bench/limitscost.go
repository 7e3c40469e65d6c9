package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// costPipeline is how many GETs each connection has in flight.
const costPipeline = 16

// Slices are short and take turns, so that what the machine does meanwhile falls on all alike.
const (
	sliceWarmup  = 300 * time.Millisecond
	sliceMeasure = 1500 * time.Millisecond
)

// costFigures are of one variant of the daemon, one sample a slice.
type costFigures struct{ perSecond, cpuNanos samples }

// The variants.
const (
	withAll    = iota // as it is, with a password
	optionsOff        // as it is, with what can be switched off switched off
	without           // built without the rest too
	variants
)

var variantNames = [variants]string{"as it is, logged in with a password", "without a password, slow log off", "built without any of it"}

// cost measures the variants in slices that take turns, each in a process of its own that is there from the beginning to the end of the round.
func (l *limits) cost(ctx context.Context, bare string) error {
	if err := l.awaitQuiet(ctx, "the cost of limits"); err != nil {
		return err
	}
	const password = "a-long-one-that-nobody-guesses"
	file := filepath.Join(l.dir, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		return err
	}
	var all [variants]*server
	defer func() {
		for _, s := range all {
			if s != nil {
				s.proc.Kill()
			}
		}
	}()
	for v := range all {
		b := *l.bench
		var args []string
		switch v {
		case withAll:
			args = []string{"--resp-password-file", file}
		case without:
			b.daemon = bare
		}
		s, _, err := b.startDaemon(ctx, limitsTopic, "", args...)
		if err != nil {
			return err
		}
		all[v] = s
		if v != withAll {
			if err := slowLogOff(s.addr); err != nil {
				return s.error(err)
			}
		}
	}
	for slice := range l.slices {
		for v := range all {
			if slice%2 == 1 {
				v = variants - 1 - v
			}
			o := getLoad{Addr: all[v].addr, ServerPID: all[v].proc.PID(), Connections: l.connections, Pipeline: costPipeline, Entries: limitsEntries,
				Warmup: sliceWarmup, Measure: sliceMeasure, Seed: rand.Uint64()}
			if v == withAll {
				o.Password = password
			}
			r, err := runWorker[getLoad, getResult](ctx, "get", o)
			if err != nil {
				return all[v].error(err)
			}
			f := &l.costs[v]
			f.perSecond, f.cpuNanos = append(f.perSecond, r.perSecond()), append(f.cpuNanos, r.serverCPUPerOp())
		}
	}
	l.logf("cost: %s and %s of the throughput of a server without, CPU %s and %s", l.costs[withAll].perSecond.over(l.costs[without].perSecond).show("%.3f"), l.costs[optionsOff].perSecond.over(l.costs[without].perSecond).show("%.3f"),
		l.costs[withAll].cpuNanos.over(l.costs[without].cpuNanos).show("%.3f"), l.costs[optionsOff].cpuNanos.over(l.costs[without].cpuNanos).show("%.3f"))
	for _, s := range all {
		if _, err := s.stop(); err != nil {
			return err
		}
	}
	return nil
}

func slowLogOff(addr string) error {
	c, err := dialRESP(addr)
	if err != nil {
		return err
	}
	defer c.close()
	ok, err := c.do([]byte("CONFIG"), []byte("SET"), []byte("slowlog-log-slower-than"), []byte("-1"))
	if err == nil && string(ok) != "OK" {
		err = errors.New("CONFIG SET is answered " + string(ok))
	}
	return err
}

// wantCost is the least part of the throughput without limits that is to be left with them.
const wantCost = 0.95

func (l *limits) costSection() section {
	base := &l.costs[without]
	t := table{head: []string{"", "operations/s, without = 1", "operations/s", "server CPU an operation, without = 1", "server CPU µs an operation"}}
	for v, f := range l.costs {
		t.rows = append(t.rows, []string{
			variantNames[v], f.perSecond.over(base.perSecond).show("%.3f"), f.perSecond.show("%.0f"), f.cpuNanos.over(base.cpuNanos).show("%.3f"), f.cpuNanos.scaled(1e-3).show("%.2f"),
		})
	}
	left := l.costs[withAll].perSecond.over(base.perSecond)
	return section{
		title: "What limits cost",
		text: []string{
			fmt.Sprintf("GETs as above, %d in flight on each of %d connections, of %s entries. The daemon runs as it is with a password, with what can be switched off switched off (the password and the slow log), and in a build for this purpose from which the rest has been taken out as well: "+
				"the checks whether a connection is logged in and of its rights, tracking's (which is off), the slow log's, the accounts of buffers with their limits, the lane of large replies, and the time of idleness (`tests/bench/bare.go`). The three are alive at the same time and take turns of %v: %d in each round.",
				costPipeline, l.connections, thousands(limitsEntries), sliceMeasure, l.slices),
		},
		tables:  []table{t},
		targets: []target{{fmt.Sprintf("GET at pipeline %d with authentication, limits, tracking off and the slow log, next to a build without", costPipeline), fmt.Sprintf("at least %.2f", wantCost), left.show("%.3f"), left.median() >= wantCost}},
	}
}
