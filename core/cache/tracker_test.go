package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
)

var (
	topicA = position.TopicID{1}
	topicB = position.TopicID{2}
)

func at(partition int32, next int64) position.Position {
	return position.New(topicA, position.Offset{Partition: partition, Next: next, LeaderEpoch: position.UnknownEpoch})
}

func batch(partition int32, lastStable int64) *kafka.Batch {
	return &kafka.Batch{Partition: partition, LastStable: lastStable, HighWatermark: lastStable, LeaderEpoch: position.UnknownEpoch}
}

func ends(stable ...int64) map[int32]kafka.Ends {
	m := map[int32]kafka.Ends{}
	for p, e := range stable {
		m[int32(p)] = kafka.Ends{LastStable: e, HighWatermark: e, AskedAt: time.Now()}
	}
	return m
}

func loading(stable ...int64) *tracker {
	t := newTracker()
	t.reset(topicA)
	t.begin(ends(stable...), nil, true)
	return t
}

func TestReadyNeedsEveryPartitionAtItsStableEnd(t *testing.T) {
	tr := loading(5, 0)
	if tr.publish(batch(1, 0), 0, true).ready {
		t.Fatal("ready with partition 0 unread")
	}
	if tr.publish(batch(0, 9), 5, true).ready {
		t.Fatal("ready at the end captured at the start, below that of the response")
	}
	if tr.publish(batch(0, 9), 9, false).ready {
		t.Fatal("ready in the middle of a response")
	}
	if !tr.publish(batch(0, 9), 9, true).ready {
		t.Fatal("not ready at the stable end of the response")
	}
	if tr.publish(batch(0, 12), 12, true).ready {
		t.Fatal("ready is told twice")
	}
}

func TestReadyBelowTheFirstEndWaitsForIt(t *testing.T) {
	tr := loading(10)
	if tr.publish(batch(0, 7), 7, true).ready {
		t.Fatal("a replica that is behind made the topic ready below the end captured at the start")
	}
	if lowered := tr.asked(ends(7)); len(lowered) != 1 || lowered[0] != 10 { // the log was truncated
		t.Fatalf("lowered %v", lowered)
	}
	if lowered := tr.asked(ends(8)); len(lowered) != 0 {
		t.Fatalf("lowered %v once more", lowered)
	}
	if !tr.publish(batch(0, 7), 7, true).ready {
		t.Fatal("a truncated log is waited for")
	}
}

func TestPartitionFoundDuringTheLoadIsPartOfIt(t *testing.T) {
	tr := loading(1)
	tr.discovered([]int32{0, 1})
	if tr.publish(batch(0, 1), 1, true).ready {
		t.Fatal("ready without the partition that was found")
	}
	if !tr.publish(batch(1, 0), 0, true).ready {
		t.Fatal("not ready")
	}
	tr.discovered([]int32{0, 1, 2})
	if got := len(tr.known()); got != 3 {
		t.Fatalf("%d partitions are known", got)
	}
}

func TestPartitionOutsideTheFirstEndsIsWaitedForAsWell(t *testing.T) {
	tr := loading(0)
	tr.discovered([]int32{0, 1})
	tr.publish(batch(0, 0), 0, true)
	if !tr.publish(batch(1, 4), 4, true).ready {
		t.Fatal("not ready")
	}
	tr.begin(ends(9), nil, false) // the next session asked a broker that does not know of partition 1 yet
	tr.discovered([]int32{0, 1})
	if tr.publish(batch(1, 4), 4, true).ready {
		t.Fatal("ready with partition 0 below its end")
	}
	if next, ok := tr.next(1); !ok || next != 4 {
		t.Fatalf("partition 1 is at %d, %v", next, ok)
	}
	if !tr.publish(batch(0, 9), 9, true).ready {
		t.Fatal("not ready")
	}
}

