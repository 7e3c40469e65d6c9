package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/tests/internal/heldfiles"
)

// refillKeys are as many as make a table of some megabytes, of which blocks are read one by one.
const refillKeys = 3000

func refillKey(i int) string { return fmt.Sprintf("k%05d", i) }

// refillValue is a value that does not compress, the same each time.
func refillValue(i int) string {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	b := make([]byte, 1000)
	for j := range b {
		b[j] = byte(r.Uint32())
	}
	return fmt.Sprintf("%x", b[:500])
}

// stored has a cache of topic t store keys on files, and gives the configuration that goes on from there.
func stored(t *testing.T, b *broker, files *heldfiles.Files, dir string) cache.Config {
	t.Helper()
	b.create("t", 1, "cleanup.policy", "compact,delete")
	records := make([]*kgo.Record, refillKeys)
	for i := range records {
		records[i] = &kgo.Record{Topic: "t", Key: []byte(refillKey(i)), Value: []byte(refillValue(i))}
	}
	if err := b.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := b.config(cache.TopicConfig{Name: "t", ValueEncoding: "binary"})
	cfg.DataDir, cfg.FS = dir, files
	c, topic := ready(t, cfg)
	eventually(t, "the load is durable", func() bool { return topic.Status().Durable })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func checkRefilled(t *testing.T, topic *cache.Topic) {
	t.Helper()
	for i := range refillKeys {
		if v := value(t, topic, refillKey(i)); v != refillValue(i) {
			t.Fatalf("%s: %.100q", refillKey(i), v)
		}
	}
	if n := topic.Len(); n != refillKeys {
		t.Errorf("%d keys", n)
	}
}

// keysGauge is kafka_cache_keys, and whether it is there.
func keysGauge(t *testing.T, reg *prometheus.Registry) (keys float64, there bool) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "kafka_cache_keys" {
			return f.GetMetric()[0].GetGauge().GetValue(), true
		}
	}
	return 0, false
}

// TestPartlyResident: a restarted topic is served while it is read in, says that its number of keys is not known, and who waits for it may stop waiting.
func TestPartlyResident(t *testing.T) {
	files := heldfiles.InMemory()
	cfg := stored(t, startBroker(t), files, "/data")
	reg := prometheus.NewRegistry()
	cfg.Registerer = reg
	files.Hold()
	c, topic := ready(t, cfg)
	defer files.Release()
	eventually(t, "it is read in", files.Waiting)
	for _, i := range []int{0, refillKeys - 1} {
		if v := value(t, topic, refillKey(i)); v != refillValue(i) {
			t.Errorf("%s: %.100q", refillKey(i), v)
		}
	}
	if s := topic.Status(); !s.Serving || s.Resident || s.Keys >= refillKeys {
		t.Errorf("%+v", s)
	}
	if n, there := keysGauge(t, reg); there {
		t.Errorf("kafka_cache_keys is %v", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := topic.WaitResident(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v", err)
	}
	files.Release()
	if err := topic.WaitResident(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, there := keysGauge(t, reg); n != refillKeys || !there {
		t.Errorf("kafka_cache_keys is %v, %v", n, there)
	}
	if s := topic.Status(); !s.Resident || s.Keys != refillKeys || s.Records != refillKeys {
		t.Errorf("%+v", s)
	}
	checkRefilled(t, topic)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseWhileItIsReadIn: a cache is closed while a topic waits, before it is ready, for all to be in memory: a removal of what the log has lost.
func TestCloseWhileItIsReadIn(t *testing.T) {
	b := startBroker(t)
	files := heldfiles.InMemory()
	cfg := stored(t, b, files, "/data")
	if _, err := b.admin.DeleteRecords(t.Context(), kadm.Offsets{"t": {0: {Topic: "t", At: 10}}}); err != nil {
		t.Fatal(err)
	}
	files.Hold()
	defer files.Release()
	c := open(t, cfg)
	topic := c.Topics()[0]
	eventually(t, "it is at the end", func() bool {
		s := topic.Status()
		return files.Waiting() && len(s.Partitions) == 1 && s.Partitions[0].LogStart == 10 && s.Partitions[0].Position == refillKeys && s.Partitions[0].LagSeconds >= 0
	})
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := topic.WaitReady(ctx); !errors.Is(err, cache.ErrClosed) { // which is said when no session runs any more
		t.Errorf("it waits on: %v", err)
	}
	files.Release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	_, topic = ready(t, cfg)
	if n := topic.Len(); n != refillKeys-10 {
		t.Errorf("%d keys", n)
	}
}

// TestDamageFoundLate: what is damaged is found while the topic is served, which is made anew from the log then.
func TestDamageFoundLate(t *testing.T) {
	files := heldfiles.New(vfs.Default)
	cfg := stored(t, startBroker(t), files, t.TempDir())
	damaged := 0
	err := filepath.WalkDir(cfg.DataDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".sst" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) < refillKeys*500 {
			return err
		}
		damaged++
		copy(b[len(b)/2:], bytes.Repeat([]byte{0xff}, 64))
		return os.WriteFile(path, b, 0o644)
	})
	if err != nil || damaged != 1 {
		t.Fatalf("%d tables, %v", damaged, err)
	}
	files.Hold()
	_, topic := ready(t, cfg)
	defer files.Release()
	if v, s := value(t, topic, refillKey(0)), topic.Status(); v != refillValue(0) || s.Resident || len(s.Rebuilds) > 0 {
		t.Errorf("%.100q, %+v", v, s)
	}
	files.Release()
	eventually(t, "it is made anew", func() bool { return topic.Status().Rebuilds["corrupt"] == 1 && topic.Ready() })
	checkRefilled(t, topic)
}

// TestDiskFailsLate: where the disk does not give what is stored, the topic is not served any more, and is gone on from once it does.
func TestDiskFailsLate(t *testing.T) {
	files := heldfiles.InMemory()
	cfg := stored(t, startBroker(t), files, "/data")
	files.Hold()
	_, topic := ready(t, cfg)
	defer files.Release()
	files.Fail(errors.New("input/output error"))
	eventually(t, "it is found", func() bool { return topic.State() == cache.Starting || topic.State() == cache.CatchingUp })
	files.Release()
	eventually(t, "it is resident", func() bool { return topic.Ready() && topic.Status().Resident })
	if s := topic.Status(); len(s.Rebuilds) > 0 || s.Applied > 0 {
		t.Errorf("%+v", s)
	}
	checkRefilled(t, topic)
}
