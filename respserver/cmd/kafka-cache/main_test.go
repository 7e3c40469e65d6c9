package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/dev"
)

// The tests run the daemon as a process of its own: this binary, told by a variable to be the command.
const asCommand = "TEST_AS_KAFKA_CACHE"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what takes milliseconds.
const patience = 30 * time.Second

func TestDevServesTheSampleModel(t *testing.T) {
	p := start(t, nil, onFreePorts...)
	respAddr, adminAddr := p.addr("resp listening"), p.addr("admin listening")
	p.await("msg=ready identity=test.cache-0 topics=3")
	conn := dial(t, respAddr)
	user := dev.Model.UserID(0).String()
	got := redis(t, conn, "GET "+user, `SET `+user+` '{"id":1}'`, "GET "+user, "SET "+user+" hello", "SELECT 1",
		"GET "+dev.Model.OrganizationID(0).String(), "SELECT 3")
	for i, want := range []string{`{"id":"` + user + `"`, "+OK", `{"id":1}`, "-", "+OK", `{"id":"`, "-ERR DB index is out of range"} {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("reply %d: %q, want %q…", i, got[i], want)
		}
	}
	for path, want := range map[string]string{"/livez": "ok", "/readyz": "ok", "/readyz?verbose": "[+]topic users", "/api/v1/status": `"identity": "test.cache-0"`,
		"/metrics": `kafka_cache_ready{topic="users"} 1`} {
		if code, body := httpGet(t, adminAddr, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in %.300s", path, code, want, body)
		}
	}
	// The model keeps changing: the applied records of a topic grow without anybody writing.
	waitFor(t, func() bool {
		_, body := httpGet(t, adminAddr, "/metrics")
		return strings.Contains(body, "kafka_cache_applied_records_total{topic=\"sessions\"} 5") &&
			!strings.Contains(body, "kafka_cache_applied_records_total{topic=\"sessions\"} 500\n")
	})
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if conn, err := net.Dial("tcp", respAddr); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
	for _, want := range []string{"redis-cli -p ", " GET " + user, "-n 1 GET ", " SET " + user} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("no %q in the banner:\n%s", want, p.stdout.String())
		}
	}
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatal("it did not become so")
		}
		time.Sleep(50 * time.Millisecond) // between looks at what cannot be waited for
	}
}

func TestOptionsBesideDev(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Twice on one directory: the broker's topics are new ones then, and rebuilt.
	for range 2 {
		p := start(t, []string{"KCACHE_RESP_PASSWORD_FILE=" + password, "KCACHE_PORT=tcp://10.0.0.1:6379"},
			append(onFreePorts, "--read-only", "--data-dir", filepath.Join(dir, "data"), "--log-format=text", "--memory-limit=1Gi")...)
		respAddr := p.addr("resp listening")
		p.await("msg=ready identity=")
		got := redis(t, dial(t, respAddr), "GET x", "AUTH hunter2", "SET a '{}'", "DBSIZE")
		for i, want := range []string{"-NOAUTH", "+OK", "-READONLY", ":200"} {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("reply %d: %q, want %q…", i, got[i], want)
			}
		}
		p.await("level=WARN.*1 KCACHE_… variables")
		p.await(`msg="memory limit" bytes=1073741824 from=--memory-limit`)
		p.signal(syscall.SIGINT)
		if code := p.exit(); code != 0 {
			t.Fatalf("exit status %d", code)
		}
		if strings.Contains(p.stderr.text()+p.stdout.String(), "hunter2") {
			t.Error("the password is in the output")
		}
	}
}

// During the grace clients are served while /readyz fails; a second signal ends it at once.
func TestGraceAndSecondSignal(t *testing.T) {
	p := start(t, nil, append(onFreePorts, "--shutdown-grace=1h")...)
	respAddr, adminAddr := p.addr("resp listening"), p.addr("admin listening")
	p.await("msg=ready identity=")
	if code, _ := httpGet(t, adminAddr, "/readyz"); code != 200 {
		t.Fatalf("/readyz before: %d", code)
	}
	p.signal(syscall.SIGTERM)
	p.await("msg=stopping signal=terminated grace=1h0m0s")
	p.signal(syscall.SIGTERM) // as from timeout(1), which signals the group too
	waitFor(t, func() bool { code, _ := httpGet(t, adminAddr, "/readyz"); return code == 503 })
	if code, _ := httpGet(t, adminAddr, "/livez"); code != 200 {
		t.Errorf("/livez in the grace: %d", code)
	}
	if got := redis(t, dial(t, respAddr), "PING", "DBSIZE"); got[0] != "+PONG" || got[1] != ":200" {
		t.Errorf("in the grace: %q", got)
	}
	for ended := false; !ended; { // what comes too soon after the first is taken for the same
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case err := <-p.ended:
			p.ended <- err
			ended = true
		case <-time.After(sameSignal):
		}
	}
	if code := p.exit(); code != 1 {
		t.Errorf("exit status %d after the second signal", code)
	}
}

