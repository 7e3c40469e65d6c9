package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// tool runs one of the tools and returns what it printed where it complains.
func (v verifier) tool(ctx context.Context, stdin io.Reader, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(v.tools, name), args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no %s in %s: make verify-deploy gets it", name, v.tools)
	}
	return fmt.Errorf("%s: %w\n%s", name, err, out)
}

// kubeScore has kube-score judge what was built. A limit of CPU is what it asks for and what makes a cache slow in bursts.
func (v verifier) kubeScore(ctx context.Context, documents [][]byte) error {
	args := []string{"score", "--ignore-container-cpu-limit", "--exit-one-on-warning", "--output-format", "ci", "--kubernetes-version", "v1.36"}
	for _, optional := range []string{"container-seccomp-profile", "container-ports-check", "container-memory-requests-equal-limits", "container-ephemeral-storage-request-equals-limit"} {
		args = append(args, "--enable-optional-test", optional)
	}
	err := v.tool(ctx, strings.NewReader(stream(documents)), "kube-score", append(args, "-")...)
	if err == nil {
		return nil
	}
	var said []string
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "[OK]") && !strings.HasPrefix(line, "[SKIPPED]") {
			said = append(said, strings.TrimRight(line, "\n"))
		}
	}
	return errors.New(strings.Join(said, "\n\t"))
}

func (v verifier) dockerfile(ctx context.Context) (string, []error) {
	return "1 file", joined(v.tool(ctx, nil, "hadolint", "--failure-threshold", "info", filepath.Join(v.top, "deploy", "Dockerfile")))
}

// prometheus checks the configuration of the compose file, next to the rules that it loads.
func (v verifier) prometheus(ctx context.Context) (string, []error) {
	dir, err := os.MkdirTemp("", "verifydeploy-")
	if err != nil {
		return "", joined(err)
	}
	defer os.RemoveAll(dir)
	for _, file := range []string{"deploy/compose/prometheus/prometheus.yaml", "deploy/prometheus/kafka-cache.rules.yaml"} {
		text, err := os.ReadFile(filepath.Join(v.top, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600)
		}
		if err != nil {
			return "", joined(err)
		}
	}
	return "configuration and rules", joined(v.tool(ctx, nil, "promtool", "check", "config", "--lint-fatal", filepath.Join(dir, "prometheus.yaml")))
}

// compose loads the file as docker compose does, and looks for what it mounts and builds from.
func (v verifier) compose(ctx context.Context) (string, []error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(v.top, "deploy", "compose", "compose.yaml")})
	if err != nil {
		return "", joined(err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return "", joined(err)
	}
	var wrong []error
	there := func(service, path string) {
		if _, err := os.Stat(path); err != nil {
			wrong = append(wrong, fmt.Errorf("service %s: %w", service, err))
		}
	}
	for name, s := range project.Services {
		for _, m := range s.Volumes {
			if m.Type == types.VolumeTypeBind {
				there(name, m.Source)
			}
		}
		if s.Build != nil {
			there(name, filepath.Join(s.Build.Context, s.Build.Dockerfile))
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				wrong = append(wrong, fmt.Errorf("service %s: port %s is published to others than this machine", name, p.Published))
			}
		}
		if s.Build == nil && (!strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest")) {
			wrong = append(wrong, fmt.Errorf("service %s: the image %s has no version", name, s.Image))
		}
	}
	return fmt.Sprintf("%d services", len(project.Services)), wrong
}

func (v verifier) workflows(ctx context.Context) (string, []error) {
	files, err := filepath.Glob(filepath.Join(v.top, ".github", "workflows", "*.y*ml"))
	if err != nil || len(files) == 0 {
		return "", joined(errors.Join(err, errors.New("there are no workflows")))
	}
	return fmt.Sprintf("%d files", len(files)), joined(v.tool(ctx, nil, "actionlint", append([]string{"-no-color", "-oneline"}, files...)...))
}
