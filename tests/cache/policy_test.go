package cache_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/policy"
)

// noBad refuses values that have "bad" in them.
var noBad = &policy.ValueRule{Name: "no bad", Check: func(_, value []byte) error {
	if bytes.Contains(value, []byte("bad")) {
		return &policy.Refusal{Path: "/word", Reason: "bad words"}
	}
	return nil
}}

// noShorter refuses values that are shorter than the one that is there.
var noShorter = &policy.MutationRule{Name: "no shorter", Check: func(m *policy.Mutation) error {
	if m.Exists && len(m.Self) < len(m.OldSelf) {
		return &policy.Refusal{Reason: fmt.Sprintf("%d bytes where there were %d", len(m.Self), len(m.OldSelf))}
	}
	return nil
}}

// words yields each word of the value as a key whose value is the record's key, and the whole in upper case as the record's own.
var words = &policy.Resolver{Name: "words", Resolve: func(r *policy.Record, y *policy.Yields) error {
	for _, w := range bytes.Fields(r.Value) {
		if string(w) == "fail" {
			return errors.New("a word that fails")
		}
		if string(w) == "hide" {
			return nil
		}
		y.Set(append([]byte("word:"), w...), r.Key)
	}
	y.Own(bytes.ToUpper(r.Value))
	return nil
}}

var upper = &policy.Resolver{Name: "upper", OwnKey: true, Resolve: func(r *policy.Record, y *policy.Yields) error {
	switch {
	case bytes.Contains(r.Value, []byte("fail")):
		return errors.New("a word that fails")
	case len(r.Value) > 0:
		y.Own(bytes.ToUpper(r.Value))
	}
	return nil
}}

// TestInvalidRecords: what each outcome means for a value that a rule refuses, does not decode or does not resolve, as it is read by who is
// there and by who comes later.
func TestInvalidRecords(t *testing.T) {
	for _, c := range []struct {
		name    string
		topic   cache.TopicConfig
		rule    string
		refused string // the value that is, after "good" and before "more" of another key
		raw     bool   // refused is no UTF-8 text
		deleted string // what the key has with each outcome
		kept    string
	}{
		{"read", cache.TopicConfig{ValidateRead: cache.ReadPolicy{Rule: noBad}}, cache.RuleRead, "bad", false, "", "bad"},
		{"decode", cache.TopicConfig{}, cache.RuleDecode, "\xff", true, "", ""},
		{"resolver", cache.TopicConfig{Resolver: words}, cache.RuleResolver, "fail", false, "", "fail"},
		{"resolver of the own key", cache.TopicConfig{Resolver: upper}, cache.RuleResolver, "fail", false, "", "fail"},
		{"mutation", cache.TopicConfig{ValidateMutation: cache.MutationPolicy{Rule: noShorter}}, cache.RuleMutation, "go", false, "", "go"},
	} {
		for _, outcome := range []policy.Outcome{policy.Default, policy.Delete, policy.Keep, policy.Skip} {
			t.Run(c.name+" "+outcome.String(), func(t *testing.T) {
				b := startBroker(t)
				b.create("a", 1)
				b.produce("a", 0, []byte("k"), []byte("good"))
				cfg := b.config(c.topic)
				cfg.DataDir = t.TempDir()
				cfg.Topics[0].Name, cfg.Topics[0].ValueEncoding = "a", "utf-8"
				var effective policy.Outcome
				if c.rule == cache.RuleMutation {
					cfg.Topics[0].ValidateMutation.OnInvalid = outcome
					effective = outcome.Or(policy.Skip)
				} else {
					cfg.Topics[0].ValidateRead.OnInvalid = outcome
					effective = outcome.Or(policy.Delete)
				}
				good := "good"
				if c.topic.Resolver != nil {
					good = "GOOD"
				}
				registry := prometheus.NewRegistry()
				cfg.Registerer = registry
				closing, topic := ready(t, cfg)
				if got := value(t, topic, "k"); got != good {
					t.Fatalf("at first %q", got)
				}
				at := b.produce("a", 0, []byte("k"), []byte(c.refused))
				b.produce("a", 0, []byte("l"), []byte("more"))
				eventually(t, "the next record", func() bool { return len(value(t, topic, "l")) == 4 })
				want := map[policy.Outcome]string{policy.Delete: c.deleted, policy.Keep: c.kept, policy.Skip: good}[effective]
				if want == "" {
					want = cache.ErrNotFound.Error()
				}
				if got := value(t, topic, "k"); got != want {
					t.Fatalf("%q, want %q", got, want)
				}
				list := topic.Invalid(0)
				shown := effective
				if c.raw && effective == policy.Keep {
					shown = policy.Delete
				}
				if len(list) != 1 || list[0].Offset != at || list[0].Partition != 0 || string(list[0].Key) != "k" || list[0].Rule != c.rule ||
					list[0].Outcome != shown.String() || list[0].Reason == "" || c.rule == cache.RuleRead && list[0].Path != "/word" {
					t.Fatalf("listed %+v", list)
				}
				st := topic.Status()
				history := effective == policy.Skip || c.rule == cache.RuleMutation
				if st.HistoryDependent != history || st.Comparable == history || st.Invalid != 1 || st.InvalidByRule[c.rule] != 1 {
					t.Fatalf("status %+v", st)
				}
				held := int64(0)
				if effective == policy.Skip {
					held = 1
					m, err := topic.Meta([]byte("k"))
					if err != nil || m.Held != at || m.Offset != 0 {
						t.Fatalf("meta %+v, %v", m, err)
					}
				}
				expected := fmt.Sprintf("# HELP kafka_cache_held_over_keys Keys whose value is held over a newer record that a rule refused.\n"+
					"# TYPE kafka_cache_held_over_keys gauge\nkafka_cache_held_over_keys{topic=\"a\"} %d\n", held)
				if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "kafka_cache_held_over_keys"); err != nil {
					t.Fatal(err)
				}
				if err := closing.Close(); err != nil {
					t.Fatal(err)
				}
				cfg.Registerer = nil
				closing, topic = ready(t, cfg) // goes on from its directory
				if got := value(t, topic, "k"); got != want || len(topic.Status().Rebuilds) > 0 {
					t.Fatalf("after a restart %q, want %q: %+v", got, want, topic.Status())
				}
				if err := closing.Close(); err != nil {
					t.Fatal(err)
				}
				cfg.DataDir = ""
				if _, topic = ready(t, cfg); value(t, topic, "k") != want {
					t.Fatalf("a new instance has %q, want %q", value(t, topic, "k"), want)
				}
			})
		}
	}
}

