package kafka

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

func testLoop(t *testing.T, ids ...int32) (*loop, []*partition, *[]FetchError) {
	t.Helper()
	var told []FetchError
	f, err := NewFetcher(FetcherConfig{
		Kafka: Config{Bootstrap: []string{"a:1"}}, Topic: "t", ID: [16]byte{1}, Start: func(int32) int64 { return 0 },
		OnError: func(e FetchError) { told = append(told, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l := newLoop(ctx, f, 3, "a:1")
	var ps []*partition
	for _, id := range ids {
		p := newPartition(id, 5, math.MaxInt64, f.config.MaxPartitionBytes)
		ps = append(ps, p)
		l.give(p)
	}
	l.exchangePartitions()
	return l, ps, &told
}

func upTo(end int64) *sarama.FetchResponseBlock {
	return &sarama.FetchResponseBlock{HighWaterMarkOffset: end, LastStableOffset: end}
}

// TestStarvedPartitionIsAskedForAlone answers with nothing of one of two partitions that both have something.
func TestStarvedPartitionIsAskedForAlone(t *testing.T) {
	l, ps, told := testLoop(t, 0, 1)
	now := time.Now()
	alone := 0
	for range 40 {
		due, isAlone, _ := l.due()
		r := new(response)
		for _, p := range due {
			b := upTo(10)
			if p.id == 0 || isAlone {
				b = block(data(p.next, p.next, 1))
				b.HighWaterMarkOffset, b.LastStableOffset = 1<<40, 1<<40
			}
			if p.id == 1 && isAlone {
				alone++
			}
			l.decode(r, p, b, now, now, isAlone)
		}
		if len(r.give) > 0 {
			r.give, l.parts = nil, ps // confirmed, and handed out again
		}
		if alone == 1 {
			break
		}
	}
	if alone != 1 || ps[1].next != 6 || ps[1].starved != 0 {
		t.Errorf("asked for alone %d times, next %d, starved %d", alone, ps[1].next, ps[1].starved)
	}
	if ps[0].next < 5+starvedAlone {
		t.Errorf("the other one is at %d", ps[0].next)
	}
	if len(*told) > 0 {
		t.Errorf("told %v", *told)
	}
}

// TestLimitGrows answers with nothing however alone a partition is, as a broker that cuts batches does.
func TestLimitGrows(t *testing.T) {
	l, ps, told := testLoop(t, 0)
	now := time.Now()
	limits := []int32{ps[0].limit}
	for range 20 {
		r := new(response)
		l.decode(r, ps[0], upTo(10), now, now, true)
		if len(r.give) > 0 {
			break
		}
		if len(r.batches) != 1 || r.batches[0].Next != 5 {
			t.Fatalf("%+v", r.batches)
		}
		limits = append(limits, ps[0].limit)
	}
	if last := limits[len(limits)-1]; !slices.IsSorted(limits) || last < fetchFrame/2 || last > fetchFrame {
		t.Errorf("limits %v", limits)
	}
	if len(*told) != 1 || !errors.Is((*told)[0], ErrCorrupt) {
		t.Errorf("told %v", *told)
	}
}

// TestLogThatWentBackIsConfirmed has the high watermark, or the log's start, go back between two responses.
func TestLogThatWentBackIsConfirmed(t *testing.T) {
	for name, back := range map[string]*sarama.FetchResponseBlock{
		"high watermark": {HighWaterMarkOffset: 8, LastStableOffset: 8, LogStartOffset: 3},
		"log start":      {HighWaterMarkOffset: 9, LastStableOffset: 9, LogStartOffset: 2},
	} {
		t.Run(name, func(t *testing.T) {
			l, ps, told := testLoop(t, 0)
			now := time.Now()
			r := new(response)
			l.decode(r, ps[0], &sarama.FetchResponseBlock{HighWaterMarkOffset: 9, LastStableOffset: 9, LogStartOffset: 3}, now, now, false)
			if len(r.batches) != 1 || len(r.give) != 0 {
				t.Fatalf("%+v", r)
			}
			r = new(response)
			l.decode(r, ps[0], back, now, now, false)
			if len(r.batches) != 0 || len(r.give) != 1 || len(*told) != 1 || ps[0].next != 5 {
				t.Fatalf("delivered before metadata confirmed it: %+v, told %v", r, *told)
			}
			r, l.parts = new(response), ps
			l.decode(r, ps[0], back, now, now, false)
			if len(r.batches) != 1 || len(r.give) != 0 {
				t.Errorf("not delivered once it was confirmed: %+v", r)
			}
		})
	}
}

func TestThrottle(t *testing.T) {
	config := Config{Bootstrap: []string{"a:1"}}.withDefaults()
	l := newLink(&config, "a:1", lookupFrame, true)
	l.notBefore = time.Now().Add(50 * time.Millisecond)
	began := time.Now()
	if err := l.throttled(context.Background()); err != nil || time.Since(began) < 40*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	l.notBefore = time.Now().Add(maxThrottle / 2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.throttled(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	l.notBefore = time.Now().Add(2 * maxThrottle)
	if err := l.throttled(context.Background()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestLongThrottle: however long a broker asks to stay away for, it is asked again after maxThrottle: its quota may have been raised.
func TestLongThrottle(t *testing.T) {
	var told time.Duration
	l := &loop{f: &Fetcher{config: FetcherConfig{OnThrottle: func(_ int32, d time.Duration) { told = d }}}}
	l.throttled(time.Hour)
	if quiet := time.Until(l.quietUntil); quiet > maxThrottle || quiet < maxThrottle/2 || told != time.Hour {
		t.Errorf("quiet for %v, told of %v", quiet, told)
	}
	config := Config{Bootstrap: []string{"a:1"}}.withDefaults()
	k := newLink(&config, "a:1", lookupFrame, true)
	k.notBefore = time.Now().Add(time.Hour)
	k.rested()
	if err := k.throttled(context.Background()); err != nil {
		t.Errorf("after the rest: %v", err)
	}
}

func TestPanicOfTheProtocolLayerIsAnError(t *testing.T) {
	_, err := guarded(func(*sarama.Broker) (time.Duration, error) {
		panic("slice bounds out of range")
	}, nil)
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

// TestLowerEpochEndsRun has a response go on in an older leader epoch than the one before it.
func TestLowerEpochEndsRun(t *testing.T) {
	for name, second := range map[string]*sarama.FetchResponseBlock{
		"between responses": block(ofEpoch(6, data(6, 6, 1))),
		"within one":        block(ofEpoch(8, data(6, 6, 1)), ofEpoch(7, data(7, 7, 1))),
	} {
		t.Run(name, func(t *testing.T) {
			l, ps, _ := testLoop(t, 0)
			ctx, cancel := context.WithCancel(context.Background())
			l.f.stop = cancel
			now := time.Now()
			r := new(response)
			first := block(ofEpoch(7, data(5, 5, 1)))
			first.HighWaterMarkOffset, first.LastStableOffset = 6, 6
			l.decode(r, ps[0], first, now, now, false)
			if len(r.batches) != 1 || !r.batches[0].HasAnchor || r.batches[0].Anchor.LeaderEpoch != 7 || r.batches[0].Anchor.Offset != 5 {
				t.Fatalf("%+v", r.batches)
			}
			second.HighWaterMarkOffset, second.LastStableOffset = 8, 8
			l.decode(r, ps[0], second, now, now, false)
			var diverged *DivergedError
			if !errors.As(l.f.failure, &diverged) || ctx.Err() == nil || diverged.Partition != 0 {
				t.Fatalf("%v", l.f.failure)
			}
			if len(r.batches) != 1 || ps[0].next != 6 {
				t.Errorf("delivered %+v", r.batches)
			}
			t.Log(diverged)
		})
	}
}
