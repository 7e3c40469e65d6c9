package daemontest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// Patience bounds every wait of this package: a test that reaches it has failed.
const Patience = 60 * time.Second

// Daemon is a running kafka-cache.
type Daemon struct {
	RESPAddr, AdminAddr string

	tb   testing.TB
	proc *childproc.Process
	log  *logLines
}

// Start runs `kafka-cache serve` with the arguments behind those that make it
// listen on free ports on loopback and end without a grace period, and returns
// once it listens. It is killed when the test ends, if it still runs then, and
// its log is shown when the test failed.
func Start(tb testing.TB, args ...string) *Daemon {
	tb.Helper()
	d := start(tb, append([]string{"serve", "--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s"}, args...))
	d.RESPAddr = d.listening(respLine)
	d.AdminAddr = d.listening(adminLine)
	return d
}

// What the daemon logs once it listens, in its text format.
var (
	respLine  = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)
	adminLine = regexp.MustCompile(`msg="admin listening".* addr=(\S+)`)
)

func start(tb testing.TB, args []string) *Daemon {
	tb.Helper()
	d := &Daemon{tb: tb, log: newLogLines()}
	cmd := exec.Command(Binary(tb), args...)
	cmd.Env = environment()
	p, err := childproc.Start(cmd, d.log.add)
	if err != nil {
		tb.Fatal(err)
	}
	d.proc = p
	go func() {
		<-p.Done()
		d.log.end()
	}()
	tb.Cleanup(func() {
		p.Kill()
		out := d.log.String()
		if strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic:") || strings.Contains(out, "fatal error:") {
			tb.Errorf("the daemon has a fault, see its log")
		}
		if tb.Failed() {
			tb.Logf("kafka-cache %s printed:\n%s", strings.Join(args, " "), shorten(out))
		}
	})
	return d
}

// environment is this process's without what would configure the daemon, apart from what drives its connections, which make test runs some tests with each of.
func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") && !strings.HasPrefix(e, "POD_NAME") {
			env = append(env, e)
		}
	}
	if driver := os.Getenv("KAFKA_CACHE_TEST_RESP_DRIVER"); driver != "" {
		env = append(env, "KCACHE_RESP_DRIVER="+driver)
	}
	return env
}

// shorten keeps the beginning and the end of a long log.
func shorten(s string) string {
	const each = 12_000
	if len(s) <= 2*each {
		return s
	}
	return s[:each] + "\n[…]\n" + s[len(s)-each:]
}

func (d *Daemon) listening(line *regexp.Regexp) string {
	d.tb.Helper()
	return d.WaitLog(line)[1]
}

// WaitLog waits until a line of the log matches and returns the match with its groups.
func (d *Daemon) WaitLog(line *regexp.Regexp) []string {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(d.tb.Context(), Patience)
	defer cancel()
	m, err := d.log.wait(ctx, line)
	if err != nil {
		d.tb.Fatalf("wait for %q in the log: %v", line, err)
	}
	return m
}

// Log is what the daemon has printed.
func (d *Daemon) Log() string { return d.log.String() }

// PID is the daemon's process id.
func (d *Daemon) PID() int { return d.proc.PID() }

// Kill ends the daemon with SIGKILL.
func (d *Daemon) Kill() { d.proc.Kill() }

// Stop ends the daemon with SIGTERM and returns its exit code.
func (d *Daemon) Stop() int {
	d.tb.Helper()
	if !d.proc.Stop(Patience) {
		d.tb.Fatalf("the daemon did not end within %v of SIGTERM", Patience)
	}
	return d.proc.ExitCode()
}

// Client is a go-redis client for database n, closed when the test ends. It does
// not retry: a test sees what the server answered.
func (d *Daemon) Client(n int) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: d.RESPAddr, DB: n, MaxRetries: -1, ReadTimeout: Patience, ContextTimeoutEnabled: true})
	d.tb.Cleanup(func() { c.Close() })
	return c
}

// Run runs kafka-cache until it ends and returns its exit code and what it printed.
func Run(tb testing.TB, args ...string) (code int, printed string) {
	tb.Helper()
	d := start(tb, args)
	select {
	case <-d.proc.Done():
		return d.proc.ExitCode(), d.Log()
	case <-time.After(Patience):
		tb.Fatalf("kafka-cache %s still runs after %v; it printed:\n%s", strings.Join(args, " "), Patience, d.Log())
		return 0, ""
	}
}

// logLines keeps what a daemon prints and wakes who waits for a line of it.
type logLines struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with every line
	ended   bool
}

func newLogLines() *logLines { return &logLines{changed: make(chan struct{})} }

func (l *logLines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func (l *logLines) wait(ctx context.Context, line *regexp.Regexp) ([]string, error) {
	seen := 0
	for {
		l.mu.Lock()
		lines, changed, ended := l.lines[seen:], l.changed, l.ended
		seen = len(l.lines)
		l.mu.Unlock()
		for _, s := range lines {
			if m := line.FindStringSubmatch(s); m != nil {
				return m, nil
			}
		}
		if ended {
			return nil, fmt.Errorf("the daemon has ended; it printed:\n%s", l.String())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
