package conformance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "C4", Name: "a transaction over four partitions", Run: overFourPartitions},
		Scenario{ID: "C4", Name: "records of a partition become visible in their order", Run: visibleInOrder},
	)
}

// overFourPartitions: nothing of it shows before it is committed, everything after; an aborted one leaves nothing.
func overFourPartitions(ctx context.Context, r *Run) error {
	topic := r.Topic(4, nil)
	r.Produce(records(topic, "k", 40, "0")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	want := r.Truth(ctx, topic)
	r.Has(ctx, i, want, 10*time.Second)
	open := r.Begin(ctx, records(topic, "k", 40, "1")...)
	r.Cluster.ProduceTo(r, on(topic, 0, "other", "1", time.Time{}))
	r.Says(ctx, i, 10*time.Second, "that an open transaction blocks it", func(s TopicStatus) bool {
		blocked := 0
		for _, p := range s.Partitions {
			if p.BlockedSince != nil {
				blocked++
			}
		}
		return blocked == 4
	})
	r.HasNow(ctx, i, want, "while the transaction is open")
	r.End(ctx, open, topic, kgo.TryCommit)
	want = r.Truth(ctx, topic)
	r.Has(ctx, i, want, 10*time.Second)
	r.End(ctx, r.Begin(ctx, records(topic, "k", 40, "2")...), topic, kgo.TryAbort)
	r.Produce(record(topic, "last", "x"))
	r.Gets(ctx, i, "last", "x", 10*time.Second)
	r.HasNow(ctx, i, r.Truth(ctx, topic), "after an aborted one")
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("all or nothing, in each partition at its own moment")
	return nil
}

// visibleInOrder: b follows a in one partition, so who reads b and then a never finds a behind b, and neither goes back.
func visibleInOrder(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "0"), record(topic, "b", "0"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	writing, stop := context.WithCancel(ctx)
	written := make(chan error, 1)
	go func() {
		client := r.Cluster.Client(r, kgo.ProducerLinger(0))
		for n := 1; ; n++ {
			v := fmt.Append(nil, n)
			if err := client.ProduceSync(writing, &kgo.Record{Topic: topic, Key: []byte("a"), Value: v}, &kgo.Record{Topic: topic, Key: []byte("b"), Value: v}).FirstErr(); err != nil {
				if writing.Err() != nil {
					err = nil
				}
				written <- err
				return
			}
		}
	}()
	lastA, lastB, rounds := 0, 0, 0
	for began := time.Now(); time.Since(began) < 3*time.Second && !r.Failed(); rounds++ {
		b, _, err1 := i.Get(ctx, "b")
		a, _, err2 := i.Get(ctx, "a")
		x, err3 := strconv.Atoi(a)
		y, err4 := strconv.Atoi(b)
		if err := errors.Join(err1, err2, err3, err4); err != nil || x < y || x < lastA || y < lastB {
			r.Errorf("b is %q and then a %q, after %d and %d (%v)", b, a, lastB, lastA, err)
		}
		lastA, lastB = x, y
	}
	stop()
	if err := <-written; err != nil {
		return err
	}
	if lastA < 50 {
		r.Errorf("only %d values in %d rounds", lastA, rounds)
	}
	r.Sawf("%d rounds while %d values were written", rounds, lastA)
	return nil
}
