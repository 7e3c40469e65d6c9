package integration

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestConfigurationErrors: one clear line each, exit code 2, and a data directory that is there stays as it is.
func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	dir := t.TempDir()
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	before := tree(t, dir)
	if len(before) < 3 {
		t.Fatalf("the data directory holds %v", before)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("another-cluster"), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	file := func(text string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "kafka-cache.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}

	for _, test := range []struct {
		name string
		args []string // over the good ones, option by option
		says []string // all of them, in the one line
	}{
		{"malformed bootstrap port", []string{"--kafka-bootstrap", "kafka:x"}, []string{"kafka-bootstrap", "kafka:x"}},
		{"malformed bootstrap", []string{"--kafka-bootstrap", "tcp://kafka:9092"}, []string{"kafka-bootstrap", "tcp://kafka:9092"}},
		{"port out of range", []string{"--kafka-bootstrap", "kafka:90920"}, []string{"kafka-bootstrap", "90920"}},
		{"malformed listen address", []string{"--resp-addr", "nonsense"}, []string{"resp-addr", "nonsense"}},
		{"RESP port in use", []string{"--resp-addr", taken.Addr().String()}, []string{taken.Addr().String(), "in use"}},
		{"admin port in use", []string{"--admin-addr", taken.Addr().String()}, []string{taken.Addr().String(), "in use"}},
		{"unknown flag", []string{"--data-dirs", "x"}, []string{"--data-dirs", "unknown"}},
		{"unknown value", []string{"--write-reply", "sometimes"}, []string{"write-reply", "sometimes"}},
		{"unknown encoding", []string{"--value-encoding", "jason"}, []string{"value-encoding", "jason"}},
		{"malformed duration", []string{"--apply-timeout", "soon"}, []string{"apply-timeout", "soon"}},
		{"unknown key in the file", []string{"--config", file("version: 1\nkafka-bootstraps: x:1\n")}, []string{"kafka-bootstraps"}},
		{"unknown key of a topic", []string{"--config", file("version: 1\ntopics:\n  - name: users\n    value-encodings: json\n")}, []string{"value-encodings"}},
		{"no such file", []string{"--config", filepath.Join(t.TempDir(), "none.yaml")}, []string{"none.yaml"}},
		{"no such password file", []string{"--resp-password-file", filepath.Join(t.TempDir(), "none")}, []string{"none"}},
		{"impossible topic name", []string{"--topic", "a/b"}, []string{"a/b"}},
		{"malformed one of several brokers", []string{"--kafka-bootstrap", "kafka:9092,:9092"}, []string{"kafka-bootstrap", ":9092"}},
		{"another cluster's data", []string{"--kafka-bootstrap", other.ListenAddrs()[0]}, []string{dir, "another-cluster"}},
		{"data directory is a file", []string{"--data-dir", file("x")}, []string{"kafka-cache.yaml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"serve"}
			good := []string{"--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--log-level", "error",
				"--kafka-bootstrap", c.Addr(), "--topic", topic, "--value-encoding", "utf-8", "--data-dir", dir}
			for i := 0; i < len(good); i += 2 {
				if good[i] != test.args[0] { // some may be given several times
					args = append(args, good[i], good[i+1])
				}
			}
			code, printed := daemontest.Run(t, append(args, test.args...)...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if n := strings.Count(strings.TrimSpace(printed), "\n") + 1; n != 1 || printed == "" {
				t.Errorf("printed %d lines:\n%s", n, printed)
			}
			for _, s := range test.says {
				if !strings.Contains(printed, s) {
					t.Errorf("%q is not in: %s", s, printed)
				}
			}
			if strings.Contains(printed, "goroutine ") {
				t.Errorf("a stack: %s", printed)
			}
			if after := tree(t, dir); !maps.Equal(before, after) {
				t.Errorf("the data directory was touched: %v, before %v", after, before)
			}
		})
	}

	// It is still good.
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records read again", n)
	}
}

// TestNoTopic is refused before anything is asked.
func TestNoTopic(t *testing.T) {
	code, printed := daemontest.Run(t, "serve", "--kafka-bootstrap", "127.0.0.1:1")
	if code != 2 || !strings.Contains(printed, "topic") || strings.Count(strings.TrimSpace(printed), "\n") != 0 {
		t.Errorf("exit code %d; printed:\n%s", code, printed)
	}
}

// TestUnknownFormatIsLeftAlone: what a newer version has written is not touched; the topic is built beside it.
func TestUnknownFormatIsLeftAlone(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "a", "1"))
	dir := t.TempDir()
	generation := filepath.Join(dir, "v1", topic, "0000000000000001")
	if err := os.MkdirAll(generation, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(generation, "generation.json"), []byte(`{"format": 999, "from": "the future"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	before := tree(t, generation)
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), map[string]string{"a": "1"})
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if after := tree(t, generation); !maps.Equal(before, after) {
		t.Errorf("touched: %v, before %v", after, before)
	}
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), map[string]string{"a": "1"})
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records read again", n)
	}
}

// tree is every file below dir with its time and a hash of what it holds.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			files[path] = info.Mode().String()
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files[path] = fmt.Sprintf("%v %d %x", info.ModTime().UnixNano(), info.Size(), sha256.Sum256(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
