package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	momentKeys = 200 // read at one moment
	rounds     = 3   // a key that differs in each is a difference
	shownBytes = 200 // of a value
)

// suspect is a key that is looked at more closely.
type suspect struct {
	key      string
	position map[int32]int64 // of the moment
	value    any             // at that moment
	meta     any             // the same
	log      *entry          // what the log says at that position; nil: nothing
}

// resolve looks at the suspects at moments of the instance, and names those that differ there. The log is read on from its
// ends up to a moment's position. That a record between has been compacted away since, so that what the log said then cannot be known any more,
// is the reason for more than one round: a later moment has the record that replaced it.
func (i *instance) resolve(ctx context.Context) error {
	slices.Sort(i.suspects)
	keys := slices.Compact(i.suspects) // SCAN may name a key twice
	i.suspects = nil
	i.result.Moments += int64(len(keys))
	var left []*suspect
	for range rounds {
		if len(keys) == 0 {
			return nil
		}
		var all []*suspect
		for chunk := range slices.Chunk(keys, momentKeys) {
			s, err := i.moment(ctx, chunk)
			if err != nil {
				return err
			}
			all = append(all, s...)
		}
		if err := i.follow(ctx, all); err != nil {
			return err
		}
		left, keys = nil, nil
		for _, s := range all {
			if !same(s.log, s.value) {
				left, keys = append(left, s), append(keys, s.key)
			}
		}
	}
	for _, s := range left {
		i.result.Verdict = Differs
		i.result.Differing++
		if len(i.result.Differences) < i.verify.Named {
			i.result.Differences = append(i.result.Differences, Difference{s.key, i.logSide(ctx, s.log), instanceSide(s)})
		}
	}
	return nil
}

// moment reads keys and the position in one transaction, whose reads are of one moment.
func (i *instance) moment(ctx context.Context, keys []string) ([]*suspect, error) {
	tx := i.client.TxPipeline()
	position := tx.Do(ctx, "KAFKA.POSITION")
	values := tx.MGet(ctx, keys...)
	metas := make([]*redis.Cmd, len(keys))
	for n, k := range keys {
		metas[n] = tx.Do(ctx, "KAFKA.META", k)
	}
	if _, err := tx.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read keys at one moment: %w", err)
	}
	at, err := position.Text()
	if err != nil {
		return nil, fmt.Errorf("KAFKA.POSITION: %w", err)
	}
	next, err := parseToken(at, i.log.id)
	if err != nil {
		return nil, err
	}
	if len(values.Val()) != len(keys) {
		return nil, fmt.Errorf("MGET of %d keys answers %d values", len(keys), len(values.Val()))
	}
	var all []*suspect
	for n, k := range keys {
		s := &suspect{key: k, position: next, value: values.Val()[n], meta: metas[n].Val()}
		if e := i.table.entries[k]; e != nil {
			s.log = e.copied()
		}
		all = append(all, s)
	}
	return all, nil
}

// follow brings what the log says of suspects from its ends to each one's position.
func (i *instance) follow(ctx context.Context, all []*suspect) error {
	byKey := make(map[string]*suspect, len(all))
	to := map[int32]int64{}
	for _, s := range all {
		byKey[s.key] = s
		for p, next := range s.position {
			if next > i.log.end[p] {
				to[p] = max(to[p], next)
			}
		}
	}
	var passed atomic.Int64
	var mu sync.Mutex
	return i.log.read(ctx, i.log.end, to, &passed, func(partition int32, records []*kgo.Record) error {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range records {
			s := byKey[string(r.Key)]
			switch {
			case s == nil || r.Offset >= s.position[partition]:
			case s.log == nil:
				s.log = &entry{claim: claimOf(r)}
			default:
				s.log.apply(claimOf(r))
			}
		}
		return nil
	})
}

// logSide is what the log has of a key, with the record's value where it is still there.
func (i *instance) logSide(ctx context.Context, e *entry) Side {
	if e == nil {
		return Side{Partition: -1, Offset: -1, Note: "no record of the key"}
	}
	s := Side{Partition: e.partition, Offset: e.offset, Present: !e.deleted}
	if e.deleted {
		s.Note = "deleted"
		return s
	}
	r, err := i.log.at(ctx, e.partition, e.offset)
	switch {
	case err != nil:
		s.Note = "its value could not be read again: " + err.Error()
	case r == nil:
		s.Note = "its record is no longer in the log"
	default:
		s.show(string(r.Value))
	}
	return s
}

// instanceSide is what the instance answered.
func instanceSide(s *suspect) Side {
	side := Side{Partition: -1, Offset: -1}
	if text, ok := s.value.(string); ok {
		side.Present = true
		side.show(text)
	}
	fields := map[string]any{}
	switch m := s.meta.(type) {
	case map[any]any: // RESP3
		for k, v := range m {
			fields[fmt.Sprint(k)] = v
		}
	case []any: // RESP2
		for n := 0; n+1 < len(m); n += 2 {
			fields[fmt.Sprint(m[n])] = m[n+1]
		}
	}
	if p, ok := fields["partition"].(int64); ok {
		side.Partition = int32(p)
	}
	if o, ok := fields["offset"].(int64); ok {
		side.Offset = o
	}
	return side
}

func (s *Side) show(value string) {
	s.Length = len(value)
	s.Value = strings.ToValidUTF8(value[:min(len(value), shownBytes)], "\ufffd")
}
