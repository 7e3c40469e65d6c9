package respserver

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	l, echo, info := &f.srv.latency, f.srv.table.byName["echo"], f.srv.table.byName["info"]
	l.observe(info, time.Hour) // nothing is sampled unless it is asked for
	p.ask("*0\r\n", "latency", "latest")
	if s := p.text("latency", "doctor"); !strings.Contains(s, "latency-monitor-threshold") {
		t.Error(s)
	}
	p.ask("+OK\r\n", "config", "set", "latency-monitor-threshold", "100")
	if s := p.text("latency", "doctor"); s != "Nothing took 100 ms or longer.\n" {
		t.Error(s)
	}
	l.observe(info, 99*time.Millisecond)
	p.ask("*0\r\n", "latency", "latest")
	// In one second the longest counts.
	l.observe(info, 200*time.Millisecond)
	l.observe(info, 300*time.Millisecond)
	l.observe(info, 150*time.Millisecond)
	l.observe(echo, 500*time.Millisecond)
	e := l.of("command")
	if len(e.samples) > 2 || e.most != 300*time.Millisecond {
		t.Fatalf("%+v", e)
	}
	last := e.samples[len(e.samples)-1]
	fast := l.of("fast-command").samples[0]
	p.ask(fmt.Sprintf("*2\r\n*4\r\n$7\r\ncommand\r\n:%d\r\n:%d\r\n:300\r\n*4\r\n$12\r\nfast-command\r\n:%d\r\n:500\r\n:500\r\n", last.second, last.took.Milliseconds(), fast.second), "latency", "latest")
	p.ask(fmt.Sprintf("*1\r\n*2\r\n:%d\r\n:500\r\n", fast.second), "latency", "history", "fast-command")
	if s := p.text("latency", "doctor"); strings.Count(s, "\n") != 2 || !strings.Contains(s, "fast-command: ") || !strings.Contains(s, "500 ms at most") {
		t.Error(s)
	}
	p.ask(":1\r\n", "latency", "reset", "command", "none")
	p.ask("*0\r\n", "latency", "history", "command")
	p.ask(":1\r\n", "latency", "reset")
	for range 2 * latencyKept { // each in a second of its own
		l.observe(info, time.Second)
		l.mu.Lock()
		for i := range l.events["command"].samples {
			l.events["command"].samples[i].second--
		}
		l.mu.Unlock()
	}
	if n := len(l.of("command").samples); n != latencyKept {
		t.Errorf("%d samples are kept", n)
	}
}

func TestLatencyHistogram(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	for _, d := range []time.Duration{500, 1500, 1500, 3 * time.Microsecond, 70 * time.Millisecond, time.Hour} {
		f.srv.table.byName["get"].observe(int(d)%stripes, 1, d)
	}
	want := "$3\r\nget\r\n%2\r\n$5\r\ncalls\r\n:6\r\n$14\r\nhistogram_usec\r\n%5\r\n:1\r\n:1\r\n:2\r\n:3\r\n:4\r\n:4\r\n:131072\r\n:5\r\n:134217728\r\n:6\r\n"
	p.send(frame("hello", "3"))
	p.bulkUntil("modules\r\n*0\r\n")
	p.ask("%1\r\n"+want, "latency", "histogram", "nothing", "get", "GET", "config")
	p.ask("%0\r\n", "latency", "histogram", "set")
	// A container stands for its subcommands.
	p.send(frame("client", "id"))
	p.want(":1\r\n")
	p.send(frame("latency", "histogram", "client"))
	p.want("%1\r\n$9\r\nclient|id\r\n")
}

// bulkUntil reads up to and with the text.
func (p *peer) bulkUntil(end string) {
	p.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		c, err := p.r.ReadByte()
		if err != nil {
			p.t.Fatal(err)
		}
		b.WriteByte(c)
	}
}

func TestMemory(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	if s := p.text("memory", "doctor"); !strings.Contains(s, "The process holds ") || !strings.Contains(s, " of 2.00G") {
		t.Error(s)
	}
	p.ask("+OK\r\n", "memory", "purge")
	p.send(frame("memory", "stats"))
	p.want("*22\r\n$14\r\npeak.allocated\r\n:")
	p.bulkUntil("$9\r\ngo.mapped\r\n")
	m := readMemoryUse()
	if m.resident == 0 || m.peak < m.resident || m.heap == 0 || m.mapped < m.heap {
		t.Errorf("%+v", m)
	}
}