// TestStop: a topic stops in front of a record, goes on serving, says so and how far behind it is, and goes on once the record is gone. Another
// topic is not touched.
func TestStop(t *testing.T) {
	b := startBroker(t)
	b.create("a", 2)
	b.create("b", 1)
	cfg := b.config(
		cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", ValidateRead: cache.ReadPolicy{Rule: noBad, OnInvalid: policy.Stop}},
		cache.TopicConfig{Name: "b", ValueEncoding: "utf-8"})
	b.produce("a", 0, []byte("k"), []byte("good"))
	c := open(t, cfg)
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, other := c.Topics()[0], c.Topics()[1]
	b.produce("a", 0, []byte("before"), []byte("good"))
	at := b.produce("a", 0, []byte("k"), []byte("bad"))
	b.produce("a", 0, []byte("after"), []byte("good"))
	eventually(t, "the topic has stopped", func() bool { return a.State() == cache.Failed })
	st := a.Status()
	if !strings.Contains(st.Reason, fmt.Sprintf("offset %d of partition 0", at)) || !strings.Contains(st.Reason, "read rule") || !st.Serving {
		t.Fatalf("status %+v", st)
	}
	if value(t, a, "k") != "good" || value(t, a, "before") != "good" || value(t, a, "after") != cache.ErrNotFound.Error() {
		t.Fatalf("k %s, before %s, after %s", value(t, a, "k"), value(t, a, "before"), value(t, a, "after"))
	}
	eventually(t, "the lag is known", func() bool { p := a.Status().Partitions[0]; return p.Position == at && p.Lag == 2 && p.LagSeconds > 0 })
	b.produce("a", 0, []byte("later"), []byte("good"))
	eventually(t, "the lag grows", func() bool { return a.Status().Partitions[0].Lag == 3 && a.State() == cache.Failed })
	b.produce("b", 0, []byte("k"), []byte("good"))
	eventually(t, "the other topic goes on", func() bool { return value(t, other, "k") == "good" && other.State() == cache.Ready })
	if n := len(a.Invalid(0)); n != 1 {
		t.Fatalf("%d are listed", n)
	}
	b.produce("a", 0, []byte("k"), []byte("mended"))
	b.produce("a", 0, []byte("active"), []byte("segment")) // what is newest is not compacted
	b.cluster.Compact()
	eventually(t, "it goes on", func() bool { return value(t, a, "k") == "mended" && a.State() == cache.Ready })
	if value(t, a, "after") != "good" {
		t.Fatal("a record is lost behind the one that stopped it")
	}
}

