package encodings

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

func document(t *testing.T) string {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(top, "docs", "encodings.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stdGzip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
