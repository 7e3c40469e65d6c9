package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/childproc"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func TestMain(m *testing.M) {
	os.Exit(daemontest.Main(func() int {
		code := kafkatest.Main(m)
		if program.dir != "" {
			os.RemoveAll(program.dir)
		}
		return code
	}))
}

var program struct {
	sync.Once
	dir, path string
	err       error
}

// binary is the path of loadgen as built from this tree.
func binary(t *testing.T) string {
	t.Helper()
	program.Do(func() {
		top, err := daemontest.Top()
		if err != nil {
			program.err = err
			return
		}
		if program.dir, program.err = os.MkdirTemp("", "loadgen-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "loadgen")
		cmd := exec.Command("go", "-C", filepath.Join(top, "loadgen"), "build", "-race", "-o", program.path, "./cmd/loadgen")
		if out, err := cmd.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("build loadgen: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// finished is how a run of loadgen ended.
type finished struct {
	code           int
	stdout, stderr string
}

// execute runs the program until it ends.
func execute(t *testing.T, args ...string) finished {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := childproc.Run(cmd)
	r := finished{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if r.code < 0 || strings.Contains(r.stderr, "DATA RACE") {
		t.Fatalf("loadgen %s: %v\n%s%s", strings.Join(args, " "), err, r.stdout, r.stderr)
	}
	return r
}

// running is loadgen while it runs.
type running struct {
	proc *childproc.Process

	mu      sync.Mutex
	printed strings.Builder
}

// begin runs the program in the background; end has to be called.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{}
	p, err := childproc.Start(exec.Command(binary(t), args...), func(line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		fmt.Fprintln(&r.printed, line)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.proc = p
	t.Cleanup(p.Kill)
	return r
}

// end waits until it has ended. What it printed is all in stdout.
func (r *running) end(t *testing.T) finished {
	t.Helper()
	select {
	case <-r.proc.Done():
	case <-time.After(daemontest.Patience):
		t.Fatalf("loadgen has not ended in %v", daemontest.Patience)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return finished{code: r.proc.ExitCode(), stdout: r.printed.String()}
}

// want fails the test unless the run ended with the code, and shows what it printed.
func (r finished) want(t *testing.T, code int, printed ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit status %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, p := range printed {
		if !strings.Contains(r.stdout+r.stderr, p) {
			t.Errorf("it does not print %q:\n%s%s", p, r.stdout, r.stderr)
		}
	}
}

// decoded is the JSON in a file.
func decoded[T any](t *testing.T, file string) (v T) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v:\n%s", err, b)
	}
	return v
}

// sampleTopics are the model's in Kafka, with names of this test's own, and the daemon's options for them.
type sampleTopics struct{ users, organizations, sessions string }

func newTopics(t *testing.T, c *kafkatest.Cluster) sampleTopics {
	config := map[string]string{"cleanup.policy": "compact"}
	return sampleTopics{c.NewTopic(t, 4, config), c.NewTopic(t, 1, config), c.NewTopic(t, 2, config)}
}

func (s sampleTopics) list() string { return s.users + "," + s.organizations + "," + s.sessions }

// serve runs a daemon with the topics as databases 0, 1, 2.
func (s sampleTopics) serve(t *testing.T, c *kafkatest.Cluster, name string, args ...string) *daemontest.Daemon {
	t.Helper()
	d := daemontest.Start(t, append([]string{
		"--kafka-bootstrap", c.Addr(), "--topic", s.list(), "--read-only=false", "--identity", "test." + s.users + "." + name,
	}, args...)...)
	d.WaitReady()
	return d
}

// small are the sizes of the model in these tests.
var small = []string{"--organizations", "5", "--users", "400", "--sessions", "300", "--seed", "7"}

func with(command string, more ...string) []string {
	return append(append([]string{command}, small...), more...)
}
