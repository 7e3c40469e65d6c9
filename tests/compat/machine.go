package compat

import (
	"context"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// Machine is the versions of what runs the probes.
func Machine(ctx context.Context) []string {
	all := []string{"Go " + strings.TrimPrefix(runtime.Version(), "go")}
	for _, p := range []struct {
		name string
		args []string
	}{
		{"Python", []string{"python3", "--version"}}, {"Node.js", []string{"node", "--version"}}, {"Java", []string{"java", "-version"}}, {"Rust", []string{"rustc", "--version"}},
	} {
		out, err := exec.CommandContext(ctx, p.args[0], p.args[1:]...).CombinedOutput()
		if v := version.Find(out); err == nil && v != nil {
			all = append(all, p.name+" "+string(v))
		}
	}
	return all
}

var version = regexp.MustCompile(`[0-9]+\.[0-9]+(\.[0-9]+)*`)
