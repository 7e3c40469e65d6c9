package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// Probe is a program that tries one library, and how it is started.
//
// It finds in its environment COMPAT_HOST and COMPAT_PORT of the daemon,
// COMPAT_AUTH_PORT and COMPAT_PASSWORD of one with a password, COMPAT_TLS_PORT and
// COMPAT_CA (a PEM file) of one with TLS, COMPAT_PREFIX of its keys (see
// Stage.seed), and COMPAT_COLUMNS, which it has to try, separated by commas.
//
// It prints lines of JSON: first {"version": "…"}, then for each column a Result,
// and asks between them, one answer being one line on its standard input:
//
//	{"ask": "produce", "key": "…", "value": "…"}  a record from another producer is in the log of database 0
//	{"ask": "restart"}                            the daemon was restarted, and answers LOADING until
//	{"ask": "ready"}                              it is ready again
//
// The answer is "ok", or what went wrong. Other lines are shown where it failed.
type Probe struct {
	Command []string
	Env     []string // beside this process's
	Dir     string
}

// probeTime bounds one probe.
const probeTime = 3 * time.Minute

// line is any line that a probe prints.
type line struct {
	Version string `json:"version"`
	Ask     string `json:"ask"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	Result
}

// run runs a probe over the columns and reports of what it said, and of what it should have.
func (s *Stage) run(ctx context.Context, name string, p Probe, columns []string) (Report, error) {
	r := Report{Name: name}
	prefix := "truth:" + strings.ReplaceAll(strings.ToLower(name), " ", "-") + ":"
	if err := s.seed(ctx, prefix); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	env, err := s.environment(prefix, columns)
	if err != nil {
		return r, err
	}
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Env = append(append(os.Environ(), env...), p.Env...)
	cmd.Dir = p.Dir
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return r, err
	}
	lines := make(chan string)
	proc, err := childproc.Start(cmd, func(l string) {
		select {
		case lines <- l:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return r, err
	}
	defer proc.Kill()
	c := conversation{stage: s, report: &r, answers: stdin, held: false}
	err = c.follow(ctx, proc, lines)
	if c.held { // the next probe finds it ready
		err = errors.Join(err, s.loaded(context.WithoutCancel(ctx)))
	}
	r.Detail = strings.Join(c.printed, "\n")
	for _, column := range columns {
		if _, ok := r.result(column); !ok {
			r.Results = append(r.Results, Result{Column: column, Note: "the probe said nothing of it"})
		}
	}
	return r, err
}

func (s *Stage) environment(prefix string, columns []string) ([]string, error) {
	addr := s.plain.addr
	if s.through != nil {
		a, err := s.through(addr)
		if err != nil {
			return nil, err
		}
		addr = a.String()
	}
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	return []string{
		"COMPAT_HOST=127.0.0.1", "COMPAT_PORT=" + port(addr), "COMPAT_AUTH_PORT=" + port(s.auth.addr), "COMPAT_PASSWORD=" + password,
		"COMPAT_TLS_PORT=" + port(s.tls.addr), "COMPAT_CA=" + s.ca, "COMPAT_PREFIX=" + prefix, "COMPAT_COLUMNS=" + strings.Join(columns, ","),
	}, nil
}

// conversation is what runner and probe say to each other.
type conversation struct {
	stage   *Stage
	report  *Report
	answers io.Writer
	held    bool // the broker stands still
	printed []string
}

// follow reads what the probe prints until it ends. Its error is of the stage, not of the probe.
func (c *conversation) follow(ctx context.Context, proc *childproc.Process, lines <-chan string) error {
	for {
		select {
		case text := <-lines:
			if err := c.take(ctx, text); err != nil {
				return err
			}
		case <-proc.Done():
			if code := proc.ExitCode(); code != 0 {
				c.printed = append(c.printed, fmt.Sprintf("the probe ended with code %d", code))
			}
			return nil
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				c.printed = append(c.printed, fmt.Sprintf("the probe did not end within %v", probeTime))
				return nil
			}
			return ctx.Err()
		}
	}
}

func (c *conversation) take(ctx context.Context, text string) error {
	var l line
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &l) != nil {
		c.printed = append(c.printed, text)
		return nil
	}
	switch {
	case l.Version != "":
		c.report.Version = l.Version
		return nil
	case l.Ask != "":
		answer := "ok"
		err := c.do(ctx, l)
		if err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, errWrite := io.WriteString(c.answers, answer+"\n"); errWrite != nil {
			c.printed = append(c.printed, fmt.Sprintf("the probe does not read the answer to %s: %v", l.Ask, errWrite))
		}
		return err
	}
	if _, again := c.report.result(l.Column); again {
		l.Result = Result{Column: l.Column + " (again)", Note: "the probe said it twice"}
	}
	c.report.Results = append(c.report.Results, l.Result)
	return nil
}

func (c *conversation) do(ctx context.Context, l line) error {
	switch l.Ask {
	case "produce":
		return c.stage.produce(ctx, &kgo.Record{Topic: topics[mainDB], Key: []byte(l.Key), Value: []byte(l.Value)})
	case "restart":
		c.held = true
		return c.stage.loading(ctx)
	case "ready":
		c.held = false
		return c.stage.loaded(ctx)
	}
	return fmt.Errorf("nobody knows how to %q", l.Ask)
}
