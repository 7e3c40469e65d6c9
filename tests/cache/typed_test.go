package cache_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/position"
)

// user is a value of the tests.
type user struct {
	Name string `json:"name"`
	Age  int    `json:"age,omitempty"`
}

func typed[V any](t *testing.T, c *cache.Cache, topic string, values codec.Typed[V]) *cache.TypedTopic[string, V] {
	t.Helper()
	typed, err := cache.TopicOf(c, topic, values)
	if err != nil {
		t.Fatal(err)
	}
	return typed
}

func TestTypedReads(t *testing.T) {
	b := startBroker(t)
	b.create("users", 2)
	b.produce("users", 0, []byte("a"), []byte(`{"name":"Ann","age":3}`))
	b.produce("users", 1, []byte("b"), []byte(`{"name":"Bob"}`))
	b.produce("users", 1, []byte("odd"), []byte(`{"name":7}`))
	b.produce("users", 1, []byte("null"), []byte(`null`))
	b.produce("users", 0, []byte("gone"), []byte(`{}`))
	b.produce("users", 0, []byte("gone"), nil)
	c, topic := ready(t, b.config(cache.TopicConfig{Name: "users"}))
	users := typed(t, c, "users", codec.JSON[user]())
	if users.Name() != "users" || users.Topic() != topic || !users.Ready() || users.Len() != 4 {
		t.Errorf("%s, ready %v, %d keys", users.Name(), users.Ready(), users.Len())
	}
	for key, want := range map[string]user{"a": {"Ann", 3}, "b": {Name: "Bob"}, "null": {}} {
		if u, err := users.Get(key); err != nil || u != want {
			t.Errorf("%s is %+v, %v", key, u, err)
		}
	}
	for _, key := range []string{"gone", "never", ""} {
		if u, err := users.Get(key); !errors.Is(err, cache.ErrNotFound) || u != (user{}) {
			t.Errorf("%q is %+v, %v", key, u, err)
		}
	}
	odd := func(err error) {
		t.Helper()
		var parse *cache.ParseError
		if !errors.As(err, &parse) || parse.Topic != "users" || parse.Field != "value" || string(parse.Key) != "odd" || parse.Partition != 1 || parse.Offset != 1 || !errors.Is(err, codec.ErrInvalid) {
			t.Errorf("the error is %v", err)
			return
		}
		if text := err.Error(); !strings.Contains(text, `topic users: the value of key "odd" (partition 1, offset 1)`) || !strings.Contains(text, "user") {
			t.Errorf("it says %s", text)
		}
	}
	u, err := users.Get("odd")
	odd(err)
	if u != (user{}) {
		t.Errorf("with the error comes %+v", u)
	}
	if has, err := users.Has("odd"); !has || err != nil {
		t.Errorf("has: %v, %v", has, err)
	}
	if m, err := users.Meta("b"); err != nil || m.Partition != 1 || m.Offset != 0 {
		t.Errorf("meta %+v, %v", m, err)
	}

	found, err := users.GetMany("b", "never", "odd", "a", "b")
	odd(err)
	if len(found) != 5 {
		t.Fatalf("%d found", len(found))
	}
	odd(found[2].Err)
	for i, want := range []cache.Lookup[user]{{Value: user{Name: "Bob"}, Found: true}, {}, {Found: true, Err: found[2].Err}, {Value: user{"Ann", 3}, Found: true}, {Value: user{Name: "Bob"}, Found: true}} {
		if found[i] != want {
			t.Errorf("%d: %+v, want %+v", i, found[i], want)
		}
	}
	if found, err := users.GetMany(); len(found) != 0 || err != nil {
		t.Errorf("of no keys: %v, %v", found, err)
	}

	// A stream goes on past what does not parse, a range stops there.
	var keys []string
	for e, err := range users.Stream(t.Context(), cache.Bounds[string]{}) {
		if keys = append(keys, e.Key); e.Key == "odd" {
			odd(err)
			if e.Partition != 1 || e.Offset != 1 {
				t.Errorf("its meta is %+v", e.Meta)
			}
		} else if err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(keys, []string{"a", "b", "null", "odd"}) {
		t.Errorf("the stream has %q", keys)
	}
	keys = nil
	odd(users.Range(t.Context(), cache.Bounds[string]{Reverse: true}, func(e cache.TypedEntry[string, user]) bool { keys = append(keys, e.Key); return true }))
	if len(keys) != 0 {
		t.Errorf("the range has %q", keys)
	}
	if err := users.Range(t.Context(), cache.Bounds[string]{LT: new("odd")}, func(e cache.TypedEntry[string, user]) bool { keys = append(keys, e.Key); return e.Key != "b" }); err != nil || !slices.Equal(keys, []string{"a", "b"}) {
		t.Errorf("the range has %q, %v", keys, err)
	}

	many, err := topic.GetMany([][]byte{[]byte("b"), []byte("never"), []byte("a")})
	if err != nil || fmt.Sprintf("%s", many) != `[{"name":"Bob"}  {"name":"Ann","age":3}]` || many[1] != nil {
		t.Errorf("bytes: %s, %v", many, err)
	}
}

// TestEmptyValuesAreNoMissingOnes: bytes and typed.
func TestEmptyValuesAreNoMissingOnes(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("empty"), []byte{})
	c, topic := ready(t, b.config(cache.TopicConfig{Name: "t", ValueEncoding: "binary"}))
	many, err := topic.GetMany([][]byte{[]byte("empty"), []byte("none")})
	if err != nil || many[0] == nil || len(many[0]) != 0 || many[1] != nil {
		t.Errorf("%#v, %v", many, err)
	}
	values := typed(t, c, "t", codec.Bytes())
	if v, err := values.Get("empty"); err != nil || v == nil || len(v) != 0 {
		t.Errorf("%#v, %v", v, err)
	}
	found, err := values.GetMany("empty", "none")
	if err != nil || !found[0].Found || found[0].Value == nil || found[1].Found {
		t.Errorf("%#v, %v", found, err)
	}
}

