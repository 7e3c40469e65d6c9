package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/yolean/kafka-cache/loadgen"
)

var sizes = []string{"--organizations=2", "--users=30", "--sessions=40"}

func runs(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func of(command string, redis *miniredis.Miniredis, more ...string) []string {
	return append(append([]string{command, "--addr", redis.Addr()}, sizes...), more...)
}

// TestRunCommand: objectives decide the status, and every output says which loop it was.
func TestRunCommand(t *testing.T) {
	redis := miniredis.RunT(t)
	if code, out, err := runs(t, of("seed", redis)...); code != exitOK {
		t.Fatalf("seed: %d\n%s%s", code, out, err)
	}
	short := []string{"--duration=300ms", "--connections=3"}
	dir := t.TempDir()
	for _, tt := range []struct {
		name    string
		args    []string
		code    int
		printed string
	}{
		{"met", []string{"--rate=100", "--slo=p99=10s,errors=0", "--slo", "rate=50"}, exitOK, "objective p99=10s: met"},
		{"not met", []string{"--rate=100", "--slo=p50=1ns"}, exitObjective, "objective p50=1ns: NOT MET"},
		{"closed", []string{"--closed", "--slo=get.max=10s"}, exitOK, "closed loop: each connection waits"},
		{"a rate of a closed loop", []string{"--closed", "--rate=5"}, exitUsage, "no rate"},
		{"bad mix", []string{"--mix=incr=1"}, exitUsage, "mix"},
		{"bad keys", []string{"--keys=latest"}, exitUsage, "zipf"},
		{"bad objective", []string{"--slo=speed=1"}, exitUsage, "objective"},
		{"too few connections", []string{"--connections=1"}, exitUsage, "at least 3"},
		{"no such directory", []string{"--json", filepath.Join(dir, "no", "r.json")}, exitUsage, "no such file"},
		{"bad port", []string{"--metrics-listen", "127.0.0.1:-1"}, exitUsage, "--metrics-listen"},
	} {
		code, out, err := runs(t, of("run", redis, append(short, tt.args...)...)...)
		if code != tt.code || !strings.Contains(out+err, tt.printed) {
			t.Errorf("%s: %d, want %d with %q\n%s%s", tt.name, code, tt.code, tt.printed, out, err)
		}
		if tt.code == exitOK && !strings.Contains(err, " left, "+map[bool]string{true: "closed", false: "open"}[tt.name == "closed"]+" loop") {
			t.Errorf("%s: the live line does not say which loop: %s", tt.name, err)
		}
	}
}

// TestNothingSucceeds: a run of which every operation fails has failed, whether or not there are objectives; one that succeeds in part has not.
func TestNothingSucceeds(t *testing.T) {
	redis := miniredis.RunT(t)
	if code, out, err := runs(t, of("seed", redis)...); code != exitOK {
		t.Fatalf("seed: %d\n%s%s", code, out, err)
	}
	short := []string{"--duration=300ms", "--rate=100", "--mix=get=50,set=50", "--connections=3"}
	redis.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd != "GET" && cmd != "SET" {
			return false
		}
		c.WriteError("READONLY refused")
		return true
	})
	for _, tt := range []struct {
		command, printed string
		args             []string
		code             int
	}{
		{"run", "no operation succeeded", short, exitFailed},
		{"run", "NOT MET", append(short, "--slo=errors=0"), exitObjective},
		{"propagate", "no write was acknowledged", []string{"--rate=100", "--duration=200ms"}, exitFailed},
	} {
		code, out, err := runs(t, of(tt.command, redis, tt.args...)...)
		if code != tt.code || !strings.Contains(out+err, tt.printed) {
			t.Errorf("%s %v: %d, want %d with %q\n%s%s", tt.command, tt.args, code, tt.code, tt.printed, out, err)
		}
	}
	redis.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if cmd == "SET" {
			c.WriteError("READONLY refused")
		}
		return cmd == "SET"
	})
	if code, out, err := runs(t, of("run", redis, short...)...); code != exitOK {
		t.Errorf("half of it succeeds: %d\n%s%s", code, out, err)
	}
}

