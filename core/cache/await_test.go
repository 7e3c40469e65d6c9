package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
)

// lacking is a codec that needs something for values that begin with '?', which is not there before it is told so.
type lacking struct {
	there, invalid atomic.Bool
	asked          atomic.Int32
	decodes        atomic.Int32
}

func (*lacking) Name() string   { return "lacking" }
func (*lacking) Identity() bool { return false }
func (*lacking) Encode(dst, b []byte) ([]byte, error) {
	return dst, fmt.Errorf("%w: no schema", codec.ErrUnavailable)
}
func (l *lacking) Decode(dst, b []byte) ([]byte, error) {
	l.decodes.Add(1)
	switch {
	case b[0] != '?':
		return append(dst, b...), nil
	case l.invalid.Load():
		return dst, &codec.InvalidError{Encoding: "lacking", Reason: "no such schema"}
	case !l.there.Load():
		return dst, fmt.Errorf("%w: no schema", codec.ErrUnavailable)
	}
	return append(append(dst, "decoded "...), b[1:]...), nil
}

// awaiting is one that can be asked to get it.
type awaiting struct{ *lacking }

func (a awaiting) Await(ctx context.Context, b []byte) error {
	a.asked.Add(1)
	if !a.there.Load() && !a.invalid.Load() {
		return fmt.Errorf("%w: the registry is\naway", codec.ErrUnavailable)
	}
	return nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(time.Millisecond) // between looks at the condition
	}
}

func TestWhatCannotBeDecodedForNowIsWaitedFor(t *testing.T) {
	for name, wrap := range map[string]func(*lacking) codec.Codec{
		"that can be asked":   func(l *lacking) codec.Codec { return awaiting{l} },
		"that can be retried": func(l *lacking) codec.Codec { return l },
	} {
		for _, invalid := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, invalid %v", name, invalid), func(t *testing.T) {
				topic, st := served(t)
				l := &lacking{}
				topic.valueCodec = wrap(l)
				b := fetched(0, "before", "b", time.Now())
				b.Records = append(b.Records, kafka.Record{Offset: 1, Key: []byte("k"), Value: []byte("?1")}, kafka.Record{Offset: 2, Key: []byte("after"), Value: []byte("a")})
				b.Next = 3
				a := newApplier(topic, topic.current, newFreshness(topic.log, nil, func() {}), func(context.Context) error { return nil })
				done := make(chan error, 1)
				go func() { done <- a.apply(t.Context(), b) }()
				const reason = "partition 0 waits at offset 1 for its encoding: codec: not available for now: "
				eventually(t, "the reason is shown", func() bool { return strings.Contains(topic.Status().Reason, reason) })
				if strings.Contains(topic.Status().Reason, "\n") {
					t.Errorf("the reason has several lines: %q", topic.Status().Reason)
				}
				// What is before it is not held back, and what is behind it is.
				if next, _ := topic.tracker.next(0); next != 1 {
					t.Errorf("position %d while it waits, want 1", next)
				}
				if v, err := topic.Get([]byte("before")); err != nil || string(v) != "b" {
					t.Errorf("before = %q, %v", v, err)
				}
				if _, err := topic.Get([]byte("after")); !errors.Is(err, ErrNotFound) {
					t.Errorf("after: %v", err)
				}
				if tried := l.decodes.Load(); tried > 20 {
					t.Errorf("%d tries without a pause", tried)
				}
				if _, _, n := topic.metrics.totals(); n[RuleDecode] != 0 {
					t.Errorf("%d records are counted as invalid", n[RuleDecode])
				}
				l.invalid.Store(invalid)
				l.there.Store(!invalid)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if v, ok, err := st.Get(nil, []byte("k")); err != nil || ok == invalid || ok && string(v) != "decoded 1" {
					t.Errorf("k = %q, %v, %v", v, ok, err)
				}
				if _, _, n := topic.metrics.totals(); (n[RuleDecode] == 1) != invalid {
					t.Errorf("%d records are counted as invalid", n[RuleDecode])
				}
				if v, err := topic.Get([]byte("after")); err != nil || string(v) != "a" {
					t.Errorf("after = %q, %v", v, err)
				}
				if r := topic.Status().Reason; strings.Contains(r, "waits") {
					t.Errorf("the reason is still %q", r)
				}
			})
		}
	}
}

func TestWaitingForAnEncodingEndsWithTheContext(t *testing.T) {
	topic, st := served(t)
	l := &lacking{}
	topic.valueCodec = awaiting{l}
	ctx, cancel := context.WithCancel(t.Context())
	a := newApplier(topic, topic.current, newFreshness(topic.log, nil, func() {}), func(context.Context) error { return nil })
	done := make(chan error, 1)
	go func() { done <- a.apply(ctx, fetched(0, "k", "?1", time.Now())) }()
	eventually(t, "it is asked", func() bool { return l.asked.Load() > 0 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("apply = %v", err)
	}
	if st.Len() != 0 || len(st.Checkpoint()) != 0 {
		t.Errorf("something was committed: %d keys, %v", st.Len(), st.Checkpoint())
	}
}

func TestWritesThatCannotBeEncodedForNow(t *testing.T) {
	topic, _ := served(t)
	topic.valueCodec, topic.writable = &lacking{}, true
	_, err := topic.record(Write{Key: []byte("k"), Value: []byte("v")})
	var encoding *EncodingError
	if !errors.Is(err, codec.ErrUnavailable) || !errors.As(err, &encoding) || encoding.Field != "value" || !strings.Contains(err.Error(), "for now") {
		t.Fatalf("record: %v", err)
	}
}
