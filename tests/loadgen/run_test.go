package loadgen

import (
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/loadgen"
	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/certificates"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestObjectivesDecide: the exit status is what the objectives say of a real daemon.
func TestObjectivesDecide(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	execute(t, with("seed", "--addr", d.RESPAddr)...).want(t, 0)
	run := func(more ...string) finished {
		return execute(t, with("run", append([]string{"--addr", d.RESPAddr, "--rate", "300", "--duration", "2s", "--connections", "6", "--mix", "get=70,mget=10,set=15,scan=5"}, more...)...)...)
	}
	run("--slo", "errors=0,misses=0,rate=250,p99=30s").want(t, 0, "objective errors=0: met", "objective misses=0: met")
	run("--slo", "errors=0,p50=1µs").want(t, 3, "objective p50=1µs: NOT MET")
}

// TestAStallIsSeen: a daemon that is stopped for a second (SIGSTOP) is in the percentiles of the open loop, and the schedule is said to be missed.
func TestAStallIsSeen(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	execute(t, with("seed", "--addr", d.RESPAddr)...).want(t, 0)
	file := filepath.Join(t.TempDir(), "r.json")
	ended := make(chan finished, 1)
	go func() {
		ended <- execute(t, with("run", "--addr", d.RESPAddr, "--rate", "400", "--duration", "4s", "--connections", "6", "--mix", "get=1", "--json", file, "--slo", "p99=500ms")...)
	}()
	d.Await("the load has begun", func() bool { return d.Metric("kafka_cache_command_duration_seconds_count", "command=get") > 200 })
	if err := syscall.Kill(d.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Second, func() { _ = syscall.Kill(d.PID(), syscall.SIGCONT) })
	(<-ended).want(t, 3, "missed schedule", "objective p99=500ms: NOT MET")
	r := decoded[loadgen.Report](t, file)
	if r.Latency.P99 < 0.85 || r.Schedule.Late < 200 || r.Operations != 1600 || r.Errors != 0 {
		t.Errorf("p99 %v s of a stall of 1 s; %+v; %d operations, %v", r.Latency.P99, r.Schedule, r.Operations, r.Failed)
	}
}

// TestSignalsEndIt: SIGINT, also one that comes twice at once, has what was done reported and written.
func TestSignalsEndIt(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	file := filepath.Join(t.TempDir(), "r.json")
	p := begin(t, with("run", "--addr", d.RESPAddr, "--rate", "200", "--duration", "1h", "--connections", "6", "--json", file)...)
	d.Await("the load has begun", func() bool { return d.Metric("kafka_cache_command_duration_seconds_count", "command=get") > 100 })
	p.proc.Signal(syscall.SIGINT)
	p.proc.Signal(syscall.SIGINT) // as timeout(1) does, which signals the process and its group
	p.end(t).want(t, 130, "interrupted after", "generator: ")
	if r := decoded[loadgen.Report](t, file); !r.Interrupted || r.Operations < 100 {
		t.Errorf("%+v", r)
	}
}

// TestPasswordAndTLS: all commands log in, over TLS with a private authority.
func TestPasswordAndTLS(t *testing.T) {
	dir := t.TempDir()
	c, err := certificates.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := daemontest.Start(t, "--dev", "--resp-password-file", password, "--resp-tls-cert", c.Cert, "--resp-tls-key", c.Key)
	d.WaitReady()
	as := func(command string, more ...string) []string {
		return with(command, append([]string{"--addr", d.RESPAddr, "--user", "default", "--password-file", password, "--tls-ca", c.CA}, more...)...)
	}
	execute(t, as("seed")...).want(t, 0, "705 of 705 written")
	execute(t, as("run", "--rate", "100", "--duration", "1s", "--connections", "3", "--slo", "errors=0")...).want(t, 0)
	execute(t, as("propagate", "--rate", "20", "--duration", "1s", "--slo", "errors=0")...).want(t, 0)
	broker := d.WaitLog(regexp.MustCompile(`broker=(\S+)`))[1]
	execute(t, "verify", "--addr", d.RESPAddr, "--password-file", password, "--tls-ca", c.CA, "--kafka-bootstrap", broker, "--topics", "users,organizations,sessions").want(t, 0, "agrees")

	execute(t, with("run", "--addr", d.RESPAddr, "--tls-ca", c.CA, "--duration", "1s")...).want(t, 1, "NOAUTH")
	execute(t, with("run", "--addr", d.RESPAddr, "--tls", "--password-file", password, "--duration", "1s")...).want(t, 1, "certificate")
}

// TestPropagation: both instances show every write, the one that is written to and the one that is not.
func TestPropagation(t *testing.T) {
	c := kafkatest.Shared(t)
	topics := newTopics(t, c)
	a, b := topics.serve(t, c, "a"), topics.serve(t, c, "b")
	file := filepath.Join(t.TempDir(), "r.json")
	execute(t, with("propagate", "--addr", a.RESPAddr+","+b.RESPAddr, "--rate", "50", "--duration", "3s", "--json", file, "--slo", "errors=0,p99=20s")...).want(t, 0, a.RESPAddr, b.RESPAddr)
	r := decoded[loadgen.PropagationReport](t, file)
	if r.Writes != 150 || r.Left != "" {
		t.Errorf("%+v", r)
	}
	for _, v := range r.Instances {
		if v.Seen != 150 || v.Visible.Min <= 0 || v.Visible.Count != 150 || len(v.Distribution) < 5 {
			t.Errorf("%+v", v)
		}
	}
	if n, err := a.Client(0).DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("%d records are left behind, %v", n, err)
	}
}
