package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// toolTime bounds one run of a program.
const toolTime = 30 * time.Second

// versionOf asks a program with --version.
func versionOf(program string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		out, err := exec.CommandContext(ctx, program, "--version").Output()
		if err != nil {
			return "", fmt.Errorf("%w (make setup installs Redis)", err)
		}
		return string(version.Find(out)), nil
	}
}

// runTool runs a program against the plain daemon until it ends, or, where until is not nil, until it has printed that. It returns what was printed.
func (s *Stage) runTool(ctx context.Context, stdin string, until *regexp.Regexp, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	cmd := exec.Command(args[0], args[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	out := &printed{}
	proc, err := childproc.Start(cmd, out.add)
	if err != nil {
		return "", err
	}
	defer proc.Kill()
	go func() { // ends with the process at the latest, whose end of the pipe breaks
		_, _ = io.WriteString(in, stdin)
		in.Close()
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-proc.Done():
			switch {
			case until != nil && !until.MatchString(out.String()):
				return out.String(), fmt.Errorf("it ended without having printed %q: %.500q", until, out)
			case until == nil && proc.ExitCode() != 0:
				return out.String(), fmt.Errorf("it ended with code %d: %.500q", proc.ExitCode(), out)
			}
			return out.String(), nil
		case <-tick.C:
			if until != nil && until.MatchString(out.String()) {
				return out.String(), nil
			}
		case <-ctx.Done():
			return out.String(), fmt.Errorf("it did not end within %v, or print what was awaited: %.500q", toolTime, out)
		}
	}
}

// port of the plain daemon, or of what tests put before it.
func (s *Stage) port() (string, error) {
	addr := s.plain.addr
	if s.through != nil {
		a, err := s.through(addr)
		if err != nil {
			return "", err
		}
		addr = a.String()
	}
	_, port, err := net.SplitHostPort(addr)
	return port, err
}

// cliRun is one use of redis-cli.
type cliRun struct {
	name  string
	args  []string                         // %s in one is the prefix of keys
	stdin string                           // %s likewise
	until *regexp.Regexp                   // for modes that go on for ever
	want  []string                         // what has to be printed; %s likewise
	never []string                         // what must not be
	terms bool                             // in a terminal
	check func(s *Stage, out string) error // beyond that
}

func (c cliRun) do(ctx context.Context, s *Stage, prefix string) (string, error) {
	port, err := s.port()
	if err != nil {
		return "", err
	}
	fill := func(t string) string { return strings.ReplaceAll(t, "%s", prefix) }
	args := []string{"redis-cli", "-p", port}
	for _, a := range c.args {
		args = append(args, fill(a))
	}
	if c.terms {
		args = []string{"script", "-qec", "TERM=dumb " + strings.Join(args, " "), "/dev/null"} // a dumb one: of others redis-cli throws away what was typed too early
	}
	out, err := s.runTool(ctx, fill(c.stdin), c.until, args...)
	if err != nil {
		return "", err
	}
	var errs []error
	for _, w := range c.want {
		if !strings.Contains(out, fill(w)) {
			errs = append(errs, fmt.Errorf("%q is not in %.600q", fill(w), out))
		}
	}
	for _, n := range c.never {
		if strings.Contains(out, n) {
			errs = append(errs, fmt.Errorf("%q is in %.600q", n, out))
		}
	}
	if c.check != nil {
		errs = append(errs, c.check(s, out))
	}
	return "", errors.Join(errs...)
}

func redisCLI() Tool {
	runs := []cliRun{
		{name: "one command", args: []string{"GET", "%sseed"}, want: []string{"truth from the log"}},
		{name: "from standard input", stdin: "GET %sseed\nGET %snone\nEXISTS %sseed\n", want: []string{"truth from the log", "\n\n1"}},
		{name: "interactive, with hints from `COMMAND DOCS`", terms: true, stdin: "help get\nget %sseed\nselect 1\nget %sseed\nquit\n",
			want: []string{"GET", "summary:", "since:", `"truth from the log"`, "[1]>", `"truth of database 1"`}, never: []string{"Error"}},
		{name: "`-3`", args: []string{"-3", "--no-raw", "MGET", "%sseed", "%snone"}, want: []string{`1) "truth from the log"`, "2) (nil)"}},
		{name: "`-3 CONFIG GET`, a map", args: []string{"-3", "--no-raw", "CONFIG", "GET", "databases"}, want: []string{`1# "databases" => "3"`}},
		{name: "`-n 1`", args: []string{"-n", "1", "GET", "%sseed"}, want: []string{"truth of database 1"}},
		{name: "`--json`", args: []string{"--json", "MGET", "%sseed", "%snone"}, want: []string{`["truth from the log",null]`}},
		{name: "`--csv`", args: []string{"--csv", "MGET", "%sseed", "%snone"}, want: []string{`"truth from the log",NULL`}},
		{name: "`-x`, a value from standard input", args: []string{"-x", "SET", "%sx"}, stdin: "truth x", want: []string{"OK"}},
		{name: "`--scan --pattern`", args: []string{"--scan", "--pattern", "%sscan:*"}, check: func(_ *Stage, out string) error {
			if n := len(strings.Fields(out)); n != scanned {
				return fmt.Errorf("%d keys", n)
			}
			return nil
		}},
		{name: "`--stat`", args: []string{"--stat", "-i", "0.05"}, until: regexp.MustCompile(`(?m)requests.*\n(\d+ .*\n){3}`), want: []string{"keys", "mem", "clients"}},
		{name: "`--bigkeys`", args: []string{"--bigkeys"}, want: []string{"Biggest string found", "strings with"}, never: []string{"Error"}},
		{name: "`--memkeys`", args: []string{"--memkeys"}, want: []string{"Biggest string found", "bytes"}, never: []string{"Error"}},
		{name: "`--pipe`", args: []string{"--pipe"}, stdin: wire.Frame("SET", "truth:tools:pipe1", "1") + wire.Frame("SET", "truth:tools:pipe2", "2"), want: []string{"errors: 0, replies: 2"}},
		{name: "`--latency`", args: []string{"--latency"}, check: matches(`^\d+ \d+ [0-9.]+ \d+$`)},
		{name: "`--latency-history`", args: []string{"--latency-history", "-i", "0.1"}, until: regexp.MustCompile(`(?m)^\d+ \d+ [0-9.]+ \d+`), never: []string{"Error"}},
		{name: "`--latency-dist`", args: []string{"--latency-dist", "-i", "0.1"}, until: regexp.MustCompile(`(?s)From 0 to 100.*\n.*\n`), never: []string{"Error"}},
		{name: "`-r 3 -i 0`", args: []string{"-r", "3", "-i", "0", "STRLEN", "%sseed"}, want: []string{"18\n18\n18"}},
		{name: "`INFO`", args: []string{"INFO"}, want: []string{"redis_version:", "loading:0", "# Keyspace"}},
		{name: "`MONITOR` is refused", args: []string{"MONITOR"}, want: []string{"ERR MONITOR is not supported"}},
		{name: "`--rdb` is refused", args: []string{"--rdb", "/dev/null"}, until: regexp.MustCompile("not supported"), want: []string{"SYNC"}},
	}
	t := Tool{Name: "redis-cli", Version: versionOf("redis-cli")}
	for _, r := range runs {
		t.Checks = append(t.Checks, Check{r.name, r.do})
	}
	return t
}

// matches holds what was printed to a pattern.
func matches(pattern string) func(*Stage, string) error {
	r := regexp.MustCompile(pattern)
	return func(_ *Stage, out string) error {
		if !r.MatchString(strings.TrimSpace(out)) {
			return fmt.Errorf("%.300q is not like %s", out, pattern)
		}
		return nil
	}
}

func redisBenchmark() Tool {
	run := func(args ...string) func(context.Context, *Stage, string) (string, error) {
		return func(ctx context.Context, s *Stage, prefix string) (string, error) {
			port, err := s.port()
			if err != nil {
				return "", err
			}
			all := []string{"redis-benchmark", "-p", port, "-q"}
			for _, a := range args {
				all = append(all, strings.ReplaceAll(a, "%s", prefix))
			}
			out, err := s.runTool(ctx, "", nil, all...)
			if err != nil {
				return "", err
			}
			if strings.Contains(out, "WARNING") || strings.Contains(out, "rror") || !strings.Contains(out, "requests per second") {
				return "", fmt.Errorf("it printed %.500q", out)
			}
			return "", nil
		}
	}
	return Tool{Name: "redis-benchmark", Version: versionOf("redis-benchmark"), Checks: []Check{
		{"`-t get`, no warning of `CONFIG GET` at its start", run("-t", "get", "-n", "20000")},
		{"`-t set`", run("-t", "set", "-n", "2000", "-r", "1000")},
		{"`-P 16 -t get`", run("-P", "16", "-t", "get", "-n", "50000")},
		{"`-P 16 MGET`", run("-P", "16", "-n", "50000", "MGET", "%sseed", "%sscan:1")},
		{"`-t ping`", run("-t", "ping", "-n", "20000")},
	}}
}
