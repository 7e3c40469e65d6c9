package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
)

// shouting is a codec of somebody else's.
type shouting struct {
	name string
	ran  chan struct{}
}

func (s shouting) Name() string   { return s.name }
func (s shouting) Identity() bool { return false }
func (s shouting) Encode(dst, b []byte) ([]byte, error) {
	return append(dst, strings.TrimSuffix(string(b), "!")...), nil
}
func (s shouting) Decode(dst, b []byte) ([]byte, error) { return append(append(dst, b...), '!'), nil }
func (s shouting) Run(ctx context.Context)              { close(s.ran); <-ctx.Done() }

func configOf(t TopicConfig) Config {
	return Config{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, Topics: []TopicConfig{t}}
}

func TestCodecsOfATopic(t *testing.T) {
	own := shouting{name: "shouting"}
	for _, tt := range []struct {
		config       TopicConfig
		keys, values string // "" refused
		says         string
	}{
		{TopicConfig{}, "utf-8", "json", ""},
		{TopicConfig{KeyEncoding: "ucs-2", ValueEncoding: "kafka-cache.json.gzip"}, "utf16le", "json.gzip", ""},
		{TopicConfig{KeyEncoding: "hex", ValueCodec: own}, "hex", "shouting", ""},
		{TopicConfig{KeyCodec: own, ValueEncoding: "ignored", ValueCodec: codec.Hex}, "shouting", "hex", ""},
		{TopicConfig{KeyEncoding: "json.gzip"}, "", "", "key encoding: codec: unfit: json.gzip cannot encode keys, since gzip's bytes"},
		{TopicConfig{KeyCodec: codec.JSONGzip}, "", "", "cannot encode keys"},
		{TopicConfig{ValueEncoding: "xml"}, "", "", "value encoding: codec: unknown encoding"},
		{TopicConfig{ValueCodec: shouting{name: "json"}}, "", "", "name of a built-in encoding"},
		{TopicConfig{KeyCodec: shouting{name: "utf8"}}, "", "", "name of a built-in encoding"},
		{TopicConfig{KeyCodec: shouting{name: "x value=json"}}, "", "", "printable"},
	} {
		tt.config.Name = "a"
		cfg := configOf(tt.config)
		c, err := New(cfg)
		if tt.keys == "" {
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), `topic "a": `) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%+v: %v, want ErrConfig with %q", tt.config, err, tt.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tt.config, err)
			continue
		}
		topic := c.Topics()[0]
		if topic.KeyEncoding() != tt.keys || topic.ValueEncoding() != tt.values {
			t.Errorf("%+v: %s, %s", tt.config, topic.KeyEncoding(), topic.ValueEncoding())
		}
		// The names decide whether what was stored can be gone on from.
		if want := "key=" + tt.keys + " value=" + tt.values; topic.rules() != want {
			t.Errorf("%+v: rules %q, want %q", tt.config, topic.rules(), want)
		}
		if err := c.client.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCustomCodecs(t *testing.T) {
	topic, _ := served(t)
	topic.keyCodec, topic.valueCodec, topic.writable = shouting{name: "keys"}, shouting{name: "values"}, true
	a := newApplier(topic, topic.current, newFreshness(topic.log, nil, func() {}), func(context.Context) error { return nil })
	if err := a.apply(t.Context(), fetched(0, "k", "v", time.Now())); err != nil {
		t.Fatal(err)
	}
	if v, err := topic.Get([]byte("k!")); err != nil || string(v) != "v!" {
		t.Errorf("k! = %q, %v", v, err)
	}
	r, err := topic.record(Write{Key: []byte("k!"), Value: []byte("w!")})
	if err != nil || string(r.Key) != "k" || string(r.Value) != "w" {
		t.Errorf("record %+v, %v", r, err)
	}
	if _, err := topic.record(Write{Key: []byte("!"), Value: []byte("w!")}); !errors.Is(err, ErrEmptyKey) {
		t.Errorf("a key that becomes an empty one: %v", err)
	}
}

func TestRunRunsCodecs(t *testing.T) {
	ran := make(chan struct{})
	c, err := Open(t.Context(), configOf(TopicConfig{Name: "a", ValueCodec: shouting{"shouting", ran}}))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ran:
	case <-time.After(20 * time.Second):
		t.Error("the codec was not run")
	}
	if err := c.Close(); err != nil { // which waits for it
		t.Fatal(err)
	}
}

// TestDecodedSizesBoundABatch: records that decode to much more than they take in the log do not add up without a limit.
func TestDecodedSizesBoundABatch(t *testing.T) {
	topic, _ := served(t)
	topic.valueCodec = codec.JSONGzip
	large, err := codec.JSONGzip.Encode(nil, []byte(`"`+strings.Repeat(" ", 1<<20)+`"`))
	if err != nil {
		t.Fatal(err)
	}
	var records []kafka.Record
	for i := range 100 {
		records = append(records, kafka.Record{Offset: int64(i), Key: []byte("k"), Value: large})
	}
	s := new(scratch)
	taken, err := s.take(t.Context(), topic, 0, records, func(dst, _ []byte) ([]byte, bool, error) { return dst, false, nil })
	if err != nil || taken > 3 {
		t.Errorf("took %d records of a megabyte each, %v", taken, err)
	}
}
