package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// serve runs the daemon on one topic with values of any text, unless args say otherwise.
func serve(t *testing.T, c *kafkatest.Cluster, topic string, args ...string) *daemontest.Daemon {
	t.Helper()
	return daemontest.Start(t, append([]string{"--kafka-bootstrap", c.Addr(), "--topic", topic, "--identity", "test." + topic, "--value-encoding", "utf-8"}, args...)...)
}

// record has the key and the value as text.
func record(topic, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
}

// tombstone deletes the key.
func tombstone(topic, key string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key)}
}

// awaitEnd waits until the daemon has applied everything that the log has now.
func awaitEnd(t *testing.T, c *kafkatest.Cluster, d *daemontest.Daemon, topic string) {
	t.Helper()
	ends := c.Ends(t, topic)
	d.Await(fmt.Sprintf("%s is applied up to %v", topic, ends), func() bool {
		partitions := d.Status().Topics[0].Partitions
		for p, e := range ends {
			i := slices.IndexFunc(partitions, func(s daemontest.PartitionStatus) bool { return s.Partition == int32(p) })
			if i < 0 || partitions[i].Position < e.LastStable {
				return false
			}
		}
		return true
	})
}

// contents is every key with its value, as SCAN and GET say. No key may appear or go meanwhile.
func contents(t *testing.T, client *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	ctx := t.Context()
	var cursor uint64
	for {
		keys, next, err := client.Scan(ctx, cursor, "", 500).Result()
		if err != nil {
			t.Fatalf("SCAN: %v", err)
		}
		if len(keys) > 0 {
			values, err := client.MGet(ctx, keys...).Result()
			if err != nil {
				t.Fatalf("MGET: %v", err)
			}
			for i, v := range values {
				s, ok := v.(string)
				if !ok {
					t.Fatalf("SCAN names %q, and MGET answers %v", keys[i], v)
				}
				all[keys[i]] = s
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	n, err := client.DBSize(ctx).Result()
	if err != nil || n != int64(len(all)) {
		t.Errorf("DBSIZE says %d, %v; SCAN gave %d keys", n, err, len(all))
	}
	return all
}

// wantContents compares what the instance serves with what it should.
func wantContents(t *testing.T, client *redis.Client, want map[string]string) {
	t.Helper()
	sameContents(t, "the instance", contents(t, client), want)
}

func sameContents(t *testing.T, who string, got, want map[string]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	shown := 0
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; (!ok || v != want[k]) && shown < 10 {
			t.Errorf("%s has %q = %.80q (%v), want %.80q", who, k, v, ok, want[k])
			shown++
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok && shown < 20 {
			t.Errorf("%s has %q = %.80q, which is not in the log", who, k, got[k])
			shown++
		}
	}
}

// wantGet is one GET.
func wantGet(t *testing.T, client *redis.Client, key, want string) {
	t.Helper()
	if got, err := client.Get(t.Context(), key).Result(); err != nil || got != want {
		t.Errorf("GET %s: %q, %v; want %q", key, got, err, want)
	}
}

// wantMissing is a GET of what is not there.
func wantMissing(t *testing.T, client *redis.Client, key string) {
	t.Helper()
	if got, err := client.Get(t.Context(), key).Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET %s: %q, %v; want none", key, got, err)
	}
}

// awaitGet polls until the key has the value.
func awaitGet(t *testing.T, d *daemontest.Daemon, client *redis.Client, key, want string) {
	t.Helper()
	d.Await(fmt.Sprintf("GET %s answers %q", key, want), func() bool {
		got, err := client.Get(t.Context(), key).Result()
		return err == nil && got == want
	})
}

// logContents reads the topic with franz-go, read_committed, and keeps the last value of each key.
func logContents(t *testing.T, c *kafkatest.Cluster, topic string) map[string]string {
	t.Helper()
	left := map[int32]int64{}
	offsets := map[int32]kgo.Offset{}
	for p, e := range c.Ends(t, topic) {
		offsets[int32(p)] = kgo.NewOffset().AtStart()
		if e.LastStable > e.Start {
			left[int32(p)] = e.LastStable
		}
	}
	client := c.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := map[string]string{}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %v (ends left %v)", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			switch {
			case r.Attrs.IsControl() || len(r.Key) == 0:
			case r.Value == nil:
				delete(all, string(r.Key))
			default:
				all[string(r.Key)] = string(r.Value)
			}
		})
	}
	return all
}

// random is a source of random numbers whose seed the test log names.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
