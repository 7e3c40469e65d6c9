package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/core/kafka"
)

// trails keeps the trail of each partition as a store does: changed once a batch was applied.
type trails struct {
	mu    sync.Mutex
	of    map[int32]*kafka.Trail
	asked int
}

func newTrails() *trails { return &trails{of: map[int32]*kafka.Trail{}} }

func (ts *trails) add(b *kafka.Batch) error {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.of[b.Partition]
	if t == nil {
		t = new(kafka.Trail)
		ts.of[b.Partition] = t
	}
	t.Add(b)
	return nil
}

func (ts *trails) get(partition int32) kafka.Trail {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.asked++
	if t := ts.of[partition]; t != nil {
		return t.Clone()
	}
	return kafka.Trail{}
}

// follow has a reader leave a trail, and be held to it.
func (ts *trails) follow(fc *kafka.FetcherConfig, r *reader) {
	fc.Trail = ts.get
	r.apply = ts.add
}

// after has a reader begin at an offset with the trail.
func (ts *trails) after(next int64) func(*kafka.FetcherConfig, *reader) {
	return func(fc *kafka.FetcherConfig, r *reader) {
		ts.follow(fc, r)
		fc.Start = func(int32) int64 { return next }
	}
}

// readAll reads partition 0 of topic to an end and ends the reader.
func readAll(t *testing.T, addrs []string, ts *trails, end int64) {
	t.Helper()
	r := read(t, addrs, ts.follow)
	eventually(t, fmt.Sprintf("offset %d", end), func() bool { return r.atEnd(0, end) })
	r.stop()
	if err := r.result(t); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func elect(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	if err := c.MoveTopicPartition(topic, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// countLooks counts the fetches that ask for the log below an offset.
func countLooks(c *kfake.Cluster, below int64) func() int {
	var mu sync.Mutex
	n := 0
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		for _, t := range req.(*kmsg.FetchRequest).Topics {
			for _, p := range t.Partitions {
				if p.FetchOffset < below {
					n++
				}
			}
		}
		return nil, nil, false
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// TestTrailAgrees goes on after clean elections, at start and while running, with one look at the log each.
func TestTrailAgrees(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	for i := range 10 {
		write(t, w, 0, "k", fmt.Sprint(i))
	}
	ts := newTrails()
	readAll(t, c.ListenAddrs(), ts, 10)
	looks := countLooks(c, 10)

	r := read(t, c.ListenAddrs(), ts.after(10))
	eventually(t, "the end", func() bool { return r.atEnd(0, 10) })
	if n := looks(); n != 0 {
		t.Errorf("%d looks at the log under the same leader epoch", n)
	}
	elect(t, c) // while running
	eventually(t, "a look at the log", func() bool { return looks() > 0 })
	for i := range 3 {
		write(t, w, 0, "k", fmt.Sprint("during ", i))
		eventually(t, "the record", func() bool { return r.atEnd(0, int64(11+i)) })
		if n := looks(); n != 1 {
			t.Errorf("%d looks at the log", n)
		}
	}
	r.stop()
	if err := r.result(t); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	elect(t, c) // while stopped
	r = read(t, c.ListenAddrs(), ts.after(13))
	write(t, w, 0, "k", "after")
	eventually(t, "the record", func() bool { return r.atEnd(0, 14) })
	if got := r.values(0); len(got) != 1 || got[0] != "after" {
		t.Errorf("read %q", got)
	}
}

// TestTruncatedLogEndsRun cuts a log, by going back to an older state of its broker's disk, and has another leader epoch
// write on, past the position.
func TestTruncatedLogEndsRun(t *testing.T) {
	for name, transactional := range map[string]bool{"records at the end": false, "aborted records at the end": true} {
		t.Run(name, func(t *testing.T) {
			older, newer := t.TempDir(), t.TempDir()
			c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic), kfake.DataDir(newer))
			w := newWriter(t, c.ListenAddrs())
			for i := range 6 {
				write(t, w, 0, "k", fmt.Sprint(i))
			}
			w.Close()
			c.Close()
			if err := os.CopyFS(older, os.DirFS(newer)); err != nil {
				t.Fatal(err)
			}
			c = startCluster(t, kfake.NumBrokers(1), kfake.DataDir(newer))
			ts := newTrails()
			if transactional {
				tx := newWriter(t, c.ListenAddrs(), kgo.TransactionalID("tx"))
				if err := tx.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					write(t, tx, 0, "k", "aborted")
				}
				if err := tx.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
					t.Fatal(err)
				}
				tx.Close()
			} else {
				w := newWriter(t, c.ListenAddrs())
				for i := range 4 {
					write(t, w, 0, "k", fmt.Sprint("lost ", i))
				}
				w.Close()
			}
			readAll(t, c.ListenAddrs(), ts, 10)
			c.Close()

			c = startCluster(t, kfake.NumBrokers(1), kfake.DataDir(older))
			elect(t, c)
			shorter := read(t, c.ListenAddrs(), ts.after(10))
			var out *kafka.OutOfRangeError
			if err := shorter.result(t); !errors.As(err, &out) || out.End != 6 || out.Position != 10 {
				t.Errorf("with a shorter log Run returned %v", err)
			}
			w = newWriter(t, c.ListenAddrs())
			for i := range 20 {
				write(t, w, 0, "k", fmt.Sprint("other ", i))
			}
			r := read(t, c.ListenAddrs(), ts.after(10))
			var diverged *kafka.DivergedError
			if err := r.result(t); !errors.As(err, &diverged) || diverged.Offset != 9 {
				t.Fatalf("Run returned %v", err)
			}
			t.Log(diverged)
			if got := r.got(0); len(got) != 0 {
				t.Errorf("read %v", got)
			}
			// A reader of the first six alone is at one with both.
			six := newTrails()
			readSome := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, r *reader) {
				six.follow(fc, r)
				fc.Until = map[int32]int64{0: 6}
			})
			if err := readSome.result(t); err != nil {
				t.Fatal(err)
			}
			fine := read(t, c.ListenAddrs(), six.after(6))
			eventually(t, "the end", func() bool { return fine.atEnd(0, 26) })
		})
	}
}

