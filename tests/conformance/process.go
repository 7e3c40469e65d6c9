package conformance

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// Process is an instance's process with what it prints. Adapters embed it for most of [Instance].
type Process struct {
	Began time.Time

	proc    *childproc.Process
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced with every line
	ended   bool
}

// StartProcess starts cmd, which has neither Stdout nor Stderr set.
func StartProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Began: time.Now(), changed: make(chan struct{})}
	proc, err := childproc.Start(cmd, func(s string) { p.note(func() { p.lines = append(p.lines, s) }) })
	if err != nil {
		return nil, err
	}
	p.proc = proc
	go func() {
		<-proc.Done()
		p.note(func() { p.ended = true })
	}()
	return p, nil
}

func (p *Process) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// ErrEnded is the error of waiting for something from a process that has ended.
var ErrEnded = errors.New("the process has ended")

// WaitLine waits for a line that match accepts, those that were printed before included, and returns what match makes of it.
func (p *Process) WaitLine(ctx context.Context, match func(line string) (string, bool)) (string, error) {
	for seen := 0; ; {
		p.mu.Lock()
		lines, changed, ended := p.lines[seen:], p.changed, p.ended
		seen = len(p.lines)
		p.mu.Unlock()
		for _, l := range lines {
			if v, ok := match(l); ok {
				return v, nil
			}
		}
		if ended {
			return "", fmt.Errorf("%w with code %d", ErrEnded, p.proc.ExitCode())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Lines are the lines that were printed so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)]
}

// Log is the lines as one text.
func (p *Process) Log() string { return strings.Join(p.Lines(), "\n") }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.proc.Done() }

// PID is its process id, and that of its group.
func (p *Process) PID() int { return p.proc.PID() }

// Kill is SIGKILL; it returns when the process has ended.
func (p *Process) Kill() { p.proc.Kill() }

// Pause is SIGSTOP.
func (p *Process) Pause() { p.proc.Pause() }

// Resume is SIGCONT.
func (p *Process) Resume() { p.proc.Resume() }

// Stop is SIGTERM; a process that has not ended with ctx is killed.
func (p *Process) Stop(ctx context.Context) error {
	p.proc.Signal(syscall.SIGTERM)
	select {
	case <-p.proc.Done():
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("it has not ended after SIGTERM: %w", context.Cause(ctx))
	}
}

// ExitCode is -1 while it runs or when a signal ended it.
func (p *Process) ExitCode() int { return p.proc.ExitCode() }
