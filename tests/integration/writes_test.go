package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestOurWritesAreReadByOthers: records written over RESP are what Kafka's console
// consumer prints, in the partition that the Java client chooses for the key.
func TestOurWritesAreReadByOthers(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 5, nil)
	d := serve(t, c, topic, "--read-only=false")
	d.WaitReady()
	client := d.Client(0)
	ctx := t.Context()
	var theirs []kafkatest.ConsoleRecord
	for i := range 40 {
		key := fmt.Sprintf("nyckel-å-%d", i)
		theirs = append(theirs, kafkatest.ConsoleRecord{Key: kafkatest.Text(key), Value: kafkatest.Text("theirs")})
		if err := client.Set(ctx, key, fmt.Sprintf("ours %d", i), 0).Err(); err != nil {
			t.Fatalf("SET: %v", err)
		}
		wantGet(t, client, key, fmt.Sprintf("ours %d", i)) // OK means: to be read here
	}
	c.ConsoleProduce(t, topic, theirs...)
	reply, err := client.Do(ctx, "KAFKA.SET", "with-header", "v", "HEADER", "trace", "42").Result()
	w := writtenOf(t, reply, err)
	if n, err := client.Del(ctx, "nyckel-å-0", "no-such-key").Result(); err != nil || n != 1 {
		t.Errorf("DEL: %d, %v; want 1", n, err)
	}
	if err := client.Set(ctx, "empty", "", 0).Err(); err != nil {
		t.Fatal(err)
	}

	type place struct{ ours, theirs int32 }
	places := map[string]*place{}
	tombstones, found := 0, false
	const n = 40 + 40 + 1 + 2 + 1
	for _, r := range c.ConsoleConsume(t, topic, n) {
		switch {
		case r.Value == nil:
			tombstones++
		case *r.Key == "with-header":
			found = r.Partition == w.partition && r.Offset == w.offset && *r.Value == "v" &&
				len(r.Headers) == 1 && r.Headers[0] == kafkatest.ConsoleHeader{Key: "trace", Value: "42"}
			if !found {
				t.Errorf("KAFKA.SET answered %+v and the console consumer printed %+v", w, r)
			}
		case *r.Key == "empty":
			if *r.Value != "" {
				t.Errorf("an empty value is printed as %q", *r.Value)
			}
		default:
			p := places[*r.Key]
			if p == nil {
				p = &place{-1, -1}
				places[*r.Key] = p
			}
			if strings.HasPrefix(*r.Value, "ours ") {
				p.ours = r.Partition
			} else {
				p.theirs = r.Partition
			}
		}
	}
	if tombstones != 2 || !found || len(places) != 40 {
		t.Errorf("%d tombstones, %v, %d keys", tombstones, found, len(places))
	}
	used := map[int32]bool{}
	for key, p := range places {
		if p.ours != p.theirs {
			t.Errorf("%s: we wrote to partition %d, the Java client to %d", key, p.ours, p.theirs)
		}
		used[p.ours] = true
	}
	if len(used) < 3 {
		t.Errorf("40 keys in %d partitions only", len(used))
	}
}

// TestTokensAcrossInstances writes on one instance and waits for it on another.
func TestTokensAcrossInstances(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 3, nil)
	a := serve(t, c, topic, "--read-only=false")
	b := serve(t, c, topic, "--identity", "b."+topic)
	a.WaitReady()
	b.WaitReady()
	writer, reader := a.Client(0), b.Client(0)
	ctx := t.Context()
	for i := range 50 {
		key, value := fmt.Sprintf("key-%d", i%7), fmt.Sprintf("value %d", i)
		reply, err := writer.Do(ctx, "KAFKA.SET", key, value).Result()
		w := writtenOf(t, reply, err)
		if !strings.HasPrefix(w.token, "1:") {
			t.Fatalf("token %q", w.token)
		}
		if n, err := reader.Do(ctx, "KAFKA.WAIT", w.token, 10_000).Int(); err != nil || n != 1 {
			t.Fatalf("KAFKA.WAIT: %d, %v", n, err)
		}
		wantGet(t, reader, key, value)
	}
	reply, err := writer.Do(ctx, "KAFKA.DEL", "key-1").Result()
	w := writtenOf(t, reply, err)
	if n, err := reader.Do(ctx, "KAFKA.WAIT", w.token, 10_000).Int(); err != nil || n != 1 {
		t.Fatalf("KAFKA.WAIT: %d, %v", n, err)
	}
	wantMissing(t, reader, "key-1")
	if got, err := reader.Do(ctx, "KAFKA.POSITION").Text(); err != nil || !strings.HasPrefix(got, "1:") {
		t.Errorf("KAFKA.POSITION: %q, %v", got, err)
	}

	// What is not there yet is waited for as long as it was asked for, and no longer.
	now := c.Ends(t, topic)[0].HighWatermark
	future := fmt.Sprintf("%s:0.%d", w.token[:strings.LastIndexByte(w.token, ':')], now+1)
	if n, err := reader.Do(ctx, "KAFKA.WAIT", future, 50).Int(); err != nil || n != 0 {
		t.Errorf("KAFKA.WAIT for what nobody has written: %d, %v", n, err)
	}
	waiting := make(chan error, 1)
	go func() {
		n, err := reader.Do(ctx, "KAFKA.WAIT", future, 30_000).Int()
		if err == nil && n != 1 {
			err = fmt.Errorf("KAFKA.WAIT answers %d", n)
		}
		waiting <- err
	}()
	b.Await("the client waits", func() bool { return strings.Contains(b.Client(0).Info(ctx, "clients").Val(), "blocked_clients:1\r\n") })
	c.ProduceTo(t, &kgo.Record{Topic: topic, Partition: 0, Key: []byte("by another"), Value: []byte("x")})
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	wantGet(t, reader, "by another", "x")

	other := c.NewTopic(t, 3, nil)
	d := serve(t, c, other)
	d.WaitReady()
	if reply, err := d.Client(0).Do(ctx, "KAFKA.WAIT", w.token, 10).Result(); err == nil {
		t.Errorf("the token of another topic is answered with %v", reply)
	}
}

// TestReadOnlyIsTheDefault refuses writes by Redis's own code and writes nothing.
func TestReadOnlyIsTheDefault(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	d := serve(t, c, topic)
	d.WaitReady()
	client := d.Client(0)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY ") {
		t.Errorf("SET: %v", err)
	}
	if err := client.Del(t.Context(), "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY ") {
		t.Errorf("DEL: %v", err)
	}
	if ends := c.Ends(t, topic); ends[0].HighWatermark != 0 {
		t.Errorf("ends %+v", ends)
	}
}

// TestInvalidWriteIsRefused checks a SET by the topic's encoding, says how to change it, and writes nothing.
func TestInvalidWriteIsRefused(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	d := serve(t, c, topic, "--read-only=false", "--value-encoding", "json")
	d.WaitReady()
	client := d.Client(0)
	if err := client.Set(t.Context(), "k", "hello", 0).Err(); err == nil || !strings.Contains(err.Error(), "--value-encoding") {
		t.Errorf("SET k hello: %v", err)
	}
	if ends := c.Ends(t, topic); ends[0].HighWatermark != 0 {
		t.Errorf("ends %+v", ends)
	}
	text := `{"b" : 1, "a":[ 1.0 ]}` // bytes are kept as they are
	if err := client.Set(t.Context(), "k", text, 0).Err(); err != nil {
		t.Fatal(err)
	}
	wantGet(t, client, "k", text)
}
