package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

const loadTopic = "bench-load"

// loadFigures are what one candidate needed from the start of its process until it was ready.
type loadFigures struct {
	seconds, cpuSeconds samples
	resident, peak      samples // bytes
	proportional        samples
	durable             samples // seconds; none where nothing is on disk
	first, whole        samples // seconds to the first answer, and until all is resident, of a restart
}

func (f *loadFigures) add(pid int, took time.Duration) error {
	cpu, err := cpuTime(pid)
	if err != nil {
		return err
	}
	m, err := memoryOf(pid)
	if err != nil {
		return err
	}
	f.seconds = append(f.seconds, took.Seconds())
	f.cpuSeconds = append(f.cpuSeconds, cpu.Seconds())
	f.resident = append(f.resident, float64(m.resident))
	f.peak = append(f.peak, float64(m.peak))
	if m.proportional > 0 {
		f.proportional = append(f.proportional, float64(m.proportional))
	}
	return nil
}

// loads measures cold loads of a topic and restarts with what they left on disk.
type loads struct {
	*bench
	inMemory, withDir, globalTable, floor           loadFigures // cold
	restarted, killed, globalRestarted              loadFigures // warm
	logBytes                                        int64
	diskBytes, globalDiskBytes, stopping, gStopping samples
}

func (b *bench) measureLoads(ctx context.Context) ([]section, error) {
	l := &loads{bench: b}
	var err error
	if l.logBytes, err = b.fill(ctx, loadTopic, b.loadEntries); err != nil {
		return nil, err
	}
	candidates := []func() error{
		func() error { return l.loadWithDir(ctx) },
		func() error { return l.loadGlobalTable(ctx) },
	}
	if b.wants("load") {
		candidates = append(candidates,
			func() error { return l.loadInMemory(ctx) },
			func() error { return l.consume(ctx) })
	}
	if err := b.inTurn(candidates...); err != nil {
		return nil, err
	}
	var sections []section
	if b.wants("load") {
		sections = append(sections, l.coldSection())
	}
	if b.wants("warm") {
		sections = append(sections, l.warmSection())
	}
	return sections, nil
}

// record checks that a kafka-cache that is ready has everything, and notes what it needed.
func (l *loads) record(f *loadFigures, s *server, took time.Duration, what string) error {
	if err := f.add(s.proc.PID(), took); err != nil {
		return err
	}
	if err := checkEntries(s.addr, l.loadEntries); err != nil {
		return s.error(err)
	}
	l.logf("%s: ready after %.2f s", what, took.Seconds())
	return nil
}

func (l *loads) loadInMemory(ctx context.Context) error {
	if err := l.awaitQuiet(ctx, "a cold load in memory"); err != nil {
		return err
	}
	s, took, err := l.startDaemon(ctx, loadTopic, "")
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := l.record(&l.inMemory, s, took, "kafka-cache in memory"); err != nil {
		return err
	}
	_, err = s.stop()
	return err
}

func (l *loads) loadWithDir(ctx context.Context) error {
	dir, err := l.tempDir("data")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := func(f *loadFigures, what string) (*server, error) {
		if err := l.awaitQuiet(ctx, what); err != nil {
			return nil, err
		}
		s, took, err := l.startDaemon(ctx, loadTopic, dir)
		if err != nil {
			return nil, err
		}
		if f != &l.withDir {
			if err := f.awaitWhole(ctx, s); err != nil {
				s.proc.Kill()
				return nil, err
			}
		}
		if err := l.record(f, s, took, what); err != nil {
			s.proc.Kill()
			return nil, err
		}
		return s, nil
	}
	s, err := start(&l.withDir, "kafka-cache with a data directory")
	if err != nil {
		return err
	}
	if err := l.withDir.awaitDurable(ctx, s); err != nil {
		s.proc.Kill()
		return err
	}
	l.logf("kafka-cache with a data directory: durable after %.2f s", l.withDir.durable[len(l.withDir.durable)-1])
	took, err := s.stop()
	if err != nil || !l.wants("warm") {
		return err
	}
	l.stopping = append(l.stopping, took.Seconds())
	size, err := diskUsage(dir)
	if err != nil {
		return err
	}
	l.diskBytes = append(l.diskBytes, float64(size))
	if s, err = start(&l.restarted, "kafka-cache restarted after SIGTERM"); err != nil {
		return err
	}
	s.proc.Kill()
	if s, err = start(&l.killed, "kafka-cache restarted after SIGKILL"); err != nil {
		return err
	}
	_, err = s.stop()
	return err
}

// What kafka-cache logs, with the time, when a cold load is durable, and when all is in memory that a restart had on disk.
var (
	loadIsDurable = regexp.MustCompile(`(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)).*load is durable`)
	allResident   = regexp.MustCompile(`(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)).*all entries are resident`)
)