// TestStopWhileLoading: one that has never been ready does not serve half of the log.
func TestStopWhileLoading(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.produce("a", 0, []byte("k"), []byte("good"))
	at := b.produce("a", 0, []byte("l"), []byte("bad"))
	c := open(t, b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", ValidateRead: cache.ReadPolicy{Rule: noBad, OnInvalid: policy.Stop}}))
	a := c.Topics()[0]
	eventually(t, "it has stopped", func() bool { return a.State() == cache.Failed })
	if _, err := a.Get([]byte("k")); !errors.Is(err, cache.ErrNotReady) {
		t.Fatalf("serves: %v", err)
	}
	b.produce("a", 0, []byte("l"), []byte("mended"))
	b.produce("a", 0, []byte("active"), []byte("segment")) // what is newest is not compacted
	b.cluster.Compact()
	eventually(t, fmt.Sprintf("ready once offset %d is gone", at), func() bool { return value(t, a, "l") == "mended" && a.State() == cache.Ready })
}

// TestRefusedWrites: a write is refused before it is produced, or hears that its record is in the log and refused there.
func TestRefusedWrites(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	cfg := b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", Writable: true, ValidateWrite: noBad, Resolver: upper,
		ValidateMutation: cache.MutationPolicy{Rule: noShorter}})
	_, topic := ready(t, cfg)
	put := func(val string) (cache.Written, error) {
		type result struct {
			cache.Written
			error
		}
		ch := make(chan result, 1)
		topic.Submit(cache.Write{Key: []byte("k"), Value: []byte(val), Apply: patience}, func(w cache.Written, err error) { ch <- result{w, err} })
		r := <-ch
		return r.Written, r.error
	}
	if _, err := put("good"); err != nil {
		t.Fatal(err)
	}
	var invalid *cache.InvalidError
	if _, err := put("a bad one"); !errors.As(err, &invalid) || invalid.Rule != cache.RuleWrite || invalid.Path != "/word" || invalid.Written != nil {
		t.Fatalf("%v", err)
	}
	for _, c := range [][2]string{{"go", cache.RuleMutation}, {"this will fail", cache.RuleResolver}} {
		if _, err := put(c[0]); !errors.As(err, &invalid) || invalid.Rule != c[1] || invalid.Written == nil || !invalid.Written.Applied {
			t.Fatalf("%s: %v", c[0], err)
		}
	}
	if got := value(t, topic, "k"); got != cache.ErrNotFound.Error() { // the record that does not resolve deletes it
		t.Fatal(got)
	}
	list := topic.Invalid(2)
	if len(list) != 2 || list[1].Rule == list[0].Rule || list[0].Partition != 0 {
		t.Fatalf("%+v", list)
	}
	if all := topic.Invalid(0); len(all) != 3 || all[2].Rule != cache.RuleWrite || all[2].Offset != -1 {
		t.Fatalf("%+v", all)
	}
	text, err := json.Marshal(topic.Invalid(1)[0])
	if err != nil || !bytes.Contains(text, []byte(`"key":"k"`)) || !bytes.Contains(text, []byte(`"path":""`)) {
		t.Fatalf("%s, %v", text, err)
	}
}

