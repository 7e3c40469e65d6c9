package cache

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

func TestCorruptDirectoryIsReplacedFromTheLog(t *testing.T) {
	topic, _ := served(t)
	topic.stopServing()
	topic.cache.cfg.DataDir = t.TempDir()
	topic.current = nil // served's own is closed by it
	info := kafka.TopicInfo{Name: "a", ID: topicA, ClusterID: "c", Partitions: []kafka.PartitionInfo{{}}}
	log := map[int32]kafka.Ends{0: {LastStable: 5, HighWatermark: 5}}
	next := func() (*generation, error) {
		g, err := topic.generationFor(t.Context(), info, log, forever)
		if err == nil && g.disk.Reason != "" {
			err = g.disk.Complete()
		}
		return g, err
	}
	g, err := next()
	if err != nil || g.disk.Reason != store.ReasonNew {
		t.Fatalf("%+v, %v", g, err)
	}
	err = g.store.Apply(&store.Batch{Mutations: []store.Mutation{{Key: []byte("k"), Value: []byte("1")}}, Next: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	topic.discard()
	db, err := pebble.Open(filepath.Join(topic.cache.cfg.DataDir, "v1", "a", "000001", "db"), &pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	position := []byte{2, 0, 0, 0, 0} // the position of partition 0 has more than no bytes
	if err := errors.Join(db.Set(position, nil, pebble.Sync), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := next(); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("opened a corrupt directory: %v", err)
	}
	g, err = next() // by the next session
	if err != nil || g.reason != rebuildCorrupt || g.store.Len() != 0 || len(g.store.Checkpoint()) != 0 {
		t.Fatalf("%+v, %v", g, err)
	}
	topic.discard()
	if g, err = next(); err != nil || g.reason != "" {
		t.Fatalf("what was made anew is not resumed: %v", err)
	}
	topic.discard()
}

func TestNothingIsAppliedOnceTheLogIsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		reason string
		wait   error // nil: it goes on
		serves bool
	}{
		"recreated": {kafka.ErrTopicRecreated, rebuildRecreated, ErrOtherTopic, false},
		"truncated": {&kafka.OutOfRangeError{Position: 5, End: 3}, rebuildTruncated, nil, false},
		"diverged":  {&kafka.DivergedError{Offset: 3, Reason: "another record"}, rebuildTruncated, nil, false},
		"log start": {&kafka.OutOfRangeError{Position: 5, LogStart: 7, End: 9}, rebuildLogStart, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			topic, _ := served(t)
			topic.tracker.publish(batch(0, 5), 5, true)
			topic.judgeLog(fmt.Errorf("read topic: %w", errors.New("connection reset")))
			if !topic.Ready() || topic.rebuild != "" {
				t.Fatal("a fault of the network is taken for another log")
			}
			topic.judgeLog(fmt.Errorf("read topic: %w", c.err))
			if topic.rebuild != c.reason || topic.Ready() != c.serves {
				t.Fatalf("rebuilds for %q, serving %v", topic.rebuild, topic.Ready())
			}
			told := make(chan error, 1)
			cancel := topic.NotifyAt(at(0, 6), func(err error) { told <- err }) // a write to the log as it is now
			defer cancel()
			select {
			case err := <-told:
				if c.wait == nil || !errors.Is(err, c.wait) {
					t.Fatalf("told %v, want %v", err, c.wait)
				}
			default:
				if c.wait != nil {
					t.Fatalf("waits, want %v", c.wait)
				}
			}
		})
	}
}
