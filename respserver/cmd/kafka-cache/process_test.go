package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a running daemon.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr *lines
	ended  chan error
}

func newCommand(environ, args []string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append([]string{asCommand + "=1", "PATH=" + os.Getenv("PATH"), "POD_NAMESPACE=test", "POD_NAME=cache-0"}, environ...)
	return cmd
}

func start(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: newCommand(environ, args), stderr: newLines(), ended: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
		if t.Failed() {
			t.Logf("stderr of %v:\n%s", args, p.stderr.text())
		}
	})
	return p
}

// addr waits for a line of the log and returns its addr.
func (p *process) addr(msg string) string {
	p.t.Helper()
	line := p.await(`msg="?` + msg + `"? addr=`)
	_, rest, _ := strings.Cut(line, "addr=")
	addr, _, _ := strings.Cut(rest, " ")
	return strings.TrimSpace(addr)
}

func (p *process) await(pattern string) string {
	p.t.Helper()
	line, err := p.stderr.await(regexp.MustCompile(pattern), patience)
	if err != nil {
		p.t.Fatalf("no line %s: %v\n%s", pattern, err, p.stderr.text())
	}
	return line
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns its status.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("the process has not ended\n%s", p.stderr.text())
		return -1
	}
}

// lines collects output and lets it be waited for.
type lines struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(b), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) await(pattern *regexp.Regexp, timeout time.Duration) (string, error) {
	deadline := time.After(timeout)
	for {
		l.mu.Lock()
		text, changed := l.buf.String(), l.changed
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			if pattern.MatchString(line) && strings.HasSuffix(line, "\n") {
				return line, nil
			}
		}
		select {
		case <-changed:
		case <-deadline:
			return "", errors.New("timed out")
		}
	}
}

// redis sends inline commands and returns one reply line for each, or the bulk it announces.
func redis(t *testing.T, conn net.Conn, commands ...string) (replies []string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for _, c := range commands {
		if _, err := io.WriteString(conn, c+"\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "$-1") {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatalf("%s: %v", c, err)
			}
		}
		replies = append(replies, strings.TrimRight(line, "\r\n"))
	}
	return replies
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func httpGet(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

var onFreePorts = []string{"serve", "--dev", "--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0"}
