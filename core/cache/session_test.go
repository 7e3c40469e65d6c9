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
	topic.cache.cfg.DataDir = t.TempDir()
	topic.store.Store(nil) // served's own is closed by it
	info := kafka.TopicInfo{Name: "a", ID: topicA, ClusterID: "c"}
	st, resumed, err := topic.openStore(info)
	if err != nil || resumed {
		t.Fatalf("resumed %v, %v", resumed, err)
	}
	err = st.Apply(&store.Batch{Mutations: []store.Mutation{{Key: []byte("k"), Value: []byte("1")}}, Next: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	topic.discard()
	db, err := pebble.Open(filepath.Join(topic.cache.cfg.DataDir, "v1", "a", "000001", "db"), &pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	position := []byte{2, 0, 0, 0, 0} // the position of partition 0 has more than no bytes
	if err := errors.Join(db.Set(position, nil, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := topic.openStore(info); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("opened a corrupt directory: %v", err)
	}
	st, resumed, err = topic.openStore(info) // by the next session
	if err != nil || resumed || st.Len() != 0 || len(st.Checkpoint()) != 0 {
		t.Fatalf("resumed %v, %v", resumed, err)
	}
	topic.discard()
	if _, resumed, err = topic.openStore(info); err != nil || !resumed {
		t.Fatalf("what was made anew is not resumed: %v", err)
	}
	topic.discard()
}

func TestNothingIsAppliedOnceTheLogIsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		reason string
		wait   error // nil: it goes on
	}{
		"recreated": {kafka.ErrTopicRecreated, rebuildRecreated, ErrNotReady},
		"truncated": {&kafka.OutOfRangeError{Position: 5, End: 3}, rebuildTruncated, nil},
		"log start": {&kafka.OutOfRangeError{Position: 5, LogStart: 7, End: 9}, rebuildLogStart, nil},
	} {
		t.Run(name, func(t *testing.T) {
			topic, _ := served(t)
			topic.tracker.publish(batch(0, 5), 5, true)
			topic.judgeLog(fmt.Errorf("read topic: %w", errors.New("connection reset")))
			if !topic.Ready() || topic.rebuild != "" {
				t.Fatal("a fault of the network is taken for another log")
			}
			topic.judgeLog(fmt.Errorf("read topic: %w", c.err))
			if topic.rebuild != c.reason || topic.Ready() {
				t.Fatalf("rebuilds for %q, serving %v", topic.rebuild, topic.Ready())
			}
			told := make(chan error, 1)
			cancel := topic.NotifyAt(at(0, 1), func(err error) { told <- err }) // a write to the log as it is now
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
