package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// servedTopics are topics that answer from empty stores, without sessions.
func servedTopics(t *testing.T, snapshotTime time.Duration, names ...string) []*Topic {
	t.Helper()
	cfg := Config{Kafka: kafka.Config{Bootstrap: []string{"127.0.0.1:1"}}, SnapshotTime: snapshotTime, SnapshotKeys: 1000}
	for _, name := range names {
		cfg.Topics = append(cfg.Topics, TopicConfig{Name: name})
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.client.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	for i, topic := range c.topics {
		topic.tracker.reset(position.TopicID{byte(i + 1)})
		topic.tracker.begin(ends(0, 0), nil, true)
		topic.setCurrent(openGeneration(t, topic, topic.tracker))
		topic.startServing()
	}
	return c.topics
}

func openGeneration(t *testing.T, topic *Topic, tr *tracker) *generation {
	t.Helper()
	st, err := store.Open(topic.storeOptions(store.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close the store: %v", err)
		}
	})
	return newGeneration(tr.topic, st, tr)
}

func applierOf(topic *Topic, g *generation) *applier {
	return newApplier(topic, g, newFreshness(topic.log, nil, func() {}), func(context.Context) error { return nil })
}

// fetchedNumber is a response of three records that give the partition's keys its number, and bring its position to 3 times that.
func fetchedNumber(partition int32, number int64) *kafka.Batch {
	b := batch(partition, 3*number)
	for i := range int64(3) {
		b.Records = append(b.Records, kafka.Record{Offset: 3*(number-1) + i, Key: fmt.Appendf(nil, "p%d-%d", partition, i), Value: strconv.AppendInt(nil, number, 10)})
	}
	b.Next, b.Last, b.AskedAt = 3*number, true, time.Now()
	return b
}

// number is what the snapshot has for all keys of a partition; it is an error where the position says something else.
func number(s *Snapshot, partition int32) (int64, error) {
	p, err := s.Position()
	if err != nil {
		return 0, err
	}
	want := int64(0)
	for _, o := range p.Offsets() {
		if o.Partition == partition {
			want = o.Next / 3
		}
	}
	for i := range 3 {
		key := fmt.Appendf(nil, "p%d-%d", partition, i)
		v, err := s.Get(key)
		if errors.Is(err, ErrNotFound) {
			v, err = []byte("0"), nil
		}
		if err != nil {
			return 0, err
		}
		if string(v) != strconv.FormatInt(want, 10) {
			return 0, fmt.Errorf("%s = %s at position %v", key, v, p)
		}
	}
	return want, nil
}

