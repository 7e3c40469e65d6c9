package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// Topics of the scenario: one partition; four; four with a part of the keys in two of them.
const (
	rebuildTopic = "bench-rebuild"
	spreadTopic  = "bench-rebuild-spread"
	splitTopic   = "bench-rebuild-split"

	spreadOver = 4
	splitEvery = 10 // of so many keys one has records in two partitions
)

// rebuilds measures the ways in which a log is read again, next to reading it for the first time.
type rebuilds struct {
	*bench
	cold, beside, rebuilt, verified, spread, split readFigures
	splitRecords                                   int
}

// readFigures are of one way to read a log.
type readFigures struct{ seconds, cpuSeconds samples }

func (b *bench) measureRebuilds(ctx context.Context) ([]section, error) {
	r := &rebuilds{bench: b}
	if _, err := b.fill(ctx, rebuildTopic, b.loadEntries); err != nil {
		return nil, err
	}
	n := uint64(b.loadEntries)
	if _, err := fillPartitions(ctx, b.kafka.Bootstrap, spreadTopic, spreadOver, b.batchBytes, func(write func(int32, uint64)) {
		for i := range n {
			write(int32(i%spreadOver), i)
		}
	}); err != nil {
		return nil, err
	}
	if _, err := fillPartitions(ctx, b.kafka.Bootstrap, splitTopic, spreadOver, b.batchBytes, func(write func(int32, uint64)) {
		for i := range n {
			write(int32(i%spreadOver), i)
			r.splitRecords++
			if i%splitEvery == splitEvery-1 {
				old := i + 1 - splitEvery
				write(int32((old+1)%spreadOver), old)
				r.splitRecords++
			}
		}
	}); err != nil {
		return nil, err
	}
	err := b.inTurn(
		func() error { return r.readAgain(ctx) },
		func() error { return r.read(ctx, &r.spread, spreadTopic, "a load of four partitions") },
		func() error { return r.read(ctx, &r.split, splitTopic, "a load of four partitions and split keys") },
	)
	if err != nil {
		return nil, err
	}
	return []section{r.section()}, nil
}

// read is one cold load into a directory of its own.
func (r *rebuilds) read(ctx context.Context, f *readFigures, topic, what string) error {
	dir, err := r.tempDir("data")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return r.timed(ctx, f, topic, dir, what, passage{from: `msg="topic state"`, to: "msg=ready topic="})
}

// readAgain loads, rebuilds with another key encoding while the former contents are served, and verifies.
func (r *rebuilds) readAgain(ctx context.Context) error {
	dir, err := r.tempDir("data")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := r.timed(ctx, &r.cold, rebuildTopic, dir, "a cold load", passage{from: `msg="topic state"`, to: "msg=ready topic="}); err != nil {
		return err
	}
	if err := r.readBeside(ctx, dir); err != nil {
		return err
	}
	other := []string{"--key-encoding", "binary"}
	if err := r.timed(ctx, &r.rebuilt, rebuildTopic, dir, "a rebuild", passage{from: `msg="the store is made anew`, to: "msg=ready topic="}, other...); err != nil {
		return err
	}
	// A retention of tombstones so short that every start is too late for them.
	if err := setTopic(ctx, r.kafka.Bootstrap, rebuildTopic, "delete.retention.ms", "1000"); err != nil {
		return err
	}
	if err := r.timed(ctx, &r.verified, rebuildTopic, dir, "a verification",
		passage{from: `msg="tombstones may have been missed`, to: `msg="verified against the log"`}, other...); err != nil {
		return err
	}
	return setTopic(ctx, r.kafka.Bootstrap, rebuildTopic, "delete.retention.ms", "86400000")
}

// readBeside is a cold load while another process holds as much in memory, having loaded it from dir just before: what a rebuild does, but for what
// the rebuild itself costs. The first use of memory that a system has not given out lately is dear, most of all in a virtual machine whose host
// takes back what lies idle, and a cold load that follows the end of another process is spared it.
func (r *rebuilds) readBeside(ctx context.Context, dir string) error {
	if err := r.awaitQuiet(ctx, "a cold load beside as much"); err != nil {
		return err
	}
	holder, err := r.launchDaemon(rebuildTopic, dir)
	if err != nil {
		return err
	}
	defer holder.proc.Kill()
	if _, err := holder.daemonReady(ctx); err != nil {
		return err
	}
	fresh, err := r.tempDir("data")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	err = r.timedAtOnce(ctx, &r.beside, rebuildTopic, fresh, "a cold load beside as much", passage{from: `msg="topic state"`, to: "msg=ready topic="})
	if err != nil {
		return err
	}
	_, err = holder.stop()
	return err
}

