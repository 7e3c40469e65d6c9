package kafkatest

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

//go:embed poms
var poms embed.FS

// home is the directory of one version's jars and of what is derived from them.
type home struct {
	dir string
}

// findHome resolves the jars of v, with Maven when they are not there yet. It is
// safe to call from several processes at once.
func findHome(ctx context.Context, v version) (home, error) {
	base, err := jarsDir()
	if err != nil {
		return home{}, err
	}
	h := home{dir: filepath.Join(base, v.name)}
	if h.complete() {
		return h, nil
	}
	unlock, err := lockDir(base, v.name)
	if err != nil {
		return home{}, err
	}
	defer unlock()
	if h.complete() {
		return h, nil
	}
	return h, h.resolve(ctx, v)
}

// jarsDir is KAFKATEST_DIR, or build/kafka beside the go.work above the working directory.
func jarsDir() (string, error) {
	if d := os.Getenv("KAFKATEST_DIR"); d != "" {
		return filepath.Abs(d)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := wd; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.work")); err == nil {
			return filepath.Join(d, "build", "kafka"), nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.work above %s: set KAFKATEST_DIR to a directory for Kafka's jars", wd)
		}
	}
}

func (h home) libs() string { return filepath.Join(h.dir, "libs") }

// bootstrapCheckpoint holds the feature levels that `kafka-storage format` writes for a new cluster.
func (h home) bootstrapCheckpoint() string { return filepath.Join(h.dir, "bootstrap.checkpoint") }

// complete tells whether the directory is whole: it is renamed into place once it is.
func (h home) complete() bool {
	_, err := os.Stat(h.dir)
	return err == nil
}

// classPath lists the jars in a fixed order; a wildcard would leave it to the directory.
func (h home) classPath() (string, error) {
	jars, err := filepath.Glob(filepath.Join(h.libs(), "*.jar"))
	if err != nil {
		return "", err
	}
	if len(jars) == 0 {
		return "", fmt.Errorf("no jars in %s: remove %s to have them resolved again", h.libs(), h.dir)
	}
	sort.Strings(jars)
	return strings.Join(jars, ":"), nil
}

func (h home) resolve(ctx context.Context, v version) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("Kafka's jars are not in " + h.libs() + ", and there is no mvn (Maven) on the path to resolve them with")
	}
	pom, err := poms.ReadFile("poms/kafka-" + v.name + ".xml")
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(h.dir), v.name+".*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-C", "-f", filepath.Join(tmp, "pom.xml"),
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(tmp, "libs"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("resolve the jars of Kafka %s with Maven: %w\n%s", v.name, err, out)
	}
	java, err := findJava(ctx, v)
	if err != nil {
		return err
	}
	if err := (home{dir: tmp}).format(ctx, java); err != nil {
		return err
	}
	return os.Rename(tmp, h.dir)
}

// format runs Kafka's own storage tool once a version and keeps the checkpoint
// that it makes, so that a broker of a test needs no JVM start for it.
func (h home) format(ctx context.Context, java string) error {
	cp, err := h.classPath()
	if err != nil {
		return err
	}
	data := filepath.Join(h.dir, "format")
	defer os.RemoveAll(data)
	props := filepath.Join(h.dir, "format.properties")
	defer os.Remove(props)
	settings := properties(nodeSettings{id: 1, voters: "1@127.0.0.1:1", port: 2, controllerPort: 1, brokers: 1, data: data})
	if err := writeProperties(props, settings); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, java, "-Xmx256m", "-cp", cp, "kafka.tools.StorageTool", "format", "-t", randomUUID(), "-c", props)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format storage: %w\n%s", err, out)
	}
	return os.Rename(filepath.Join(data, "bootstrap.checkpoint"), h.bootstrapCheckpoint())
}

// lockDir takes an exclusive lock between processes on dir/name.lock.
func lockDir(dir, name string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
