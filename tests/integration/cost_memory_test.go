//go:build linux && !race

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// peak is the most that has been resident of a process, in bytes.
func peak(t *testing.T, d *daemontest.Daemon) int64 { return processStatus(t, d.PID(), "VmHWM") }

// TestCostStaysWithinTheMemoryLimit loads a topic that fits, overwrites all of it again and again while clients ask for much at once and others do not read what they are answered, and holds the
// process's peak to --memory-limit. Then the topic grows beyond it: nothing is evicted and reads are right, the process is over its limit, and says so.
func TestCostStaysWithinTheMemoryLimit(t *testing.T) {
	const (
		limit = 384 << 20
		keys  = 100_000
		size  = 1000
	)
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 4, nil)
	r := random(t)
	value := func(key int) string {
		return fmt.Sprint(key, " ") + strings.Repeat(string(rune('a'+r.IntN(26))), size)
	}
	produce := func(from, to int) {
		records := make([]*kgo.Record, 0, to-from)
		for k := from; k < to; k++ {
			records = append(records, record(topic, fmt.Sprint("key-", k), value(k)))
		}
		c.Produce(t, records...)
	}
	for k := 0; k < keys; k += 10_000 {
		produce(k, k+10_000)
	}
	d := serve(t, c, topic, "--data-dir", t.TempDir(), "--memory-limit", fmt.Sprint(limit))
	alone := peak(t, d)
	d.WaitReady()
	d.Await("what is loaded is durable", func() bool { return d.Status().Topics[0].Durable })
	loaded := peak(t, d)

	silent, err := net.Dial("tcp", d.RESPAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	all := make([]string, 2000)
	for i := range all {
		all[i] = fmt.Sprint("key-", i)
	}
	for range 200 { // 400 MB of replies that nobody reads
		if _, err := fmt.Fprintf(silent, "MGET %s\r\n", strings.Join(all, " ")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for i := range 16 {
		client, r := d.Client(0), rand.New(rand.NewPCG(r.Uint64(), 0))
		readers.Go(func() {
			n := []int{1, 10, 300, 1000}[i%4]
			for ctx.Err() == nil {
				names := make([]string, n)
				for j := range names {
					names[j] = fmt.Sprint("key-", r.IntN(keys))
				}
				values, err := client.MGet(ctx, names...).Result()
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Errorf("MGET of %d: %v", n, err)
					return
				}
				for j, v := range values {
					if s, ok := v.(string); !ok || !strings.HasPrefix(s, strings.TrimPrefix(names[j], "key-")+" ") {
						t.Errorf("MGET has %.20q for %s", v, names[j])
						return
					}
				}
			}
		})
	}
	for range 3 { // each key three times, in all
		for k := 0; k < keys; k += 10_000 {
			produce(k, k+10_000)
		}
	}
	awaitEnd(t, c, d, topic)
	busy := peak(t, d)
	t.Logf("limit %.0f MB, resident at most: %.1f MB at the start, %.1f MB loaded, %.1f MB under load", limit/1e6, float64(alone)/1e6, float64(loaded)/1e6, float64(busy)/1e6)
	for _, part := range []string{"kafka_cache_resident_bytes", "kafka_cache_pebble_memtable_bytes", "kafka_cache_memory_outside_heap_bytes", "kafka_cache_resp_buffer_bytes", "go_memstats_heap_inuse_bytes", "kafka_cache_memory_runtime_limit_bytes"} {
		t.Logf("%s %.1f MB", part, d.Metric(part)/1e6)
	}
	if busy > limit {
		t.Errorf("the process has taken %.1f MB of its %.0f", float64(busy)/1e6, limit/1e6)
	}

	for k := keys; k < 4*keys; k += 10_000 {
		produce(k, k+10_000)
	}
	awaitEnd(t, c, d, topic)
	d.Await("the metric of the alert shows it", func() bool { return d.Metric("kafka_cache_memory_near_limit") == 1 })
	d.WaitLog(regexp.MustCompile(`level=WARN msg="memory is near its limit`))
	cancel()
	readers.Wait()
	over := resident(t, d.PID())
	t.Logf("with %d keys %.1f MB", 4*keys, float64(over)/1e6)
	if over < limit {
		t.Errorf("%d keys of %d bytes take %.1f MB: the test does not go beyond the limit", 4*keys, size, float64(over)/1e6)
	}
	last := d.Client(0)
	for range 1000 {
		k := r.IntN(4 * keys)
		if got, err := last.Get(t.Context(), fmt.Sprint("key-", k)).Result(); err != nil || !strings.HasPrefix(got, fmt.Sprint(k, " ")) {
			t.Fatalf("GET key-%d: %.20q, %v", k, got, err)
		}
	}
}