// TestASnapshotIsAtItsPosition has two topics with two partitions applied to, while snapshots of one and of both are taken in any order.
func TestASnapshotIsAtItsPosition(t *testing.T) {
	topics := servedTopics(t, time.Minute, "a", "b")
	const batches = 200
	var wg sync.WaitGroup
	var applying atomic.Int32
	for _, topic := range topics {
		a := applierOf(topic, topic.current)
		for p := range int32(2) {
			applying.Add(1)
			wg.Go(func() {
				defer applying.Add(-1)
				for n := int64(1); n <= batches; n++ {
					if err := a.apply(t.Context(), fetchedNumber(p, n)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	var taken atomic.Int64
	for r := range 3 {
		order := [][]*Topic{{topics[0], topics[1]}, {topics[1], topics[0]}, {topics[1], topics[0], topics[1]}}[r]
		wg.Go(func() {
			for last := int64(0); applying.Load() > 0 && !t.Failed(); {
				err := topics[0].cache.Snapshot(t.Context(), order, func(all []*Snapshot) error {
					for i, s := range all {
						if s.Topic() != order[i] {
							return errors.New("the snapshots come in another order than the topics")
						}
						for p := range int32(2) {
							n, err := number(s, p)
							if err != nil {
								return err
							}
							if i == 0 && p == 0 {
								if n < last {
									return fmt.Errorf("%d after %d", n, last)
								}
								last = n
							}
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() < 20 {
		t.Errorf("%d snapshots", taken.Load())
	}
}

// TestASnapshotIsOfOneGeneration: what is served is replaced by what was built beside it, of which the position is another one.
func TestASnapshotIsOfOneGeneration(t *testing.T) {
	topic := servedTopics(t, time.Minute, "a")[0]
	if err := applierOf(topic, topic.current).apply(t.Context(), fetchedNumber(0, 1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(done)
		for after := false; ; {
			err := topic.Snapshot(t.Context(), func(s *Snapshot) error {
				_, err := number(s, 0)
				return err
			})
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-swapped:
				if after {
					return
				}
				after = true // one more
			default:
			}
		}
	}()
	for i := int64(2); i < 30; i++ {
		tr := newTracker()
		tr.reset(topic.tracker.topic)
		tr.begin(ends(0), nil, true)
		g := openGeneration(t, topic, tr)
		topic.setAside(g)
		a := applierOf(topic, g)
		for n := int64(1); n <= i; n++ {
			if err := a.apply(t.Context(), fetchedNumber(0, n)); err != nil {
				t.Fatal(err)
			}
		}
		topic.closeGeneration(topic.swap())
	}
	close(swapped)
	<-done
}

func TestASnapshotThatIsLateIsOver(t *testing.T) {
	topic := servedTopics(t, 10*time.Millisecond, "a")[0]
	a := applierOf(topic, topic.current)
	if err := a.apply(t.Context(), fetchedNumber(0, 1)); err != nil {
		t.Fatal(err)
	}
	err := topic.Snapshot(t.Context(), func(s *Snapshot) error {
		if _, err := number(s, 0); err != nil {
			return err
		}
		if err := a.apply(t.Context(), fetchedNumber(0, 2)); err != nil { // which waits for the snapshot
			return err
		}
		for how, err := range map[string]error{
			"get": second(s.Get([]byte("p0-0"))), "has": second(s.Has([]byte("p0-0"))), "meta": second(s.Meta([]byte("p0-0"))), "len": second(s.Len()),
			"position": second(s.Position()), "scan": second(s.Scan(0, 1, func([]byte) {})), "range": s.Range(t.Context(), nil, nil, func(Entry) bool { return true }),
			"random": second(s.RandomKey(nil)),
		} {
			if !errors.Is(err, ErrSnapshotExpired) {
				t.Errorf("%s: %v", how, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := topic.Snapshot(t.Context(), func(s *Snapshot) error { return second(number(s, 0)) }); err != nil {
		t.Error(err)
	}
}

func second(results ...any) error {
	err, _ := results[len(results)-1].(error)
	return err
}

func TestASnapshotsBounds(t *testing.T) {
	topic := servedTopics(t, time.Minute, "a")[0]
	err := topic.Snapshot(t.Context(), func(s *Snapshot) (err error) {
		for range 1001 {
			if err = second(s.Has([]byte("k"))); err != nil && !errors.Is(err, ErrSnapshotTooLarge) {
				t.Error(err)
			}
		}
		return err
	})
	if !errors.Is(err, ErrSnapshotTooLarge) {
		t.Errorf("too many keys: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	topic.current.store.Change(func() {
		if err := topic.Snapshot(ctx, func(*Snapshot) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("during a change: %v", err)
		}
	})
	topic.stopServing()
	if err := topic.Snapshot(t.Context(), func(*Snapshot) error { return nil }); !errors.Is(err, ErrNotReady) {
		t.Errorf("not served: %v", err)
	}
}

// TestASnapshotOfATopicThatIsNoLongerServed does not tell a position that its contents are not of.
func TestASnapshotOfATopicThatIsNoLongerServed(t *testing.T) {
	topic := servedTopics(t, time.Minute, "a")[0]
	if err := applierOf(topic, topic.current).apply(t.Context(), fetchedNumber(0, 1)); err != nil {
		t.Fatal(err)
	}
	err := topic.Snapshot(t.Context(), func(s *Snapshot) error {
		if _, err := number(s, 0); err != nil {
			t.Error(err)
		}
		topic.judgeLog(kafka.ErrTopicRecreated)
		if v, err := s.Get([]byte("p0-0")); string(v) != "1" || err != nil {
			t.Errorf("%s, %v", v, err)
		}
		return second(s.Position())
	})
	if !errors.Is(err, ErrNotReady) {
		t.Errorf("position: %v", err)
	}
}

// TestTypedSnapshotIsOfOneMoment: what is read through it does not follow what is applied meanwhile, and ends where that has waited for too long.
func TestTypedSnapshotIsOfOneMoment(t *testing.T) {
	topics := servedTopics(t, time.Minute, "a", "b")
	a := applierOf(topics[0], topics[0].current)
	if err := a.apply(t.Context(), fetchedNumber(0, 1)); err != nil {
		t.Fatal(err)
	}
	keys := []string{"p0-0", "p0-1", "p0-2"}
	numbers := &Reader[string, int]{topics[0], topics[0], codec.String(), codec.JSON[int]()}
	other := &Reader[string, int]{topics[1], topics[1], codec.String(), codec.JSON[int]()}
	raw := [][]byte{[]byte(keys[0]), []byte("none"), []byte(keys[2])}
	applied := make(chan error, 1)
	err := numbers.Snapshot(t.Context(), func(s *TypedSnapshot[string, int]) error {
		go func() { applied <- a.apply(context.Background(), fetchedNumber(0, 2)) }()
		for range 3 {
			if n, err := s.Get(keys[0]); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			found, err := s.GetMany(keys[1], "none", keys[2])
			if err != nil || found[0].Value != 1 || found[1].Found || found[2].Value != 1 {
				t.Errorf("%+v, %v", found, err)
			}
			var met []string
			for e, err := range s.Stream(t.Context(), Bounds[string]{Reverse: true, Limit: 2}) {
				met = append(met, fmt.Sprintf("%s %d %d %v", e.Key, e.Value, e.Offset, err))
			}
			if want := []string{"p0-2 1 2 <nil>", "p0-1 1 1 <nil>"}; !slices.Equal(met, want) {
				t.Errorf("met %q, want %q", met, want)
			}
			n := 0
			if err := s.Range(t.Context(), Bounds[string]{GT: new("p0-2")}, func(TypedEntry[string, int]) bool { n++; return true }); err != nil || n != 0 {
				t.Errorf("%d entries, %v", n, err)
			}
			if err := s.Range(t.Context(), Bounds[string]{KeysOnly: true}, func(e TypedEntry[string, int]) bool { n++; return e.Value == 0 }); err != nil || n != 3 {
				t.Errorf("%d keys, %v", n, err)
			}
			if n, err := s.Len(); n != 3 || err != nil {
				t.Errorf("%d keys, %v", n, err)
			}
			if has, err := s.Has(keys[0]); !has || err != nil {
				t.Errorf("has: %v, %v", has, err)
			}
			if m, err := s.Meta(keys[0]); m.Offset != 0 || err != nil {
				t.Errorf("%+v, %v", m, err)
			}
			if p, err := s.Position(); err != nil || !slices.Equal(p.Offsets(), []position.Offset{{Partition: 0, Next: 3, LeaderEpoch: p.Offsets()[0].LeaderEpoch}}) {
				t.Errorf("%v, %v", p, err)
			}
		}
		return errors.New("what fn says")
	})
	if err == nil || err.Error() != "what fn says" {
		t.Errorf("%v", err)
	}
	if err := <-applied; err != nil { // which has waited
		t.Fatal(err)
	}
	if err := topics[0].cache.Snapshot(t.Context(), topics, func(both []*Snapshot) error {
		s, err := numbers.At(both[0])
		if err != nil {
			return err
		}
		if n, err := s.Get(keys[0]); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if values, err := both[0].GetMany(raw); err != nil || string(values[0]) != "2" || values[1] != nil || string(values[2]) != "2" {
			t.Errorf("%q, %v", values, err)
		}
		n := 0
		for e, err := range both[0].Stream(t.Context(), Bounds[[]byte]{LT: new([]byte("p0-2"))}) {
			if n++; err != nil || string(e.Value) != "2" {
				t.Errorf("%+v, %v", e, err)
			}
		}
		if n != 2 {
			t.Errorf("%d entries", n)
		}
		if _, err := numbers.At(both[1]); err == nil {
			t.Error("a snapshot of another topic is taken for this one's")
		}
		s, err = other.At(both[1])
		if err != nil {
			return err
		}
		_, err = s.Get(keys[0])
		return err
	}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of the other topic: %v", err)
	}
}

// TestTypedSnapshotEnds where records have waited for it for as long as they may.
func TestTypedSnapshotEnds(t *testing.T) {
	topic := servedTopics(t, 10*time.Millisecond, "a")[0]
	a := applierOf(topic, topic.current)
	numbers := &Reader[string, int]{topic, topic, codec.String(), codec.JSON[int]()}
	if err := numbers.Snapshot(t.Context(), func(s *TypedSnapshot[string, int]) error {
		if err := a.apply(t.Context(), fetchedNumber(0, 1)); err != nil {
			return err
		}
		var last error
		for _, last = range s.Stream(t.Context(), Bounds[string]{}) {
			continue
		}
		if _, err := s.GetMany("p0-0"); !errors.Is(err, ErrSnapshotExpired) || !errors.Is(last, ErrSnapshotExpired) {
			t.Errorf("%v, %v", err, last)
		}
		_, err := s.Get("p0-0")
		return err
	}); !errors.Is(err, ErrSnapshotExpired) {
		t.Errorf("%v", err)
	}
}
