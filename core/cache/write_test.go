package cache

import (
	"testing"

	"github.com/yolean/kafka-cache/core/policy"
)

// TestSubmitsQuickly: only where a write meets built-in encodings that keep the bytes, and no rule.
func TestSubmitsQuickly(t *testing.T) {
	rule := &policy.ValueRule{Name: "any", Check: func(_, _ []byte) error { return nil }}
	for what, tt := range map[string]struct {
		topic TopicConfig
		want  bool
	}{
		"defaults":           {TopicConfig{}, true},
		"bytes":              {TopicConfig{KeyEncoding: "binary", ValueEncoding: "id"}, true},
		"hex":                {TopicConfig{ValueEncoding: "hex"}, false},
		"compressed":         {TopicConfig{ValueEncoding: "json.gzip"}, false},
		"keys in base64":     {TopicConfig{KeyEncoding: "base64"}, false},
		"a codec of its own": {TopicConfig{ValueCodec: shouting{name: "shouting"}}, false},
		"a rule for writes":  {TopicConfig{ValidateWrite: rule}, false},
	} {
		tt.topic.Name, tt.topic.Writable = "a", true
		c, err := New(configOf(tt.topic))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		topic, err := c.Topic("a")
		if err != nil {
			t.Fatal(err)
		}
		if got := topic.SubmitsQuickly(); got != tt.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
