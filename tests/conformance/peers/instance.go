package peers

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/tests/conformance"
)

// instance is a peer's process with the HTTP interface that goka/ and globaltable/ share.
type instance struct {
	*conformance.Process
	addr    string
	scratch string // of an instance that keeps nothing
}

// offers is what both peers are.
func offers(c conformance.Capability) bool { return c == conformance.Durable }

// start runs the command that command makes for the directory of an instance's storage.
func start(ctx context.Context, spec conformance.Spec, command func(dir string) *exec.Cmd) (conformance.Instance, error) {
	i := &instance{}
	dir := spec.DataDir
	if dir == "" {
		var err error
		if i.scratch, err = os.MkdirTemp("", "conformance-peer-"); err != nil {
			return nil, err
		}
		dir = i.scratch
	}
	p, err := conformance.StartProcess(command(dir))
	if err != nil {
		return nil, errors.Join(err, i.removeScratch())
	}
	i.Process = p
	i.addr, err = p.WaitLine(ctx, func(line string) (string, bool) { return strings.CutPrefix(line, "LISTENING ") })
	if err != nil {
		i.Kill()
		return nil, fmt.Errorf("%w; it printed:\n%s", err, p.Log())
	}
	return i, nil
}

func (i *instance) removeScratch() error {
	if i.scratch == "" {
		return nil
	}
	return os.RemoveAll(i.scratch)
}

func (i *instance) Kill() {
	i.Process.Kill()
	_ = i.removeScratch() // what is left of it lies in the system's directory for such things
}

func (i *instance) WaitReady(ctx context.Context) (time.Duration, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		code, body, err := i.ask(ctx, "/ready")
		if err == nil && code == http.StatusOK {
			return time.Since(i.Began), nil
		}
		if err == nil {
			err = fmt.Errorf("it says %q", strings.TrimSpace(body))
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-i.Done():
			return time.Since(i.Began), i.because(fmt.Errorf("%w with code %d", conformance.ErrEnded, i.ExitCode()))
		case <-ctx.Done():
			return time.Since(i.Began), i.because(last)
		}
	}
}

var complaint = regexp.MustCompile(`\b[A-Za-z.]*(Exception|Error): .*|the view has ended: .*|panic: .*`)

// because adds the last complaint that the peer has printed, if there is one: a table has room for the reason and not for a log.
func (i *instance) because(err error) error {
	lines := i.Lines()
	for n := len(lines) - 1; n >= 0; n-- {
		if said := complaint.FindString(lines[n]); said != "" {
			return fmt.Errorf("%w; it printed last: %.200s", err, said)
		}
	}
	return err
}

func (i *instance) Get(ctx context.Context, key string) (string, bool, error) {
	code, body, err := i.ask(ctx, "/get?"+hex.EncodeToString([]byte(key)))
	if err != nil || code == http.StatusNotFound {
		return "", false, err
	}
	if code != http.StatusOK {
		return "", false, fmt.Errorf("it answers %q", strings.TrimSpace(body))
	}
	value, err := hex.DecodeString(body)
	return string(value), err == nil, err
}

// answersWithin is how long a peer that does not answer now, and says so, is asked again: goka's View says that it has recovered, and once more that it has not when
// it begins to follow.
const answersWithin = 2 * time.Second

func (i *instance) All(ctx context.Context) (map[string]string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	code, body, err := i.ask(ctx, "/all")
	for err == nil && code == http.StatusServiceUnavailable && time.Since(began) < answersWithin {
		select {
		case <-tick.C:
			code, body, err = i.ask(ctx, "/all")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("it answers %q", strings.TrimSpace(body))
	}
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(body) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		key, err := hex.DecodeString(k)
		value, err2 := hex.DecodeString(v)
		if err := errors.Join(err, err2); err != nil || !ok {
			return nil, fmt.Errorf("line %q of /all: %w", line, err)
		}
		all[string(key)] = string(value)
	}
	return all, nil
}

var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (i *instance) ask(ctx context.Context, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := client.Do(req)
	if err != nil {
		select {
		case <-i.Done():
			err = i.because(fmt.Errorf("%w with code %d", conformance.ErrEnded, i.ExitCode()))
		default:
		}
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}
