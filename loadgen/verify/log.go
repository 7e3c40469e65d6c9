package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// Sizes of a fetch: they bound what is held of the log at a time, four partitions' worth of it.
const (
	fetchBytes         = 4 << 20
	partitionsAtOnce   = 4
	longPoll           = 500 * time.Millisecond
	refetchAfter       = 100 * time.Millisecond
	leaderlessPatience = 30 * time.Second
)

// topicLog reads one topic. It is safe for concurrent use.
type topicLog struct {
	client *kgo.Client
	name   string
	id     [16]byte

	mu      sync.Mutex
	leaders map[int32]int32

	start map[int32]int64 // of each partition: where its log began
	end   map[int32]int64 // where its stable end was: what read_committed can reach
}

// openLog looks the topic up, with its ends as they are now.
func openLog(ctx context.Context, client *kgo.Client, name string) (*topicLog, error) {
	l := &topicLog{client: client, name: name, start: map[int32]int64{}, end: map[int32]int64{}}
	if err := l.lookUp(ctx); err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the starts of %s: %w", name, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the ends of %s: %w", name, err)
	}
	starts.Each(func(o kadm.ListedOffset) { l.start[o.Partition] = o.Offset })
	ends.Each(func(o kadm.ListedOffset) { l.end[o.Partition] = o.Offset })
	return l, nil
}

// lookUp asks who leads the partitions.
func (l *topicLog) lookUp(ctx context.Context) error {
	details, err := kadm.NewClient(l.client).ListTopics(ctx, l.name)
	if err != nil {
		return fmt.Errorf("look up %s: %w", l.name, err)
	}
	d, ok := details[l.name]
	if !ok {
		d.Err = kerr.UnknownTopicOrPartition
	}
	if d.Err != nil {
		return fmt.Errorf("look up %s: %w", l.name, d.Err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaders != nil && l.id != [16]byte(d.ID) {
		return fmt.Errorf("%s was deleted and created again meanwhile", l.name)
	}
	l.id, l.leaders = d.ID, map[int32]int32{}
	for p, detail := range d.Partitions {
		l.leaders[p] = detail.Leader
	}
	return nil
}

func (l *topicLog) leader(partition int32) (int32, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	leader, ok := l.leaders[partition]
	return leader, ok && leader >= 0
}

// records is how many offsets lie between, at most as many records.
func span(from, to map[int32]int64) (n int64) {
	for p, end := range to {
		n += max(end-from[p], 0)
	}
	return n
}

// read calls each with the records from (inclusive) to (exclusive) of every partition in to, in the order of a partition, for
// different partitions at the same time. Control records and those of aborted transactions are not among them. each may keep
// nothing of the records. passed counts offsets.
func (l *topicLog) read(ctx context.Context, from, to map[int32]int64, passed *atomic.Int64, each func(partition int32, records []*kgo.Record) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partitionsAtOnce)
	for partition, end := range to {
		group.Go(func() error { return l.readPartition(ctx, partition, from[partition], end, passed, each) })
	}
	return group.Wait()
}

func (l *topicLog) readPartition(ctx context.Context, partition int32, offset, end int64, passed *atomic.Int64, each func(int32, []*kgo.Record) error) error {
	failing := time.Time{} // since when
	for offset < end {
		records, next, err := l.fetch(ctx, partition, offset, end)
		switch {
		case err == nil:
			failing = time.Time{}
			if len(records) > 0 {
				if err := each(partition, records); err != nil {
					return err
				}
			}
			passed.Add(min(next, end) - offset)
			offset = next
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case failing.IsZero():
			failing = time.Now()
		}
		if !kerr.IsRetriable(err) && !errors.Is(err, errNoLeader) || time.Since(failing) > leaderlessPatience {
			return fmt.Errorf("read %s partition %d at offset %d: %w", l.name, partition, offset, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refetchAfter):
		}
		if err := l.lookUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errNoLeader = errors.New("the partition has no leader")

// fetch asks its leader once for what a partition has from an offset on. Unlike a consumer it knows where the next fetch begins
// also where nothing is left to be seen: after control records, aborted transactions and compacted batches.
func (l *topicLog) fetch(ctx context.Context, partition int32, offset, end int64) (records []*kgo.Record, next int64, err error) {
	leader, ok := l.leader(partition)
	if !ok {
		return nil, 0, errNoLeader
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = int32(longPoll.Milliseconds()), 1, fetchBytes, 1
	req.SessionEpoch = -1 // no session
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, fetchBytes
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = l.name, l.id, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	res, err := l.client.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, 0, err
	}
	f := res.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(f.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(f.Topics) != 1 || len(f.Topics[0].Partitions) != 1 {
		return nil, 0, errors.New("the reply has another number of partitions than was asked for")
	}
	answer := &f.Topics[0].Partitions[0]
	if errors.Is(kerr.ErrorForCode(answer.ErrorCode), kerr.OffsetOutOfRange) {
		if start, err := l.startOf(ctx, partition); err != nil || offset < start {
			return nil, max(offset, start), err // retention has taken what was there
		}
	}
	parsed, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: kgo.ReadCommitted(), Topic: l.name, Partition: partition,
	}, answer, kgo.DefaultDecompressor(), nil)
	if parsed.Err != nil {
		return nil, 0, parsed.Err
	}
	records = parsed.Records
	for len(records) > 0 && records[len(records)-1].Offset >= end {
		records = records[:len(records)-1]
	}
	return records, next, nil
}

// startOf asks where a partition's log begins now.
func (l *topicLog) startOf(ctx context.Context, partition int32) (int64, error) {
	starts, err := kadm.NewClient(l.client).ListStartOffsets(ctx, l.name)
	if err != nil {
		return 0, fmt.Errorf("ask for the starts of %s: %w", l.name, err)
	}
	o, _ := starts.Lookup(l.name, partition)
	return o.Offset, o.Err
}

// at is the record at an offset, nil where the log has none that can be seen there (any more).
func (l *topicLog) at(ctx context.Context, partition int32, offset int64) (*kgo.Record, error) {
	records, _, err := l.fetch(ctx, partition, offset, offset+1)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return records[0], nil
}
