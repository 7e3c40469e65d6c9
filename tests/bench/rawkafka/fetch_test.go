package rawkafka

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFetchReadsEveryRecordOnce reads partitions of different lengths, one of them empty.
func TestFetchReadsEveryRecordOnce(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	size := int64(0)
	for i := range 1000 {
		r := &kgo.Record{Partition: int32(i % 3 / 2), Key: fmt.Append(nil, i), Value: []byte("value")}
		size += int64(len(r.Key) + len(r.Value))
		client.Produce(context.Background(), r, nil)
	}
	if err := client.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	got, err := Fetch(cluster.ListenAddrs()[0], "t", 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Fetched{1000, size}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
	if _, err := Fetch(cluster.ListenAddrs()[0], "absent", 1); err == nil {
		t.Error("a topic that is not there is read")
	}
}
