package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// workers are what runs in a process of its own, so that its CPU time and its
// garbage are not those of anything else. Each takes its arguments from one JSON
// object on standard input, and prints its result as one on standard output.
var workers = map[string]func(in io.Reader, out io.Writer) error{
	"get":     worker(runGetLoad),
	"flood":   worker(runFlood),
	"redis":   worker(fillRedis),
	"set":     worker(runSetLoad),
	"consume": worker(consumeTopic),
	"produce": worker(runProduceLoad),
	"fetch":   worker(runFetch),
	"scan":    worker(runScanLoad),

	"set-many":     worker(runSetMany),
	"produce-many": worker(runProduceMany),
	"sarama-many":  worker(runSaramaMany),
	"set-rate":     worker(runSetRate),
	"produce-rate": worker(runProduceRate),
}

func worker[In, Out any](run func(context.Context, In) (Out, error)) func(io.Reader, io.Writer) error {
	return func(in io.Reader, out io.Writer) error {
		var args In
		if err := json.NewDecoder(in).Decode(&args); err != nil {
			return fmt.Errorf("read arguments: %w", err)
		}
		result, err := run(context.Background(), args)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(result)
	}
}

// workerArg is the first argument of a worker's process; the worker's name follows.
const workerArg = "worker"

// runWorker starts this program as a worker, waits for its end, and decodes what it printed.
func runWorker[In, Out any](ctx context.Context, name string, args In) (*Out, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stdin, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, workerArg, name)
	cmd.Stdin = strings.NewReader(string(stdin))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := childproc.Run(cmd); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s worker: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	result := new(Out)
	if err := json.Unmarshal([]byte(stdout.String()), result); err != nil {
		return nil, fmt.Errorf("%s worker printed %q: %w", name, stdout.String(), err)
	}
	return result, nil
}
