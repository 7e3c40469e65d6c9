package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/yolean/kafka-cache/tests/conformance"
	"github.com/yolean/kafka-cache/tests/daemontest"
)

func init() {
	conformance.RegisterSubject("goka-view", func() conformance.Subject { return &gokaView{} })
}

// gokaView is a View of goka, with its LevelDB storage.
type gokaView struct {
	dir, binary string
	version     string
}

func (g *gokaView) Name() string                         { return "goka-view" }
func (g *gokaView) Version() string                      { return g.version }
func (g *gokaView) Offers(c conformance.Capability) bool { return offers(c) }
func (g *gokaView) Close() error                         { return os.RemoveAll(g.dir) }

// Prepare builds the application in its own module, with the versions that the module pins.
func (g *gokaView) Prepare(ctx context.Context) error {
	top, err := daemontest.Top()
	if err != nil {
		return err
	}
	if g.dir, err = os.MkdirTemp("", "conformance-goka-"); err != nil {
		return err
	}
	g.binary = filepath.Join(g.dir, "goka")
	module := filepath.Join(top, "tests", "conformance", "peers", "goka")
	if _, err := goTool(ctx, module, "build", "-o", g.binary, "."); err != nil {
		return err
	}
	versions, err := goTool(ctx, module, "list", "-m", "-f", "{{.Path}} {{.Version}}", "github.com/lovoo/goka", "github.com/IBM/sarama", "github.com/syndtr/goleveldb")
	if err != nil {
		return err
	}
	v := strings.Fields(versions)
	if len(v) != 6 {
		return fmt.Errorf("the versions of goka and what it uses: %q", versions)
	}
	g.version = fmt.Sprintf("goka %s (sarama %s, goleveldb %s), View with auto-reconnect, read_committed", v[1], v[3], v[5])
	return nil
}

// goTool runs the go command for a module outside the workspace.
func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return string(out), nil
}

func (g *gokaView) Start(ctx context.Context, spec conformance.Spec) (conformance.Instance, error) {
	return start(ctx, spec, func(dir string) *exec.Cmd { return exec.Command(g.binary, spec.Bootstrap, spec.Topic, dir) })
}
