package childproc

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// maxLine bounds one line of output; what is longer is cut there.
const maxLine = 1 << 20

// Process is a started child. Its methods may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts cmd and calls line for every line that it writes to standard
// output or standard error, from one goroutine, until it has ended. cmd must
// have neither Stdout nor Stderr set.
//
// The parent-death signal follows the thread that forked, not the process, so
// the goroutine that starts the child keeps its thread until the child ends.
func Start(cmd *exec.Cmd, line func(string)) (*Process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	return start(cmd, func() { readLines(out, line) })
}

// Run starts cmd, whose Stdout and Stderr the caller has set, and waits for its end.
func Run(cmd *exec.Cmd) error {
	p, err := start(cmd, func() {})
	if err != nil {
		return err
	}
	<-p.done
	return p.err
}

func start(cmd *exec.Cmd, read func()) (*Process, error) {
	cmd.SysProcAttr = sysProcAttr()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Not unlocked: the thread ends with this goroutine, after the child.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		read()
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

func readLines(r io.Reader, line func(string)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		s, more, err := b.ReadLine()
		if len(s) > 0 || err == nil {
			line(string(s))
		}
		for more && err == nil {
			_, more, err = b.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

// PID is the child's process id, and that of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the child has ended and its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends s to the child's process group; nothing happens once it has ended.
func (p *Process) Signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.PID(), s)
	}
}

// Pause stops the child's process group with SIGSTOP. On Linux it returns when all of the child's threads stand still, which takes a moment: until then the child
// may answer what is asked after the signal. Resume lets it go on.
func (p *Process) Pause() {
	p.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(pausePatience); isRunning(p.PID()) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // between looks
	}
}

const pausePatience = 5 * time.Second

// Resume is SIGCONT.
func (p *Process) Resume() { p.Signal(syscall.SIGCONT) }

// Kill ends the child with SIGKILL and waits for it.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the child to end with SIGTERM, waits, and kills it when it has not
// ended after grace. It tells whether the child ended by itself.
func (p *Process) Stop(grace time.Duration) bool {
	p.Signal(syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		p.Kill()
		return false
	}
}

// ExitCode is the child's exit code: -1 while it runs or when a signal ended it.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}