// words3 are keys that are three words; other keys are none.
type words3 [3]string

func (w words3) MarshalText() ([]byte, error) {
	if w[0] == "" {
		return nil, errors.New("words that are not there")
	}
	return []byte(strings.Join(w[:], " ")), nil
}

func (w *words3) UnmarshalText(b []byte) error {
	parts := strings.Split(string(b), " ")
	if len(parts) != 3 {
		return errors.New("not three words")
	}
	copy(w[:], parts)
	return nil
}

func TestTypedKeys(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	b.produce("t", 0, []byte("one two three"), []byte(`1`))
	b.produce("t", 0, []byte("one two"), []byte(`2`))
	c, _ := ready(t, b.config(cache.TopicConfig{Name: "t", Writable: true}))
	numbers, err := cache.TopicOfKeys(c, "t", codec.Text[words3](), codec.JSON[int]())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := numbers.Get(words3{"one", "two", "three"}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if w, err := numbers.PutAndWait(t.Context(), words3{"four", "five", "six"}, 4); err != nil || !w.Applied {
		t.Fatalf("%+v, %v", w, err)
	}
	var told []string
	for e, err := range numbers.Stream(t.Context(), cache.Bounds[words3]{LTE: &words3{"one", "two", "three"}}) {
		told = append(told, fmt.Sprint(e.Key, e.Value, e.Offset, err))
	}
	want := []string{"[four five six] 4 2 <nil>",
		`[  ] 0 1 cache: topic t: the key of key "one two" (partition 0, offset 1): not valid text at byte 0: no cache_test.words3: not three words`,
		"[one two three] 1 0 <nil>"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	var encoding *cache.EncodingError
	none := words3{}
	for what, err := range map[string]error{
		"Get": second(numbers.Get(none)), "GetMany": second(numbers.GetMany(none)), "Has": second(numbers.Has(none)), "Meta": second(numbers.Meta(none)),
		"Put": second(numbers.Put(t.Context(), none, 1)), "PutAndWait": second(numbers.PutAndWait(t.Context(), none, 1)),
		"Delete": second(numbers.Delete(t.Context(), none)), "DeleteAndWait": second(numbers.DeleteAndWait(t.Context(), none)),
		"Range": numbers.Range(t.Context(), cache.Bounds[words3]{GT: &none}, nil),
	} {
		if !errors.As(err, &encoding) || encoding.Field != "key" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if numbers, err := cache.TopicOf(c, "t", codec.JSON[chan int]()); err != nil {
		t.Error(err)
	} else if _, err := numbers.Put(t.Context(), "k", make(chan int)); !errors.As(err, &encoding) || encoding.Field != "value" {
		t.Errorf("a value that cannot be written: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTypedTopicsOfWhatIsNotThere(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	c, _ := ready(t, b.config(cache.TopicConfig{Name: "t"}))
	_, err := cache.TopicOf(c, "other", codec.JSON[user]())
	_, readerErr := cache.ReaderOf(c, "other", codec.JSON[user]())
	_, writerErr := cache.WriterOf(c, "other", codec.JSON[user]())
	for _, err := range []error{err, readerErr, writerErr} {
		if !errors.Is(err, cache.ErrUnknownTopic) {
			t.Error(err)
		}
	}
	if _, err := cache.WriterOf(c, "t", codec.JSON[user]()); !errors.Is(err, cache.ErrReadOnly) {
		t.Errorf("a writer of a read-only topic: %v", err)
	}
	users := typed(t, c, "t", codec.JSON[user]())
	for what, err := range map[string]error{
		"Put": second(users.Put(t.Context(), "k", user{})), "PutAndWait": second(users.PutAndWait(t.Context(), "k", user{})),
		"Delete": second(users.Delete(t.Context(), "k")), "DeleteAndWait": second(users.DeleteAndWait(t.Context(), "k")),
	} {
		if !errors.Is(err, cache.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestReaderHasNothingThatWrites looks at what can be called on it.
func TestReaderHasNothingThatWrites(t *testing.T) {
	methods := func(of reflect.Type) (names []string) {
		for m := range of.Methods() {
			names = append(names, m.Name)
		}
		return names
	}
	reader, writer := methods(reflect.TypeFor[*cache.Reader[string, user]]()), methods(reflect.TypeFor[*cache.Writer[string, user]]())
	if want := []string{"At", "Get", "GetMany", "Has", "Len", "Meta", "Name", "Position", "Range", "Ready", "Snapshot", "Stream", "WaitFor", "WaitReady", "Watch"}; !slices.Equal(reader, want) {
		t.Errorf("a Reader has %v, want %v", reader, want)
	}
	if want := []string{"Delete", "Name", "Put"}; !slices.Equal(writer, want) {
		t.Errorf("a Writer has %v, want %v", writer, want)
	}
}

// TestWritesThatAreWaitedFor: each is read at once by who waited, and its position is good on another instance.
func TestWritesThatAreWaitedFor(t *testing.T) {
	b := startBroker(t)
	b.create("users", 4)
	c, _ := ready(t, b.config(cache.TopicConfig{Name: "users", Writable: true}))
	users := typed(t, c, "users", codec.JSON[user]())
	_, elsewhere := ready(t, b.config(cache.TopicConfig{Name: "users"}))
	for i := range 50 {
		key, want := fmt.Sprintf("k%d", i%10), user{"Ann", 100 + i}
		w, err := users.PutAndWait(t.Context(), key, want, cache.Header{Key: []byte("h"), Value: []byte("v")})
		if err != nil || !w.Applied {
			t.Fatalf("%+v, %v", w, err)
		}
		if u, err := users.Get(key); err != nil || u != want {
			t.Fatalf("%+v, %v", u, err)
		}
		if m, err := users.Meta(key); err != nil || m.Partition != w.Partition || m.Offset != w.Offset || len(m.Headers) != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
		token, err := position.Parse(w.Position.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := elsewhere.WaitFor(t.Context(), token); err != nil || !strings.Contains(value(t, elsewhere, key), fmt.Sprint(100+i)) {
			t.Fatalf("elsewhere: %s, %v", value(t, elsewhere, key), err)
		}
	}
	for _, want := range []bool{true, false} {
		if w, err := users.DeleteAndWait(t.Context(), "k3"); err != nil || !w.Applied || w.Removed != want {
			t.Fatalf("removed: %+v, %v", w, err)
		}
		if _, err := users.Get("k3"); !errors.Is(err, cache.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

// TestWaitsThatEnd: what a write says that was waited for in vain, before its acknowledgement and behind it.
func TestWaitsThatEnd(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	c, topic := ready(t, b.config(cache.TopicConfig{Name: "t", Writable: true}))
	if _, err := topic.PutAndWait(t.Context(), []byte("first"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	hold := func(key kmsg.Key) (asked, release chan struct{}) {
		asked, release = make(chan struct{}), make(chan struct{})
		first := true
		b.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			select {
			case <-release:
				b.cluster.DropControl()
				return nil, nil, false
			default:
			}
			if first {
				first = false
				close(asked)
			}
			return nil, errors.New("held"), true
		})
		return asked, release
	}
	_, release := hold(kmsg.Fetch)
	var at position.Position
	for _, write := range []func(context.Context) (cache.Written, error){
		func(ctx context.Context) (cache.Written, error) {
			return topic.PutAndWait(ctx, []byte("k"), []byte("2"))
		},
		func(ctx context.Context) (cache.Written, error) { return topic.DeleteAndWait(ctx, []byte("first")) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		before := end(t, b, "t")
		go func() {
			defer cancel()
			eventually(t, "it is in the log", func() bool { return end(t, b, "t") > before })
			// What the same partition acknowledges later is acknowledged later here.
			if _, err := topic.Put(ctx, []byte("behind"), []byte("0")); err != nil {
				t.Error(err)
			}
		}()
		w, err := write(ctx)
		var pending *cache.PendingError
		if !errors.As(err, &pending) || !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrUnknownOutcome) || w.Applied || w.Offset != before || pending.Written.Offset != before {
			t.Fatalf("acknowledged and not applied: %+v, %v", w, err)
		}
		at = at.Merge(w.Position)
	}
	close(release)
	if err := topic.WaitFor(t.Context(), at); err != nil {
		t.Error(err)
	}
	if k, first := value(t, topic, "k"), value(t, topic, "first"); k != "2" || first != cache.ErrNotFound.Error() {
		t.Errorf("once both are applied k is %s, first is %s", k, first)
	}

	asked, release := hold(kmsg.Produce)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if w, err := topic.PutAndWait(ctx, []byte("k"), []byte("3")); !errors.Is(err, cache.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) || w.Applied {
		t.Errorf("not acknowledged: %+v, %v", w, err)
	}
	close(release)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := topic.PutAndWait(ended, []byte("k"), []byte("4")); !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrUnknownOutcome) {
		t.Errorf("a context that had ended before: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := topic.PutAndWait(t.Context(), []byte("k"), []byte("5")); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// end is the end of a topic's first partition.
func end(t *testing.T, b *broker, topic string) int64 {
	ends, err := b.admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Error(err)
		return 0
	}
	return ends[topic][0].Offset
}

// TestWaitingForARecordThatIsRefused: what the topic's rules make of a record is told to who waited for it.
func TestWaitingForARecordThatIsRefused(t *testing.T) {
	b := startBroker(t)
	b.create("t", 1)
	cfg := b.config(cache.TopicConfig{Name: "t", Writable: true, ValueEncoding: "utf-8", ValidateRead: cache.ReadPolicy{Rule: noBad, OnInvalid: policy.Delete}})
	c, _ := ready(t, cfg)
	texts := typed(t, c, "t", codec.String())
	if _, err := texts.PutAndWait(t.Context(), "k", "good"); err != nil {
		t.Fatal(err)
	}
	w, err := texts.PutAndWait(t.Context(), "k", "bad")
	var invalid *cache.InvalidError
	if !errors.As(err, &invalid) || invalid.Rule != cache.RuleRead || invalid.Path != "/word" || invalid.Written == nil || invalid.Written.Offset != w.Offset || !w.Applied {
		t.Fatalf("%+v, %v", w, err)
	}
	if _, err := texts.Get("k"); !errors.Is(err, cache.ErrNotFound) {
		t.Error(err)
	}
}