// awaitDurable notes when a cold load was durable, by the time of the log's line.
func (f *loadFigures) awaitDurable(ctx context.Context, s *server) error {
	took, err := s.logged(ctx, loadIsDurable)
	if err != nil {
		return err
	}
	f.durable = append(f.durable, took.Seconds())
	return nil
}

// awaitWhole notes when a restarted kafka-cache that is ready has answered a GET, and when all was resident by the time of the log's line.
func (f *loadFigures) awaitWhole(ctx context.Context, s *server) error {
	c, err := dialRESP(s.addr)
	if err != nil {
		return s.error(err)
	}
	defer c.close()
	got, err := c.do([]byte("GET"), appendKey(nil, 0))
	answered := time.Since(s.began)
	if err == nil && !bytes.Equal(got, appendValue(nil, 0, 0)) {
		err = fmt.Errorf("the first GET is %q", got)
	}
	if err != nil {
		return s.error(err)
	}
	took, err := s.logged(ctx, allResident)
	if err != nil {
		return err
	}
	f.first, f.whole = append(f.first, answered.Seconds()), append(f.whole, took.Seconds())
	return nil
}

// logged waits for a line that the expression matches, and gives its time, the first group, since the start of the process.
func (s *server) logged(ctx context.Context, line *regexp.Regexp) (time.Duration, error) {
	at, _, err := s.waitLine(ctx, firstGroup(line))
	if err != nil {
		return 0, err
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return 0, s.error(err)
	}
	return t.Sub(s.began), nil
}

func (l *loads) loadGlobalTable(ctx context.Context) error {
	dir, err := l.tempDir("streams")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := func(f *loadFigures, what string) (*server, error) {
		if err := l.awaitQuiet(ctx, what); err != nil {
			return nil, err
		}
		s, took, err := l.startGlobalTable(ctx, loadTopic, dir, l.loadEntries)
		if err != nil {
			return nil, err
		}
		l.logf("%s: ready after %.2f s", what, took.Seconds())
		return s, f.add(s.proc.PID(), took)
	}
	s, err := start(&l.globalTable, "GlobalKTable")
	if err != nil {
		return err
	}
	took, err := s.stop()
	if err != nil || !l.wants("warm") {
		return err
	}
	l.gStopping = append(l.gStopping, took.Seconds())
	size, err := diskUsage(dir)
	if err != nil {
		return err
	}
	l.globalDiskBytes = append(l.globalDiskBytes, float64(size))
	if s, err = start(&l.globalRestarted, "GlobalKTable restarted after SIGTERM"); err != nil {
		return err
	}
	_, err = s.stop()
	return err
}

func (l *loads) consume(ctx context.Context) error {
	if err := l.awaitQuiet(ctx, "a plain consumer"); err != nil {
		return err
	}
	began := time.Now()
	r, err := runWorker[topicRead, topicReadResult](ctx, "consume", topicRead{Bootstrap: l.kafka.Bootstrap, Topic: loadTopic, Records: l.loadEntries})
	if err != nil {
		return err
	}
	took := time.Since(began)
	if r.Records != l.loadEntries {
		return fmt.Errorf("a plain consumer saw %d records, not %d", r.Records, l.loadEntries)
	}
	l.logf("plain consumer: done after %.2f s", took.Seconds())
	l.floor.seconds = append(l.floor.seconds, took.Seconds())
	l.floor.cpuSeconds = append(l.floor.cpuSeconds, r.CPU.Seconds())
	l.floor.peak = append(l.floor.peak, float64(r.Peak))
	return nil
}

// diskUsage is the space that the files below dir take, as du(1) counts it.
func diskUsage(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		}
		return nil
	})
	return total, err
}

// Targets of the cold load.
const (
	wantLoadRate = 0.4e6 // records/s
	wantLoadOver = 4.0   // times GlobalKTable's
)

// Targets of a warm restart with 5 M entries, in seconds.
const (
	wantFirstGET = 0.3
	wantResident = 4.0
)

