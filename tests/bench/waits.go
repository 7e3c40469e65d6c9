package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/tests/internal/crowd"
)

const waitsTopic = "bench-waits"

// fewWaits are what many are compared with.
const fewWaits = 100

// waitFigures are of n connections that wait for a record at once.
type waitFigures struct {
	idle, waiting       samples // bytes more than without the connections
	set, setP99         samples // µs
	visible, visibleP99 samples // µs
	released            samples // ms
}

// waitsAtOnce measures what connections cost that are idle, and that wait, and what they cost others.
type waitsAtOnce struct {
	*bench
	few, many waitFigures
}

func (b *bench) measureWaits(ctx context.Context) ([]section, error) {
	if err := crowd.RaiseFileLimit(uint64(b.waits) + 1000); err != nil {
		return nil, err
	}
	if err := createTopic(ctx, b.kafka.Bootstrap, waitsTopic); err != nil {
		return nil, err
	}
	w := &waitsAtOnce{bench: b}
	err := b.inTurn(
		func() error { return w.measure(ctx, &w.few, fewWaits) },
		func() error { return w.measure(ctx, &w.many, b.waits) },
	)
	if err != nil {
		return nil, err
	}
	return []section{w.section()}, nil
}

// measure has n connections wait for a record that is written at the end, and times writes of one client meanwhile.
func (w *waitsAtOnce) measure(ctx context.Context, f *waitFigures, n int) error {
	if err := w.awaitQuiet(ctx, fmt.Sprintf("%d waits", n)); err != nil {
		return err
	}
	s, _, err := w.startDaemon(ctx, waitsTopic, "", "--read-only=false", "--resp-maxclients", strconv.Itoa(n+100))
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := w.measureServer(ctx, s, f, n); err != nil {
		return s.error(err)
	}
	_, err = s.stop()
	return err
}

func (w *waitsAtOnce) measureServer(ctx context.Context, s *server, f *waitFigures, n int) error {
	c, err := dialRESP(s.addr)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := timeProbes(c, w.probes); err != nil { // warms up
		return err
	}
	before, err := memoryOf(s.proc.PID())
	if err != nil {
		return err
	}
	all, err := crowd.Gather(ctx, s.addr, n)
	if err != nil {
		return err
	}
	defer all.Close()
	idle, err := memoryOf(s.proc.PID())
	if err != nil {
		return err
	}
	token, err := c.do([]byte("KAFKA.POSITION"))
	if err != nil {
		return err
	}
	at, err := position.Parse(string(token))
	if err != nil {
		return err
	}
	// The probes write one record each; what is waited for comes behind them.
	next, _ := at.Next(0)
	awaited := position.OfRecord(at.Topic(), 0, next+int64(w.probes))
	if err := all.Send("KAFKA.WAIT " + awaited.String() + " 0"); err != nil {
		return err
	}
	took, err := timeProbes(c, w.probes)
	if err != nil {
		return err
	}
	waiting, err := memoryOf(s.proc.PID())
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := c.do([]byte("SET"), []byte("release"), []byte("{}")); err != nil {
		return err
	}
	if err := all.Expect(":1"); err != nil {
		return err
	}
	f.released = append(f.released, time.Since(began).Seconds()*1e3)
	f.idle = append(f.idle, float64(idle.resident-before.resident))
	f.waiting = append(f.waiting, float64(waiting.resident-before.resident))
	f.set, f.setP99 = append(f.set, took.set.p50), append(f.setP99, took.set.p99)
	f.visible, f.visibleP99 = append(f.visible, took.visible.p50), append(f.visibleP99, took.visible.p99)
	w.logf("%d waits: %.1f MB idle, %.1f MB waiting, SET p50 %.0f µs, released after %.0f ms", n, f.idle[len(f.idle)-1]/1e6, f.waiting[len(f.waiting)-1]/1e6, took.set.p50, f.released[len(f.released)-1])
	return nil
}

// writeTimes are of a SET alone, and with a WAIT for it behind it.
type writeTimes struct{ set, visible quantiles }

// quantiles are in µs.
type quantiles struct{ p50, p99 float64 }

func quantilesOf(d []time.Duration) quantiles {
	slices.Sort(d)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	return quantiles{micros(d[len(d)/2]), micros(d[len(d)*99/100])}
}

func timeProbes(c *respConn, n int) (writeTimes, error) {
	var sets, visible []time.Duration
	for i := range n {
		began := time.Now()
		if _, err := c.do([]byte("SET"), []byte("probe"+strconv.Itoa(i%100)), []byte(strconv.Itoa(i))); err != nil {
			return writeTimes{}, err
		}
		sets = append(sets, time.Since(began))
		reached, err := c.do([]byte("WAIT"), []byte("1"), []byte("10000"))
		if err != nil || string(reached) != "1" {
			return writeTimes{}, fmt.Errorf("WAIT replies %q, %w", reached, err)
		}
		visible = append(visible, time.Since(began))
	}
	return writeTimes{quantilesOf(sets), quantilesOf(visible)}, nil
}

// Targets of many waits.
const (
	wantWaitsBytes = 100e6
	wantWaitsOver  = 1.2
)

func (w *waitsAtOnce) section() section {
	row := func(n int, f waitFigures) []string {
		return []string{
			thousands(n), f.idle.scaled(1e-6).show("%.1f"), f.waiting.scaled(1e-6).show("%.1f"), f.visible.over(w.few.visible).show("%.2f"), f.set.show("%.0f"), f.setP99.show("%.0f"),
			f.visible.show("%.0f"), f.visibleP99.show("%.0f"), f.released.show("%.0f"),
		}
	}
	many := thousands(w.waits)
	slower := w.many.visible.over(w.few.visible)
	return section{
		title: "Waits",
		text: []string{fmt.Sprintf("That many connections are opened, send a PING each, and then a `KAFKA.WAIT` for a record that is written at the end. Memory is what the process has more than without them: with all of them idle, and with all of "+
			"them waiting after the writes. Meanwhile one client writes %s times a SET that replies when it is applied, and a `WAIT 1` for it. The last column is from the SET that all wait for until each has its reply, read one after the other.", thousands(w.probes))},
		tables: []table{{
			head: []string{"waiting", "MB idle", "MB waiting", "SET and WAIT p50, among 100 = 1", "SET p50 µs", "SET p99 µs", "SET and WAIT p50 µs", "SET and WAIT p99 µs", "ms until all are released"},
			rows: [][]string{row(fewWaits, w.few), row(w.waits, w.many)},
		}},
		targets: []target{
			{many + " waits with their connections", "at most 100 MB", w.many.waiting.scaled(1e-6).show("%.1f") + " MB", w.many.waiting.median() <= wantWaitsBytes},
			{"SET and the wait for it among " + many + " waits next to among 100, p50", "at most 1.2", slower.show("%.2f"), slower.median() <= wantWaitsOver},
		},
	}
}
