package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/bench/rawkafka"
	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

//go:embed npm
var npmFiles embed.FS

// peerTopic is one of the topics that every candidate loads.
type peerTopic struct {
	name       string
	partitions int32
	codec      string
	logBytes   int64
	figures    map[string]*loadFigures // by candidate
}

// candidate loads a topic as a process that begins with the call.
type candidate struct {
	name         string
	onePartition bool // it can read no more
	load         func(ctx context.Context, t *peerTopic, f *loadFigures) error
}

// peerLoads measures the cold load of everything that a user would run for the job.
type peerLoads struct {
	*bench
	candidates []candidate
	topics     []*peerTopic
}

// Names of candidates that targets are about.
const (
	ourMemory    = "kafka-cache, in memory"
	ourDirectory = "kafka-cache, data directory"
	peerTable    = "GlobalKTable (RocksDB)"
	peerGoka     = "goka View (LevelDB)"
	peerKCache   = "kcache (map in memory)"
	peerNPM      = "npm kafka-cache (memdown)"
	peerKcat     = "kcat to /dev/null"
	peerFetch    = "raw Broker.Fetch (sarama)"
)

func (b *bench) measurePeers(ctx context.Context) ([]section, error) {
	p := &peerLoads{bench: b}
	p.candidates = p.all()
	for _, codec := range []string{"lz4", "none"} {
		for _, partitions := range []int32{1, 4} {
			t := &peerTopic{name: fmt.Sprintf("bench-peers-%d-%s", partitions, codec), partitions: partitions, codec: codec, figures: map[string]*loadFigures{}}
			for _, c := range p.candidates {
				t.figures[c.name] = &loadFigures{}
			}
			if err := p.fillByKey(ctx, t); err != nil {
				return nil, err
			}
			p.topics = append(p.topics, t)
		}
	}
	for _, t := range p.topics {
		var turns []func() error
		for _, c := range p.candidates {
			if c.onePartition && t.partitions > 1 {
				continue
			}
			turns = append(turns, func() error {
				if err := b.awaitQuiet(ctx, fmt.Sprintf("%s, %s", c.name, t.name)); err != nil {
					return err
				}
				f := t.figures[c.name]
				if err := c.load(ctx, t, f); err != nil {
					return fmt.Errorf("%s loads %s: %w", c.name, t.name, err)
				}
				b.logf("%s: %s after %.2f s", t.name, c.name, f.seconds[len(f.seconds)-1])
				if n := len(f.durable); n > 0 {
					b.logf("%s: %s durable after %.2f s", t.name, c.name, f.durable[n-1])
				}
				return nil
			})
		}
		if err := b.inTurn(turns...); err != nil {
			return nil, err
		}
	}
	return []section{p.section()}, nil
}

// fillByKey writes the entries where Java's clients put their keys, which is where goka and Kafka Streams look for them.
func (p *peerLoads) fillByKey(ctx context.Context, t *peerTopic) error {
	more := []kgo.Opt{kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))}
	if t.codec == "none" {
		more = append(more, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	began := time.Now()
	var err error
	t.logBytes, err = fillPartitions(ctx, p.kafka.Bootstrap, t.name, t.partitions, p.batchBytes, func(write func(int32, uint64)) {
		for i := range uint64(p.peerEntries) {
			write(0, i)
		}
	}, more...)
	if err == nil {
		p.logf("topic %s has %d records in %.0f MB, written in %v", t.name, p.peerEntries, float64(t.logBytes)/1e6, time.Since(began).Round(time.Millisecond))
	}
	return err
}

func (p *peerLoads) all() []candidate {
	all := []candidate{
		{ourMemory, false, func(ctx context.Context, t *peerTopic, f *loadFigures) error { return p.loadOurs(ctx, t, f, "") }},
		{ourDirectory, false, func(ctx context.Context, t *peerTopic, f *loadFigures) error {
			return p.inDirectory(func(dir string) error { return p.loadOurs(ctx, t, f, dir) })
		}},
	}
	if p.globalTable != nil && !slices.Contains(p.without, "globaltable") {
		all = append(all, candidate{peerTable, false, func(ctx context.Context, t *peerTopic, f *loadFigures) error {
			return p.inDirectory(func(dir string) error {
				s, took, err := p.startGlobalTable(ctx, t.name, dir, p.peerEntries)
				return p.noted(s, took, err, f)
			})
		}})
	}
	if p.peers.goka != "" {
		all = append(all, candidate{peerGoka, false, p.loadGoka})
	}
	if p.peers.kcache != nil {
		all = append(all, candidate{peerKCache, false, func(ctx context.Context, t *peerTopic, f *loadFigures) error {
			return p.loadPrinting(ctx, "kcache", p.peers.kcache, t, f)
		}})
	}
	if p.peers.npm != nil {
		all = append(all, candidate{peerNPM, true, func(ctx context.Context, t *peerTopic, f *loadFigures) error {
			return p.loadPrinting(ctx, "kafka-cache of npm", p.peers.npm, t, f)
		}})
	}
	if p.peers.kcat != "" {
		all = append(all, candidate{peerKcat, false, p.loadKcat})
	}
	return append(all, candidate{peerFetch, false, p.loadFetch})
}

// inDirectory calls f with a new directory, which it removes then.
func (b *bench) inDirectory(f func(dir string) error) error {
	dir, err := b.tempDir("data")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return f(dir)
}

// noted takes what a server that has become ready needed, and ends it.
func (b *bench) noted(s *server, took time.Duration, err error, f *loadFigures) error {
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := f.add(s.proc.PID(), took); err != nil {
		return err
	}
	_, err = s.stop()
	return err
}

func (p *peerLoads) loadOurs(ctx context.Context, t *peerTopic, f *loadFigures, dir string) error {
	s, took, err := p.startDaemon(ctx, t.name, dir)
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	if err := f.add(s.proc.PID(), took); err != nil {
		return err
	}
	if err := checkEntries(s.addr, p.peerEntries); err != nil {
		return s.error(err)
	}
	if dir != "" {
		if err := f.awaitDurable(ctx, s); err != nil {
			return err
		}
	}
	_, err = s.stop()
	return err
}

// askedKeys are some keys that a candidate must have once it is ready.
func (p *peerLoads) askedKeys() []string {
	n := min(p.peerEntries, 100)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = string(appendKey(nil, uint64(i)*uint64(p.peerEntries)/uint64(n)))
	}
	return keys
}