func TestCancelLeavesTheNextIncarnationAlone(t *testing.T) {
	tr := loading(0)
	told := make(chan error, 1)
	cancel := tr.wait(at(1, 5), func(err error) { told <- err }) // nobody knows of partition 1
	tr.reset(topicB)
	if err := <-told; !errors.Is(err, ErrOtherTopic) {
		t.Fatal(err)
	}
	tr.begin(ends(0, 7), nil, true)
	tr.publish(batch(1, 7), 3, true)
	cancel()
	if next, ok := tr.next(1); !ok || next != 3 {
		t.Fatalf("partition 1 is at %d, %v", next, ok)
	}
}

func TestWait(t *testing.T) {
	tr := loading(0, 0)
	asked := 0
	tr.onUnknown = func() { asked++ }
	var got []string
	wait := func(name string, p position.Position) func() {
		return tr.wait(p, func(err error) { got = append(got, fmt.Sprint(name, ":", err)) })
	}
	check := func(want ...string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("called: %v, want %v", got, want)
		}
		got = nil
	}
	wait("nothing", position.Position{})
	wait("zero", at(0, 0))
	check("nothing:<nil>", "zero:<nil>")
	wait("other", position.OfRecord(topicB, 0, 0))
	check("other:" + ErrOtherTopic.Error())
	wait("five", at(0, 5))
	wait("three", at(0, 3))
	wait("both", at(0, 2).Merge(at(1, 1)))
	cancelled := wait("cancelled", at(0, 3))
	cancelled()
	check()
	tr.publish(batch(0, 9), 3, false)
	check("three:<nil>")
	tr.publish(batch(1, 9), 1, false)
	check("both:<nil>")
	if asked != 0 {
		t.Fatal("metadata was asked for without need")
	}
	forget := wait("new partition", at(7, 1))
	if asked != 1 {
		t.Fatal("a token that names an unknown partition did not ask for metadata")
	}
	if len(tr.partitions) != 2 {
		t.Fatal("a token makes partitions")
	}
	forget()
	if len(tr.strangers) != 0 {
		t.Fatal("a cancelled wait is left behind")
	}
	tr.reset(topicB)
	check("five:" + ErrOtherTopic.Error())
	tr.fail(ErrClosed)
	wait("closed", position.OfRecord(topicB, 0, 0))
	check("closed:" + ErrClosed.Error())
}

func TestWaitsFromManyGoroutines(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const waiters, end = 2000, 500
	tr := loading(0, 0)
	var wg sync.WaitGroup
	for i := range waiters {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			p := at(0, r.Int64N(end)+1).Merge(at(1, r.Int64N(end)+1))
			ch := make(chan error, 1)
			cancel := tr.wait(p, func(err error) { ch <- err })
			if r.IntN(4) == 0 {
				cancel()
				return
			}
			if err := <-ch; err != nil || !tr.position().Covers(p) {
				t.Errorf("woken at %v for %v: %v", tr.position(), p, err)
			}
		})
	}
	for p := range int32(2) {
		wg.Go(func() {
			for next := int64(1); next <= end; next++ {
				tr.publish(batch(p, end), next, false)
			}
		})
	}
	wg.Wait()
	for _, p := range tr.partitions {
		if len(p.waiters) != 0 {
			t.Errorf("%d waiters are left", len(p.waiters))
		}
	}
}

func TestLagSeconds(t *testing.T) {
	tr := loading(10)
	now := time.Now()
	tr.now = func() time.Time { return now }
	ask := func(end int64) {
		tr.asked(map[int32]kafka.Ends{0: {LastStable: end, HighWatermark: end + 1, AskedAt: now}}) // an open transaction hides one
	}
	lag := func() PartitionStatus {
		_, s := tr.status(2 * time.Second)
		return s[0]
	}
	if s := lag(); s.LagSeconds < 0 || s.LagSeconds > 60 {
		t.Fatalf("lag in seconds before any end was reached: %v", s.LagSeconds)
	}
	ask(10)
	tr.publish(batch(0, 10), 10, true)
	if s := lag(); s.Lag != 0 || s.LagSeconds <= 0 {
		t.Fatalf("below the high watermark: %+v", s)
	}
	tr.publish(batch(0, 11), 11, true)
	if s := lag(); s.LagSeconds != 0 {
		t.Fatalf("at the high watermark: %+v", s)
	}
	now = now.Add(time.Second)
	ask(20)
	now = now.Add(3 * time.Second)
	if s := lag(); s.Lag != 9 || s.LagSeconds != 4 {
		t.Fatalf("behind: %+v", s)
	}
	tr.publish(batch(0, 21), 21, true)
	if s := lag(); s.Lag != 0 || s.LagSeconds != 0 {
		t.Fatalf("caught up: %+v", s)
	}
	now = now.Add(time.Hour) // and no end could be asked for since
	if s := lag(); s.LagSeconds < 3600 {
		t.Fatalf("an outage shows no lag: %+v", s)
	}
}

