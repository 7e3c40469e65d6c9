package cache_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

// TestExamples runs the examples of package cache, which stand in core where there is no broker, each with a broker of its own. One that has no output to be held
// to is not run by Go, which is a fault here.
func TestExamples(t *testing.T) {
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "examples")
	args := []string{"-C", filepath.Join(top, "core"), "test", "-c", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./cache")...).CombinedOutput(); err != nil {
		t.Fatalf("build the examples: %v\n%s", err, out)
	}
	out, err := exec.Command(binary, "-test.list", "^Example").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(out))
	if written := examplesIn(t, filepath.Join(top, "core", "cache")); !slices.Equal(slices.Sorted(slices.Values(names)), written) || len(names) == 0 {
		t.Errorf("run are %v, written are %v", names, written)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			b := startBroker(t, kfake.SeedTopics(1, "users", "organizations"))
			cmd := exec.Command(binary, "-test.run", "^"+name+"$", "-test.v", "-test.timeout", patience.String())
			cmd.Env = append(cmd.Environ(), "GORACE=atexit_sleep_ms=0", "KAFKA_BOOTSTRAP="+strings.Join(b.cluster.ListenAddrs(), ","))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := childproc.Run(cmd); err != nil || !strings.Contains(out.String(), "--- PASS: "+name+" ") {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

var exampleName = regexp.MustCompile(`(?m)^func (Example\w*)\(\)`)

// examplesIn are the examples that stand in a directory, in order.
func examplesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range exampleName.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	return names
}
