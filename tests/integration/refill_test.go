package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestServedWhileItIsFilled restarts an instance that lags behind, and reads from it as soon as it is ready, while its index is still being filled from its directory and more is
// written: what it answers is what the log has, subscribers are told of what changes, and in the end all of it is there.
func TestServedWhileItIsFilled(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	rnd := random(t)
	const n, keys = 250_000, 200_000
	padding := strings.Repeat("x", 100)
	write := func(from, n int) {
		t.Helper()
		records := make([]*kgo.Record, n)
		for i := range records {
			key := fmt.Sprintf("key-%d", rnd.IntN(keys))
			if records[i] = record(topic, key, fmt.Sprintf("%d %s", from+i, padding)); rnd.IntN(10) == 0 {
				records[i].Value = nil
			}
		}
		c.Produce(t, records...)
	}
	write(0, n)
	dir := t.TempDir()
	d := serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	d.Await("the load is durable", func() bool { return d.Status().Topics[0].Durable })
	d.Kill()
	write(n, 2000) // while it is away
	want := logContents(t, c, topic)

	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := d.Client(0)
	looks, early := 0, 0
	for whole := false; !whole || looks < 50; looks++ {
		if !whole {
			early++
		}
		asked := make([]string, 100)
		for i := range asked {
			asked[i] = fmt.Sprintf("key-%d", rnd.IntN(keys+1000))
		}
		got, err := client.MGet(ctx, asked...).Result()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if value, there := want[asked[i]]; there != (v != nil) || there && v != value {
				t.Fatalf("look %d: %s is %.80v, want %.80q (%v)", looks, asked[i], v, value, there)
			}
		}
		if looks%8 == 7 {
			whole = d.Status().Topics[0].Resident
		}
	}
	wantContents(t, client, want)
	if size, err := client.DBSize(ctx).Result(); err != nil || size != int64(len(want)) {
		t.Fatalf("%d keys, %v, want %d", size, err, len(want))
	}
	d.Kill()

	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	subscription := d.Client(0).PSubscribe(ctx, "__keyevent@0__:*")
	defer subscription.Close()
	if _, err := subscription.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	beforeAll := d.Status().Topics[0].Resident
	c.Produce(t, record(topic, "new", "1"), record(topic, "new", "2"), tombstone(topic, "new"))
	for _, event := range []string{"set", "set", "del"} {
		m, err := subscription.ReceiveMessage(ctx)
		if err != nil || m.Payload != "new" || m.Channel != "__keyevent@0__:"+event {
			t.Fatalf("%v, %v, want %s", m, err, event)
		}
	}
	write(n+2000, 5000)
	if err := d.Client(0).Get(ctx, "new").Err(); err != redis.Nil {
		t.Errorf("a deleted key: %v", err)
	}
	awaitEnd(t, c, d, topic)
	wantContents(t, d.Client(0), logContents(t, c, topic))
	d.Await("all entries are resident", func() bool { return d.Status().Topics[0].Resident })
	t.Logf("%d looks before all was resident, a subscription too: %v", early, !beforeAll)
}
