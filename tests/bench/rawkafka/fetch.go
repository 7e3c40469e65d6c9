package rawkafka

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// Fetched is what Fetch has read.
type Fetched struct {
	Records int64
	Bytes   int64 // of keys and values
}

// fetchBytes bounds a response, like kafka-cache's own default.
const fetchBytes = 16 << 20

// Fetch reads a topic from its start to its stable end with Broker.Fetch, and
// keeps nothing: sarama's decoder has made an object of every record by then.
// Partitions are read at once, each over a connection of its own with one
// request in flight. The topic's leaders are all the broker at addr.
func Fetch(addr, topic string, partitions int32) (Fetched, error) {
	var records, bytes atomic.Int64
	var wg sync.WaitGroup
	failed := make([]error, partitions)
	for p := range partitions {
		wg.Go(func() {
			failed[p] = fetchPartition(addr, topic, p, func(n, size int64) {
				records.Add(n)
				bytes.Add(size)
			})
		})
	}
	wg.Wait()
	return Fetched{records.Load(), bytes.Load()}, errors.Join(failed...)
}

func fetchPartition(addr, topic string, partition int32, count func(records, bytes int64)) error {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	broker := sarama.NewBroker(addr)
	if err := broker.Open(config); err != nil {
		return err
	}
	defer broker.Close()
	for next := int64(0); ; {
		req := &sarama.FetchRequest{Version: 12, MinBytes: 1, MaxBytes: fetchBytes, MaxWaitTime: 100, Isolation: sarama.ReadCommitted, SessionEpoch: -1}
		req.AddBlock(topic, partition, next, fetchBytes, -1)
		res, err := broker.Fetch(req)
		if err != nil {
			return fmt.Errorf("fetch partition %d from %d: %w", partition, next, err)
		}
		block := res.GetBlock(topic, partition)
		if block == nil {
			return fmt.Errorf("fetch partition %d from %d: the response has nothing of it", partition, next)
		}
		if block.Err != sarama.ErrNoError {
			return fmt.Errorf("fetch partition %d from %d: %w", partition, next, block.Err)
		}
		for _, set := range block.RecordsSet {
			b := set.RecordBatch
			if b == nil {
				return fmt.Errorf("fetch partition %d: a record set of before Kafka 0.11", partition)
			}
			records, bytes := int64(0), int64(0)
			for _, r := range b.Records {
				if b.FirstOffset+r.OffsetDelta < next {
					continue // the batch begins before what was asked for
				}
				records++
				bytes += int64(len(r.Key) + len(r.Value))
			}
			count(records, bytes)
			if !b.PartialTrailingRecord {
				next = b.FirstOffset + int64(b.LastOffsetDelta) + 1
			}
		}
		if next >= block.LastStableOffset {
			return nil
		}
	}
}
