package loadgen

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// onTerminal runs the program on a terminal of so many columns, made by script(1), and returns what was shown.
func onTerminal(t *testing.T, columns int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	line := fmt.Sprintf("stty cols %d; exec %s %s", columns, binary(t), strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "script", "-qec", line, "/dev/null")
	cmd.Env = append(cmd.Environ(), "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("script (of util-linux): %v\n%s", err, out)
	}
	return string(out)
}

// TestTerminal: on a terminal there is one line, written over every second; in a pipe none before ten seconds but the last.
func TestTerminal(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	args := with("run", "--addr", d.RESPAddr, "--rate", "50", "--duration", "4s", "--connections", "3")
	piped := execute(t, args...)
	if n := strings.Count(piped.stderr, " left, open loop"); n != 1 || strings.Contains(piped.stderr, "\x1b") {
		t.Errorf("in a pipe there are %d live lines:\n%q", n, piped.stderr)
	}
	shown := onTerminal(t, 150, args...)
	if n := strings.Count(shown, "\r\x1b[K"); n < 3 || n > 6 || !strings.Contains(shown, " of 4s, ") {
		t.Errorf("on a terminal there are %d live lines in 4 s:\n%q", n, shown)
	}
	for _, line := range strings.Split(onTerminal(t, 40, args...), "\r\x1b[K")[1:] {
		if first, _, _ := strings.Cut(line, "\r\n"); len(first) > 39 {
			t.Errorf("%q does not fit into 40 columns", first)
		}
	}
}
