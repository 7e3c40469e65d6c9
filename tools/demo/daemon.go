package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// daemon is a running kafka-cache.
type daemon struct {
	cmd                 *exec.Cmd
	respAddr, adminAddr string
	printed             []string // by the daemon until it listened
	ended               chan error
}

// What the daemon logs once it listens.
var (
	respLine  = regexp.MustCompile(`msg="resp listening".* addr=(\S+)`)
	adminLine = regexp.MustCompile(`msg="admin listening".* addr=(\S+)`)
)

func startDaemon(ctx context.Context, binary, respAddr, adminAddr string) (*daemon, error) {
	d := &daemon{ended: make(chan error, 1)}
	d.cmd = exec.Command(binary, "serve", "--dev", "--resp-addr", respAddr, "--admin-addr", adminAddr)
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.cmd.Stderr = d.cmd.Stdout
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan string)
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			lines <- s.Text()
		}
		close(lines)
		d.ended <- d.cmd.Wait()
	}()
	for d.respAddr == "" || d.adminAddr == "" {
		select {
		case line, ok := <-lines:
			if !ok {
				state := "with exit code 0"
				if err := <-d.ended; err != nil {
					state = err.Error()
				}
				return nil, fmt.Errorf("the daemon ended (%s):\n%s", state, strings.Join(d.printed, "\n"))
			}
			d.line(line)
		case <-ctx.Done():
			_ = d.cmd.Process.Kill() // it is not there any more, or about to end
			return nil, fmt.Errorf("wait for the daemon to listen: %w\n%s", ctx.Err(), strings.Join(d.printed, "\n"))
		}
	}
	go func() { // nothing that it prints later is of interest, but it must be able to print
		for range lines {
		}
	}()
	return d, nil
}

func (d *daemon) line(line string) {
	d.printed = append(d.printed, line)
	if m := respLine.FindStringSubmatch(line); m != nil {
		d.respAddr = m[1]
	}
	if m := adminLine.FindStringSubmatch(line); m != nil {
		d.adminAddr = m[1]
	}
}

// waitReady asks /readyz until it says yes.
func (d *daemon) waitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.adminAddr+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-d.ended:
			d.ended <- err
			return fmt.Errorf("the daemon ended before it was ready: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("wait until the daemon is ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// stop ends the daemon as an operator would and has its exit code looked at.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the daemon: %w", err)
	}
	select {
	case err := <-d.ended:
		if err != nil {
			return fmt.Errorf("the daemon ended with an error: %w", err)
		}
		return nil
	case <-time.After(20 * time.Second):
		_ = d.cmd.Process.Kill()
		return errors.New("the daemon did not end within 20 s of SIGTERM")
	}
}