// A leader that has just been elected may say that the log ends below what was acknowledged: how old this instance is is not counted from that.
func TestAgeUnderANewLeader(t *testing.T) {
	tr := loading(10)
	now := time.Now()
	tr.now = func() time.Time { return now }
	fetched := func(epoch int32, end int64) {
		b := batch(0, end)
		b.Leader, b.AskedAt = epoch, now
		tr.publish(b, 10, true)
	}
	asked := func(epoch int32, end int64) {
		tr.asked(map[int32]kafka.Ends{0: {LastStable: end, HighWatermark: end, LeaderEpoch: epoch, AskedAt: now}})
	}
	want := func(what string, want time.Duration) {
		t.Helper()
		if age, _, known := tr.age(); !known || age != want {
			t.Errorf("%s: %v old, known %t; want %v", what, age, known, want)
		}
	}
	asked(3, 10)
	fetched(3, 10)
	want("at the end", 0)
	now = now.Add(time.Second)
	fetched(3, 10)
	want("fetched again", 0)
	now = now.Add(time.Second)
	fetched(4, 10) // 11 may be acknowledged
	want("a new leader, whose end was not asked for", time.Second)
	asked(4, 11)
	want("its end is further", time.Second)
	asked(4, 10)
	want("its end is here", 0)
	now = now.Add(time.Second)
	fetched(4, 10)
	want("fetched from it", 0)
	now = now.Add(time.Second)
	fetched(3, 10)
	want("one from before it", time.Second)
	fetched(position.UnknownEpoch, 10)
	want("one that nothing is known of", time.Second)
}

