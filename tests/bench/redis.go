package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// startRedis starts a redis-server that keeps everything in memory alone, and fills it.
func (b *bench) startRedis(ctx context.Context, entries int, args ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"}, args...)
	cmd := exec.Command("redis-server", args...)
	cmd.Dir = b.dir
	s, err := startServer("redis-server", cmd)
	if err != nil {
		return nil, err
	}
	s.addr = fmt.Sprintf("127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	_, _, err = s.waitLine(ctx, func(l string) (string, bool) { return "", strings.Contains(l, "Ready to accept connections") })
	if err == nil {
		_, err = runWorker[redisFill, struct{}](ctx, "redis", redisFill{Addr: s.addr, Entries: entries})
	}
	if err != nil {
		s.proc.Kill()
		return nil, err
	}
	return s, nil
}

// redisBenchmark is the stock load generator with the same load on one entry,
// the only one of these that it can ask for. It returns operations a second.
func redisBenchmark(ctx context.Context, addr string, connections, pipeline, operations int) (float64, error) {
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.CommandContext(ctx, "redis-benchmark", "-h", "127.0.0.1", "-p", port, "-c", strconv.Itoa(connections),
		"-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(operations), "--csv", "GET", string(appendKey(nil, 0)))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := childproc.Run(cmd); err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w: %s", err, out.String())
	}
	// "test","rps","avg_latency_ms",… and one line of figures.
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[1]) < 2 {
		return 0, fmt.Errorf("redis-benchmark printed %q: %v", out.String(), err)
	}
	return strconv.ParseFloat(rows[1][1], 64)
}
