package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// Broker is one node of a cluster that this package started. Its methods may be
// called from any goroutine, but not Start and the ones that end it at once.
type Broker struct {
	ID   int
	Addr string // host:port, the same across restarts

	java  string
	args  []string
	dir   string
	log   *tail
	mu    sync.Mutex
	proc  *childproc.Process
	ready chan struct{}
}

const startedLine = "Kafka Server started"

// Start starts the broker, on its port and with the data that it had. It returns
// before it is ready: see WaitReady.
func (b *Broker) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proc != nil {
		select {
		case <-b.proc.Done():
		default:
			return fmt.Errorf("broker %d is running", b.ID)
		}
	}
	f, err := os.OpenFile(filepath.Join(b.dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command(b.java, b.args...)
	cmd.Dir = b.dir
	ready := make(chan struct{})
	var once sync.Once
	p, err := childproc.Start(cmd, func(s string) {
		b.log.add(s)
		fmt.Fprintln(f, s)
		if strings.Contains(s, startedLine) {
			once.Do(func() { close(ready) })
		}
	})
	if err != nil {
		f.Close()
		return err
	}
	go func() {
		<-p.Done()
		f.Close()
	}()
	b.proc, b.ready = p, ready
	return nil
}

func (b *Broker) process() (*childproc.Process, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proc, b.ready
}

var errPortTaken = errors.New("port taken")

// WaitReady returns once the broker serves requests, or with an error when it has ended or ctx has.
func (b *Broker) WaitReady(ctx context.Context) error {
	p, ready := b.process()
	select {
	case <-ready:
		return nil
	case <-p.Done():
		out := b.log.String()
		if strings.Contains(out, "Address already in use") {
			return fmt.Errorf("broker %d: %w", b.ID, errPortTaken)
		}
		return fmt.Errorf("broker %d exited with code %d:\n%s", b.ID, p.ExitCode(), out)
	case <-ctx.Done():
		return fmt.Errorf("broker %d is not ready: %w\n%s", b.ID, ctx.Err(), b.log.String())
	}
}

// Pause stops the broker's threads (SIGSTOP): its connections stay open and answer nothing.
func (b *Broker) Pause() { p, _ := b.process(); p.Pause() }

// Resume lets a paused broker go on (SIGCONT).
func (b *Broker) Resume() { p, _ := b.process(); p.Resume() }

// Kill ends the broker at once (SIGKILL) and waits for its end.
func (b *Broker) Kill() { p, _ := b.process(); p.Kill() }

// Term ends the broker with a controlled shutdown (SIGTERM), or after 10 s without one.
func (b *Broker) Term() { p, _ := b.process(); p.Stop(10 * time.Second) }

// Ended tells whether the broker is not running, be it that it was ended or that it has ended by itself.
func (b *Broker) Ended() bool {
	p, _ := b.process()
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// PID is the process id of the broker as it was started last.
func (b *Broker) PID() int { p, _ := b.process(); return p.PID() }

// Log is the end of what the broker has printed.
func (b *Broker) Log() string { return b.log.String() }

// tail keeps the last lines that were added.
type tail struct {
	mu    sync.Mutex
	lines []string
}

const tailLines = 100

func (t *tail) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, s)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
