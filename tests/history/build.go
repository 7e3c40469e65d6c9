package history

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// BrokenTag is the build tag of a daemon that can be given a fault, and brokenVariable names which.
const (
	BrokenTag      = "kafkacache_broken"
	brokenVariable = "KAFKACACHE_BROKEN"
)

// Build builds kafka-cache from the tree that the working directory is in, into dir, and returns its path.
func Build(ctx context.Context, dir string, race bool, tags string) (string, error) {
	top, err := daemontest.Top()
	if err != nil {
		return "", err
	}
	return build(ctx, top, dir, race, tags)
}

func build(ctx context.Context, top, dir string, race bool, tags string) (string, error) {
	path := filepath.Join(dir, "kafka-cache")
	args := []string{"-C", filepath.Join(top, "respserver"), "build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	if tags != "" {
		args = append(args, "-tags", tags)
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "./cmd/kafka-cache")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kafka-cache: %w\n%s", err, out)
	}
	return path, nil
}
