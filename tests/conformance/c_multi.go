package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "C4", Name: "MULTI reads see one moment of the store", Needs: []Capability{Redis, Tokens}, Run: multiReads},
		Scenario{ID: "C4", Name: "MULTI writes all or nothing, also when the instance is killed", Needs: []Capability{Redis, Writes}, Run: multiWrites},
	)
}

// moment is what one EXEC has read: a position, and the values of keys.
type moment struct {
	next   map[int32]int64
	values []string
}

// positionOf is a token's next offset of each partition.
func positionOf(token string) (map[int32]int64, error) {
	next := map[int32]int64{}
	for _, o := range strings.Split(token[strings.LastIndex(token, ":")+1:], ",") {
		parts := strings.Split(o, ".")
		if len(parts) < 2 {
			return nil, fmt.Errorf("token %q", token)
		}
		p, err1 := strconv.ParseInt(parts[0], 10, 32)
		n, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("token %q: %w", token, err)
		}
		next[int32(p)] = n
	}
	return next, nil
}

// readMoment reads a position and keys, in EXEC or one after the other.
func readMoment(ctx context.Context, pipeline redis.Pipeliner, keys []string) (m moment, err error) {
	position := pipeline.Do(ctx, "KAFKA.POSITION")
	var gets []*redis.StringCmd
	for _, k := range keys {
		gets = append(gets, pipeline.Get(ctx, k))
	}
	if _, err := pipeline.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return m, err
	}
	token, err := position.Text()
	if err != nil {
		return m, err
	}
	if m.next, err = positionOf(token); err != nil {
		return m, err
	}
	for _, g := range gets {
		m.values = append(m.values, g.Val())
	}
	return m, nil
}

