package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// TestStripped: what the cost of limits is measured against is made from the source as it is now, and compiles.
func TestStripped(t *testing.T) {
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay, err := stripped(top, dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "-C", filepath.Join(top, "respserver"), "build", "-overlay", file, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
