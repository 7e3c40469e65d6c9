package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/policy"
)

// keysOf are all keys with their values, in order.
func keysOf(t *testing.T, topic *cache.Topic) string {
	t.Helper()
	var all []string
	if err := topic.Range(t.Context(), nil, nil, func(e cache.Entry) bool {
		all = append(all, fmt.Sprintf("%s=%s", e.Key, e.Value))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	var scanned []string
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var err error
		if cursor, err = topic.Scan(cursor, 3, func(key []byte) { scanned = append(scanned, string(key)) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(scanned) != len(all) || topic.Len() != int64(len(all)) {
		t.Fatalf("%d keys in order, %d scanned, %d counted", len(all), len(scanned), topic.Len())
	}
	return strings.Join(all, " ")
}

// TestResolverOfOtherKeys follows what records yield as they come, change and go, with what is told of it, over a restart.
func TestResolverOfOtherKeys(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.produce("a", 0, []byte("1"), []byte("red blue"))
	cfg := b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", Resolver: words, Writable: true})
	cfg.DataDir = t.TempDir()
	c, topic := ready(t, cfg)
	if got := keysOf(t, topic); got != "1=RED BLUE word:blue=1 word:red=1" {
		t.Fatal(got)
	}
	events := make(chan cache.Event, 100)
	ctx, stop := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	go func() { watching <- topic.Watch(ctx, func(e cache.Event) { events <- e }) }()
	if e := <-events; e.Kind != cache.EventAttached {
		t.Fatalf("%+v", e)
	}
	told := func(want ...string) {
		t.Helper()
		var got []string
		for range want {
			e := <-events
			got = append(got, fmt.Sprintf("%s=%s<%s", e.Key, e.Value, e.Old))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	step := func(key, val, want string) {
		t.Helper()
		var v []byte
		if val != "" {
			v = []byte(val)
		}
		at := b.produce("a", 0, []byte(key), v)
		eventually(t, "applied", func() bool { return topic.Status().Partitions[0].Position == at+1 })
		if got := keysOf(t, topic); got != want {
			t.Fatalf("after %s=%q: %s, want %s", key, val, got, want)
		}
	}
	step("1", "red green", "1=RED GREEN word:green=1 word:red=1")
	told("1=RED GREEN<RED BLUE", "word:blue=<1", "word:green=1<")
	step("2", "red", "1=RED GREEN 2=RED word:green=1 word:red=2") // the newer record's counts
	told("2=RED<", "word:red=2<1")
	step("2", "", "1=RED GREEN word:green=1 word:red=1") // and when it goes, the other shows
	told("2=<RED", "word:red=1<2")
	step("2", "blue", "1=RED GREEN 2=BLUE word:blue=2 word:green=1 word:red=1")
	step("2", "blue hide", "1=RED GREEN word:blue=2 word:green=1 word:red=1") // no value of its own
	step("word:red", "own", "1=RED GREEN word:blue=2 word:green=1 word:own=word:red word:red=OWN")
	if m, err := topic.Meta([]byte("word:green")); err != nil || string(m.Source) != "1" || m.Offset != 1 {
		t.Fatalf("meta %+v, %v", m, err)
	}
	stop()
	if err := <-watching; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if st := topic.Status(); st.Keys != 5 || st.Records != 3 {
		t.Fatalf("%d keys of %d records", st.Keys, st.Records)
	}
	done := make(chan error, 1)
	topic.Submit(cache.Write{Key: []byte("word:red"), Delete: true, Apply: patience}, func(w cache.Written, err error) {
		if err == nil && !w.Removed {
			err = errors.New("nothing was removed")
		}
		done <- err
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := "1=RED GREEN word:blue=2 word:green=1 word:red=1"
	if got := keysOf(t, topic); got != want {
		t.Fatal(got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c, topic = ready(t, cfg)
	if got := keysOf(t, topic); got != want || len(topic.Status().Rebuilds) != 0 {
		t.Fatalf("after a restart: %s, %+v", got, topic.Status())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	// Without the resolver the records' own values are read anew; what it made of them is served as it was meanwhile, and never shows as anything else.
	cfg.Topics[0].Resolver = nil
	_, topic = ready(t, cfg)
	eventually(t, "read by the new rules", func() bool { return value(t, topic, "1") == "red green" })
	if got := keysOf(t, topic); got != "1=red green 2=blue hide" {
		t.Fatal(got)
	}
	if topic.Status().Rebuilds["rules"] != 1 {
		t.Fatalf("rebuilds %v", topic.Status().Rebuilds)
	}
}

// TestResolverBounds: what a resolver may not yield.
func TestResolverBounds(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	resolver := func(ownKey bool) *policy.Resolver {
		return &policy.Resolver{Name: "bounds", OwnKey: ownKey, Resolve: func(r *policy.Record, y *policy.Yields) error {
			switch string(r.Value) {
			case "empty":
				y.Set(nil, []byte("v"))
			case "many":
				for i := range policy.MaxYields + 1 {
					y.Set(fmt.Appendf(nil, "%d", i), nil)
				}
			case "long":
				y.Own(make([]byte, policy.MaxYieldBytes+1))
			case "other":
				y.Set([]byte("other"), nil)
			case "own":
				y.Set(r.Key, []byte("first"))
				y.Set(r.Key, []byte("last"))
			}
			return nil
		}}
	}
	for _, v := range []string{"empty", "many", "long", "other", "own"} {
		b.produce("a", 0, []byte("of "+v), []byte(v))
	}
	for ownKey, want := range map[bool]string{false: "of own=last other=", true: "of own=last"} {
		_, topic := ready(t, b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", Resolver: resolver(ownKey)}))
		if got := keysOf(t, topic); got != want {
			t.Fatalf("own key %v: %s, want %s", ownKey, got, want)
		}
		refused := 3
		if ownKey {
			refused = 4
		}
		if n := len(topic.Invalid(0)); n != refused {
			t.Fatalf("own key %v: %d refused: %+v", ownKey, n, topic.Invalid(0))
		}
	}
}

// TestMutationRuleSeesWhatCounts: of a key that a record yields more than once the last value is what it gets, and the one that the rule is asked about, however many keys
// there are.
func TestMutationRuleSeesWhatCounts(t *testing.T) {
	const many = 1000
	b := startBroker(t)
	b.create("a", 1)
	twice := &policy.Resolver{Name: "twice", Resolve: func(r *policy.Record, y *policy.Yields) error {
		n := map[string]int{"few": 2, "many": many}[string(r.Key)]
		for _, v := range [][]byte{[]byte("not this"), r.Value} {
			for i := range n {
				y.Set(fmt.Appendf(nil, "%s %d", r.Key, i), v)
			}
		}
		return nil
	}}
	var asked atomic.Int64
	greater := &policy.MutationRule{Name: "greater", Check: func(m *policy.Mutation) error {
		asked.Add(1)
		if string(m.Self) != string(m.Record.Value) || m.Exists != (string(m.Self) == "2") || m.Exists && string(m.OldSelf) != "1" {
			return fmt.Errorf("%q to %q", m.OldSelf, m.Self)
		}
		return nil
	}}
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", Resolver: twice, ValidateMutation: cache.MutationPolicy{Rule: greater}}))
	for _, v := range []string{"1", "2"} {
		for _, k := range []string{"few", "many"} {
			at := b.produce("a", 0, []byte(k), []byte(v))
			eventually(t, "applied", func() bool { return topic.Status().Partitions[0].Position == at+1 })
		}
	}
	if list := topic.Invalid(0); len(list) > 0 || value(t, topic, "few 1") != "2" || value(t, topic, "many 999") != "2" || asked.Load() != 2*(2+many) {
		t.Fatalf("few %s, many %s, asked %d times: %+v", value(t, topic, "few 1"), value(t, topic, "many 999"), asked.Load(), list)
	}
}

// TestSnapshotOfWhatRecordsYield: all that a record yields is there at the same moment, and what its former version yielded is not.
func TestSnapshotOfWhatRecordsYield(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	b.produce("a", 0, []byte("1"), []byte("w0 x0"))
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", Resolver: words}))
	const rounds = 300
	produced := make(chan error, 1)
	go func() {
		for i := 1; i <= rounds; i++ {
			r := &kgo.Record{Topic: "a", Key: []byte("1"), Value: fmt.Appendf(nil, "w%d x%d", i, i)}
			if err := b.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
				produced <- err
				return
			}
		}
		produced <- nil
	}()
	last, looks := -1, 0
	eventually(t, "the last record is seen", func() bool {
		err := topic.Snapshot(t.Context(), func(s *cache.Snapshot) error {
			own, err := s.Get([]byte("1"))
			if err != nil {
				return err
			}
			var n, m int
			if _, err := fmt.Sscanf(string(own), "W%d X%d", &n, &m); err != nil || n != m || n < last {
				return fmt.Errorf("own value %q after %d: %w", own, last, err)
			}
			if keys, err := s.Len(); err != nil || keys != 3 {
				return fmt.Errorf("%d keys, %w", keys, err)
			}
			for _, w := range []string{"w", "x"} {
				if of, err := s.Get(fmt.Appendf(nil, "word:%s%d", w, n)); err != nil || string(of) != "1" {
					return fmt.Errorf("word %s%d: %q, %w", w, n, of, err)
				}
				if m, err := s.Meta(fmt.Appendf(nil, "word:%s%d", w, n)); err != nil || string(m.Source) != "1" {
					return fmt.Errorf("meta of word %s%d: %+v, %w", w, n, m, err)
				}
			}
			last, looks = n, looks+1
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return last == rounds
	})
	if err := <-produced; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d snapshots", looks)
}
