package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/core/store"
)

// DefaultStart is where reading begins unless TopicConfig.Start says otherwise.
const DefaultStart = "earliest"

// start is where a topic's partitions are read from when there is no checkpoint.
type start struct {
	spec   string        // as configured, which is what belongs to a checkpoint's identity
	offset int64         // of every partition, where kind is startOffset
	at     time.Time     // the first record of this time or a later one, where kind is startTime
	ago    time.Duration // the same, before the time at which the load begins, where kind is startAgo
	kind   startKind
}

type startKind uint8

const (
	startEarliest startKind = iota
	startOffset
	startTime
	startAgo
)

// errStart says what a start may look like.
var errStart = errors.New(`want "earliest", "offset:N", "timestamp:" with a time as in RFC 3339 (timestamp:2026-01-02T15:04:05Z), or how long ago ("-24h", "-90m")`)

func parseStart(spec string) (start, error) {
	s := start{spec: spec}
	offset, isOffset := strings.CutPrefix(spec, "offset:")
	at, isTime := strings.CutPrefix(spec, "timestamp:")
	var err error
	switch {
	case spec == "" || spec == DefaultStart:
		s.spec = DefaultStart
	case isOffset:
		s.kind = startOffset
		if s.offset, err = strconv.ParseInt(offset, 10, 64); err == nil && s.offset < 0 {
			err = errors.New("an offset is not below 0")
		}
	case isTime:
		s.kind = startTime
		s.at, err = time.Parse(time.RFC3339, at)
	case strings.HasPrefix(spec, "-"):
		s.kind = startAgo
		if s.ago, err = time.ParseDuration(spec[1:]); err == nil && s.ago <= 0 {
			err = errors.New("the time before now is not above 0")
		}
	default:
		return s, fmt.Errorf("start %q: %w", spec, errStart)
	}
	if err != nil {
		return s, fmt.Errorf("start %q: %w: %w", spec, err, errStart)
	}
	return s, nil
}

// offsets are where to begin, by partition. An offset outside a partition's log is ErrConfig: reading from somewhere else would hide what
// is missing. Nothing at or after a time: the partition begins at its end.
func (s start) offsets(ctx context.Context, client *kafka.Client, topic string, ends map[int32]kafka.Ends) (map[int32]int64, error) {
	from := make(map[int32]int64, len(ends))
	at := s.at
	switch s.kind {
	case startEarliest:
		return nil, nil
	case startOffset:
		for id, e := range ends {
			if s.offset < e.LogStart || s.offset > e.HighWatermark {
				return nil, fmt.Errorf("%w: start %s: topic %s: partition %d has the offsets %d to %d", ErrConfig, s.spec, topic, id, e.LogStart, e.HighWatermark)
			}
			from[id] = s.offset
		}
		return from, nil
	case startAgo:
		at = time.Now().Add(-s.ago)
	}
	ids := make([]int32, 0, len(ends))
	for id := range ends {
		ids = append(ids, id)
	}
	found, err := client.OffsetsAt(ctx, topic, ids, at)
	if err != nil {
		return nil, fmt.Errorf("ask for the offsets of topic %s at %s: %w", topic, at.Format(time.RFC3339), err)
	}
	for id, e := range ends {
		o, ok := found[id]
		switch {
		case !ok:
			return nil, fmt.Errorf("ask for the offsets of topic %s at %s: partition %d did not answer", topic, at.Format(time.RFC3339), id)
		case o < 0:
			o = e.HighWatermark
		}
		from[id] = max(o, e.LogStart)
	}
	return from, nil
}

// begin gives an empty store the positions at which reading begins, durably, so that every later session goes on from them.
func (t *Topic) begin(ctx context.Context, st *store.Store, ends map[int32]kafka.Ends) error {
	from, err := t.start.offsets(ctx, t.cache.client, t.name, ends)
	if err != nil || from == nil {
		return err
	}
	for id, next := range from {
		b := store.Batch{Partition: id, Next: next, Start: next, LogStart: ends[id].LogStart, LeaderEpoch: position.UnknownEpoch,
			FreshAt: ends[id].AskedAt, Keeps: time.Duration(t.kept.Load())}
		if err := st.Apply(&b, nil); err != nil {
			return fmt.Errorf("begin at offset %d of partition %d: %w", next, id, err)
		}
	}
	if err := st.Flush(); err != nil {
		return fmt.Errorf("begin at %s: %w", t.start.spec, err)
	}
	t.log.Info("reading begins", "start", t.start.spec, "offsets", fmt.Sprint(from))
	return nil
}
