package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestKillUnderLoad kills an instance with a data directory again and again while
// keys are written, overwritten and deleted. What it serves in the end is what a
// fresh instance serves, and what the log says.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	rnd := random(t)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() { written <- writeUntil(ctx, c.Client(t), topic, rnd) }()
	dir := t.TempDir()
	metric := func(d *daemontest.Daemon, name string) float64 { return d.Metric(name, "topic="+topic) }
	const applied = "kafka_cache_applied_records_total"
	durable := int64(0) // positions that must have survived what comes
	for i := range 5 {
		d := serve(t, c, topic, "--data-dir", dir)
		d.WaitReady()
		before := metric(d, applied)
		d.Await("more was applied", func() bool { return metric(d, applied) >= before+1500 })
		switch i {
		case 0: // the first one leaves something behind by an orderly end
			durable = positions(d)
			if code := d.Stop(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			continue
		case 2: // one lives until it has flushed by itself, twice: the second has what was there after the first
			flushes := metric(d, "kafka_cache_pebble_flushes_total")
			d.Await("a flush", func() bool { return metric(d, "kafka_cache_pebble_flushes_total") > flushes })
			flushes, durable = metric(d, "kafka_cache_pebble_flushes_total"), positions(d)
			d.Await("another flush", func() bool { return metric(d, "kafka_cache_pebble_flushes_total") > flushes })
		}
		d.Kill()
	}
	cancel()
	if err := <-written; err != nil {
		t.Fatal(err)
	}

	again := serve(t, c, topic, "--data-dir", dir)
	again.WaitReady()
	awaitEnd(t, c, again, topic)
	fresh := serve(t, c, topic, "--identity", "fresh."+topic)
	fresh.WaitReady()
	awaitEnd(t, c, fresh, topic)
	want := logContents(t, c, topic)
	if len(want) < 100 {
		t.Fatalf("the log has %d keys only", len(want))
	}
	sameContents(t, "the one that was killed", contents(t, again.Client(0)), want)
	sameContents(t, "a fresh one", contents(t, fresh.Client(0)), want)

	readAgain, all := metric(again, applied), metric(fresh, applied)
	t.Logf("%v of %v records read again after the last kill; %d positions were durable", readAgain, all, durable)
	if readAgain > all-float64(durable) {
		t.Errorf("what was durable was read again: %v of %v records, with positions of %d in all", readAgain, all, durable)
	}
}

// positions is the sum of the next offsets to read.
func positions(d *daemontest.Daemon) int64 {
	sum := int64(0)
	for _, p := range d.Status().Topics[0].Partitions {
		sum += p.Position
	}
	return sum
}

// randomRecords are n records of so many keys at random, a tenth of them tombstones.
func randomRecords(rnd *rand.Rand, topic string, n, keys int) []*kgo.Record {
	padding := strings.Repeat("x", 100)
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = record(topic, fmt.Sprintf("key-%d", rnd.IntN(keys)), fmt.Sprintf("%d %s", i, padding))
		if rnd.IntN(10) == 0 {
			records[i].Value = nil
		}
	}
	return records
}

// TestKillDuringLoad kills an instance while it reads a log for the first time, and again while it goes on.
func TestKillDuringLoad(t *testing.T) {
	t.Parallel()
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	rnd := random(t)
	const n, keys = 150_000, 40_000
	c.Produce(t, randomRecords(rnd, topic, n, keys)...)
	dir := t.TempDir()
	for range 4 {
		d := serve(t, c, topic, "--data-dir", dir)
		at := rnd.IntN(n)
		d.Await("a part is applied", func() bool { return positions(d) >= int64(at) })
		d.Kill()
	}
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), logContents(t, c, topic))
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), logContents(t, c, topic))
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records read again after an orderly stop", n)
	}
}

// TestKillWhileALoadIsPersisted kills an instance once it is ready, while what it has read becomes durable, and later each time: it begins anew, or goes on from all of
// it, and never answers from before it was killed.
func TestKillWhileALoadIsPersisted(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	rnd := random(t)
	const n, keys = 150_000, 100_000
	c.Produce(t, randomRecords(rnd, topic, n, keys)...)
	want := logContents(t, c, topic)
	dir := t.TempDir()
	anew := 0
	for range 6 {
		d := serve(t, c, topic, "--data-dir", dir)
		d.WaitReady()
		switch read := d.Metric("kafka_cache_applied_records_total", "topic="+topic); read {
		case n:
			anew++
		case 0:
		default:
			t.Fatalf("%v of %d records read again", read, n)
		}
		if got := d.Status().Topics[0].Keys; got != int64(len(want)) {
			t.Fatalf("ready with %d keys, want %d", got, len(want))
		}
		d.Kill()
	}
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	d.Await("the load is durable", func() bool { return d.Status().Topics[0].Durable })
	d.Kill()
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records read again though all were durable", n)
	}
	t.Logf("%d of 6 began anew", anew)
}

// writeUntil writes about 2,000 records a second to 500 keys, each fifth a tombstone, until ctx ends.
func writeUntil(ctx context.Context, client *kgo.Client, topic string, rnd *rand.Rand) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		var records []*kgo.Record
		for range 20 {
			n++
			r := record(topic, fmt.Sprintf("key-%d", rnd.IntN(500)), fmt.Sprintf("%d %x", n, rnd.Uint64()))
			if rnd.IntN(5) == 0 {
				r.Value = nil
			}
			records = append(records, r)
		}
		// Every record is waited for, so that none is under way at the end.
		if err := client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}
