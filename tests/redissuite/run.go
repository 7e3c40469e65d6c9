package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

const (
	databases   = 16               // the suite selects 9 and its neighbours
	startWithin = time.Minute      // of a daemon
	fileWithin  = 20 * time.Minute // of a file
	stopWithin  = 10 * time.Second
)

// result is what became of one file's tests.
type result struct {
	passed  int
	failed  []string
	skipped []string
	ignored int      // by Redis's own tags: what it does not run on a server that it has not started
	stale   []string // skips that nothing was skipped for
}

// runFile runs one file of the suite on a daemon that it starts, with a broker in this process.
func runFile(ctx context.Context, dir, daemon, file string, verbose bool) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, fileWithin)
	defer cancel()
	var topics []string
	args := []string{"serve", "--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s", "--resp-allow-flush", "--read-only=false", "--value-encoding", "binary",
		"--key-encoding", "binary", "--identity", "redissuite"}
	for i := range databases {
		topics = append(topics, fmt.Sprintf("db%d", i))
		args = append(args, "--topic", topics[i])
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	if err := allowLarge(ctx, cluster.ListenAddrs(), topics); err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, err
	}
	args = append(args, "--kafka-bootstrap", strings.Join(cluster.ListenAddrs(), ","), "--data-dir", data)
	addr, stop, err := startDaemon(ctx, daemon, args)
	if err != nil {
		return nil, err
	}
	defer stop()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	skipFile := filepath.Join(data, "skip")
	var names strings.Builder
	for _, s := range skips[file] {
		for _, n := range s.names {
			names.WriteString(n + "\n")
		}
	}
	if err := os.WriteFile(skipFile, []byte(names.String()), 0o600); err != nil {
		return nil, err
	}
	r := &result{}
	cmd := exec.Command("tclsh", "tests/test_helper.tcl", "--single", file, "--host", host, "--port", port, "--clients", "1", "--durable", "--skipfile", skipFile)
	cmd.Dir = dir
	var last string
	p, err := childproc.Start(cmd, func(line string) {
		if verbose {
			fmt.Println("    " + line)
		}
		r.line(line)
		if strings.TrimSpace(line) != "" {
			last = line
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return nil, context.Cause(ctx)
	}
	if p.ExitCode() != 0 && len(r.failed) == 0 {
		r.failed = append(r.failed, "the suite ended early: "+last)
	}
	r.stale = r.missing(skips[file])
	return r, nil
}

// allowLarge lets the topics take records as large as the suite's values.
func allowLarge(ctx context.Context, brokers, topics []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	size := "16777216"
	_, err = kadm.NewClient(client).AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &size}}, topics...)
	return err
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// line takes a line that the suite prints.
func (r *result) line(line string) {
	line = ansi.ReplaceAllString(line, "")
	kind, rest, ok := strings.Cut(line, "]: ")
	if !ok || !strings.HasPrefix(kind, "[") {
		return
	}
	switch kind[1:] {
	case "ok":
		r.passed++
	case "err", "exception", "timeout":
		r.failed = append(r.failed, rest)
	case "skip":
		r.skipped = append(r.skipped, rest)
	case "ignore":
		r.ignored++
	}
}

// missing are the names on the skip list that the suite did not come across: the list is to be of what there is.
func (r *result) missing(list []skip) (stale []string) {
	seen := map[string]bool{}
	for _, s := range r.skipped {
		seen[s] = true
	}
	for _, s := range list {
		for _, n := range s.names {
			if !seen[n] {
				stale = append(stale, n)
			}
		}
	}
	return stale
}

var respLine = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)

// startDaemon returns once all topics are ready.
func startDaemon(ctx context.Context, path string, args []string) (addr string, stop func(), err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(path, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	listening, ready, tail := make(chan string, 1), make(chan struct{}), make(chan string, 100)
	p, err := childproc.Start(cmd, func(line string) {
		if m := respLine.FindStringSubmatch(line); m != nil {
			listening <- m[1]
		}
		if strings.Contains(line, "msg=ready identity=") {
			close(ready)
		}
		select {
		case tail <- line:
		default:
		}
	})
	if err != nil {
		return "", nil, err
	}
	stop = func() {
		if !p.Stop(stopWithin) {
			p.Kill()
		}
	}
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	select {
	case <-ready:
		return <-listening, stop, nil
	case <-p.Done():
		err = errors.New("the daemon ended")
	case <-timeout.C:
		err = errors.New("the daemon is not ready")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	stop()
	for len(tail) > 0 {
		err = fmt.Errorf("%w\n%s", err, <-tail)
	}
	return "", nil, err
}