func TestCommandTotals(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send(strings.Repeat(frame("echo", "pong"), 10) + frame("get") + frame("select", "99"))
	p.want(strings.Repeat(pong, 10) + "-ERR wrong number of arguments for 'get' command\r\n-ERR DB index is out of range\r\n")
	p.ask("+OK\r\n", "config", "resetstat") // is nothing to totals
	totals := f.srv.CommandTotals()
	run := uint64(0)
	for _, n := range totals.Counts {
		run += n
	}
	if run < 11 || run > 12 || totals.Failed != 2 || len(totals.Counts) != len(totals.Bounds)+1 {
		t.Errorf("of 10 commands, one with an error, one refused, and one that may be counted yet: %d run, %d failed: %+v", run, totals.Failed, totals)
	}
}

// TestResetStat: INFO begins anew, the metrics go on.
func TestResetStat(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.send(strings.Repeat(frame("echo", "pong"), 10) + frame("get"))
	p.want(strings.Repeat(pong, 10) + "-ERR wrong number of arguments for 'get' command\r\n")
	if s := p.text("info", "commandstats"); !strings.Contains(s, "cmdstat_echo:calls=10,") || !strings.Contains(s, "cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n") {
		t.Error(s)
	}
	p.ask("+OK\r\n", "config", "resetstat")
	p.ask(pong, "echo", "pong")
	if s := p.text("info", "commandstats"); !strings.Contains(s, "cmdstat_echo:calls=1,") || strings.Contains(s, "cmdstat_get") || !strings.Contains(s, "cmdstat_config|resetstat:calls=1,") {
		t.Error(s)
	}
	if s := p.text("info", "stats"); !strings.Contains(s, "total_commands_processed:3\r\n") || !strings.Contains(s, "total_error_replies:0\r\n") || !strings.Contains(s, "total_connections_received:0\r\n") {
		t.Error(s)
	}
	if n := f.srv.table.byName["echo"].counted().calls; n != 11 {
		t.Errorf("the metrics have %d", n)
	}
}

func TestLatencyGraph(t *testing.T) {
	const ms = time.Millisecond
	e := &latencyEvent{most: 2 * time.Second}
	for i, took := range []time.Duration{100 * ms, 200 * ms, 600 * ms, 650 * ms, 1200 * ms, 100 * ms} {
		e.samples = append(e.samples, latencySample{1_000_000 + []int64{0, 86_398, 86_400 + 3000, 90_000 - 60, 90_000 - 10, 90_000}[i], took})
	}
	dashes := strings.Repeat("-", 80) + "\n"
	want := "command - high 1200 ms, low 100 ms (all time high 2000 ms)\n" + dashes +
		"    #\n" +
		"    |\n" +
		"  ##|\n" +
		"_o|||_\n" +
		"\n" +
		"111110\n" +
		"dh0m0s\n" +
		"  m s\n"
	if got := e.graph("command", 1_090_000); got != want {
		t.Errorf("drawn:\n%s\nwant:\n%s", got, want)
	}
	e = &latencyEvent{most: 5 * ms}
	for range 2*graphColumns - 1 { // that are all the same
		e.samples = append(e.samples, latencySample{1_000_000, 5 * ms})
	}
	part := func(n int) string {
		return "\n\n\n" + strings.Repeat("_", n) + "\n\n" + strings.Repeat("0", n) + "\n" + strings.Repeat("s", n) + "\n"
	}
	if got, want := e.graph("x", 999_999), "x - high 5 ms, low 5 ms (all time high 5 ms)\n"+dashes+part(80)+part(79); got != want { // the clock was set back
		t.Errorf("drawn:\n%s\nwant:\n%s", got, want)
	}

	f := start(t, nil)
	p := f.dial()
	p.ask("-ERR No samples available for event 'command'\r\n", "latency", "graph", "command")
	p.ask("+OK\r\n", "config", "set", "latency-monitor-threshold", "100")
	f.srv.latency.observe(f.srv.table.byName["info"], 300*ms)
	if s := p.text("latency", "graph", "command"); !strings.HasPrefix(s, "command - high 300 ms, low 300 ms (all time high 300 ms)\n"+dashes+"\n\n\n_\n\n") {
		t.Error(s)
	}
}