// TestRunOutputs: JSON, histogram log and HTML are written, and with - the JSON is alone on the standard output.
func TestRunOutputs(t *testing.T) {
	redis := miniredis.RunT(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	code, out, errs := runs(t, of("run", redis, "--rate=100", "--duration=300ms", "--connections=3", "--json=-", "--hdr", file("r.hlog"), "--html", file("r.html"))...)
	var r loadgen.Report
	if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil || r.Schema != loadgen.ReportSchema || r.Operations != 30 || !strings.Contains(errs, "open loop: latencies") {
		t.Errorf("%d, %v, %+v\n%s", code, err, r, errs)
	}
	for name, begins := range map[string]string{"r.hlog": "#[", "r.html": "<!DOCTYPE html>"} {
		if b, err := os.ReadFile(file(name)); err != nil || !strings.HasPrefix(string(b), begins) {
			t.Errorf("%s: %v: %.40s", name, err, b)
		}
	}
	code, out, errs = runs(t, of("propagate", redis, "--rate=100", "--duration=300ms", "--json=-", "--hdr", file("p.hlog"), "--html", file("p.html"), "--slo=errors=0")...)
	var p loadgen.PropagationReport
	if err := json.Unmarshal([]byte(out), &p); code != exitOK || err != nil || p.Schema != loadgen.PropagationSchema || p.Writes != 30 {
		t.Errorf("%d, %v, %+v\n%s", code, err, p, errs)
	}
	if b, err := os.ReadFile(file("p.html")); err != nil || !strings.Contains(string(b), redis.Addr()) {
		t.Errorf("p.html: %v", err)
	}
}

// TestInterruptedRun: what was done is reported and written before the status tells of the signal.
func TestInterruptedRun(t *testing.T) {
	redis := miniredis.RunT(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var enough sync.Once
	gets := make(chan struct{}, 1000)
	redis.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		if command == "GET" {
			select {
			case gets <- struct{}{}:
			default:
			}
			if len(gets) > 20 {
				enough.Do(cancel)
			}
		}
		return false
	})
	file := filepath.Join(t.TempDir(), "r.json")
	var out, errs strings.Builder
	code := run(ctx, of("run", redis, "--rate=200", "--duration=1h", "--connections=3", "--mix=get=1", "--json", file), &out, &errs)
	b, err := os.ReadFile(file)
	var r loadgen.Report
	if code != exitInterrupted || err != nil || json.Unmarshal(b, &r) != nil || !r.Interrupted || r.Operations < 20 || !strings.Contains(out.String(), "interrupted after") {
		t.Errorf("%d, %v: %s\n%s%s", code, err, b, out.String(), errs.String())
	}
}

// TestMetricsEndpoint: it answers while the run lasts, and nothing listens without the option.
func TestMetricsEndpoint(t *testing.T) {
	redis := miniredis.RunT(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, of("run", redis, "--rate=200", "--duration=1h", "--connections=3", "--metrics-listen=127.0.0.1:0"), io.Discard, writer)
		writer.Close()
		ended <- code
	}()
	buffer := make([]byte, 4096)
	var seen string
	address := regexp.MustCompile(`http://(\S+)/metrics`)
	for address.FindString(seen) == "" {
		n, err := reader.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen += string(buffer[:n])
	}
	go io.Copy(io.Discard, reader)
	url := address.FindString(seen)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	want := regexp.MustCompile(`(?m)^loadgen_operations_total\{loop="open",operation="get"\} [1-9]`)
	for {
		res, err := client.Get(url)
		if err == nil {
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if want.Match(b) {
				break
			}
		}
		select {
		case code := <-ended:
			t.Fatalf("it ended with %d", code)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		default:
		}
	}
	cancel()
	if code := <-ended; code != exitInterrupted {
		t.Errorf("exit status %d", code)
	}
	if _, err := client.Get(url); err == nil {
		t.Error("it listens still")
	}
}

// TestPropagateCommand: objectives, and options that cannot be.
func TestPropagateCommand(t *testing.T) {
	redis := miniredis.RunT(t)
	for _, tt := range []struct {
		name    string
		args    []string
		code    int
		printed string
	}{
		{"met", []string{"--slo=p99=10s,errors=0"}, exitOK, "objective errors=0: met"},
		{"not met", []string{"--slo=p50=1ns"}, exitObjective, "NOT MET"},
		{"two topics", []string{"--topics=users=0,sessions=2"}, exitUsage, "one is written to"},
		{"of an operation", []string{"--slo=get.p99=1s"}, exitUsage, "objective"},
		{"no rate", []string{"--rate=0"}, exitUsage, "rate"},
		{"unreachable", []string{"--write-addr=127.0.0.1:1"}, exitFailed, "127.0.0.1:1"},
	} {
		code, out, err := runs(t, of("propagate", redis, append([]string{"--rate=100", "--duration=200ms"}, tt.args...)...)...)
		if code != tt.code || !strings.Contains(out+err, tt.printed) {
			t.Errorf("%s: %d, want %d with %q\n%s%s", tt.name, code, tt.code, tt.printed, out, err)
		}
	}
}

// TestVerifyCommand: options that cannot be.
func TestVerifyCommand(t *testing.T) {
	for _, tt := range []struct {
		args    []string
		printed string
	}{
		{[]string{"--topics=users=x"}, "a database is a number"},
		{[]string{"--memory=0"}, "at least 1"},
		{[]string{"--kafka-sasl-mechanism=GSSAPI"}, "SCRAM"},
		{[]string{"--kafka-sasl-user=ann"}, "need --kafka-sasl-mechanism"},
		{[]string{"--kafka-tls-ca=/does/not/exist"}, "/does/not/exist"},
		{[]string{"--differences=-1"}, "not negative"},
	} {
		if code, out, err := runs(t, append([]string{"verify"}, tt.args...)...); code != exitUsage || !strings.Contains(err, tt.printed) {
			t.Errorf("%v: %d\n%s%s", tt.args, code, out, err)
		}
	}
}
