package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// bench is one run: what is started once for all scenarios.
type bench struct {
	options
	progress    io.Writer
	top         string // of the repository
	dir         string // temporary files, removed at the end
	daemon      string // kafka-cache's path
	globalTable *globalTable
	peers       peerPrograms
	kafka       *kafkatest.Cluster
	restless    []string // measurements before which the machine was busy
}

// brokerJVM gives the broker what it needs to never be the slowest part.
var brokerJVM = []string{"-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.progress, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func (b *bench) bootstrap() string { return strings.Join(b.kafka.Bootstrap, ",") }

// open builds and starts what the scenarios need.
func (b *bench) open(ctx context.Context) error {
	var err error
	if b.top, err = daemontest.Top(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "kafka-cache-bench-"); err != nil {
		return err
	}
	if b.daemon = b.daemonBinary; b.daemon == "" {
		b.logf("building kafka-cache")
		if b.daemon, err = buildDaemon(ctx, b.top, b.dir); err != nil {
			return err
		}
	}
	if b.smoke || slices.ContainsFunc([]string{"get", "connections", "many", "busy", "growth", "sets", "limits"}, b.wants) {
		for _, program := range []string{"redis-server", "redis-benchmark"} {
			if _, err := exec.LookPath(program); err != nil {
				return fmt.Errorf("%w: install Redis 7 (Debian: apt-get install redis-server redis-tools)", err)
			}
		}
	}
	if b.wants("load") || b.wants("warm") {
		b.logf("building the GlobalKTable application")
		if b.globalTable, err = buildGlobalTable(ctx, b.top, b.dir); err != nil {
			return err
		}
	}
	if b.wants("peers") {
		if err := b.preparePeers(ctx); err != nil {
			return err
		}
	}
	b.logf("starting Kafka")
	b.kafka, err = kafkatest.Open(ctx, kafkatest.Options{Version: streamsVersion, JVM: brokerJVM})
	return err
}

func (b *bench) close() {
	if b.kafka != nil {
		b.kafka.Close()
	}
	if b.dir != "" {
		if err := os.RemoveAll(b.dir); err != nil {
			b.logf("%v", err)
		}
	}
}

// tempDir is a new directory for a candidate's state.
func (b *bench) tempDir(name string) (string, error) { return os.MkdirTemp(b.dir, name+"-") }

// fill creates and fills a topic, and returns the bytes that it takes in the log.
func (b *bench) fill(ctx context.Context, topic string, entries int) (int64, error) {
	began := time.Now()
	size, err := fillTopic(ctx, b.kafka.Bootstrap, topic, entries, b.batchBytes)
	if err != nil {
		return 0, err
	}
	b.logf("topic %s has %d records in %.0f MB, written in %v", topic, entries, float64(size)/1e6, time.Since(began).Round(time.Millisecond))
	return size, nil
}

// inTurn calls the functions once a round: in their order in the first round,
// in reverse in the next, and so on.
func (b *bench) inTurn(candidates ...func() error) error {
	for round := range b.rounds {
		b.logf("round %d of %d", round+1, b.rounds)
		for i := range candidates {
			if round%2 == 1 {
				i = len(candidates) - 1 - i
			}
			if err := candidates[i](); err != nil {
				return err
			}
		}
	}
	return nil
}

// besideRedis has a redis-server and a kafka-cache with a data directory, both with the entries of topic, measured in turn, each a fresh process
// in every round that redis and ours end.
func (b *bench) besideRedis(ctx context.Context, topic string, redis, ours func(*server) error) error {
	return b.inTurn(
		func() error {
			s, err := b.startRedis(ctx, b.getEntries)
			if err != nil {
				return err
			}
			return redis(s)
		},
		func() error {
			dir, err := b.tempDir("data")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			s, _, err := b.startDaemon(ctx, topic, dir)
			if err != nil {
				return err
			}
			return ours(s)
		},
	)
}

// awaitQuiet waits until the cores are idle, apart from a tenth of one, for a
// while. A measurement that had to begin without that is noted in the report.
func (b *bench) awaitQuiet(ctx context.Context, what string) error {
	const look = 250 * time.Millisecond
	deadline := time.Now().Add(b.quiet)
	busy, all, err := machineTimes()
	if err != nil {
		return err
	}
	for quiet := 0; quiet < 2; {
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
		busyNow, allNow, err := machineTimes()
		if err != nil {
			return err
		}
		used := float64(busyNow-busy) / float64(max(1, allNow-all))
		busy, all = busyNow, allNow
		if quiet++; used > 0.1 {
			quiet = 0
		}
		if time.Now().After(deadline) {
			b.logf("the machine is busy (%.0f %%) before %s", used*100, what)
			b.restless = append(b.restless, what)
			return nil
		}
	}
	return nil
}
