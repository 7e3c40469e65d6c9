package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// server is a candidate's process.
type server struct {
	name    string
	began   time.Time // just before its start
	proc    *childproc.Process
	addr    string // where it speaks RESP; "" for a GlobalKTable
	admin   string // of a kafka-cache: where its metrics are
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with every line
}

// startServer starts cmd. What it prints is kept for errors and for waitLine.
func startServer(name string, cmd *exec.Cmd) (*server, error) {
	s := &server{name: name, changed: make(chan struct{}), began: time.Now()}
	p, err := childproc.Start(cmd, s.print)
	s.proc = p
	return s, err
}

func (s *server) print(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	close(s.changed)
	s.changed = make(chan struct{})
}

// waitLine returns the first line that match accepts, what match makes of it, and when it was seen.
func (s *server) waitLine(ctx context.Context, match func(string) (string, bool)) (string, time.Time, error) {
	for seen := 0; ; {
		s.mu.Lock()
		lines, changed := s.lines[seen:], s.changed
		seen = len(s.lines)
		s.mu.Unlock()
		now := time.Now()
		for _, l := range lines {
			if v, ok := match(l); ok {
				return v, now, nil
			}
		}
		select {
		case <-changed:
		case <-s.proc.Done():
			if s.count() == seen {
				return "", now, s.ended()
			}
		case <-ctx.Done():
			return "", now, s.error(ctx.Err())
		}
	}
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

func (s *server) ended() error {
	return s.error(fmt.Errorf("ended with code %d", s.proc.ExitCode()))
}

// error adds to err who it is and the end of what it printed.
func (s *server) error(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.lines[max(0, len(s.lines)-20):]
	return fmt.Errorf("%s: %w; it printed last:\n%s", s.name, err, strings.Join(last, "\n"))
}

// stopPatience is how long a candidate may take to end after SIGTERM.
const stopPatience = 2 * time.Minute

// stop ends the server with SIGTERM and returns how long that took.
func (s *server) stop() (time.Duration, error) {
	began := time.Now()
	if !s.proc.Stop(stopPatience) {
		return 0, s.error(fmt.Errorf("does not end within %v of SIGTERM", stopPatience))
	}
	return time.Since(began), nil
}

// untilExit is ctx, cancelled too when the server ends.
func (s *server) untilExit(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.proc.Done():
			cancel(errors.New("the process has ended"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// freePort finds a port on loopback that nothing listens on, below those that
// the system gives to outgoing connections, of which a benchmark has many.
func freePort() (int, error) {
	const low, high = 12000, 32000
	for range 100 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", low, high)
}
