// Command gotest runs `go test` once or several times and sums them up: it prints
// go test's closing line of every package, the output of the tests that failed,
// the tests that took the longest, and at last one line "N passed, N failed".
//
//	gotest [NAME=VALUE]... ARGUMENTS [-- [NAME=VALUE]... ARGUMENTS]...
//
// It exits with 1 when a test or a build failed or nothing passed. All runs are
// made, whatever those before them say.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	var s summary
	ok := true
	args := os.Args[1:]
	for len(args) > 0 {
		n := slices.Index(args, "--")
		if n < 0 {
			n = len(args)
		}
		if err := run(args[:n], &s); err != nil {
			fmt.Fprintln(os.Stderr, "gotest:", err)
			ok = false
		}
		args = args[min(n+1, len(args)):]
	}
	fmt.Print(s.slowest(12))
	fmt.Println(s.String())
	if !ok || s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

// run is one go test; its exit code counts too, since not all failures are events.
func run(args []string, s *summary) error {
	env := os.Environ()
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") && strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	// -C must be the first flag.
	if len(args) > 1 && args[0] == "-C" {
		args = append([]string{"-C", args[1], "-json"}, args[2:]...)
	} else {
		args = append([]string{"-json"}, args...)
	}
	cmd := exec.Command("go", append([]string{"test"}, args...)...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = s.read(out, os.Stdout)
	if waitErr := cmd.Wait(); waitErr != nil {
		return fmt.Errorf("go test: %w", waitErr)
	}
	return err
}

func (s *summary) read(r io.Reader, w io.Writer) error {
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			s.line(line, w)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}
