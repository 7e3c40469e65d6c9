package history

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// instance is one kafka-cache, through all its restarts.
type instance struct {
	index   int
	binary  string
	env     []string
	args    []string
	front   *proxy // for its peers; nil: it is none's
	logFile *os.File

	mu     sync.Mutex
	life   *life // nil where it does not run
	faults []string
}

// life is an instance from one start to its end.
type life struct {
	proc         *childproc.Process
	resp, admin  string
	acknowledged bool // how writes are answered
	expected     bool // its end was asked for
}

// What the daemon logs once it listens, in its text format.
var (
	respListening  = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)
	adminListening = regexp.MustCompile(`msg="admin listening".* addr=(\S+)`)
)

// startPatience bounds a start until both listeners are there, and readyPatience until the instance is ready.
const (
	startPatience = 30 * time.Second
	readyPatience = 90 * time.Second
)

func newInstance(index int, binary, workDir, broken string, args ...string) (*instance, error) {
	f, err := os.Create(fmt.Sprintf("%s/instance-%s.log", workDir, instanceName(index)))
	if err != nil {
		return nil, err
	}
	in := &instance{index: index, binary: binary, args: args, logFile: f}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") && !strings.HasPrefix(e, "POD_NAME") && !strings.HasPrefix(e, brokenVariable) {
			in.env = append(in.env, e)
		}
	}
	if broken != "" {
		in.env = append(in.env, brokenVariable+"="+broken)
	}
	return in, nil
}

// start starts the instance and returns once it listens.
func (in *instance) start(ctx context.Context, acknowledged bool) error {
	reply := "applied"
	if acknowledged {
		reply = "acknowledged"
	}
	args := append([]string{"serve", "--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s", "--write-reply", reply}, in.args...)
	fmt.Fprintf(in.logFile, "--- %s %s\n", in.binary, strings.Join(args, " "))
	cmd := exec.Command(in.binary, args...)
	cmd.Env = in.env
	l := &life{acknowledged: acknowledged}
	var once [2]sync.Once
	listening := [2]chan string{make(chan string, 1), make(chan string, 1)}
	proc, err := childproc.Start(cmd, func(line string) {
		fmt.Fprintln(in.logFile, line)
		for i, re := range []*regexp.Regexp{respListening, adminListening} {
			if m := re.FindStringSubmatch(line); m != nil {
				once[i].Do(func() { listening[i] <- m[1] })
			}
		}
		if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			in.fault("it printed: " + line)
		}
	})
	if err != nil {
		return err
	}
	l.proc = proc
	timeout := time.NewTimer(startPatience)
	defer timeout.Stop()
	for i, addr := range []*string{&l.resp, &l.admin} {
		select {
		case *addr = <-listening[i]:
		case <-proc.Done():
			return fmt.Errorf("instance %s ended with code %d before it listened", instanceName(in.index), proc.ExitCode())
		case <-timeout.C:
			proc.Kill()
			return fmt.Errorf("instance %s does not listen after %v", instanceName(in.index), startPatience)
		case <-ctx.Done():
			proc.Kill()
			return context.Cause(ctx)
		}
	}
	if in.front != nil {
		in.front.aim(l.resp)
	}
	in.mu.Lock()
	in.life = l
	in.mu.Unlock()
	go func() {
		<-proc.Done()
		in.mu.Lock()
		expected := l.expected
		in.mu.Unlock()
		if !expected {
			in.fault(fmt.Sprintf("it ended by itself with code %d", proc.ExitCode()))
		}
	}()
	return nil
}

func (in *instance) fault(what string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.faults = append(in.faults, what)
}

// current is the running life, or nil.
func (in *instance) current() *life {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.life
}

func (in *instance) ending() *life {
	in.mu.Lock()
	defer in.mu.Unlock()
	l := in.life
	if l != nil {
		l.expected, in.life = true, nil
	}
	return l
}

// kill ends it with SIGKILL.
func (in *instance) kill() {
	if l := in.ending(); l != nil {
		l.proc.Kill()
	}
}

// stop ends it with SIGTERM; that it does not end, or with another code than 0, is a fault.
func (in *instance) stop() {
	l := in.ending()
	if l == nil {
		return
	}
	const patience = 30 * time.Second
	if !l.proc.Stop(patience) {
		in.fault(fmt.Sprintf("it did not end within %v of SIGTERM", patience))
	} else if code := l.proc.ExitCode(); code != 0 {
		in.fault(fmt.Sprintf("it ended with code %d after SIGTERM", code))
	}
}

func (in *instance) pause() { in.signal(syscall.SIGSTOP) }

func (in *instance) resume() { in.signal(syscall.SIGCONT) }

func (in *instance) signal(s syscall.Signal) {
	if l := in.current(); l != nil {
		l.proc.Signal(s)
	}
}

var httpClient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ready returns once /readyz answers 200.
func (in *instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	return poll(ctx, "instance "+instanceName(in.index)+" is ready", func(ctx context.Context) bool {
		l := in.current()
		if l == nil {
			return false
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.admin+"/readyz", nil)
		if err != nil {
			return false
		}
		res, err := httpClient.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (in *instance) close() {
	in.kill()
	in.logFile.Close()
}
