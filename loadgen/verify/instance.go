package verify

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/loadgen"
)

// Sizes of what is asked for at a time.
const (
	pageKeys    = 1000
	maxSuspects = 5000 // are looked at more closely together
	waitAtOnce  = time.Second
)

// instance is one topic of one instance, while it is compared.
type instance struct {
	verify *Verify
	log    *topicLog
	client *redis.Client
	result Comparison

	table    *table
	number   int // of the instance, from 1: what entries are marked with
	pass     int
	suspects []string
	keys     atomic.Int64 // compared in this pass
	waiting  atomic.Bool
}

func newInstance(v *Verify, log *topicLog, addr string, t loadgen.Topic) *instance {
	return &instance{
		verify: v, log: log, client: v.Client(addr, t.Database),
		result: Comparison{Address: addr, Topic: t.Name, Verdict: Agrees, Differences: []Difference{}},
	}
}

func (i *instance) close() { i.client.Close() }

// compare compares the keys of the table. Once it could not, it is not tried again.
func (i *instance) compare(ctx context.Context, t *table, number, pass int) {
	if i.result.Verdict == Undecided || i.result.Reason != "" {
		return
	}
	i.table, i.number, i.pass, i.suspects = t, number, pass, nil
	i.keys.Store(0)
	told := i.verify.telling(func() Progress {
		return Progress{Topic: i.log.name, Address: i.result.Address, Pass: pass, Done: i.keys.Load(), Total: int64(len(t.entries)), Waiting: i.waiting.Load()}
	})
	err := i.await(ctx)
	for _, step := range []func(context.Context) error{i.scan, i.unseen, i.resolve} {
		if err == nil {
			err = step(ctx)
		}
	}
	told()
	i.result.Keys += i.keys.Load()
	if err != nil {
		i.result.Reason = err.Error()
		i.result.Verdict = i.result.Verdict.worse(Undecided)
	}
}

// await asks the instance to say that it has applied what the log had.
func (i *instance) await(ctx context.Context) error {
	i.waiting.Store(true)
	defer i.waiting.Store(false)
	ends := token(i.log.id, i.log.end)
	for deadline := time.Now().Add(i.verify.Wait); ; {
		done, err := i.client.Do(ctx, "KAFKA.WAIT", ends, waitAtOnce.Milliseconds()).Int()
		if err != nil {
			return fmt.Errorf("ask whether it has applied what the log has: %w", err)
		}
		if done == 1 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return i.behind(ctx)
		}
	}
}

// behind says what the instance has not applied.
func (i *instance) behind(ctx context.Context) error {
	at, err := i.client.Do(ctx, "KAFKA.POSITION").Text()
	if err != nil {
		return fmt.Errorf("ask for its position: %w", err)
	}
	next, err := parseToken(at, i.log.id)
	if err != nil {
		return err
	}
	for p, end := range i.log.end {
		if next[p] < end {
			return fmt.Errorf("in %v it has not applied what the log has: partition %d up to offset %d of %d", i.verify.Wait, p, next[p], end)
		}
	}
	return errors.New("it has applied what the log has, later than it was waited for")
}

// scan compares every key that the instance has.
func (i *instance) scan(ctx context.Context) error {
	var cursor uint64
	for {
		all, next, err := i.client.Scan(ctx, cursor, "", pageKeys).Result()
		if err != nil {
			return fmt.Errorf("SCAN: %w", err)
		}
		var keys []string
		for _, k := range all {
			if i.table.has(k) {
				keys = append(keys, k)
			}
		}
		if err := i.check(ctx, keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// unseen compares the keys that the log has, and SCAN did not name.
func (i *instance) unseen(ctx context.Context) error {
	var keys []string
	for k, e := range i.table.entries {
		if e.deleted || e.seen == i.number {
			continue
		}
		if keys = append(keys, k); len(keys) == pageKeys {
			if err := i.check(ctx, keys); err != nil {
				return err
			}
			keys = nil
		}
	}
	return i.check(ctx, keys)
}

// check reads keys and compares them with the log at its ends. What is not the same is suspect.
func (i *instance) check(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	values, err := i.client.MGet(ctx, keys...).Result()
	if err != nil {
		return fmt.Errorf("MGET: %w", err)
	}
	if len(values) != len(keys) {
		return fmt.Errorf("MGET of %d keys answers %d values", len(keys), len(values))
	}
	for n, k := range keys {
		e := i.table.entries[k]
		if e != nil {
			if e.seen == i.number {
				continue // SCAN may name a key twice
			}
			e.seen = i.number
		}
		i.keys.Add(1)
		if !same(e, values[n]) {
			i.suspects = append(i.suspects, k)
		}
	}
	if len(i.suspects) >= maxSuspects {
		return i.resolve(ctx)
	}
	return nil
}

// same tells whether a value that the instance answered is what an entry says.
func same(e *entry, value any) bool {
	text, present := value.(string)
	if e == nil || e.deleted {
		return !present
	}
	return present && sumOf([]byte(text)) == e.sum
}
