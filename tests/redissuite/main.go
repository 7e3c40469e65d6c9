// Command redissuite runs files of Redis's own test suite against a kafka-cache daemon and prints for each how many tests passed, failed and
// were skipped. Only what [skips] names, with a reason, is skipped; it ends with 1 where anything else failed.
//
//	go run ./redissuite -source ../build/redis-7.0.15 -daemon ../bin/kafka-cache [-only unit/scan] [-list]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	source := flag.String("source", "build/redis-7.0.15", "directory of Redis's sources")
	daemon := flag.String("daemon", "bin/kafka-cache", "the program that is tested")
	only := flag.String("only", "", "files, comma-separated; all: "+strings.Join(files, ","))
	list := flag.Bool("list", false, "print what is skipped, and why, as the table of docs/commands.md")
	verbose := flag.Bool("v", false, "print every test")
	flag.Parse()
	if *list {
		printSkips(os.Stdout)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := suite(ctx, *source, *daemon, chosen(*only), *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "redissuite:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func chosen(only string) []string {
	if only == "" {
		return files
	}
	return strings.Split(only, ",")
}

// suite runs the files one after the other, each on a daemon of its own, and reports whether all that ran passed.
func suite(ctx context.Context, source, daemon string, files []string, verbose bool) (bool, error) {
	dir, err := os.MkdirTemp("", "redissuite-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := prepare(source, dir); err != nil {
		return false, err
	}
	good := true
	fmt.Printf("%-24s %7s %7s %8s %8s\n", "file", "passed", "failed", "skipped", "ignored")
	for _, file := range files {
		r, err := runFile(ctx, dir, daemon, file, verbose)
		if err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
		fmt.Printf("%-24s %7d %7d %8d %8d\n", file, r.passed, len(r.failed), len(r.skipped), r.ignored)
		for _, f := range r.failed {
			fmt.Println("  FAILED:", f)
		}
		for _, name := range r.stale {
			fmt.Println("  FAILED: the skip list names a test that there is not:", name)
		}
		good = good && len(r.failed) == 0 && len(r.stale) == 0 && r.passed > 0
	}
	return good, nil
}

// prepare copies the suite, makes the edits, and makes it bear a server without functions: before each file it sends FUNCTION FLUSH and takes no error.
func prepare(source, dir string) error {
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return fmt.Errorf("copy Redis's sources (tools/redis-source.sh gets them): %w", err)
	}
	if err := replace(filepath.Join(dir, "tests", "support", "server.tcl"), "    r function flush\n", "    catch {r function flush}\n"); err != nil {
		return err
	}
	for file, list := range edits {
		for _, e := range list {
			if err := replace(filepath.Join(dir, "tests", filepath.FromSlash(file)+".tcl"), e.text, e.by); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace replaces all of a text in a file, which has to be there.
func replace(path, text, by string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), text) {
		return fmt.Errorf("%s does not have %q: is it Redis 7.0?", path, text)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), text, by)), 0o600)
}
