package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
)

// watch has events told to a channel until stop, which gives Watch's error.
func watch[E any](t *testing.T, run func(context.Context, func(E)) error) (events chan E, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := make(chan E, 1000), make(chan error, 1)
	go func() { ended <- run(ctx, func(e E) { events <- e }) }()
	return events, func() error {
		cancel()
		return <-ended
	}
}

func next[E any](t *testing.T, events chan E) E {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("nothing is told")
		panic("unreachable")
	}
}

func TestTypedWatch(t *testing.T) {
	b := startBroker(t)
	b.create("users", 1)
	b.produce("users", 0, []byte("a"), []byte(`{"name":"Ann"}`))
	c, topic := ready(t, b.config(cache.TopicConfig{Name: "users", ValueEncoding: "binary"}))
	users, err := cache.TopicOfKeys(c, "users", codec.Text[words3](), codec.JSON[user]())
	if err != nil {
		t.Fatal(err)
	}
	events, stop := watch(t, users.Watch)
	attached := next(t, events)
	if at, _ := attached.Position.Next(0); attached.Kind != cache.EventAttached || at != 1 || attached.Err != nil {
		t.Errorf("first %+v", attached)
	}
	now := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i, c := range []struct {
		key, value string // "" is a tombstone
		want       string
	}{
		{"a b c", `{"name":"Ann"}`, "set [a b c] {Ann 0} none <nil>"},
		{"a b c", `{"name":"Bea"}`, "set [a b c] {Bea 0} {Ann 0} <nil>"},
		{"a b c", `7`, `set [a b c] { 0} {Bea 0} cache: topic users: the value of key "a b c" (partition 0, offset 3): ` +
			`not valid json at byte 1: no cache_test.user: json: cannot unmarshal number into Go value of type cache_test.user`},
		{"a b c", "", `delete [a b c] { 0} none cache: topic users: the old value of key "a b c" (partition 0, offset 4): ` +
			`not valid json at byte 1: no cache_test.user: json: cannot unmarshal number into Go value of type cache_test.user`},
		{"a b", `{}`, `set [  ] { 0} none cache: topic users: the key of key "a b" (partition 0, offset 5): not valid text at byte 0: no cache_test.words3: not three words`},
	} {
		r := &kgo.Record{Topic: "users", Key: []byte(c.key), Timestamp: now.Add(time.Duration(i) * time.Second)}
		if c.value != "" {
			r.Value = []byte(c.value)
		}
		if err := b.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		e := next(t, events)
		old := "none"
		if e.Old != nil {
			old = fmt.Sprint(*e.Old)
		}
		if got := fmt.Sprint(e.Kind, " ", e.Key, " ", e.Value, " ", old, " ", e.Err); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
		if at, ok := e.Position.Next(0); e.Offset != r.Offset || e.Partition != 0 || e.Timestamp != r.Timestamp.UnixMilli() || !ok || at != r.Offset+1 || e.Position.Topic() != topic.Position().Topic() {
			t.Errorf("record %d at %s is told as %+v", r.Offset, r.Timestamp, e)
		}
		var parse *cache.ParseError
		if e.Err != nil && (!errors.As(e.Err, &parse) || parse.Offset != r.Offset || string(parse.Key) != c.key) {
			t.Errorf("%v", e.Err)
		}
	}
	// Both values of one event.
	b.produce("users", 0, []byte("x y z"), []byte(`1`))
	next(t, events)
	b.produce("users", 0, []byte("x y z"), []byte(`2`))
	if e := next(t, events); len(unjoin(e.Err)) != 2 {
		t.Errorf("%v", e.Err)
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	events, _ = watch(t, users.Watch)
	next(t, events)
	ended := make(chan error, 1)
	go func() { ended <- users.Watch(t.Context(), func(cache.TypedEvent[words3, user]) {}) }()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, cache.ErrClosed) {
		t.Error(err)
	}
}

