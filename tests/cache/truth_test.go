package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/cache"
)

func TestWhatDeleteRecordsTookLeaves(t *testing.T) {
	b := startBroker(t)
	b.create("a", 2, "cleanup.policy", "delete")
	for i := range 20 {
		b.produce("a", int32(i%2), fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "%d", i))
	}
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "a"}))
	events := make(chan cache.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		_ = topic.Watch(ctx, func(e cache.Event) { events <- e })
	}()
	if e := <-events; e.Kind != cache.EventAttached {
		t.Fatalf("%+v", e)
	}
	if _, err := b.admin.DeleteRecords(t.Context(), kadm.Offsets{"a": {1: {Topic: "a", Partition: 1, At: 4}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "four keys leave", func() bool { return topic.Len() == 16 })
	for i := range 20 {
		_, err := topic.Get(fmt.Appendf(nil, "k%d", i))
		if gone := i%2 == 1 && i/2 < 4; errors.Is(err, cache.ErrNotFound) != gone {
			t.Errorf("k%d: %v", i, err)
		}
	}
	for range 4 {
		select {
		case e := <-events:
			if e.Kind != cache.EventDelete || e.Partition != 1 || e.Offset >= 4 {
				t.Errorf("told %+v", e)
			}
		case <-time.After(patience):
			t.Fatal("a watcher was not told")
		}
	}
	cancel()
	<-watching
	// An instance that has never seen them holds the same.
	_, young := ready(t, b.config(cache.TopicConfig{Name: "a"}))
	agree(t, topic, young)
	if n := topic.Status().RetentionRemoved; n != 4 {
		t.Errorf("%d counted", n)
	}
}

// agree waits until two instances' checksums agree.
func agree(t *testing.T, a, b *cache.Topic) {
	t.Helper()
	var c cache.Comparison
	deadline := time.Now().Add(patience)
	for c.Agreement != cache.Agree {
		x, err := a.Checksum(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.Checksum(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		if c = cache.CompareChecksums(x, y); time.Now().After(deadline) {
			t.Fatalf("%+v\n%+v\n%+v", c, x, y)
		}
	}
}

func TestKeyInTwoPartitions(t *testing.T) {
	b := startBroker(t)
	b.create("a", 3)
	now := time.Now().Truncate(time.Millisecond)
	put := func(partition int32, key, value string, at time.Time) {
		t.Helper()
		r := &kgo.Record{Topic: "a", Partition: partition, Key: []byte(key), Timestamp: at}
		if value != "" {
			r.Value = []byte(value)
		}
		if err := b.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	_, old := ready(t, b.config(cache.TopicConfig{Name: "a", Writable: true}))
	put(0, "k", `"old"`, now.Add(-3*time.Second))
	put(1, "k", `"new"`, now.Add(-2*time.Second))
	put(0, "deleted", `"old"`, now.Add(-3*time.Second))
	put(1, "deleted", "", now.Add(-2*time.Second))
	put(2, "future", `"theirs"`, now.Add(time.Hour))
	eventually(t, "the newest wins", func() bool { return value(t, old, "k") == `"new"` && value(t, old, "future") == `"theirs"` })
	_, young := ready(t, b.config(cache.TopicConfig{Name: "a"}))
	agree(t, old, young)
	for _, topic := range []*cache.Topic{old, young} {
		if v, d := value(t, topic, "k"), value(t, topic, "deleted"); v != `"new"` || d != cache.ErrNotFound.Error() {
			t.Errorf("k is %s, deleted is %s", v, d)
		}
	}
	eventually(t, "both are counted", func() bool { s := old.Status(); return s.SplitKeys == 2 && s.SplitKeysDeleted == 1 })

	// A write of ours is the newest, whatever clock the others had.
	for _, key := range []string{"k", "future"} {
		type result struct {
			w   cache.Written
			err error
		}
		ch := make(chan result, 1)
		old.Submit(cache.Write{Key: []byte(key), Value: []byte(`"ours"`), Apply: patience}, func(w cache.Written, err error) { ch <- result{w, err} })
		r := <-ch
		if r.err != nil || !r.w.Applied || value(t, old, key) != `"ours"` {
			t.Fatalf("%s: %+v, %v: %s", key, r.w, r.err, value(t, old, key))
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := young.WaitFor(ctx, r.w.Position); err != nil || value(t, young, key) != `"ours"` {
			t.Fatalf("%s on the other instance: %s, %v", key, value(t, young, key), err)
		}
	}
	if n, err := old.Repair(t.Context(), 0); err != nil || n != 1 {
		t.Errorf("repaired %d, %v", n, err) // "deleted": its old value lies in partition 0 still
	}
	eventually(t, "nothing is left to repair", func() bool {
		n, err := old.Repair(t.Context(), 0)
		return n == 0 && err == nil
	})
	_, third := ready(t, b.config(cache.TopicConfig{Name: "a"}))
	agree(t, old, third)
}

// TestManySplitKeysAreRepaired: more than are held at a time.
func TestManySplitKeysAreRepaired(t *testing.T) {
	const n = 700
	b := startBroker(t)
	b.create("a", 2)
	now := time.Now()
	var records []*kgo.Record
	for i := range n {
		key := fmt.Appendf(nil, "k%d", i)
		records = append(records, &kgo.Record{Topic: "a", Partition: 0, Key: key, Value: []byte("1"), Timestamp: now.Add(-time.Hour)},
			&kgo.Record{Topic: "a", Partition: 1, Key: key, Value: []byte("2"), Timestamp: now.Add(-time.Minute)})
	}
	if err := b.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "a", Writable: true}))
	if n, err := topic.Repair(t.Context(), 3); n != 3 || err != nil {
		t.Errorf("repaired %d of at most 3, %v", n, err)
	}
	if got, err := topic.Repair(t.Context(), 0); got != n-3 || err != nil {
		t.Errorf("repaired %d, %v, want %d", got, err, n-3)
	}
	if got, err := topic.Repair(t.Context(), 0); got != 0 || err != nil {
		t.Errorf("repaired %d again, %v", got, err)
	}
	for i := range n {
		if v := value(t, topic, fmt.Sprintf("k%d", i)); v != "2" {
			t.Fatalf("k%d is %s", i, v)
		}
	}
}

func TestOtherRulesAreAppliedBesideWhatIsServed(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	for i := range 50 {
		b.produce("a", 0, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "%d", i))
	}
	cfg := b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8"})
	cfg.DataDir = t.TempDir()
	c, _ := ready(t, cfg)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	b.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		select {
		case <-hold:
			return nil, nil, false
		default:
			return nil, errors.New("held"), true
		}
	})
	cfg.Topics[0].ValueEncoding = "json"
	_, topic := ready(t, cfg)
	if s := topic.Status(); s.State != cache.Rebuilding || !s.Serving || s.Partitions[0].Position != 50 {
		t.Fatalf("%+v", s)
	}
	eventually(t, "the status says why", func() bool { r := topic.Status().Rebuild; return r != nil && r.Reason == "rules" })
	if v := value(t, topic, "k7"); v != "7" {
		t.Fatalf("k7 is %s", v)
	}
	close(hold)
	eventually(t, "the new generation takes over", func() bool { return topic.State() == cache.Ready && topic.Status().Rebuild == nil })
	if v := value(t, topic, "k49"); v != "49" || topic.Len() != 50 {
		t.Fatalf("k49 is %s, %d keys", v, topic.Len())
	}
}