// multiReads: eight keys of four partitions change at a time, two of each partition, in transactions and without. What an EXEC has read of all of them is
// what the log says at the position that it has read too: the newest record of each key below the position. Reads that are pipelined without MULTI are not.
func multiReads(ctx context.Context, r *Run) error {
	topic := r.Topic(4, nil)
	var keys []string
	for p := range 4 {
		for n := range 2 {
			keys = append(keys, fmt.Sprintf("p%d-%d", p, n))
		}
	}
	change := func(value string) (all []*kgo.Record) {
		for i, k := range keys {
			all = append(all, on(topic, i/2, k, value, time.Time{}))
		}
		return all
	}
	r.Cluster.ProduceTo(r, change("0")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	client := i.(RedisServer).Redis()

	writing, stop := context.WithCancel(ctx)
	defer stop()
	written := make(chan error, 1)
	go func() {
		written <- func() error {
			together := r.Cluster.Client(r, kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			alone := r.Cluster.Client(r, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
			for n := 1; writing.Err() == nil; n++ {
				w := alone
				if n%200 < 10 {
					w = together
					if err := w.BeginTransaction(); err != nil {
						return err
					}
				}
				if err := w.ProduceSync(ctx, change(strconv.Itoa(n))...).FirstErr(); err != nil {
					return err
				}
				if w == alone {
					continue
				}
				if err := w.EndTransaction(ctx, kgo.TryCommit); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	var executed, pipelined []moment
	read := func(moments *[]moment, pipeline func() redis.Pipeliner) {
		m, err := readMoment(ctx, pipeline(), slices.Repeat(keys, 50)) // so that something is applied between the first and the last of some
		if err != nil {
			r.Fatalf("read: %v", err)
		}
		*moments = append(*moments, m)
	}
	// Until there is something to be seen: many states, and a pipeline that has met several in its own reads of a key.
	states, met := map[string]bool{}, false
	for began := time.Now(); (len(states) < 100 || !met || len(executed) < 100) && time.Since(began) < time.Minute; {
		read(&executed, client.TxPipeline)
		states[strings.Join(executed[len(executed)-1].values[:len(keys)], " ")] = true
		read(&pipelined, client.Pipeline)
		for n, v := range pipelined[len(pipelined)-1].values {
			met = met || v != pipelined[len(pipelined)-1].values[n%len(keys)]
		}
	}
	stop()
	if err := <-written; err != nil {
		return err
	}
	r.awaitStable(ctx, topic)
	log := map[string][]*kgo.Record{}
	for _, rec := range r.ReadLog(ctx, topic) {
		log[string(rec.Key)] = append(log[string(rec.Key)], rec)
	}
	wrong := func(m moment) string {
		for n, k := range keys {
			want := ""
			for _, rec := range log[k] {
				if rec.Offset < m.next[rec.Partition] {
					want = string(rec.Value)
				}
			}
			for ; n < len(m.values); n += len(keys) {
				if m.values[n] != want {
					return fmt.Sprintf("%s is %q at %v, where the log says %q", k, m.values[n], m.next, want)
				}
			}
		}
		return ""
	}
	for _, m := range executed {
		if w := wrong(m); w != "" {
			r.Errorf("an EXEC is of no one moment: %s", w)
		}
	}
	torn := 0
	for _, m := range pipelined {
		if wrong(m) != "" {
			torn++
		}
	}
	if len(states) < 100 || torn == 0 {
		r.Errorf("only %d states were seen in %d EXECs, and %d pipelines without MULTI were of no one moment: this shows nothing", len(states), len(executed), torn)
	}
	r.Sawf("%d EXECs saw %d states, each what the log says at its position; without MULTI %d of as many did not", len(executed), len(states), torn)
	return nil
}

// multiWrites: connections write four keys of as many partitions in one EXEC each, until the instance is killed among them. In the log each
// transaction is there with all of its records or with none, those that were acknowledged with all. The instance that comes after it ends what was left
// open, and writes.
func multiWrites(ctx context.Context, r *Run) error {
	topic := r.Topic(4, nil)
	spec := Spec{Topic: topic, Writable: true, Identity: "conformance." + topic}
	const connections, width, rounds = 6, 4, 3
	type outcome struct {
		id    string
		acked bool
	}
	var mu sync.Mutex
	var outcomes []outcome
	for round := range rounds {
		i := r.Start(ctx, spec)
		r.Ready(ctx, i)
		client := i.(RedisServer).Redis()
		var writing sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		for c := range connections {
			writing.Go(func() {
				for n := 0; ; n++ {
					id := fmt.Sprintf("%d.%d.%d", round, c, n)
					_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
						for k := range width {
							p.Set(ctx, fmt.Sprintf("c%d-%d", c, k), id, 0)
						}
						return nil
					})
					mu.Lock()
					outcomes = append(outcomes, outcome{id, err == nil})
					mu.Unlock()
					if err != nil {
						return // it is dead
					}
					if n == 10 {
						once.Do(func() { close(enough) })
					}
				}
			})
		}
		select {
		case <-enough:
		case <-ctx.Done():
		}
		i.Kill()
		writing.Wait()
	}
	i := r.Start(ctx, spec)
	r.Ready(ctx, i)
	began := time.Now()
	r.awaitStable(ctx, topic)
	took := time.Since(began)
	found := map[string]int{}
	for _, rec := range r.ReadLog(ctx, topic) {
		found[string(rec.Value)]++
	}
	acked, unknown := 0, 0
	for _, o := range outcomes {
		n := found[o.id]
		switch {
		case o.acked && n != width:
			r.Errorf("%s: %d of %d records of a transaction that was acknowledged", o.id, n, width)
		case n != 0 && n != width:
			r.Errorf("%s: %d of %d records of a transaction that was not acknowledged", o.id, n, width)
		case o.acked:
			acked++
		default:
			unknown++
		}
	}
	client := i.(RedisServer).Redis()
	if _, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "after", "1", 0)
		p.Set(ctx, "after too", "1", 0)
		return nil
	}); err != nil {
		r.Errorf("MULTI after the restart: %v", err)
	}
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.Sawf("%d transactions acknowledged and whole, %d cut off by %d kills, whole or not there; nothing is open %v after the restart", acked, unknown, rounds, took.Round(100*time.Millisecond))
	return nil
}
