package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/store"
)

// filled gives a topic's store keys whose values are the keys in upper case.
func filled(t testing.TB, st *store.Store, keys ...string) {
	t.Helper()
	b := &store.Batch{Next: int64(len(keys))}
	for i, k := range keys {
		b.Mutations = append(b.Mutations, store.Mutation{Key: []byte(k), Value: bytes.ToUpper([]byte(k)), Offset: int64(i), Headers: []store.Header{{Key: []byte("h"), Value: []byte(k)}}})
	}
	if err := st.Apply(b, nil); err != nil {
		t.Fatal(err)
	}
}

// TestBoundsLeaveWhatTheySay holds streams with random bounds, of bytes and typed, to a filter over all keys.
func TestBoundsLeaveWhatTheySay(t *testing.T) {
	topic, st := served(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	letters := []string{"a", "b", "\x00", "\xff", "é"}
	text := func() string {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	all := map[string]bool{}
	for range 60 {
		if k := text(); k != "" {
			all[k] = true
		}
	}
	keys := slices.Sorted(maps.Keys(all))
	filled(t, st, keys...)
	typed := &Reader[string, string]{topic, topic, codec.String(), codec.String()}
	bound := func() *string {
		if r.IntN(3) > 0 {
			return nil
		}
		return new(text())
	}
	for range 3000 {
		b := Bounds[string]{GT: bound(), GTE: bound(), LT: bound(), LTE: bound(), Reverse: r.IntN(2) == 0, KeysOnly: r.IntN(2) == 0}
		if r.IntN(3) == 0 {
			b.Prefix = text()
		}
		if r.IntN(3) == 0 {
			b.Limit = 1 + r.IntN(5)
		}
		var want []string
		for _, k := range keys {
			if (b.GT == nil || k > *b.GT) && (b.GTE == nil || k >= *b.GTE) && (b.LT == nil || k < *b.LT) && (b.LTE == nil || k <= *b.LTE) && strings.HasPrefix(k, b.Prefix) {
				want = append(want, k)
			}
		}
		if b.Reverse {
			slices.Reverse(want)
		}
		if b.Limit > 0 && len(want) > b.Limit {
			want = want[:b.Limit]
		}
		says := fmt.Sprintf("%+q", []any{b.GT, b.GTE, b.LT, b.LTE, b.Prefix, b.Reverse, b.Limit})
		var got []string
		for e, err := range typed.Stream(t.Context(), b) {
			value := strings.ToUpper(e.Key)
			if b.KeysOnly {
				value = ""
			}
			if err != nil || e.Value != value || len(e.Headers) != 1 {
				t.Fatalf("%s: %+v, %v", says, e, err)
			}
			got = append(got, e.Key)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %q, want %q", says, got, want)
		}
		raw := Bounds[[]byte]{Prefix: b.Prefix, Reverse: b.Reverse, Limit: b.Limit, KeysOnly: b.KeysOnly}
		for to, from := range map[**[]byte]*string{&raw.GT: b.GT, &raw.GTE: b.GTE, &raw.LT: b.LT, &raw.LTE: b.LTE} {
			if from != nil {
				*to = new([]byte(*from))
			}
		}
		got = got[:0]
		for e, err := range topic.Stream(t.Context(), raw) {
			if err != nil || (e.Value == nil) != b.KeysOnly {
				t.Fatalf("%s: %+v, %v", says, e, err)
			}
			got = append(got, string(e.Key))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: bytes: %q, want %q", says, got, want)
		}
	}
}

// TestStreamEndsWithItsError: what ends a stream comes once, last, and not where the loop has ended by itself.
func TestStreamEndsWithItsError(t *testing.T) {
	topic, st := served(t)
	filled(t, st, "a", "b", "c")
	typed := &Reader[string, string]{topic, topic, codec.String(), codec.String()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var met []string
	for e, err := range typed.Stream(ctx, Bounds[string]{}) {
		met = append(met, fmt.Sprint(e.Key, err))
		cancel()
	}
	if want := []string{"a<nil>", "context canceled"}; !slices.Equal(met, want) {
		t.Errorf("met %q, want %q", met, want)
	}
	for range typed.Stream(t.Context(), Bounds[string]{}) {
		break
	}
	stream := typed.Stream(t.Context(), Bounds[string]{})
	for range 2 { // it begins anew each time
		n := 0
		for _, err := range stream {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d entries", n)
		}
	}
	topic.stopServing()
	n := 0
	for e, err := range stream {
		if n++; !errors.Is(err, ErrNotReady) || e.Key != "" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
	if err := topic.Range(t.Context(), nil, nil, func(Entry) bool { return true }); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}
}

// TestStreamGoesOnWhereAnotherStoreIsServed: a stream that is under way when a rebuilt store takes over goes on behind its last key.
func TestStreamGoesOnWhereAnotherStoreIsServed(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		for _, limit := range []int{0, 4} {
			t.Run(fmt.Sprintf("reverse=%v limit=%d", reverse, limit), func(t *testing.T) {
				topic, st := served(t)
				filled(t, st, "a", "b", "c", "d", "e")
				other, err := store.Open(store.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				filled(t, other, "a", "b", "bb", "d", "dd", "e")
				closed := make(chan error, 1)
				var met []string
				for e, err := range topic.Stream(t.Context(), Bounds[[]byte]{Reverse: reverse, Limit: limit, KeysOnly: true}) {
					if err != nil {
						t.Fatal(err)
					}
					if met = append(met, string(e.Key)); len(met) == 2 {
						topic.setCurrent(newGeneration(topicA, other, topic.tracker))
						go func() { closed <- st.Close() }() // which waits for the loop's body
						for st.Flush() == nil {
							continue
						}
					}
				}
				if err := <-closed; err != nil {
					t.Error(err)
				}
				want := []string{"a", "b", "bb", "d", "dd", "e"}
				if reverse {
					want = []string{"e", "d", "bb", "b", "a"}
				}
				if limit > 0 {
					want = want[:limit]
				}
				if !slices.Equal(met, want) {
					t.Errorf("met %q, want %q", met, want)
				}
			})
		}
	}
}

func TestBehindPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "\xff\xff": "", "": "", "a\xffb": "a\xffc"} {
		if got := string(behindPrefix(prefix)); got != want {
			t.Errorf("behind %+q comes %+q, want %+q", prefix, got, want)
		}
	}
}
