package encodings

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// request is one question to the original; testdata/original.js says what it means.
type request struct {
	Op       string `json:"op"`
	Encoding string `json:"encoding"`
	Bytes    []byte `json:"bytes"`
}

type reply struct {
	Bytes []byte `json:"bytes"`
	Key   []byte `json:"key"`
	Error string `json:"error"`
}

// original asks the npm packages all of it, in one process.
func original(t *testing.T, requests []request) []reply {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(top, "build", "node", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "encoding-down")); err != nil {
		t.Fatalf("encoding-down is not in build/node (%v): make setup installs it", err)
	}
	var in, stderr bytes.Buffer
	for _, r := range requests {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "testdata/original.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, &stderr)
	}
	var replies []reply
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r reply
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		replies = append(replies, r)
	}
	if len(replies) != len(requests) {
		t.Fatalf("%d replies to %d requests", len(replies), len(requests))
	}
	return replies
}
