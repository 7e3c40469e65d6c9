package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// live prints how far a command is: on a terminal one line that is written over every second, elsewhere a line each ten.
type live struct {
	out      io.Writer
	terminal bool
	every    time.Duration
	now      func() time.Time
	printed  time.Time
	open     bool // the cursor is at the end of a line that is to be written over
}

// Times between two lines.
const (
	everyOnTerminal = time.Second
	everyElsewhere  = 10 * time.Second
)

func newLive(out io.Writer) *live {
	l := &live{out: out, every: everyElsewhere, now: time.Now, printed: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		l.terminal, l.every = true, everyOnTerminal
	}
	return l
}

// line prints what text returns, if it is time again or the last of all.
func (l *live) line(last bool, text func() string) {
	now := l.now()
	if !last && now.Sub(l.printed) < l.every-100*time.Millisecond { // a ticker of a second is not exact to the millisecond
		return
	}
	l.printed = now
	if !l.terminal {
		fmt.Fprintln(l.out, text())
		return
	}
	s := text()
	if f, ok := l.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && len(s) >= width {
			s = s[:width-1] // a line that is broken could not be written over
		}
	}
	fmt.Fprintf(l.out, "\r\x1b[K%s", s)
	l.open = true
}

// end leaves the line behind.
func (l *live) end() {
	if l.open {
		fmt.Fprintln(l.out)
		l.open = false
	}
}

// unprefixed is an error without the package's name, which the command prints itself.
func unprefixed(err error) string { return strings.TrimPrefix(err.Error(), "loadgen: ") }