// loadPrinting runs an application that prints READY and then FOUND with how many of the keys given it has.
func (p *peerLoads) loadPrinting(ctx context.Context, name string, program []string, t *peerTopic, f *loadFigures) error {
	keys := p.askedKeys()
	args := append(append(program[1:len(program):len(program)], p.bootstrap(), t.name), keys...)
	s, err := startServer(name, exec.Command(program[0], args...))
	if err != nil {
		return err
	}
	defer s.proc.Kill()
	took, err := s.globalTableReady(ctx, len(keys))
	return p.noted(s, took, err, f)
}

func (p *peerLoads) loadGoka(ctx context.Context, t *peerTopic, f *loadFigures) error {
	return p.inDirectory(func(dir string) error {
		s, err := startServer("goka", exec.Command(p.peers.goka, p.bootstrap(), t.name, dir))
		if err != nil {
			return err
		}
		defer s.proc.Kill()
		took, err := p.gokaReady(ctx, s)
		return p.noted(s, took, err, f)
	})
}

// gokaReady waits until the view has recovered, and asks it for some keys.
func (p *peerLoads) gokaReady(ctx context.Context, s *server) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	addr, _, err := s.waitLine(ctx, func(l string) (string, bool) { return strings.CutPrefix(l, "LISTENING ") })
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(pollReady)
	defer tick.Stop()
	for {
		status, _, err := httpGet(ctx, "http://"+addr+"/ready")
		if err == nil && status == http.StatusOK {
			break
		}
		select {
		case <-tick.C:
		case <-s.proc.Done():
			return 0, s.ended()
		case <-ctx.Done():
			return 0, s.error(fmt.Errorf("is not ready after %v: %w", time.Since(s.began), ctx.Err()))
		}
	}
	took := time.Since(s.began)
	for _, key := range p.askedKeys() {
		status, body, err := httpGet(ctx, fmt.Sprintf("http://%s/get?%x", addr, key))
		if err != nil || status != http.StatusOK || !strings.Contains(body, fmt.Sprintf("%x", key)) {
			return 0, s.error(fmt.Errorf("asked for %s it answers %d %q, %w", key, status, body, err))
		}
	}
	return took, nil
}

func httpGet(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// loadKcat has kcat end by itself after as many records as there are: it waits for ever where it gets fewer.
func (p *peerLoads) loadKcat(ctx context.Context, t *peerTopic, f *loadFigures) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.peers.kcat, "-b", p.bootstrap(), "-C", "-q", "-t", t.name, "-o", "beginning", "-c", strconv.Itoa(p.peerEntries))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	began := time.Now()
	if err := childproc.Run(cmd); err != nil {
		return fmt.Errorf("kcat: %w: %s", err, stderr.String())
	}
	f.seconds = append(f.seconds, time.Since(began).Seconds())
	f.cpuSeconds = append(f.cpuSeconds, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.peak = append(f.peak, float64(usage.Maxrss)*1024)
	}
	return nil
}

// fetchLoad is a raw fetch of a whole topic.
type fetchLoad struct {
	Addr, Topic string
	Partitions  int32
}

func runFetch(_ context.Context, o fetchLoad) (topicReadResult, error) {
	got, err := rawkafka.Fetch(o.Addr, o.Topic, o.Partitions)
	if err != nil {
		return topicReadResult{}, err
	}
	r := topicReadResult{Records: int(got.Records)}
	if r.CPU, err = cpuTime(os.Getpid()); err != nil {
		return r, err
	}
	m, err := memoryOf(os.Getpid())
	r.Peak = m.peak
	return r, err
}

func (p *peerLoads) loadFetch(ctx context.Context, t *peerTopic, f *loadFigures) error {
	return p.rawFetch(ctx, t.name, t.partitions, p.peerEntries, f)
}

// rawFetch runs the raw fetch in a process of its own.
func (b *bench) rawFetch(ctx context.Context, topic string, partitions int32, entries int, f *loadFigures) error {
	began := time.Now()
	r, err := runWorker[fetchLoad, topicReadResult](ctx, "fetch", fetchLoad{b.kafka.Bootstrap[0], topic, partitions})
	if err != nil {
		return err
	}
	f.seconds = append(f.seconds, time.Since(began).Seconds())
	if r.Records != entries {
		return fmt.Errorf("%d records, not %d", r.Records, entries)
	}
	f.cpuSeconds = append(f.cpuSeconds, r.CPU.Seconds())
	f.peak = append(f.peak, float64(r.Peak))
	return nil
}
