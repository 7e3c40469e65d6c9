package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLiveLines: asked every second, a terminal gets each line over the one before, anything else one of ten and the last.
func TestLiveLines(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out strings.Builder
		l := newLive(&out)
		if l.terminal {
			t.Fatal("a buffer is taken for a terminal")
		}
		at := time.Unix(1000, 0)
		l.now, l.printed = func() time.Time { return at }, at
		if terminal {
			l.terminal, l.every = true, everyOnTerminal
		}
		const seconds = 25
		for i := 1; i <= seconds; i++ {
			at = at.Add(time.Second - time.Millisecond*time.Duration(i%3)) // a ticker is not exact
			l.line(i == seconds, func() string { return fmt.Sprintf("second %d", i) })
		}
		l.end()
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if terminal {
			if over := strings.Count(out.String(), "\r\x1b[K"); over != seconds || len(lines) != 1 {
				t.Errorf("on a terminal %d lines over %d, want %d over one: %q", over, len(lines), seconds, out.String())
			}
			continue
		}
		if strings.Join(lines, "|") != "second 10|second 20|second 25" || strings.Contains(out.String(), "\x1b") {
			t.Errorf("elsewhere: %q", out.String())
		}
	}
}