func (l *loads) coldSection() section {
	n := float64(l.loadEntries)
	rate := func(f loadFigures) samples {
		r := make(samples, len(f.seconds))
		for i, s := range f.seconds {
			r[i] = n / s
		}
		return r
	}
	base := rate(l.globalTable)
	row := func(name string, f loadFigures) []string {
		return []string{
			name, rate(f).over(base).show("%.2f"), rate(f).scaled(1e-6).show("%.2f"), f.seconds.show("%.1f"), f.durable.show("%.1f"),
			f.cpuSeconds.scaled(1e6 / n).show("%.2f"), f.resident.scaled(1e-6).show("%.0f"), f.proportional.scaled(1e-6).show("%.0f"), f.peak.scaled(1e-6).show("%.0f"),
		}
	}
	slowest := rate(l.withDir)
	if rate(l.inMemory).median() < slowest.median() {
		slowest = rate(l.inMemory)
	}
	return section{
		title: "Cold load",
		text: []string{fmt.Sprintf("%s records with different keys in one partition (%d B keys, %d B JSON values, lz4 in batches of up to %d KiB, %.0f MB in the log; a compacted topic with nothing to compact). "+
			"The time is from the start of the process, nothing subtracted, until it is ready: `/readyz` of kafka-cache, the state RUNNING of Kafka Streams. "+
			"Once ready, kafka-cache is asked for its number of keys and 100 of them, GlobalKTable for 100. "+
			"Behind that the load becomes durable: the time until kafka-cache's log says so. "+
			"All read `read_committed` from the same broker, which shares the machine. The plain consumer (franz-go) decompresses, counts and keeps nothing: the floor of a client in Go. "+
			"GlobalKTable runs with the defaults of Kafka Streams and of Java.",
			thousands(l.loadEntries), keySize, valueSize, l.batchBytes>>10, float64(l.logBytes)/1e6)},
		tables: []table{{
			head: []string{"", "rate, GlobalKTable = 1", "M records/s", "s to ready", "s to durable", "CPU µs a record", "resident MB when ready", "Pss MB when ready", "peak MB"},
			rows: [][]string{
				row("kafka-cache, in memory", l.inMemory),
				row("kafka-cache, data directory", l.withDir),
				row("GlobalKTable (RocksDB)", l.globalTable),
				row("plain consumer", l.floor),
			},
		}},
		targets: []target{
			{"cold load, the slower of in memory and with a data directory", fmt.Sprintf("at least %.1f M records/s", wantLoadRate/1e6),
				slowest.scaled(1e-6).show("%.2f") + " M records/s", slowest.median() >= wantLoadRate},
			{"the same next to GlobalKTable", fmt.Sprintf("at least %.0f", wantLoadOver), slowest.over(base).show("%.2f"), slowest.over(base).median() >= wantLoadOver},
		},
	}
}

func (l *loads) warmSection() section {
	base := l.globalRestarted.seconds
	row := func(name string, f loadFigures, cold loadFigures) []string {
		return []string{
			name, f.seconds.over(base).show("%.2f"), f.seconds.over(cold.seconds).show("%.3f"), f.seconds.show("%.2f"), f.first.show("%.2f"), f.whole.show("%.2f"), f.cpuSeconds.show("%.1f"),
			f.resident.scaled(1e-6).show("%.0f"), f.proportional.scaled(1e-6).show("%.0f"),
		}
	}
	return section{
		title: "Warm restart",
		text: []string{fmt.Sprintf("From the start of the process until it is ready, with what a cold load of the same %s records left on disk and nothing new in the topic. "+
			"kafka-cache is ready before all values are in memory again, and answers the others from disk until then: what it took of the processor and memory is as of when they are. GlobalKTable opens RocksDB, which reads when it is asked. "+
			"After SIGKILL: the restarted process was killed outright once it was ready.", thousands(l.loadEntries)),
			fmt.Sprintf("To end after the cold load, SIGTERM to exit: kafka-cache %s s, GlobalKTable %s s. On disk then: kafka-cache %s MB, GlobalKTable %s MB.",
				l.stopping.show("%.1f"), l.gStopping.show("%.1f"), l.diskBytes.scaled(1e-6).show("%.0f"), l.globalDiskBytes.scaled(1e-6).show("%.0f"))},
		tables: []table{{
			head: []string{"", "time, GlobalKTable = 1", "time, its own cold load = 1", "s to ready", "s to the first GET", "s to all in memory", "CPU s", "resident MB", "Pss MB"},
			rows: [][]string{
				row("kafka-cache after SIGTERM", l.restarted, l.withDir),
				row("kafka-cache after SIGKILL", l.killed, l.withDir),
				row("GlobalKTable after SIGTERM", l.globalRestarted, l.globalTable),
			},
		}},
		targets: []target{
			{fmt.Sprintf("warm restart to the first GET, %s entries", thousands(l.loadEntries)), fmt.Sprintf("at most %.1f s", wantFirstGET), l.restarted.first.show("%.2f s"), l.restarted.first.median() <= wantFirstGET},
			{fmt.Sprintf("warm restart to all in memory, %s entries", thousands(l.loadEntries)), fmt.Sprintf("at most %.0f s", wantResident), l.restarted.whole.show("%.2f s"), l.restarted.whole.median() <= wantResident},
		},
	}
}
