// Command loadgen puts the sample model to instances of kafka-cache as a load, and checks them against the log.
//
//	loadgen seed --addr 127.0.0.1:6379 --users 100000
//	loadgen run --addr 127.0.0.1:6379 --users 100000 --rate 20000 --duration 30s --slo p99=2ms
//	loadgen verify --addr a:6379,b:6379 --kafka-bootstrap kafka:9092
//	loadgen propagate --addr a:6379,b:6379 --rate 50
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1   // it could not be done, or nothing of it succeeded; seed: not all was written; verify: an instance differs
	exitUsage       = 2   // the arguments cannot be used
	exitObjective   = 3   // an objective is not met
	exitUndecided   = 4   // verify: nothing differs, but something could not be compared
	exitInterrupted = 130 // ended by SIGINT or SIGTERM, after the report of what was done
)

const usage = `usage: loadgen COMMAND [options]   (loadgen COMMAND --help lists them)

  seed        write the sample model: organizations, users, sessions
  run         drive a mix of reads, writes, deletes and scans, and measure latencies
  verify      compare instances with the log itself, key by key
  propagate   measure the time from a write to its visibility in each instance
`

// quiet takes what go-redis would print by itself: a line for each attempt to connect. What becomes of an operation is in its error.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// sameSignal is for how long another signal is taken for the same as the first: who signals a process and its group, as timeout(1) does, signals it twice.
const sameSignal = 100 * time.Millisecond

func main() {
	redis.SetLogger(quiet{})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) }) // then a second signal ends it at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer, io.Writer) int{
		"seed": seed, "run": runLoad, "verify": verifyInstances, "propagate": propagate,
	}
	if len(args) > 0 {
		if c, ok := commands[args[0]]; ok {
			return c(ctx, args[1:], stdout, stderr)
		}
		if args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
			if len(args) == 2 && commands[args[1]] != nil {
				return commands[args[1]](ctx, []string{"--help"}, stdout, stderr)
			}
			fmt.Fprint(stdout, usage)
			return exitOK
		}
		fmt.Fprintf(stderr, "loadgen: unknown command %.64q\n", args[0])
	}
	fmt.Fprint(stderr, usage)
	return exitUsage
}
