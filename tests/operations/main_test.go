package operations

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

func TestMain(m *testing.M) { os.Exit(daemontest.Main(m.Run)) }

// inTree is a file of the repository.
func inTree(t *testing.T, path ...string) string {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{top}, path...)...)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(inTree(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