// passage is what begins and ends with a line of the log; the latter says how long it took.
type passage struct{ from, to string }

func (r *rebuilds) timed(ctx context.Context, f *readFigures, topic, dir, what string, p passage, args ...string) error {
	if err := r.awaitQuiet(ctx, what); err != nil {
		return err
	}
	return r.timedAtOnce(ctx, f, topic, dir, what, p, args...)
}

// timedAtOnce is timed without waiting for a machine that is idle.
func (r *rebuilds) timedAtOnce(ctx context.Context, f *readFigures, topic, dir, what string, p passage, args ...string) error {
	s, err := r.launchDaemon(topic, dir, args...)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	line := func(begin string) func(string) (string, bool) {
		return func(s string) (string, bool) { return s, strings.Contains(s, begin) }
	}
	if _, _, err := s.waitLine(ctx, line(p.from)); err != nil {
		return err
	}
	before, err := cpuTime(s.proc.PID())
	if err != nil {
		return err
	}
	last, _, err := s.waitLine(ctx, line(p.to))
	if err != nil {
		return err
	}
	after, err := cpuTime(s.proc.PID())
	if err != nil {
		return err
	}
	if _, err := s.daemonReady(ctx); err != nil {
		return err
	}
	if err := checkEntries(s.addr, r.loadEntries); err != nil {
		return s.error(err)
	}
	took, err := tookOf(last)
	if err != nil {
		return s.error(err)
	}
	r.logf("%s took %.2f s", what, took.Seconds())
	f.seconds = append(f.seconds, took.Seconds())
	f.cpuSeconds = append(f.cpuSeconds, (after - before).Seconds())
	_, err = s.stop()
	return err
}

// tookOf is what a line of the log says that something took.
func tookOf(line string) (time.Duration, error) {
	for field := range strings.FieldsSeq(line) {
		if v, ok := strings.CutPrefix(field, "took="); ok {
			return time.ParseDuration(v)
		}
	}
	return 0, fmt.Errorf("no took= in %q", line)
}

// wantRebuildOver is what a rebuild is to come to next to a cold load beside as much. The tenth that it lacks is for the noise of a machine that is shared.
const wantRebuildOver = 0.9

func (r *rebuilds) section() section {
	rate := func(f readFigures, records int) samples {
		s := make(samples, len(f.seconds))
		for i, x := range f.seconds {
			s[i] = float64(records) / x
		}
		return s
	}
	n := r.loadEntries
	row := func(name string, f readFigures, records int, base samples) []string {
		return []string{name, rate(f, records).over(base).show("%.2f"), rate(f, records).scaled(1e-6).show("%.2f"), f.seconds.show("%.1f"),
			f.cpuSeconds.scaled(1e6 / float64(records)).show("%.2f")}
	}
	cold, spread := rate(r.cold, n), rate(r.spread, n)
	ratio := rate(r.rebuilt, n).over(rate(r.beside, n))
	return section{
		title: "Reading the log again",
		text: []string{fmt.Sprintf("With a data directory, from when a daemon begins to read the log until it has: %s records as above. A rebuild is made for another key encoding, beside the former contents, which are served meanwhile; a cold load beside as much is the same for memory: another process has just loaded the former contents and holds them. A verification reads the log again "+
			"from its start against what was loaded from disk. Then the same over %d partitions, and with %s records more so that one of %d keys has records in two of them; base is the row above the line, or the plain %d partitions.",
			thousands(n), spreadOver, thousands(r.splitRecords-n), splitEvery, spreadOver)},
		tables: []table{{
			head: []string{"", "rate, base = 1", "M records/s", "s", "CPU µs a record"},
			rows: [][]string{
				row("cold load (base)", r.cold, n, cold),
				row("cold load beside as much in another process", r.beside, n, cold),
				row("rebuild beside what is served", r.rebuilt, n, cold),
				row("verification", r.verified, n, cold),
				row(fmt.Sprintf("cold load of %d partitions (base of what follows)", spreadOver), r.spread, n, spread),
				row(fmt.Sprintf("cold load of %d partitions with split keys", spreadOver), r.split, r.splitRecords, spread),
			},
		}},
		targets: []target{{"rebuild next to a cold load beside as much", "at least 0.9", ratio.show("%.2f"), ratio.median() >= wantRebuildOver}},
	}
}
