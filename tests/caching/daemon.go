package caching

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

const startWithin = 30 * time.Second

var listening = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)

// daemon is one life of the instance. It keeps nothing, so every start is a load.
type daemon struct {
	addr string
	proc *childproc.Process

	mu    sync.Mutex
	lines []string
}

// startDaemon returns once it is ready.
func startDaemon(ctx context.Context, cfg Config, brokers []string) (*daemon, error) {
	d := &daemon{}
	cmd := exec.Command(cfg.Binary, "serve", "--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s", "--identity", "caching", "--kafka-bootstrap", strings.Join(brokers, ","),
		"--topic", topic, "--read-only=false", "--value-encoding", "utf-8", "--resp-allow-flush", "--metadata-refresh", "100ms")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") && !strings.HasPrefix(e, "POD_NAME") && !strings.HasPrefix(e, "KAFKACACHE_BROKEN") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "KAFKACACHE_BROKEN_TRACKING="+cfg.Broken)
	addr, ready := make(chan string, 1), make(chan struct{}, 1)
	var err error
	d.proc, err = childproc.Start(cmd, func(line string) {
		d.mu.Lock()
		d.lines = append(d.lines, line)
		d.mu.Unlock()
		if m := listening.FindStringSubmatch(line); m != nil {
			addr <- m[1]
		}
		if strings.Contains(line, "msg=ready identity=") {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(startWithin)
	defer timeout.Stop()
	for d.addr == "" || ready != nil {
		select {
		case d.addr = <-addr:
		case <-ready:
			ready = nil
		case <-d.proc.Done():
			return nil, fmt.Errorf("the daemon ended:\n%s", d.printed())
		case <-timeout.C:
			d.kill()
			return nil, fmt.Errorf("the daemon is not ready after %v:\n%s", startWithin, d.printed())
		case <-ctx.Done():
			d.kill()
			return nil, context.Cause(ctx)
		}
	}
	return d, nil
}

func (d *daemon) kill() { d.proc.Kill() }

func (d *daemon) printed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}
