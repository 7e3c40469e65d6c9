package encodings

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
)

// TestThroughTheCache: what another producer wrote is served decoded, under a decoded key; what is written is in the log encoded, where another
// consumer finds it; and KAFKA.RANGE's order is that of the decoded bytes.
func TestThroughTheCache(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics := codec.Names() // each is the topic's name, the values' encoding and, where it can be, the keys'
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, topics...); err != nil {
		t.Fatal(err)
	}
	cfg := cache.Config{Kafka: kafka.Config{Bootstrap: c.ListenAddrs(), MaxWait: 100 * time.Millisecond}}
	keysOf := func(name string) string {
		if slices.Contains(codec.KeyNames(), name) {
			return name
		}
		return "hex"
	}
	encode := func(name, s string) []byte {
		t.Helper()
		e, err := codec.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Encode([]byte{}, []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range topics {
		cfg.Topics = append(cfg.Topics, cache.TopicConfig{Name: name, Writable: true, KeyEncoding: keysOf(name), ValueEncoding: name})
		for _, v := range shown[name] {
			if keys := shown[keysOf(name)]; v != "" {
				key := v
				if keysOf(name) != name {
					key = keys[1]
				}
				r := &kgo.Record{Topic: name, Key: encode(keysOf(name), key), Value: encode(name, v)}
				if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	cached, err := cache.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cached.Close(); err != nil {
			t.Error(err)
		}
	}()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()

	type write struct {
		key    []byte // in the log
		value  string
		offset int64
	}
	written := map[string]write{} // the last of each topic
	for _, topic := range cached.Topics() {
		if err := topic.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		name, keys := topic.Name(), topic.KeyEncoding()
		var order [][]byte
		if err := topic.Range(t.Context(), nil, nil, func(e cache.Entry) bool {
			order = append(order, bytes.Clone(e.Key))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if len(order) == 0 || !slices.IsSortedFunc(order, bytes.Compare) {
			t.Errorf("%s: the keys %q are not in their order", name, order)
		}
		for _, key := range order {
			want := string(key)
			if keys != name {
				want = shown[name][len(shown[name])-1]
			}
			if v, err := topic.Get(key); err != nil || string(v) != want {
				t.Errorf("%s: %q = %q, %v; want %q", name, key, v, err, want)
			}
		}
		key, value := shown[keys][len(shown[keys])-1], shown[name][0]
		w, err := topic.Put(t.Context(), []byte(key), []byte(value))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := topic.WaitFor(t.Context(), w.Position); err != nil {
			t.Fatal(err)
		}
		if v, err := topic.Get([]byte(key)); err != nil || string(v) != value {
			t.Errorf("%s: %q = %q, %v after it was written as %q", name, key, v, err, value)
		}
		written[name] = write{encode(keys, key), value, w.Offset}
	}
	last := map[string]*kgo.Record{}
	for slices.ContainsFunc(topics, func(name string) bool { return last[name] == nil || last[name].Offset < written[name].offset }) {
		fetches := consumer.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { last[r.Topic] = r })
	}
	for _, name := range topics {
		r, w := last[name], written[name]
		if !bytes.Equal(r.Key, w.key) {
			t.Errorf("%s: the log has the key %q, want %q", name, r.Key, w.key)
		}
		if name == "json.gzip" {
			if v, err := codec.JSONGzip.Decode(nil, r.Value); err != nil || string(v) != w.value {
				t.Errorf("%s: the log has what reads %q, %v", name, v, err)
			}
		} else if want := encode(name, w.value); !bytes.Equal(r.Value, want) {
			t.Errorf("%s: the log has %q of %q, want %q", name, r.Value, w.value, want)
		}
	}
}
