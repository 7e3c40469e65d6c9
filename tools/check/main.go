// Command check holds the rules of the house that neither the compiler nor the
// linter knows: which package may import which, that every dependency has its
// reason written down, words that do not belong in the tree, and files that hold
// too much. It prints a line for each breach and exits with 1 if there is one.
//
//	check TOP-OF-THE-REPOSITORY
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// modules are the directories of the modules that users get, of the tests, and of the tools that have code of ours with dependencies.
var modules = []string{"core", "respserver", "admin", "loadgen", "tests", "tools/verifydeploy"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: check TOP-OF-THE-REPOSITORY")
		os.Exit(2)
	}
	breaches, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
	for _, b := range breaches {
		fmt.Println(b)
	}
	if len(breaches) > 0 {
		os.Exit(1)
	}
}

func run(top string) ([]string, error) {
	files, err := tracked(top)
	if err != nil {
		return nil, err
	}
	var breaches []string
	for _, check := range []func(string, []string) ([]string, error){checkImports, checkDependencies, checkWords, checkLengths} {
		b, err := check(top, files)
		if err != nil {
			return nil, err
		}
		breaches = append(breaches, b...)
	}
	return breaches, nil
}

// tracked lists the files that are in the repository or would be with the next commit.
func tracked(top string) ([]string, error) {
	out, err := exec.Command("git", "-C", top, "ls-files", "-co", "--exclude-standard", "-z").Output()
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	var files []string
	for f := range strings.SplitSeq(string(out), "\x00") {
		if f == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(top, f)); err == nil { // not one that was deleted since
			files = append(files, f)
		}
	}
	return files, nil
}