// TestDeadLetters: what is refused while the topic is served is copied as it is in the log; what was there before is not.
func TestDeadLetters(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("refused", 1)
	b.produce("a", 0, []byte("k"), []byte("bad at first"))
	cfg := b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", ValidateRead: cache.ReadPolicy{Rule: noBad}, DeadLetterTopic: "refused"})
	cfg.Identity = "test.me"
	_, topic := ready(t, cfg)
	at := b.produce("a", 0, []byte("k"), []byte("\xffbad"), kgo.RecordHeader{Key: "h", Value: []byte("v")})
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics("refused"))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	records := reader.PollFetches(t.Context()).Records()
	if len(records) != 1 || string(records[0].Key) != "k" || string(records[0].Value) != "\xffbad" {
		t.Fatalf("%+v", records)
	}
	got := map[string]string{}
	for _, h := range records[0].Headers {
		got[h.Key] = string(h.Value)
	}
	if got["h"] != "v" || got[cache.DeadLetterHeaderTopic] != "a" || got[cache.DeadLetterHeaderPartition] != "0" ||
		got[cache.DeadLetterHeaderOffset] != fmt.Sprint(at) || got[cache.DeadLetterHeaderRule] != cache.RuleDecode ||
		got[cache.DeadLetterHeaderReason] == "" || got[cache.DeadLetterHeaderInstance] != "test.me" {
		t.Fatalf("headers %v", got)
	}
	if n := len(topic.Invalid(0)); n != 2 {
		t.Fatalf("%d are listed", n)
	}
}

// TestDeadLettersInACircle: two topics that have each other for their dead letters do not copy a record for ever.
func TestDeadLettersInACircle(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.create("b", 1)
	topic := func(name, other string) cache.TopicConfig {
		return cache.TopicConfig{Name: name, ValueEncoding: "utf-8", ValidateRead: cache.ReadPolicy{Rule: noBad}, DeadLetterTopic: other}
	}
	cfg := b.config(topic("a", "b"), topic("b", "a"))
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	c := open(t, cfg)
	for _, topic := range c.Topics() {
		if err := topic.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.produce("a", 0, []byte("k"), []byte("bad"))
	back := c.Topics()[0]
	eventually(t, "it came back", func() bool { return len(back.Invalid(0)) >= 2 })
	after := b.produce("a", 0, []byte("l"), []byte("good"))
	eventually(t, "the next record", func() bool { return back.Status().Partitions[0].Position == after+1 })
	expected := "# HELP kafka_cache_dead_letters_total Copies of refused records to the dead-letter topic; failed: those that Kafka did not take, and copies that came back.\n# TYPE kafka_cache_dead_letters_total counter\n" +
		`kafka_cache_dead_letters_total{result="failed",topic="a"} 1` + "\n" + `kafka_cache_dead_letters_total{result="failed",topic="b"} 0` + "\n" +
		`kafka_cache_dead_letters_total{result="written",topic="a"} 1` + "\n" + `kafka_cache_dead_letters_total{result="written",topic="b"} 1` + "\n"
	var differs error
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) { // between looks: a copy is counted once Kafka has answered
		if differs = testutil.GatherAndCompare(registry, strings.NewReader(expected), "kafka_cache_dead_letters_total"); differs == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(differs)
		}
	}
	if after != 2 || len(back.Invalid(0)) != 2 || len(c.Topics()[1].Invalid(0)) != 1 {
		t.Fatalf("offset %d, refused %+v and %+v", after, back.Invalid(0), c.Topics()[1].Invalid(0))
	}
}

// TestUnusableMeaning: what a topic may not be configured to mean.
func TestUnusableMeaning(t *testing.T) {
	b := startBroker(t)
	for name, c := range map[string]cache.TopicConfig{
		"no name":       {Resolver: &policy.Resolver{Resolve: words.Resolve}},
		"nothing to do": {ValidateWrite: &policy.ValueRule{Name: "n"}},
		"no rule":       {ValidateMutation: cache.MutationPolicy{OnInvalid: policy.Keep}},
		"itself":        {DeadLetterTopic: "a"},
		"no topic":      {DeadLetterTopic: "a/b"},
	} {
		c.Name = "a"
		if _, err := cache.New(b.config(c)); !errors.Is(err, cache.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
