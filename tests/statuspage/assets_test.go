package statuspage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// TestEmbeddedLibraryIsTheReleasedOne: the plots' library is served byte for byte as its authors have published it, in the version of the lock file.
func TestEmbeddedLibraryIsTheReleasedOne(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	for embedded, released := range map[string]string{"uPlot.iife.min.js": "dist/uPlot.iife.min.js", "uPlot.min.css": "dist/uPlot.min.css", "LICENSE": "LICENSE"} {
		code, got, err := d.Get("/assets/uplot/" + embedded)
		if err != nil || code != 200 {
			t.Fatalf("%s: %d, %v", embedded, code, err)
		}
		if want := node(t, "uplot/"+released); !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, and what is published %d", embedded, len(got), len(want))
		}
	}
}

// node reads a file of the packages that `make setup` gets from npm.
func node(t *testing.T, name string) []byte {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(top, "build/statuspage/node_modules", filepath.FromSlash(name)))
	if err != nil {
		t.Fatalf("%v: make setup gets it", err)
	}
	return b
}
