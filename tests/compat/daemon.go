package compat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// patience bounds every wait for a process that runs.
const patience = 60 * time.Second

// buildDaemon builds kafka-cache from the tree at top, as a release is built.
func buildDaemon(ctx context.Context, top, dir string) (string, error) {
	path := filepath.Join(dir, "kafka-cache")
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(top, "respserver"), "build", "-o", path, "./cmd/kafka-cache")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kafka-cache: %w\n%s", err, out)
	}
	return path, nil
}

// daemon is a kafka-cache that can be restarted on the port that it had.
type daemon struct {
	binary      string
	args        []string
	addr, admin string

	proc *childproc.Process
	log  *printed
}

var (
	respLine  = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)
	adminLine = regexp.MustCompile(`msg="admin listening".* addr=(\S+)`)
)

// start starts it and returns once it listens, which is before it is ready.
func (d *daemon) start(ctx context.Context) error {
	addr := d.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	cmd := exec.Command(d.binary, append([]string{"serve", "--resp-addr", addr, "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s"}, d.args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") && !strings.HasPrefix(e, "POD_NAME") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	if d.log == nil {
		d.log = &printed{}
	}
	d.log.forget()
	proc, err := childproc.Start(cmd, d.log.add)
	if err != nil {
		return err
	}
	d.proc = proc
	return poll(ctx, "kafka-cache listens", func() (bool, error) {
		text := d.log.String()
		resp, admin := respLine.FindStringSubmatch(text), adminLine.FindStringSubmatch(text)
		if resp != nil && admin != nil {
			d.addr, d.admin = resp[1], admin[1]
			return true, nil
		}
		return false, d.alive()
	})
}

// alive is an error when the process has ended.
func (d *daemon) alive() error {
	select {
	case <-d.proc.Done():
		return fmt.Errorf("kafka-cache ended with code %d; it printed:\n%s", d.proc.ExitCode(), d.log)
	default:
		return nil
	}
}

// ready waits until /readyz answers 200.
func (d *daemon) ready(ctx context.Context) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return poll(ctx, "kafka-cache is ready", func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.admin+"/readyz", nil)
		if err != nil {
			return false, err
		}
		res, err := client.Do(req)
		if err != nil {
			return false, d.alive()
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK, d.alive()
	})
}

func (d *daemon) stop() error {
	if !d.proc.Stop(patience) {
		return fmt.Errorf("kafka-cache did not end within %v of SIGTERM; it printed:\n%s", patience, d.log)
	}
	return d.fault()
}

// fault is what no daemon may print, whoever its clients are.
func (d *daemon) fault() error {
	if d.log == nil {
		return nil
	}
	text := d.log.String()
	for _, f := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(text, f) {
			return fmt.Errorf("kafka-cache printed %q:\n%s", f, text)
		}
	}
	return nil
}

// poll asks until done, an error or the end of patience.
func poll(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("after %v it is not so that %s", patience, what)
			}
			return ctx.Err()
		}
	}
}

// printed keeps what a process prints.
type printed struct {
	mu    sync.Mutex
	lines []string
}

func (p *printed) add(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, s)
}

func (p *printed) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = nil
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}
