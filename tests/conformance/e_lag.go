package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func init() {
	register(
		Scenario{ID: "E1", Name: "the committed offset is the end behind a marker", Needs: []Capability{Reports}, Run: committedIsTheEnd},
		Scenario{ID: "E1", Name: "the lag is that of the end as it is now while reading is slow", Settings: throttledSettings, Private: true, Needs: []Capability{Reports}, Run: lagBehindASlowRead},
		Scenario{ID: "E1", Name: "the lag in seconds grows while no broker answers", Brokers: []int{1}, Private: true, Needs: []Capability{Reports}, Run: lagOfWhatNobodyTells},
		Scenario{ID: "E2", Name: "the group is deleted on a clean exit", Needs: []Capability{Reports}, Run: groupIsDeleted},
	)
}

// committedAtEnd waits until Kafka has the ends as the group's offsets.
func (r *Run) committedAtEnd(ctx context.Context, group, topic string) {
	r.Await(ctx, 40*time.Second, "the group's offsets are the ends", func(ctx context.Context) error {
		offsets, err := r.Cluster.Admin(r).FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		for p, e := range r.Cluster.Ends(r, topic) {
			if o, ok := offsets.Lookup(topic, int32(p)); !ok || o.At != e.HighWatermark {
				return fmt.Errorf("partition %d is committed at %d of %d", p, o.At, e.HighWatermark)
			}
		}
		return nil
	})
}

func committedIsTheEnd(ctx context.Context, r *Run) error {
	topic, group := r.Topic(2, nil), kafkatest.RandomName(r)
	r.Produce(records(topic, "k", 20, "1")...)
	r.End(ctx, r.Begin(ctx, records(topic, "k", 20, "2")...), topic, kgo.TryCommit)
	r.End(ctx, r.Begin(ctx, records(topic, "k", 20, "3")...), topic, kgo.TryAbort)
	i := r.Start(ctx, Spec{Topic: topic, Identity: group})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	r.committedAtEnd(ctx, group, topic)
	// Kafka's own tool, as an operator would look.
	rows := r.Cluster.DescribeGroup(r, group)
	for _, row := range rows {
		if row.Lag != 0 || row.Current != row.End {
			r.Errorf("the consumer groups tool shows %+v", row)
		}
	}
	if len(rows) != 2 {
		r.Errorf("the consumer groups tool shows %d partitions", len(rows))
	}
	r.Sawf("the consumer groups tool shows lag 0 behind markers")
	return nil
}

// lagBehindASlowRead: what a fetch last said of the end is long outdated where fetches are throttled; the ends that are asked for are not.
func lagBehindASlowRead(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	faults := -1.0
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { faults = v; return ok }, "kafka_cache_fetch_errors_total")
	r.Throttle(ctx, 64<<10)
	r.fillSlowly(ctx, topic, 8)
	end := r.Cluster.Ends(r, topic)[0].HighWatermark
	r.Says(ctx, i, 10*time.Second, "the lag up to the end that the log has now", func(s TopicStatus) bool {
		return len(s.Partitions) == 1 && s.Partitions[0].End == end && s.Partitions[0].Lag == end-s.Partitions[0].Position && s.Partitions[0].Lag > 0 && s.Partitions[0].LagSeconds > 0
	})
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_consumer_lag_records")
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_consumer_lag_seconds")
	r.Measures(ctx, i, 5*time.Second, positive, "kafka_cache_fetch_throttled_seconds_total")
	r.Throttle(ctx, 0)
	r.AtEnd(ctx, i, topic)
	// A quota is no fault: a broker that holds a fetch back answers it with an empty body (KIP-219).
	r.Measures(ctx, i, time.Second, func(v float64, ok bool) bool { return ok && v == faults }, "kafka_cache_fetch_errors_total")
	r.Sawf("lag up to %d while reading was throttled", end)
	return nil
}

// lagOfWhatNobodyTells: ends that cannot be asked for are no proof that there is no lag.
func lagOfWhatNobodyTells(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.AtEnd(ctx, i, topic)
	b := r.Cluster.Brokers[0]
	b.Pause()
	r.Cleanup(b.Resume)
	r.Says(ctx, i, 20*time.Second, "a lag in seconds though nothing answers", func(s TopicStatus) bool {
		return len(s.Partitions) == 1 && s.Partitions[0].LagSeconds > 5
	})
	r.Measures(ctx, i, 5*time.Second, func(v float64, ok bool) bool { return ok && v > 5 }, "kafka_cache_consumer_lag_seconds")
	b.Resume()
	r.AtEnd(ctx, i, topic)
	r.Sawf("lag in seconds counts while nobody answers")
	return nil
}

func groupIsDeleted(ctx context.Context, r *Run) error {
	topic, group := r.Topic(1, nil), kafkatest.RandomName(r)
	r.Produce(record(topic, "a", "1"))
	i := r.Start(ctx, Spec{Topic: topic, Identity: group})
	r.Ready(ctx, i)
	r.committedAtEnd(ctx, group, topic)
	has := func() (bool, error) {
		groups, err := r.Cluster.Admin(r).ListGroups(ctx)
		return slices.Contains(groups.Groups(), group), err
	}
	if is, err := has(); err != nil || !is {
		return fmt.Errorf("the group is not there before the exit (%w)", err)
	}
	if err := i.Stop(ctx); err != nil {
		return err
	}
	r.loggedSoon(ctx, i, "the group was deleted")
	if is, err := has(); err != nil || is {
		return fmt.Errorf("the group is there after a clean exit (%w)", err)
	}
	if slices.Contains(r.Cluster.ListGroups(r), group) {
		return fmt.Errorf("the consumer groups tool lists the group after a clean exit")
	}
	r.Sawf("there until the exit, and gone after it")
	return nil
}
