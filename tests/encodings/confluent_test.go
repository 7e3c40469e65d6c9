package encodings

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/codec/registry"
	"github.com/yolean/kafka-cache/tests/daemontest"
)

// line is what testdata/confluent.py prints and reads.
type line struct {
	Topic string `json:"topic"`
	Kind  string `json:"kind"`
	Bytes []byte `json:"bytes"`
	Same  bool   `json:"same"`
	Value string `json:"value"`
}

// confluent runs Confluent's serializers.
func confluent(t *testing.T, url, what string, in []line) (out []line) {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	installed, err := filepath.Glob(filepath.Join(top, "build", "python", "confluent-kafka-*"))
	if err != nil || len(installed) != 1 {
		t.Fatalf("confluent-kafka is not in build/python (%v): make setup installs it", err)
	}
	var stdin, stderr bytes.Buffer
	for _, l := range in {
		b, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		stdin.Write(append(b, '\n'))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(top, "build", "python", "bin", "python"), "testdata/confluent.py", url, what)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+installed[0], "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
	cmd.Stdin, cmd.Stderr = &stdin, &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("confluent.py %s: %v\n%s", what, err, &stderr)
	}
	for text := range strings.Lines(string(printed)) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		out = append(out, l)
	}
	return out
}

// shownOf is what clients see of the cases of testdata/confluent.py.
var shownOf = map[string]string{
	"user":       `{"id":"a","email":null,"groups":["x","räksmörgås"]}`,
	"primitives": `{"b":true,"i":-1,"l":9007199254740993,"f":0.5,"d":0.1,"s":"quo\"te\n","y":"AP8=","n":null}`,
	"complex":    `{"e":"B","x":"AQI=","m":{"k":1},"a":[{"v":null},{"v":7},{"v":"x"}]}`,
	"logical": `{"date":"2026-01-02","time":"15:04:05.678","micros":"15:04:05.678901","at":"2026-01-02T03:04:05.678Z","exact":"1969-12-31T23:59:59.999999Z",` +
		`"local":"2026-01-02T03:04:05.000","price":"-1234.50","fixed":"0.007","id":"8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"}`,
	"scalar":  `"only a string"`,
	"session": `{"id":"s","type":"REGULAR"}`,
}

// TestConfluentsSerializers: what they write is read, and what is written they read.
func TestConfluentsSerializers(t *testing.T) {
	schemas := srfake.New()
	defer schemas.Close()
	r, err := registry.New(registry.Config{URLs: []string{schemas.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	theirs := confluent(t, schemas.URL(), "serialize", nil)
	if len(theirs) != len(shownOf) {
		t.Fatalf("%d cases, want %d", len(theirs), len(shownOf))
	}
	var ours []line
	for _, l := range theirs {
		c, err := r.Codec(l.Kind, registry.Use{Topic: l.Topic})
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := c.(codec.Awaiter); ok {
			if err := a.Await(t.Context(), l.Bytes); err != nil {
				t.Fatalf("%s: %v", l.Topic, err)
			}
		}
		if got, err := c.Decode(nil, l.Bytes); err != nil || string(got) != shownOf[l.Topic] {
			t.Errorf("%s reads\n%s, %v; want\n%s", l.Topic, got, err, shownOf[l.Topic])
		}
		encoded := write(t, c, shownOf[l.Topic])
		if !bytes.Equal(encoded, l.Bytes) {
			t.Errorf("%s is written as %x, by Confluent's as %x", l.Topic, encoded, l.Bytes)
		}
		ours = append(ours, line{Topic: l.Topic, Bytes: encoded})
	}
	read := confluent(t, schemas.URL(), "deserialize", ours)
	for _, l := range read {
		if !l.Same {
			t.Errorf("%s, as it is written here, Confluent's reads as %s", l.Topic, l.Value)
		}
	}
	if len(read) != len(ours) {
		t.Errorf("%d cases were read, want %d", len(read), len(ours))
	}
}

// write encodes with the latest schema, which it waits for.
func write(t *testing.T, c codec.Codec, decoded string) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.(codec.Runner).Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	for deadline := time.Now().Add(20 * time.Second); ; {
		encoded, err := c.Encode([]byte{}, []byte(decoded))
		if err == nil {
			return encoded
		}
		if !errors.Is(err, codec.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("%s: %v", decoded, err)
		}
		time.Sleep(time.Millisecond) // between tries
	}
}
