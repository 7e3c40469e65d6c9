package history

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Log is what the topic had in the end, by key.
type Log map[string]*KeyLog

// KeyLog has a key's records in the order of the log. A key is always in one partition.
type KeyLog struct {
	Partition int32
	Records   []Record
}

// Record is one version of a key.
type Record struct {
	Offset    int64
	Value     string
	Tombstone bool
}

// versions is how many of the key's records are below next, if the position is of its partition.
func (k *KeyLog) versions(at Next) int {
	if k == nil || at.Partition != k.Partition {
		return 0
	}
	return sort.Search(len(k.Records), func(i int) bool { return k.Records[i].Offset >= at.Offset })
}

// at is the version, from 1, of the record at an offset, or 0.
func (k *KeyLog) at(offset int64) int {
	if k == nil {
		return 0
	}
	i := sort.Search(len(k.Records), func(i int) bool { return k.Records[i].Offset >= offset })
	if i < len(k.Records) && k.Records[i].Offset == offset {
		return i + 1
	}
	return 0
}

// readLog reads the topic from its start to the ends that it has now.
func readLog(ctx context.Context, c *cluster, topic string) (Log, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("read the ends of topic %s: %w", topic, err)
	}
	left := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	for _, o := range ends.Offsets()[topic] {
		from[o.Partition] = kgo.NewOffset().At(0)
		if o.At > 0 {
			left[o.Partition] = o.At
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.kafka.Bootstrap...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	log := Log{}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err0()); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", topic, err)
		}
		var failed error
		fetches.EachError(func(_ string, partition int32, err error) {
			failed = fmt.Errorf("read partition %d of topic %s: %w", partition, topic, err)
		})
		if failed != nil {
			return nil, failed
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				return
			}
			if failed == nil {
				failed = log.add(r)
			}
		})
		if failed != nil {
			return nil, failed
		}
	}
	return log, nil
}

func (l Log) add(r *kgo.Record) error {
	k := l[string(r.Key)]
	if k == nil {
		k = &KeyLog{Partition: r.Partition}
		l[string(r.Key)] = k
	}
	if k.Partition != r.Partition {
		return fmt.Errorf("key %s is in partitions %d and %d", r.Key, k.Partition, r.Partition)
	}
	k.Records = append(k.Records, Record{Offset: r.Offset, Value: string(r.Value), Tombstone: r.Value == nil})
	return nil
}
