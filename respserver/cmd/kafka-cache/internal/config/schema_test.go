package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/core/policy/jsonschema"
)

// schemaJudges compiles the schema, and returns what it says of a file.
func schemaJudges(t *testing.T) func(text string) error {
	t.Helper()
	var b strings.Builder
	if err := WriteSchema(&b); err != nil {
		t.Fatal(err)
	}
	rule, err := jsonschema.Compile("kafka-cache.schema.json", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		value, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return rule.Check(nil, value)
	}
}

// TestSchemaTakesWhatIsRight: what is printed as being in effect, what the documents show, and what the manifests have.
func TestSchemaTakesWhatIsRight(t *testing.T) {
	judge := schemaJudges(t)
	right := map[string]string{"nothing": "# all defaults\n"}
	c := mustLoad(t, []string{"--topic=users", "--resp-tls-min-version=1.3", "--peers=dns:a:1,b:2", "--resp-idle-timeout=90s"}, nil)
	var b strings.Builder
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	right["what is in effect"] = b.String()
	var page strings.Builder
	if err := WriteDocs(&page); err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(version: 1.*?)```").FindStringSubmatch(page.String())
	if example == nil {
		t.Fatal("the page has no example")
	}
	right["the page's example"] = example[1]
	for _, file := range []string{"base/kafka-cache.yaml", "overlays/sidecar/kafka-cache.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../../../../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		right[file] = string(text)
	}
	for name, text := range right {
		if err := judge(text); err != nil {
			t.Errorf("%s: %v in\n%s", name, err, text)
		}
	}
}

// TestSchemaRefusesWhatTheDaemonRefuses: an editor marks what would not start.
func TestSchemaRefusesWhatTheDaemonRefuses(t *testing.T) {
	judge := schemaJudges(t)
	for _, text := range []string{
		"version: 2", "topic-names: [a]", "config: other.yaml",
		"read-only: perhaps", "startup-timeout: 5", "startup-timeout: soon", "resp-maxclients: many", "resp-maxclients: 0",
		"memory-limit: lots", "disk-limit: auto", "disk-limit: 2Gb", "resp-driver: threads", "resp-tls-min-version: 1.1", "kafka-sasl-mechanism: GSSAPI", "kafka-sasl-oauth-token-url: idp",
		"kafka-bootstrap: []", "identity: \"\"", "identity: a b", "resp-addr: localhost", "data-dir: [a, b]", "log-level: loud",
		"topics: users", "topics: [users]", "topics: [{read-only: true}]", "topics: [{name: a, colour: red}]", "topics: [{name: a, read-only: 1}]",
		"topics: [{name: a, delete-retention: 3 days}]", "topics: [{name: a, resolver: ., resolver-yields: keys}]",
		"topics: [{name: a, validate: {reed: {schema: x}}}]", "topics: [{name: a, validate: {write: {}}}]", "topics: [{name: a, validate: {read: {on-invalid: ignore}}}]",
		"topics: [{name: a, validate: {mutation: {on-invalid: skip}}}]", "validate: {write: {schema: x, on-invalid: skip}}",
		"users: [{password-file: x}]", "users: [{name: a, password-sha256: abc}]", "users: [{name: a, password: x}]", "users: [{name: a, topics: {b: owner}}]", "users: {name: a}",
	} {
		if err := judge(text); err == nil {
			t.Errorf("the schema takes %s", text)
		}
		path := filepath.Join(t.TempDir(), "kafka-cache.yaml")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"--config", path}
		if !strings.HasPrefix(text, "topics:") {
			args = append(args, "--topic=a")
		}
		if _, _, err := Load(args, nil); err == nil {
			t.Errorf("the daemon takes %s", text)
		}
	}
}
