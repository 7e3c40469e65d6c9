package childproc

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStartReadsLinesAndExitCode(t *testing.T) {
	var lines []string
	p, err := Start(exec.Command("sh", "-c", "echo one; echo two >&2; printf three; exit 3"), func(s string) { lines = append(lines, s) })
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := strings.Join(lines, ","); got != "one,two,three" {
		t.Errorf("lines %q", got)
	}
	if p.ExitCode() != 3 {
		t.Errorf("exit code %d", p.ExitCode())
	}
}

func TestStartOfWhatIsMissing(t *testing.T) {
	if _, err := Start(exec.Command("/does/not/exist"), func(string) {}); err == nil {
		t.Fatal("no error")
	}
}

func TestStopKillsWhatIgnoresTerm(t *testing.T) {
	ready := make(chan struct{})
	p, err := Start(exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"), func(s string) { close(ready) })
	if err != nil {
		t.Fatal(err)
	}
	<-ready
	if p.Stop(50 * time.Millisecond) {
		t.Error("said to have ended by itself")
	}
	if p.ExitCode() != -1 {
		t.Errorf("exit code %d", p.ExitCode())
	}
}

func TestPauseWaitsUntilItStandsStill(t *testing.T) {
	ready := make(chan struct{}, 1)
	p, err := Start(exec.Command("sh", "-c", "while :; do echo; done"), func(string) {
		select {
		case ready <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	for range 20 {
		<-ready
		p.Pause()
		if isRunning(p.PID()) {
			t.Fatal("it still runs")
		}
		p.Resume()
	}
}

// TestChildrenDieWithTheirParent kills a test process outright and looks whether
// the child that it had started is gone.
func TestChildrenDieWithTheirParent(t *testing.T) {
	if os.Getenv("CHILDPROC_PARENT") != "" {
		p, err := Start(exec.Command("sleep", "300"), func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("child " + strconv.Itoa(p.PID()) + "\n")
		<-p.Done()
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	parent := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChildrenDieWithTheirParent$", "-test.v")
	parent.Env = append(os.Environ(), "CHILDPROC_PARENT=1")
	pid := make(chan int, 1)
	p, err := Start(parent, func(s string) {
		if v, ok := strings.CutPrefix(s, "child "); ok {
			n, _ := strconv.Atoi(v)
			pid <- n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var child int
	select {
	case child = <-pid:
	case <-p.Done():
		t.Fatal("the parent ended before it started its child")
	}
	// To the parent alone: its group must not be what ends the child.
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	for deadline := time.Now().Add(5 * time.Second); running(child); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatalf("process %d outlived its parent", child)
		}
	}
}

// running tells a process from one that has ended and was not waited for yet.
func running(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	return !bytes.HasPrefix(rest, []byte("Z")) && !bytes.HasPrefix(rest, []byte("X"))
}
