package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestRestartReadsNothingAgain stops an instance and starts it on its data: only
// what came meanwhile is read.
func TestRestartReadsNothingAgain(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	want := map[string]string{}
	var records []*kgo.Record
	for i := range 3000 {
		key, value := fmt.Sprintf("key-%d", i%1000), fmt.Sprintf("%d", i)
		records = append(records, record(topic, key, value))
		want[key] = value
	}
	c.Produce(t, records...)
	dir := t.TempDir()
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 3000 {
		t.Fatalf("%v records applied, want 3000", n)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	c.Produce(t, record(topic, "key-1", "new"), tombstone(topic, "key-2"), record(topic, "key-new", "x"))
	want["key-1"], want["key-new"] = "new", "x"
	delete(want, "key-2")
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 3 {
		t.Errorf("%v records applied after the restart, want the 3 that are new", n)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_applied_records_total", "topic="+topic); n != 0 {
		t.Errorf("%v records applied with nothing new", n)
	}
}

// TestKillUnderLoad kills an instance with a data directory again and again while
// keys are written, overwritten and deleted. What it serves in the end is what a
// fresh instance serves, and what the log says.
func TestKillUnderLoad(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	rnd := random(t)
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() { written <- writeUntil(ctx, c.Client(t), topic, rnd) }()
	dir := t.TempDir()
	const rounds = 4
	for i := range rounds {
		d := serve(t, c, topic, "--data-dir", dir)
		d.WaitReady()
		before := d.Metric("kafka_cache_applied_records_total", "topic="+topic)
		d.Await("more was applied", func() bool {
			return d.Metric("kafka_cache_applied_records_total", "topic="+topic) >= before+1500
		})
		if i == 0 { // the first one leaves something durable behind
			if code := d.Stop(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
		} else {
			d.Kill()
		}
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

	readAgain := again.Metric("kafka_cache_applied_records_total", "topic="+topic)
	all := fresh.Metric("kafka_cache_applied_records_total", "topic="+topic)
	t.Logf("%v of %v records read again after the last kill", readAgain, all)
	if readAgain > all-1500 {
		t.Errorf("what the orderly stop made durable was read again: %v of %v records", readAgain, all)
	}
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

// TestRecreatedWhileStopped: the name is the same, the topic is another one, with
// more records than the position of the old one or with fewer.
func TestRecreatedWhileStopped(t *testing.T) {
	c := kafkatest.Shared(t)
	for _, test := range []struct {
		name string
		n    int
	}{{"fewer records", 2}, {"more records", 40}} {
		t.Run(test.name, func(t *testing.T) {
			topic := c.NewTopic(t, 1, nil)
			for i := range 20 {
				c.Produce(t, record(topic, fmt.Sprintf("old-%d", i), "old"))
			}
			dir := t.TempDir()
			d := serve(t, c, topic, "--data-dir", dir)
			d.WaitReady()
			id := d.Status().Topics[0].ID
			if code := d.Stop(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			c.DeleteTopic(t, topic)
			c.CreateTopic(t, topic, 1, nil)
			want := map[string]string{}
			for i := range test.n {
				key := fmt.Sprintf("new-%d", i)
				c.Produce(t, record(topic, key, "new"))
				want[key] = "new"
			}
			d = serve(t, c, topic, "--data-dir", dir)
			d.WaitReady()
			wantContents(t, d.Client(0), want)
			if now := d.Status().Topics[0].ID; now == id || now == "" {
				t.Errorf("topic id %q, which was %q", now, id)
			}
			if n := d.Metric("kafka_cache_rebuilds_total", "topic="+topic, "reason=recreated"); n != 1 {
				t.Errorf("%v rebuilds counted", n)
			}
		})
	}
}

// TestRecreatedWhileRunning: the same under a running instance.
func TestRecreatedWhileRunning(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	c.Produce(t, record(topic, "old", "old"), record(topic, "both", "old"))
	d := serve(t, c, topic, "--data-dir", t.TempDir())
	d.WaitReady()
	c.DeleteTopic(t, topic)
	c.CreateTopic(t, topic, 2, nil)
	want := map[string]string{"both": "new"}
	records := []*kgo.Record{record(topic, "both", "new")}
	for i := range 20 {
		key := fmt.Sprintf("new-%d", i)
		records = append(records, record(topic, key, "new"))
		want[key] = "new"
	}
	c.Produce(t, records...)
	client := d.Client(0)
	awaitGet(t, d, client, "new-19", "new")
	awaitEnd(t, c, d, topic)
	wantContents(t, client, want)
	if n := d.Metric("kafka_cache_rebuilds_total", "topic="+topic, "reason=recreated"); n != 1 {
		t.Errorf("%v rebuilds counted", n)
	}
}
