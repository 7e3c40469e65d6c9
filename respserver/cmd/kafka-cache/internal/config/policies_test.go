package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/policy"
)

const policies = `version: 1
validate:
  read: {schema: any.schema.json, on-invalid: keep}
topics:
  - name: users
    value-encoding: json.gzip
    resolver: users.jq
    validate:
      write: {schema: '{"type": "object"}'}
      mutation:
        rule: "!has(oldSelf.version) || self.version >= oldSelf.version"
        on-invalid: delete
    dead-letter-topic: users.invalid
  - name: words
    value-encoding: utf-8
    resolver: .value | ascii_upcase
    resolver-yields: value
    validate:
      read: {on-invalid: stop}
  - name: plain
`

func TestPolicies(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kafka-cache.yaml": policies, "any.schema.json": `{"not": {"required": ["bad"]}}`, "users.jq": "# users\n.value, {key: \"copy:\\(.key)\", value: .value}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := Load([]string{"--config", filepath.Join(dir, "kafka-cache.yaml")}, pod)
	if err != nil {
		t.Fatal(err)
	}
	topics := apply(c)
	users, words, plain := topics[0], topics[1], topics[2]
	if users.ValidateWrite.Check(nil, []byte(`[]`)) == nil || users.ValidateWrite.Check(nil, []byte(`{}`)) != nil {
		t.Error("the schema for writes")
	}
	for _, topic := range []cache.TopicConfig{users, plain} {
		if topic.ValidateRead.OnInvalid != policy.Keep || topic.ValidateRead.Rule.Check(nil, []byte(`{"bad":1}`)) == nil {
			t.Errorf("%s: the schema for records of all topics: %+v", topic.Name, topic.ValidateRead)
		}
	}
	if users.ValidateMutation.OnInvalid != policy.Delete || users.DeadLetterTopic != "users.invalid" {
		t.Errorf("%+v", users)
	}
	mutation := policy.Mutation{Self: []byte(`{"version":1}`), OldSelf: []byte(`{"version":2}`), Exists: true, Record: &policy.Record{}}
	if users.ValidateMutation.Rule.Check(&mutation) == nil {
		t.Error("the rule for mutations")
	}
	var y policy.Yields
	if err := users.Resolver.Resolve(&policy.Record{Key: []byte("k"), Value: []byte(`{"a":1}`)}, &y); err != nil || len(y.Others()) != 1 || string(y.Others()[0].Key) != "copy:k" {
		t.Errorf("the resolver yields %v, %v", y.Others(), err)
	}
	y.Reset()
	if err := words.Resolver.Resolve(&policy.Record{Key: []byte("k"), Value: []byte(`word`)}, &y); err != nil || !words.Resolver.OwnKey {
		t.Errorf("the resolver of text: %v", err)
	} else if own, _ := y.Value(); string(own) != "WORD" {
		t.Errorf("the resolver of text yields %q", own)
	}
	if words.ValidateRead.OnInvalid != policy.Stop || words.ValidateRead.Rule != nil || plain.Resolver != nil || plain.ValidateWrite != nil {
		t.Errorf("%+v, %+v", words, plain)
	}

	// What is in effect is a file that means the same, wherever it lies.
	var effective strings.Builder
	if err := c.WriteEffective(&effective); err != nil {
		t.Fatal(err)
	}
	other := writeFile(t, effective.String())
	again, _, err := Load([]string{"--config", other}, pod)
	if err != nil {
		t.Fatalf("%v in\n%s", err, effective.String())
	}
	for i, topic := range apply(again) {
		was := topics[i]
		if topic.DeadLetterTopic != was.DeadLetterTopic || topic.ValidateRead.OnInvalid.Or(policy.Delete) != was.ValidateRead.OnInvalid.Or(policy.Delete) ||
			topic.ValidateMutation.OnInvalid != was.ValidateMutation.OnInvalid || name(topic) != name(was) {
			t.Errorf("%s: %s\n\twant %s\nin\n%s", topic.Name, name(topic), name(was), effective.String())
		}
	}
}

func apply(c *Config) (topics []cache.TopicConfig) {
	for i := range c.Topics {
		t := cache.TopicConfig{Name: c.Topics[i].Name}
		c.Topics[i].Policies.Apply(&t)
		topics = append(topics, t)
	}
	return topics
}

// name is what identifies a topic's rules.
func name(t cache.TopicConfig) string {
	var all []string
	if t.Resolver != nil {
		all = append(all, t.Resolver.Name)
	}
	for _, r := range []*policy.ValueRule{t.ValidateWrite, t.ValidateRead.Rule} {
		if r != nil {
			all = append(all, r.Name)
		}
	}
	if t.ValidateMutation.Rule != nil {
		all = append(all, t.ValidateMutation.Rule.Name)
	}
	return strings.Join(all, "; ")
}

// TestDevTakesSettings: the sample model's topics can be given settings.
func TestDevTakesSettings(t *testing.T) {
	path := writeFile(t, "topics:\n  - name: sessions\n    resolver: .value\n")
	c, _, err := Load([]string{"--dev", "--config", path}, pod)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Topics) != 3 || c.Topics[2].Resolver.Given != ".value" || c.Topics[0].Resolver.Given != "" || c.Topics[2].ReadOnly {
		t.Fatalf("%+v", c.Topics)
	}
}
