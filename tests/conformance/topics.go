package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func init() {
	needs := []Capability{Redis, Reports, Options}
	register(
		Scenario{ID: "T1", Name: "a topic does not exist, another is recreated, a third goes on", Needs: needs, Run: severalTopics},
		Scenario{ID: "T1", Name: "a topic is rebuilt from its data directory beside one that is not", Needs: append(needs, Durable), Run: oneOfTwoIsRebuilt},
	)
}

// topicStatuses are all topics of /api/v1/status, by name.
func topicStatuses(ctx context.Context, rep Reporter) (map[string]TopicStatus, error) {
	code, body, err := rep.HTTP(ctx, "/api/v1/status")
	if err != nil {
		return nil, err
	}
	var s struct{ Topics []TopicStatus }
	if err := json.Unmarshal(body, &s); err != nil || code != 200 {
		return nil, fmt.Errorf("/api/v1/status: %d, %w: %.200s", code, err, body)
	}
	all := map[string]TopicStatus{}
	for _, t := range s.Topics {
		all[t.Name] = t
	}
	return all, nil
}

// database is a client of one of an instance's topics.
func (r *Run) database(i Instance, n int) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: i.(RedisServer).RedisAddr(), DB: n, MaxRetries: -1, ContextTimeoutEnabled: true})
	r.Cleanup(func() { c.Close() })
	return c
}

// topicIs waits until a topic's state is one of those, and is its status.
func (r *Run) topicIs(ctx context.Context, i Instance, topic string, states ...string) (s TopicStatus) {
	r.expect(ctx, 40*time.Second, fmt.Sprintf("%s is %v", topic, states), func(ctx context.Context) error {
		all, err := topicStatuses(ctx, i.(Reporter))
		if err != nil {
			return err
		}
		s = all[topic]
		for _, state := range states {
			if s.State == state {
				return nil
			}
		}
		return fmt.Errorf("it is %s", s)
	})
	return s
}

// severalTopics reads one topic throughout, while another is missing and a third is deleted and recreated.
func severalTopics(ctx context.Context, r *Run) error {
	steady, victim, missing := r.Topic(2, nil), r.Topic(1, nil), kafkatest.RandomName(r)
	r.Produce(records(steady, "k", 50, "1")...)
	r.Produce(records(victim, "old", 50, "1")...)
	i := r.Start(ctx, Spec{Topic: steady, Args: []string{"--topic", victim, "--topic", missing}})
	first, second, third := r.database(i, 0), r.database(i, 1), r.database(i, 2)
	r.topicIs(ctx, i, steady, "Ready")
	r.topicIs(ctx, i, victim, "Ready")
	if s := r.topicIs(ctx, i, missing, "Starting"); s.Reason == "" {
		r.Errorf("the topic that does not exist is %s, without a reason", s)
	}
	if v, err := first.Get(ctx, "k7").Result(); err != nil || v != "1" {
		return fmt.Errorf("a ready topic beside one that does not exist: %q, %w", v, err)
	}
	if err := third.Get(ctx, "k").Err(); err == nil || errors.Is(err, redis.Nil) {
		r.Errorf("a topic that does not exist answers %v", err)
	}

	stop := make(chan struct{})
	var reading sync.WaitGroup
	var once sync.Once
	ended := func() {
		once.Do(func() { close(stop) })
		reading.Wait()
	}
	r.Cleanup(ended)
	reads := 0
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked := time.Now()
			if v, err := first.Get(ctx, "k7").Result(); err != nil || v != "1" || time.Since(asked) > time.Second {
				r.Errorf("while another topic is recreated: %q, %v after %v", v, err, time.Since(asked))
				return
			}
			reads++
		}
	})
	r.Cluster.DeleteTopic(r, victim)
	// What was written to the topic that goes on meanwhile is followed meanwhile.
	r.Produce(record(steady, "during", "1"))
	r.Await(ctx, 10*time.Second, "the other topic follows its log", func(ctx context.Context) error { return first.Get(ctx, "during").Err() })
	if s := r.topicIs(ctx, i, victim, "Stale"); !s.Serving || !strings.Contains(s.Reason, "does not exist any more") {
		r.Errorf("the deleted topic is %s, serving %v", s, s.Serving)
	}
	r.inState(ctx, i, "Stale", "the topic does not exist any more…")
	r.Cluster.CreateTopic(r, victim, 1, nil)
	r.Produce(records(victim, "new", 20, "1")...)
	r.Await(ctx, 40*time.Second, "the recreated topic's contents", func(ctx context.Context) error {
		n, err := second.DBSize(ctx).Result()
		if err == nil && n != 20 {
			err = fmt.Errorf("it has %d keys, not 20", n)
		}
		if err == nil {
			err = second.Get(ctx, "new19").Err()
		}
		return err
	})
	if err := second.Get(ctx, "old7").Err(); !errors.Is(err, redis.Nil) {
		r.Errorf("a key of the deleted topic: %v", err)
	}
	r.Cluster.CreateTopic(r, missing, 1, nil)
	r.Produce(record(missing, "k", "1"))
	r.topicIs(ctx, i, missing, "Ready")
	r.Await(ctx, 10*time.Second, "the topic that was missing", func(ctx context.Context) error { return third.Get(ctx, "k").Err() })
	ended()
	r.Ready(ctx, i)
	all, err := topicStatuses(ctx, i.(Reporter))
	if err != nil {
		return err
	}
	if n := all[steady].Rebuilds; len(n) > 0 {
		for reason, count := range n {
			if count > 0 {
				r.Errorf("the topic to which nothing happened was rebuilt: %s", reason)
			}
		}
	}
	if all[victim].Rebuilds["recreated"] != 1 {
		r.Errorf("rebuilds of the recreated topic are %v", all[victim].Rebuilds)
	}
	r.Sawf("%d reads of the one without a gap", reads)
	return nil
}

// oneOfTwoIsRebuilt: what one topic's directory holds is no reason to read the other one again.
func oneOfTwoIsRebuilt(ctx context.Context, r *Run) error {
	steady, victim, dir := r.Topic(1, nil), r.Topic(1, nil), r.TempDir()
	r.Produce(records(steady, "k", 50, "1")...)
	r.Produce(records(victim, "old", 50, "1")...)
	spec := Spec{Topic: steady, DataDir: dir, Args: []string{"--topic", victim}}
	i := r.Start(ctx, spec)
	r.Ready(ctx, i)
	if err := i.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.DeleteTopic(r, victim)
	r.Cluster.CreateTopic(r, victim, 1, nil)
	r.Produce(records(victim, "new", 60, "1")...)
	i = r.Start(ctx, spec)
	r.Ready(ctx, i)
	all, err := topicStatuses(ctx, i.(Reporter))
	if err != nil {
		return err
	}
	if all[victim].Rebuilds["recreated"] != 1 || all[victim].Keys != 60 {
		r.Errorf("the recreated topic has %d keys and was rebuilt for %v", all[victim].Keys, all[victim].Rebuilds)
	}
	if all[steady].Rebuilds["recreated"] != 0 || all[steady].Keys != 50 {
		r.Errorf("the other topic has %d keys and was rebuilt for %v", all[steady].Keys, all[steady].Rebuilds)
	}
	// What it read again since the start says whether it has.
	if n := all[steady].AppliedRecords; n >= 50 {
		r.Errorf("the other topic was read again: %d records", n)
	}
	if err := r.database(i, 1).Get(ctx, "old7").Err(); !errors.Is(err, redis.Nil) {
		r.Errorf("a key of the deleted topic: %v", err)
	}
	r.Sawf("one was rebuilt, the other went on from its checkpoint")
	return nil
}
