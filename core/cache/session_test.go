package cache

import (
	"errors"
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
