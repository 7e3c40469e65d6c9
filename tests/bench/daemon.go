package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// buildDaemon builds kafka-cache from the tree whose top is given, as a release is built.
func buildDaemon(ctx context.Context, top, dir string) (string, error) {
	path := filepath.Join(dir, "kafka-cache")
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(top, "respserver"), "build", "-trimpath", "-o", path, "./cmd/kafka-cache")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kafka-cache: %w\n%s", err, out)
	}
	return path, nil
}

var (
	respListening  = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)
	adminListening = regexp.MustCompile(`msg="admin listening".* addr=(\S+)`)
)

func firstGroup(r *regexp.Regexp) func(string) (string, bool) {
	return func(line string) (string, bool) {
		m := r.FindStringSubmatch(line)
		if m == nil {
			return "", false
		}
		return m[1], true
	}
}

// startDaemon starts kafka-cache on free ports and returns once /readyz has
// answered 200, with the time from the start of the process until then.
func (b *bench) startDaemon(ctx context.Context, topic, dataDir string, args ...string) (*server, time.Duration, error) {
	s, err := b.launchDaemon(topic, dataDir, args...)
	if err != nil {
		return nil, 0, err
	}
	took, err := s.daemonReady(ctx)
	if err != nil {
		s.proc.Kill()
		return nil, 0, err
	}
	return s, took, nil
}

// launchDaemon starts kafka-cache on free ports.
func (b *bench) launchDaemon(topic, dataDir string, args ...string) (*server, error) {
	args = append([]string{
		"serve", "--kafka-bootstrap", b.bootstrap(), "--topic", topic, "--identity", "bench." + topic,
		"--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s",
	}, args...)
	if dataDir != "" {
		args = append(args, "--data-dir", dataDir)
	}
	cmd := exec.Command(b.daemon, args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	return startServer("kafka-cache", cmd)
}

// pollReady is how often /readyz is asked: often enough for a time in
// milliseconds, seldom enough to cost the daemon nothing.
const pollReady = 5 * time.Millisecond

func (s *server) daemonReady(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	ctx, cancelExit := s.untilExit(ctx)
	defer cancelExit()
	var err error
	if s.admin, _, err = s.waitLine(ctx, firstGroup(adminListening)); err != nil {
		return 0, err
	}
	if s.addr, _, err = s.waitLine(ctx, firstGroup(respListening)); err != nil {
		return 0, err
	}
	tick := time.NewTicker(pollReady)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/readyz", nil)
		if err != nil {
			return 0, err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(s.began), nil
			}
		}
		select {
		case <-tick.C:
		case <-s.proc.Done():
			return 0, s.ended()
		case <-ctx.Done():
			return 0, s.error(fmt.Errorf("is not ready after %v: %w", time.Since(s.began), context.Cause(ctx)))
		}
	}
}

// metric is the sum of the samples of one of a kafka-cache's metrics that have all labels ("part=live").
func (s *server) metric(ctx context.Context, name string, labels ...string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	sum, found, err := daemontest.SumSamples(text, name, labels)
	if err == nil && !found {
		err = fmt.Errorf("there is no metric %s with %q", name, labels)
	}
	return sum, err
}

// readyPatience is how long a candidate may take to become ready.
const readyPatience = 10 * time.Minute