func TestGraceEnds(t *testing.T) {
	p := start(t, nil, append(onFreePorts, "--shutdown-grace=10ms")...)
	p.await("msg=ready identity=")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	p.await("msg=stopped")
}

// A client that waits for what will not come does not hold up the end for longer than it may.
func TestEndWithAWaitingClient(t *testing.T) {
	p := start(t, nil, append(onFreePorts, "--shutdown-timeout=2s")...)
	respAddr := p.addr("resp listening")
	p.await("msg=ready identity=")
	conn := dial(t, respAddr)
	if got := redis(t, conn, "PING", "SET a '{}'"); got[1] != "+OK" {
		t.Fatalf("%q", got)
	}
	if _, err := io.WriteString(conn, "WAIT 2 0\r\n"); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// Kafka that is out of reach is no configuration error.
func TestKafkaOutOfReach(t *testing.T) {
	args := []string{"serve", "--topic=users", "--kafka-bootstrap=127.0.0.1:1", "--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--shutdown-grace=0s"}
	p := start(t, nil, args...)
	respAddr, adminAddr := p.addr("resp listening"), p.addr("admin listening")
	if code, _ := httpGet(t, adminAddr, "/livez"); code != 200 {
		t.Errorf("/livez: %d", code)
	}
	if code, body := httpGet(t, adminAddr, "/readyz"); code != 503 || !strings.Contains(body, "topic users: ") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if got := redis(t, dial(t, respAddr), "GET x"); !strings.HasPrefix(got[0], "-LOADING") {
		t.Errorf("GET: %q", got)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}

	p = start(t, nil, append(args, "--startup-timeout=200ms")...)
	if code := p.exit(); code != 1 {
		t.Errorf("exit status %d after the start-up timeout", code)
	}
	p.await("^kafka-cache: .*start-up timeout")
}

// A configuration error is one line and exit status 2, and nothing in the data directory is touched.
func TestConfigurationErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	yaml := filepath.Join(dir, "kcache.yaml")
	if err := os.WriteFile(yaml, []byte("topics:\n  - name: users\n    resolver: users.jq\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	free := []string{"serve", "--topic=t", "--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--data-dir=" + data}
	with := func(more ...string) []string { return append(append([]string{}, free...), more...) }
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "no command"},
		{"unknown command", []string{"run"}, `unknown command "run"`},
		{"no topic", []string{"serve"}, "--topic: no topic is given"},
		{"unknown flag", with("--toopic=x"), "--toopic: unknown flag"},
		{"address", with("--kafka-bootstrap=kafka:x"), `--kafka-bootstrap: "kafka:x"`},
		{"encoding", with("--value-encoding=xml"), `unknown encoding "xml"`},
		{"RESP port in use", with("--resp-addr=" + taken.Addr().String()), "--resp-addr: " + taken.Addr().String() + " is in use"},
		{"admin port in use", with("--admin-addr=" + taken.Addr().String()), "--admin-addr: " + taken.Addr().String() + " is in use"},
		{"one port for both", with("--resp-addr="+taken.Addr().String(), "--admin-addr="+taken.Addr().String()), "is in use"},
		{"dev and a port in use", []string{"serve", "--dev", "--admin-addr=127.0.0.1:0", "--resp-addr=" + taken.Addr().String()}, "is in use by another process"},
		{"address that is not ours", with("--resp-addr=203.0.113.1:0"), "--resp-addr: "},
		{"data directory is a file", append(free[:4:4], "--data-dir="+file), "--data-dir: "},
		{"data directory that cannot be made", append(free[:4:4], "--data-dir=/proc/kafka-cache"), "--data-dir: mkdir /proc/kafka-cache: "},
		{"no password file", with("--resp-password-file=/does/not/exist"), "--resp-password-file: open /does/not/exist"},
		{"empty password file", with("--resp-password-file=" + empty), "is empty"},
		{"no certificate", with("--resp-tls-cert="+file, "--resp-tls-key="+file), "--resp-tls-cert and --resp-tls-key: "},
		{"no token file", with("--admin-token-file=/does/not/exist"), "--admin-token-file: open /does/not/exist"},
		{"a token that can be guessed", with("--admin-token-file=" + file), "--admin-token-file: " + file + " has a token of less than 16 characters"},
		{"no admin certificate", with("--admin-tls-cert="+file, "--admin-tls-key="+file), "--admin-tls-cert and --admin-tls-key: "},
		{"admin certificate without its key", with("--admin-tls-cert=" + file), "--admin-tls-cert: "},
		{"client CA without TLS", with("--admin-tls-client-ca=" + file), "--admin-tls-client-ca: "},
		{"no CA", with("--kafka-tls", "--kafka-tls-ca="+file), "has no certificate in PEM"},
		{"file", []string{"serve", "--config=" + yaml}, yaml + ":3: resolver: open "},
		{"start", with("--start=-24"), `--start: topic "t": start "-24": `},
		{"dev and topic", []string{"serve", "--dev", "--topic=t"}, "--topic: --dev has"},
		{"arguments of version", []string{"version", "x"}, `unexpected argument "x"`},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		cmd := newCommand(nil, tt.args)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("%s: exit status %d (%v), want 2\n%s", tt.name, code, err, stderr.String())
		}
		var own []string // without the log's lines
		for line := range strings.Lines(stderr.String()) {
			if !strings.HasPrefix(line, "time=") {
				own = append(own, line)
			}
		}
		if len(own) != 1 || !strings.HasPrefix(own[0], "kafka-cache: ") || !strings.Contains(own[0], tt.want) || stdout.Len() > 0 {
			t.Errorf("%s: %q %s\n\twant one line with %q", tt.name, own, stdout.String(), tt.want)
		}
		if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s: the data directory has been touched (%v)", tt.name, err)
		}
	}
}