func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// TestEventsCarryAPositionThatIsEnough: another instance that has come to an event's position answers what the event told, or what came after
// it, also where a tombstone in one partition uncovered a value in another. It is made to learn of the partitions one after the other.
func TestEventsCarryAPositionThatIsEnough(t *testing.T) {
	b := startBroker(t)
	b.create("t", 2)
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "t"}))
	events, stop := watch(t, topic.Watch)
	next(t, events)
	_, elsewhere := ready(t, b.config(cache.TopicConfig{Name: "t"}))
	now := time.Now().Add(-time.Hour)
	put := func(partition int32, value []byte, seconds int) int64 {
		t.Helper()
		r, err := b.client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: partition, Key: []byte("k"), Value: value, Timestamp: now.Add(time.Duration(seconds) * time.Second)}).First()
		if err != nil {
			t.Fatal(err)
		}
		return r.Offset
	}
	check := func(e cache.Event, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := elsewhere.WaitFor(ctx, e.Position); err != nil {
			t.Fatal(err)
		}
		if got := value(t, elsewhere, "k"); got != want {
			t.Errorf("at %v there is %s, want %s", e.Position, got, want)
		}
	}
	// A write of ours hides what is older in the other partition; then its own tombstone, which is older than that, does not.
	put(0, []byte(`"older"`), 1)
	check(next(t, events), `"older"`)
	put(1, []byte(`"newer"`), 2)
	check(next(t, events), `"newer"`)
	at := put(1, nil, 0) // the newest of its partition is older than what the other one has
	e := next(t, events)
	if e.Kind != cache.EventSet || string(e.Value) != `"older"` || e.Partition != 0 || e.Offset != 0 {
		t.Fatalf("told %+v", e)
	}
	if own, _ := e.Position.Next(0); own != 1 {
		t.Errorf("its record is not covered by %v", e.Position)
	}
	if led, ok := e.Position.Next(1); !ok || led != at+1 {
		t.Errorf("what led to it is not covered by %v", e.Position)
	}
	check(e, `"older"`)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestEventsOfWhatLeftWithTheLogsStart have a position of the record that has gone, also where it was a view's.
func TestEventsOfWhatLeftWithTheLogsStart(t *testing.T) {
	for _, resolves := range []bool{false, true} {
		t.Run(fmt.Sprintf("resolver=%v", resolves), func(t *testing.T) {
			b := startBroker(t)
			b.create("t", 1, "cleanup.policy", "delete")
			b.produce("t", 0, []byte("a"), []byte("x"))
			b.produce("t", 0, []byte("b"), []byte("y"))
			cfg := cache.TopicConfig{Name: "t", ValueEncoding: "utf-8"}
			if resolves {
				cfg.Resolver = words
			}
			_, topic := ready(t, b.config(cfg))
			events, stop := watch(t, topic.Watch)
			next(t, events)
			if _, err := b.admin.DeleteRecords(t.Context(), kadm.Offsets{"t": {0: {Topic: "t", Partition: 0, At: 1}}}); err != nil {
				t.Fatal(err)
			}
			e := next(t, events)
			if at, _ := e.Position.Next(0); e.Kind != cache.EventDelete || e.Value != nil || e.Offset != 0 || at != 1 || len(e.Position.Offsets()) != 1 {
				t.Errorf("told %+v", e)
			}
			if err := stop(); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestFlushSaysFromWhereOn: a watcher that is too slow is told the position behind which it is told everything again.
func TestFlushSaysFromWhereOn(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	_, topic := ready(t, b.config(cache.TopicConfig{Name: "t", ValueEncoding: "binary"}))
	hold := make(chan struct{})
	events, stop := watch(t, func(ctx context.Context, fn func(cache.Event)) error {
		return topic.Watch(ctx, func(e cache.Event) {
			fn(e)
			if e.Kind == cache.EventAttached {
				<-hold
			}
		})
	})
	next(t, events)
	large := make([]byte, 900<<10)
	var last int64
	for i := range 20 { // more than what is kept for a watcher
		last = b.produce("t", 0, fmt.Appendf(nil, "k%d", i), large)
	}
	eventually(t, "all are applied, and told", func() bool { return topic.Status().Partitions[0].Position == last+1 })
	close(hold)
	e := next(t, events)
	if at, _ := e.Position.Next(0); e.Kind != cache.EventFlush || at != last+1 {
		t.Fatalf("told %s at %v, want flush at %d", e.Kind, e.Position, last+1)
	}
	for len(events) > 0 { // those that came behind it
		<-events
	}
	b.produce("t", 0, []byte("k0"), []byte("small"))
	for e = next(t, events); string(e.Key) != "k0"; e = next(t, events) {
		continue
	}
	if string(e.Value) != "small" || len(e.Old) != len(large) {
		t.Errorf("told of %s=%.20s", e.Key, e.Value)
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
