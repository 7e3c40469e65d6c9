package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// twoReplicas is a topic of one partition on two of three brokers, whose log an unclean election can truncate. The third
// broker keeps the quorum of controllers.
type twoReplicas struct {
	r     *Run
	topic string
	ahead *kafkatest.Broker // has everything, and dies
	short *kafkatest.Broker // comes back with what it had, and is elected
	epoch int32             // the leader epoch as await saw it last
}

// newTwoReplicas creates the topic. ahead is its leader.
func newTwoReplicas(ctx context.Context, r *Run, config map[string]string) *twoReplicas {
	t := &twoReplicas{r: r, topic: kafkatest.RandomName(r)}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 20_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.topic, -1, -1
	replicas := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	replicas.Partition, replicas.Replicas = 0, []int32{int32(r.Cluster.Brokers[0].ID), int32(r.Cluster.Brokers[1].ID)}
	topic.ReplicaAssignment = append(topic.ReplicaAssignment, replicas)
	for k, v := range with(map[string]string{"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}, config) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		topic.Configs = append(topic.Configs, c)
	}
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, r.Cluster.Client(r))
	if err != nil {
		r.Fatalf("create %s: %v", t.topic, err)
	}
	if code := response.Topics[0].ErrorCode; code != 0 {
		r.Fatalf("create %s: error %d", t.topic, code)
	}
	t.ahead, t.short = r.Cluster.Brokers[0], r.Cluster.Brokers[1]
	t.await(ctx, "both replicas are in sync", func(leader int32, isr []int32) bool { return leader == int32(t.ahead.ID) && len(isr) == 2 })
	return t
}

func (t *twoReplicas) await(ctx context.Context, what string, done func(leader int32, isr []int32) bool) {
	t.r.Await(ctx, 40*time.Second, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		details, err := t.r.Cluster.Admin(t.r).ListTopics(ctx, t.topic)
		if err != nil {
			return err
		}
		p := details[t.topic].Partitions[0]
		t.epoch = p.LeaderEpoch
		if !done(p.Leader, p.ISR) {
			return fmt.Errorf("leader %d, in sync %v", p.Leader, p.ISR)
		}
		return nil
	})
}

// leaveBehind ends the short one; what is written from now on only ahead has.
func (t *twoReplicas) leaveBehind(ctx context.Context) {
	t.short.Kill()
	t.await(ctx, "the leader is alone in sync", func(leader int32, isr []int32) bool {
		return leader == int32(t.ahead.ID) && slices.Equal(isr, []int32{leader})
	})
}

// truncate ends the one that is ahead, and has the short one elected.
func (t *twoReplicas) truncate(ctx context.Context) {
	t.ahead.Kill()
	if err := t.short.Start(); err != nil {
		t.r.Fatalf("start broker %d: %v", t.short.ID, err)
	}
	if err := t.short.WaitReady(ctx); err != nil {
		t.r.Fatalf("start broker %d: %v", t.short.ID, err)
	}
	t.await(ctx, "the one with the shorter log is elected", func(leader int32, _ []int32) bool { return leader == int32(t.short.ID) })
}

// heal starts the broker that was ahead; it becomes a follower.
func (t *twoReplicas) heal(ctx context.Context) {
	if err := t.ahead.Start(); err != nil {
		t.r.Fatalf("start broker %d: %v", t.ahead.ID, err)
	}
	t.await(ctx, "both replicas are in sync again", func(_ int32, isr []int32) bool { return len(isr) == 2 })
}
