package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// scanLoad walks all keys with SCAN on one connection, again and again.
type scanLoad struct {
	Addr      string
	ServerPID int
	Entries   int // that every walk has to return, each once
	Count     int // of SCAN
	Walks     int
}

type scanResult struct {
	Keys      int
	Elapsed   time.Duration
	ServerCPU time.Duration
}

func runScanLoad(ctx context.Context, o scanLoad) (scanResult, error) {
	c, err := (&net.Dialer{Timeout: respDeadline}).DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return scanResult{}, err
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 256<<10)
	cpu, err := cpuTime(o.ServerPID)
	if err != nil {
		return scanResult{}, err
	}
	r := scanResult{}
	began := time.Now()
	for range o.Walks {
		keys := 0
		for cursor := "0"; ; {
			if err := c.SetDeadline(time.Now().Add(respDeadline)); err != nil {
				return r, err
			}
			if _, err := fmt.Fprintf(c, "*4\r\n$4\r\nSCAN\r\n$%d\r\n%s\r\n$5\r\nCOUNT\r\n$%d\r\n%d\r\n", len(cursor), cursor, len(strconv.Itoa(o.Count)), o.Count); err != nil {
				return r, err
			}
			var n int
			if cursor, n, err = scanReply(in); err != nil {
				return r, err
			}
			if keys += n; cursor == "0" {
				break
			}
		}
		if keys != o.Entries {
			return r, fmt.Errorf("a walk over %d keys returned %d", o.Entries, keys)
		}
		r.Keys += keys
	}
	r.Elapsed = time.Since(began)
	after, err := cpuTime(o.ServerPID)
	r.ServerCPU = after - cpu
	return r, err
}

var errScanReply = errors.New("is no reply of SCAN")

// scanReply reads one reply of SCAN in RESP2: the next cursor and how many keys came with it.
func scanReply(in *bufio.Reader) (cursor string, keys int, err error) {
	if n, err := header(in, '*'); err != nil || n != 2 {
		return "", 0, errors.Join(errScanReply, err)
	}
	n, err := header(in, '$')
	if err != nil || n < 1 || n > 20 {
		return "", 0, errors.Join(errScanReply, err)
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(in, b); err != nil {
		return "", 0, err
	}
	if keys, err = header(in, '*'); err != nil {
		return "", 0, err
	}
	for range keys {
		size, err := header(in, '$')
		if err != nil {
			return "", 0, err
		}
		if size != keySize {
			return "", 0, fmt.Errorf("SCAN returned a key of %d bytes", size)
		}
		if _, err := in.Discard(size + 2); err != nil {
			return "", 0, err
		}
	}
	return string(b[:n]), keys, nil
}

// header reads a line of a type and a number.
func header(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 4 || line[0] != kind {
		return 0, fmt.Errorf("%w: %q", errScanReply, line)
	}
	return strconv.Atoi(string(line[1 : len(line)-2]))
}

const scanTopic = "bench-scan"

// many measures commands that read many keys at once.
type many struct {
	*bench
	redis, ours manyFigures
}

type manyFigures struct {
	mget           pipelineFigures
	scan, scanNano samples // keys a second, the server's CPU a key
}

const (
	mgetKeys  = 100
	scanCount = 1000
	scanWalks = 3
)

func (b *bench) measureMany(ctx context.Context) ([]section, error) {
	m := &many{bench: b}
	if _, err := b.fill(ctx, scanTopic, b.getEntries); err != nil {
		return nil, err
	}
	err := b.besideRedis(ctx, scanTopic,
		func(s *server) error { return m.measure(ctx, s, &m.redis) },
		func(s *server) error { return m.measure(ctx, s, &m.ours) },
	)
	if err != nil {
		return nil, err
	}
	return []section{m.section()}, nil
}

func (m *many) measure(ctx context.Context, s *server, to *manyFigures) error {
	defer s.proc.Kill()
	if err := m.awaitQuiet(ctx, "MGET of "+s.name); err != nil {
		return err
	}
	r, err := runWorker[getLoad, getResult](ctx, "get", getLoad{
		Addr: s.addr, ServerPID: s.proc.PID(), Connections: m.connections, Pipeline: mgetKeys, OneCommand: true, Entries: uint64(m.getEntries),
		Warmup: m.warmup, Measure: m.options.measure, Seed: 1,
	})
	if err != nil {
		return s.error(err)
	}
	to.mget.add(r)
	if err := m.awaitQuiet(ctx, "SCAN of "+s.name); err != nil {
		return err
	}
	w, err := runWorker[scanLoad, scanResult](ctx, "scan", scanLoad{Addr: s.addr, ServerPID: s.proc.PID(), Entries: m.getEntries, Count: scanCount, Walks: scanWalks})
	if err != nil {
		return s.error(err)
	}
	to.scan = append(to.scan, float64(w.Keys)/w.Elapsed.Seconds())
	to.scanNano = append(to.scanNano, float64(w.ServerCPU.Nanoseconds())/float64(w.Keys))
	m.logf("%s: MGET %.0f keys/s, SCAN %.0f keys/s", s.name, r.perSecond(), to.scan[len(to.scan)-1])
	_, err = s.stop()
	return err
}

func (m *many) section() section {
	row := func(name string, f, base *manyFigures) []string {
		return []string{name, f.mget.perSecond.over(base.mget.perSecond).show("%.2f"), f.mget.perSecond.scaled(1e-6).show("%.2f"), f.mget.cpuNanos.over(base.mget.cpuNanos).show("%.2f"), f.mget.cpuNanos.scaled(1e-3).show("%.2f"), f.mget.p99.show("%.0f"),
			f.scan.over(base.scan).show("%.2f"), f.scan.scaled(1e-6).show("%.2f"), f.scanNano.over(base.scanNano).show("%.2f"), f.scanNano.scaled(1e-3).show("%.2f")}
	}
	return section{
		title: "MGET and SCAN",
		text: []string{fmt.Sprintf("MGET of %d random ones of %s entries, over %d connections with one command in flight each; every value is checked. SCAN with COUNT %s on one connection, over all keys, %d times: every walk has to return each key once. kafka-cache with a data directory.",
			mgetKeys, thousands(m.getEntries), m.connections, thousands(scanCount), scanWalks)},
		tables: []table{{
			head: []string{"", "MGET, keys/s, redis-server = 1", "MGET, M keys/s", "MGET, CPU a key, redis-server = 1", "MGET, CPU µs a key", "MGET, p99 µs", "SCAN, keys/s, redis-server = 1", "SCAN, M keys/s", "SCAN, CPU a key, redis-server = 1", "SCAN, CPU µs a key"},
			rows: [][]string{row("kafka-cache", &m.ours, &m.redis), row("redis-server", &m.redis, &m.redis)},
		}},
	}
}