// TestDivergedWhileRunning has the log be another one from one leader epoch to the next.
func TestDivergedWhileRunning(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	for i := range 10 {
		write(t, w, 0, "k", fmt.Sprint(i))
	}
	ts := newTrails()
	r := read(t, c.ListenAddrs(), ts.follow)
	eventually(t, "the end", func() bool { return r.atEnd(0, 10) })
	ts.mu.Lock()
	last := &ts.of[0].Anchors[len(ts.of[0].Anchors)-1]
	last.Hash++ // as if another record had been applied
	ts.mu.Unlock()
	elect(t, c)
	var diverged *kafka.DivergedError
	if err := r.result(t); !errors.As(err, &diverged) || diverged.Offset != 9 || diverged.Partition != 0 {
		t.Errorf("Run returned %v", err)
	}
}

// TestTrailOfWhatIsGone has compaction or retention remove what the trail knows.
func TestTrailOfWhatIsGone(t *testing.T) {
	written := func(t *testing.T) (*kfake.Cluster, *kgo.Client, *trails) {
		c := startCluster(t, kfake.NumBrokers(1))
		if err := c.CreateTopic(topic, 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "1"}); err != nil {
			t.Fatal(err)
		}
		w := newWriter(t, c.ListenAddrs())
		ts := newTrails()
		write(t, w, 0, "stays", "v")
		for i := range 10 {
			write(t, w, 0, "k", fmt.Sprint(i))
		}
		small := read(t, c.ListenAddrs(), func(fc *kafka.FetcherConfig, r *reader) {
			ts.follow(fc, r)
			fc.MaxPartitionBytes = 1 // one anchor a record
		})
		eventually(t, "the end", func() bool { return small.atEnd(0, 11) })
		small.stop()
		small.result(t)
		if n := len(ts.get(0).Anchors); n < 3 {
			t.Fatalf("%d anchors", n)
		}
		return c, w, ts
	}
	t.Run("an older one is left", func(t *testing.T) {
		c, w, ts := written(t)
		write(t, w, 0, "k", "11")
		write(t, w, 0, "active", "v")
		c.Compact()
		elect(t, c)
		r := read(t, c.ListenAddrs(), ts.after(11))
		eventually(t, "the end", func() bool { return r.atEnd(0, 13) })
	})
	t.Run("none is left", func(t *testing.T) {
		c, w, ts := written(t)
		write(t, w, 0, "k", "11")
		write(t, w, 0, "active", "v")
		c.Compact()
		elect(t, c)
		ts.mu.Lock()
		ts.of[0].Anchors = ts.of[0].Anchors[1:] // that of the record that stays
		ts.mu.Unlock()
		r := read(t, c.ListenAddrs(), ts.after(11))
		var diverged *kafka.DivergedError
		if err := r.result(t); !errors.As(err, &diverged) || !strings.Contains(diverged.Reason, "left in the log to compare") {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Run("all left with the log's start", func(t *testing.T) {
		c, w, ts := written(t)
		write(t, w, 0, "k", "11")
		if err := c.DeleteRecords(topic, 0, 11); err != nil {
			t.Fatal(err)
		}
		elect(t, c)
		r := read(t, c.ListenAddrs(), ts.after(11))
		eventually(t, "the end", func() bool { return r.atEnd(0, 12) })
	})
	t.Run("no trail", func(t *testing.T) {
		c, _, _ := written(t)
		elect(t, c)
		r := read(t, c.ListenAddrs(), newTrails().after(11))
		eventually(t, "the end", func() bool { return r.atEnd(0, 11) })
	})
}

// TestCheckIsRepeatedAfterFaults has the looks at the log meet faults: they are told, and the check begins again.
func TestCheckIsRepeatedAfterFaults(t *testing.T) {
	c := startCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	w := newWriter(t, c.ListenAddrs())
	large := strings.Repeat("x", 100<<10) // larger than what a look asks for
	for i := range 10 {
		write(t, w, 0, "k", fmt.Sprint(i, large))
	}
	ts := newTrails()
	readAll(t, c.ListenAddrs(), ts, 10)
	elect(t, c)
	cut := 0
	c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if cut++; cut <= 2 {
			return nil, errors.New("connection is lost"), true
		}
		return nil, nil, false
	})
	f := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: 2})
	write(t, w, 0, "k", "after")
	r := read(t, c.ListenAddrs(), ts.after(10))
	eventually(t, "the record", func() bool { return r.atEnd(0, 11) })
	if f.Hits() != 2 || !r.told(func(e kafka.FetchError) bool { return strings.Contains(e.Error(), "check the log") }) {
		t.Errorf("%d faults, told %v", f.Hits(), r.errs)
	}
	if got := r.values(0); len(got) != 1 || got[0] != "after" {
		t.Errorf("read %d records", len(got))
	}
}
