package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Ends are the bounds of a partition's log.
type Ends struct {
	LogStart      int64     // its first offset
	LastStable    int64     // the end of what read_committed can reach: one past its last offset (KIP-98)
	HighWatermark int64     // the end of what is replicated: one past its last offset
	LeaderEpoch   int32     // of the leader that said so; position.UnknownEpoch where it did not tell
	AskedAt       time.Time // this machine's clock before the request
}

// Ends asks the leaders for the bounds of the partitions' logs. Where some leaders are out of reach it returns what the
// others answered, and the joined errors.
func (c *Client) Ends(ctx context.Context, topic string, partitions []int32) (map[int32]Ends, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ends := make(map[int32]Ends, len(partitions))
	var mu sync.Mutex
	err = c.eachLeader(ctx, topic, partitions, func(addr string, ids []int32) error {
		got, err := c.endsOf(ctx, addr, topic, ids)
		mu.Lock()
		defer mu.Unlock()
		maps.Copy(ends, got)
		return err
	})
	if err != nil {
		err = fmt.Errorf("ask for the ends of topic %q: %w", topic, err)
	}
	return ends, err
}

// OffsetsAt asks the leaders for the first offset of each partition whose timestamp is at or after a time: -1 where there is
// none. Records of open and aborted transactions count. Where some leaders are out of reach it returns what the others
// answered, and the joined errors.
func (c *Client) OffsetsAt(ctx context.Context, topic string, partitions []int32, at time.Time) (map[int32]int64, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	stamp := max(at.UnixMilli(), 0) // a timestamp below 0 would ask for a bound of the log
	if at.After(time.UnixMilli(stamp)) {
		stamp++ // a record of that millisecond is before it
	}
	offsets := make(map[int32]int64, len(partitions))
	var mu sync.Mutex
	err = c.eachLeader(ctx, topic, partitions, func(addr string, ids []int32) error {
		return c.ask(ctx, addr, func(b *sarama.Broker) (time.Duration, error) {
			got, _, d, err := listOffsets(b, topic, ids, sarama.ReadUncommitted, stamp)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(offsets, got)
			return d, err
		})
	})
	if err != nil {
		err = fmt.Errorf("ask for the offsets of topic %q at %s: %w", topic, at.UTC().Format(time.RFC3339Nano), err)
	}
	return offsets, err
}

// eachLeader calls do for each leader of some of the partitions, at the same time, and joins the errors.
func (c *Client) eachLeader(ctx context.Context, topic string, partitions []int32, do func(addr string, ids []int32) error) error {
	info, err := c.describe(ctx, topic)
	if err != nil {
		return err
	}
	var errs []error
	byLeader := make(map[string][]int32)
	for _, id := range partitions {
		switch p := info.partition(id); {
		case p == nil:
			errs = append(errs, fmt.Errorf("partition %d: %w", id, ErrUnknownTopic))
		case p.LeaderAddr == "":
			errs = append(errs, fmt.Errorf("partition %d: %w: it has no leader", id, ErrUnavailable))
		default:
			byLeader[p.LeaderAddr] = append(byLeader[p.LeaderAddr], id)
		}
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for addr, ids := range byLeader {
		asking.Go(func() {
			err := do(addr, ids)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

// endsOf asks one leader. A request has one isolation level and one bound a partition, so there are three.
func (c *Client) endsOf(ctx context.Context, addr, topic string, ids []int32) (map[int32]Ends, error) {
	asked := time.Now()
	var bounds [3]map[int32]int64
	var epochs map[int32]int32
	var errs []error
	for i, q := range []struct {
		isolation sarama.IsolationLevel
		bound     int64
	}{
		{sarama.ReadCommitted, sarama.OffsetOldest},
		{sarama.ReadCommitted, sarama.OffsetNewest},
		{sarama.ReadUncommitted, sarama.OffsetNewest}, // last, so that it is at least the stable end
	} {
		err := c.ask(ctx, addr, func(b *sarama.Broker) (d time.Duration, err error) {
			bounds[i], epochs, d, err = listOffsets(b, topic, ids, q.isolation, q.bound)
			return d, err
		})
		if err != nil {
			errs = append(errs, err)
		}
		if bounds[i] == nil {
			return nil, errors.Join(errs...)
		}
	}
	ends := make(map[int32]Ends, len(ids))
	for _, id := range ids {
		start, ok0 := bounds[0][id]
		stable, ok1 := bounds[1][id]
		high, ok2 := bounds[2][id]
		if ok0 && ok1 && ok2 {
			ends[id] = Ends{LogStart: start, LastStable: stable, HighWatermark: high, LeaderEpoch: epochs[id], AskedAt: asked}
		}
	}
	return ends, errors.Join(errs...)
}

// listOffsets asks the leader on b for one bound of each partition. It returns what came without an error, with the leader epochs that were told with it,
// beside the joined errors of the others.
func listOffsets(b *sarama.Broker, topic string, ids []int32, isolation sarama.IsolationLevel, bound int64) (offsets map[int32]int64, epochs map[int32]int32, throttled time.Duration, err error) {
	req := sarama.NewOffsetRequest(protocolVersion)
	req.IsolationLevel = isolation
	for _, id := range ids {
		req.AddBlock(topic, id, bound, 1)
	}
	res, err := b.GetAvailableOffsets(req)
	if err != nil {
		return nil, nil, 0, err
	}
	offsets, epochs = make(map[int32]int64, len(ids)), make(map[int32]int32, len(ids))
	var errs []error
	for _, id := range ids {
		switch block := res.GetBlock(topic, id); {
		case block == nil:
			errs = append(errs, fmt.Errorf("partition %d: %w", id, sarama.ErrIncompleteResponse))
		case block.Err != sarama.ErrNoError:
			errs = append(errs, fmt.Errorf("partition %d: %w", id, classify(block.Err)))
		default:
			offsets[id], epochs[id] = block.Offset, block.LeaderEpoch
		}
	}
	return offsets, epochs, time.Duration(res.ThrottleTimeMs) * time.Millisecond, errors.Join(errs...)
}
