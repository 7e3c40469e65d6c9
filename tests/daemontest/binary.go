package daemontest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const command = "github.com/yolean/kafka-cache/respserver/cmd/kafka-cache"

var binary struct {
	sync.Mutex
	enabled bool
	dir     string
	path    string
	err     error
}

// Main runs the tests of a binary that uses this package, by calling run, and
// removes what was built. It returns run's exit code.
func Main(run func() int) int {
	binary.Lock()
	binary.enabled = true
	binary.Unlock()
	code := run()
	binary.Lock()
	defer binary.Unlock()
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
	return code
}

// Binary is the path of kafka-cache as built from this tree.
func Binary(tb testing.TB) string {
	tb.Helper()
	binary.Lock()
	defer binary.Unlock()
	if !binary.enabled {
		tb.Fatal("daemontest: Binary needs func TestMain(m *testing.M) { os.Exit(daemontest.Main(m.Run)) }")
	}
	if binary.path == "" && binary.err == nil {
		binary.path, binary.err = build()
	}
	if binary.err != nil {
		tb.Fatal(binary.err)
	}
	return binary.path
}

func build() (string, error) {
	top, err := Top()
	if err != nil {
		return "", err
	}
	binary.dir, err = os.MkdirTemp("", "daemontest-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(binary.dir, "kafka-cache")
	args := []string{"-C", filepath.Join(top, "respserver"), "build", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, command)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, out)
	}
	return path, nil
}

// Top is the top of the repository.
func Top() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := wd; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.work")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.work above %s", wd)
		}
	}
}