// What only shows once topics are opened is a configuration error all the same, and the one that was there first goes on.
func TestDataDirectoryInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, nil, append(onFreePorts, "--data-dir", dir)...)
	respAddr := first.addr("resp listening")
	first.await("msg=ready identity=")
	second := start(t, nil, append(onFreePorts, "--data-dir", dir)...)
	if code := second.exit(); code != 2 {
		t.Errorf("exit status %d, want 2", code)
	}
	second.await("^kafka-cache: .*in use")
	if got := redis(t, dial(t, respAddr), "DBSIZE"); got[0] != ":200" {
		t.Errorf("the first: %q", got)
	}
	first.signal(syscall.SIGTERM)
	if code := first.exit(); code != 0 {
		t.Errorf("exit status %d of the first", code)
	}
}

func TestConfigCommand(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	args := []string{"config", "--topic=users", "--resp-password-file", password}
	if code := command(args, []string{"POD_NAMESPACE=a", "POD_NAME=b", "KCACHE_X=hunter2"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d: %s", code, stderr.String())
	}
	if out := stdout.String(); !strings.Contains(out, "identity: a.b # POD_NAMESPACE and POD_NAME\n") || !strings.Contains(out, "  - name: users\n") ||
		strings.Contains(out+stderr.String(), "hunter2") || !strings.Contains(stderr.String(), "warning: KCACHE_X: unknown variable") {
		t.Errorf("%s%s", out, stderr.String())
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	if code := command(args, nil, io.Discard, io.Discard); code != 2 {
		t.Errorf("exit status %d without the password file", code)
	}
}

func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		line string
	}{
		{errors.New("a"), 1, "kafka-cache: a\n"},
		{configError{errors.New("a")}, 2, "kafka-cache: a\n"},
		{fmt.Errorf("topic t: %w: another cluster's", cache.ErrConfig), 2, "kafka-cache: topic t: " + cache.ErrConfig.Error() + ": another cluster's\n"},
		{errors.Join(errors.New("a"), fmt.Errorf("b: %w", respserver.ErrConfig)), 2, "kafka-cache: a; b: " + respserver.ErrConfig.Error() + "\n"},
	} {
		var stderr strings.Builder
		if code := fail(&stderr, tt.err); code != tt.code || stderr.String() != tt.line {
			t.Errorf("%v: %d %q, want %d %q", tt.err, code, stderr.String(), tt.code, tt.line)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"help"}, "Commands:"}, {[]string{"help", "config"}, "kafka-cache config"}, {[]string{"--help"}, "Commands:"}, {[]string{"serve", "--help"}, "--kafka-bootstrap HOST:PORT"},
		{[]string{"help", "serve"}, "KCACHE_MEMORY_LIMIT"}, {[]string{"help", "compare"}, "kafka-cache compare A B"}, {[]string{"config", "-h"}, "--topic NAME"}, {[]string{"version"}, "kafka-cache "},
	} {
		var stdout, stderr strings.Builder
		if code := command(tt.args, nil, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), tt.want) || stderr.Len() > 0 {
			t.Errorf("%v: %d, no %q in %.200s%s", tt.args, code, tt.want, stdout.String(), stderr.String())
		}
	}
}

// The reference page and the schema are made from the table of options: make generate writes them anew after a change.
func TestReferencePageIsCurrent(t *testing.T) {
	for file, args := range map[string][]string{"configuration.md": {"docs"}, "kafka-cache.schema.json": {"docs", "schema"}} {
		have, err := os.ReadFile("../../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var want, stderr strings.Builder
		if code := command(args, nil, &want, &stderr); code != 0 || string(have) != want.String() {
			t.Errorf("docs/%s is not what \"kafka-cache %s\" prints (%d, %s)", file, strings.Join(args, " "), code, stderr.String())
		}
	}
}