func TestWatch(t *testing.T) {
	c := &Cache{cfg: Config{Kafka: kafka.Config{}}.withDefaults()}
	c.metrics = newMetrics(c)
	topic, err := newTopic(c, 0, TopicConfig{Name: "a", KeyEncoding: "utf-8", ValueEncoding: "json"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var kinds []EventKind
	hold := make(chan struct{})
	attached := make(chan struct{})
	seen := make(chan Event, 1)
	ended := make(chan error)
	go func() {
		ended <- topic.Watch(ctx, func(e Event) {
			kinds = append(kinds, e.Kind)
			switch e.Kind {
			case EventAttached:
				close(attached)
				<-hold
			case EventDelete:
				seen <- e
			}
		})
	}()
	<-attached
	for range watchQueueEvents + 1 {
		topic.watchers.tell(Event{Kind: EventSet, Key: []byte("k")})
	}
	topic.watchers.tell(Event{Kind: EventDelete, Key: []byte("k")})
	close(hold)
	<-seen
	if fmt.Sprint(kinds) != fmt.Sprint([]EventKind{EventAttached, EventFlush, EventDelete}) {
		t.Errorf("a slow watcher was told %d events: %v…", len(kinds), kinds[:min(len(kinds), 5)])
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch returned %v", err)
	}
	topic.close()
	if err := topic.Watch(context.Background(), func(Event) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("Watch of a closed topic returned %v", err)
	}
	if err := topic.WaitReady(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("WaitReady of a closed topic returned %v", err)
	}
}

func TestComplaintsAreLimited(t *testing.T) {
	now := time.Now()
	l := &limiter{every: time.Minute, now: func() time.Time { return now }}
	if _, ok := l.allow(1); !ok {
		t.Fatal("the first is not let through")
	}
	for range 3 {
		if _, ok := l.allow(1); ok {
			t.Fatal("a second within the minute is let through")
		}
	}
	if _, ok := l.allow(2); !ok {
		t.Fatal("another kind is not let through")
	}
	now = now.Add(time.Minute)
	if n, ok := l.allow(1); !ok || n != 3 {
		t.Fatalf("after a minute: %v, %d unlogged", ok, n)
	}
}

func TestDeletesRememberWhatTombstonesRemoved(t *testing.T) {
	var d flights
	if d.any() {
		t.Fatal("a delete is in flight")
	}
	d.begin("a", true)
	d.begin("a", true)
	d.note([]byte("b"), flightNote{partition: 0, offset: 1, removed: true}) // nobody asks
	d.note([]byte("a"), flightNote{partition: 0, offset: 2, removed: false})
	d.note([]byte("a"), flightNote{partition: 1, offset: 2, removed: true})
	also := func(partition int32, offset int64) position.Position {
		return position.OfRecord(position.TopicID{}, partition, offset)
	}
	for _, c := range []struct {
		written Written
		want    bool
	}{
		{Written{Partition: 0, Offset: 2}, false}, {Written{Partition: 1, Offset: 2}, true}, {Written{Partition: 1, Offset: 3}, false},
		{Written{Partition: 1, Offset: -1}, true}, {Written{Partition: 0, Offset: -1}, false},
		{Written{Partition: 0, Offset: 2, Position: also(1, 2), split: true}, true},  // by its own tombstone in another partition
		{Written{Partition: 0, Offset: 3, Position: also(1, 3), split: true}, false}, // by that of another delete
		{Written{Partition: 0, Offset: 3, split: true}, false},
	} {
		if got := d.removed("a", &c.written); got != c.want {
			t.Errorf("removed by %+v: %v", c.written, got)
		}
	}
	d.end("a", true)
	if !d.any() || !d.removed("a", &Written{Partition: 1, Offset: 2}) {
		t.Error("the second delete in flight is forgotten with the first")
	}
	d.end("a", true)
	if d.any() || len(d.keys) != 0 {
		t.Error("notes are kept without a delete in flight")
	}
}

// What is waited for of partitions that are not known yet is waited for there once they are.
func TestWaitForNewPartitions(t *testing.T) {
	tr := loading(0)
	tr.publish(batch(0, 0), 0, true)
	var got []string
	wait := func(name string, p position.Position) func() {
		return tr.wait(p, func(err error) { got = append(got, fmt.Sprint(name, ":", err)) })
	}
	check := func(want ...string) {
		t.Helper()
		slices.Sort(got)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("called: %v, want %v", got, want)
		}
		got = nil
	}
	wait("a", at(1, 3))
	wait("b", at(0, 2).Merge(at(1, 3)).Merge(at(2, 1)))
	wait("c", at(3, 1))
	ended := wait("ended", at(1, 3))
	tr.discovered([]int32{0, 1})
	ended()
	tr.publish(batch(1, 9), 2, false)
	check()
	tr.publish(batch(1, 9), 3, false)
	check("a:<nil>")
	tr.publish(batch(2, 9), 1, false) // which is known by that
	check()
	tr.publish(batch(0, 9), 2, false)
	check("b:<nil>")
	// A checkpoint has it.
	tr.begin(ends(9, 9, 9, 9), map[int32]begun{3: {next: 4}}, false)
	check("c:<nil>")
	wait("d", at(4, 1))
	wait("e", at(5, 7))
	// Another store's load takes the place of this one's.
	other := loading(9, 9, 9, 9, 9, 9)
	other.publish(batch(4, 9), 2, true)
	tr.adopt(other).wake()
	check("d:<nil>")
	tr.fail(ErrClosed)
	check("e:" + ErrClosed.Error())
	if len(tr.strangers) != 0 {
		t.Errorf("%d wait still", len(tr.strangers))
	}
}
