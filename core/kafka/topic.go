package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"github.com/yolean/kafka-cache/core/position"
)

// TopicInfo is one incarnation of a topic.
type TopicInfo struct {
	Name       string
	ID         position.TopicID
	ClusterID  string
	Partitions []PartitionInfo // ascending by ID
}

// PartitionInfo is a partition with its leader.
type PartitionInfo struct {
	ID          int32
	Leader      int32  // the broker's id; -1: none now
	LeaderEpoch int32  // position.UnknownEpoch where it is not known
	LeaderAddr  string // host:port; empty: none now
}

// partition finds a partition by its id, or returns nil.
func (t *TopicInfo) partition(id int32) *PartitionInfo {
	i, ok := slices.BinarySearchFunc(t.Partitions, id, func(p PartitionInfo, id int32) int { return int(p.ID) - int(id) })
	if !ok {
		return nil
	}
	return &t.Partitions[i]
}

// DescribeTopic returns the topic's id and partitions, or [ErrUnknownTopic]. It never creates a topic.
func (c *Client) DescribeTopic(ctx context.Context, name string) (TopicInfo, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return TopicInfo{}, err
	}
	defer done()
	info, err := c.describe(ctx, name)
	if err != nil {
		return TopicInfo{}, fmt.Errorf("describe topic %q: %w", name, err)
	}
	return info, nil
}

func (c *Client) describe(ctx context.Context, name string) (TopicInfo, error) {
	if name == "" {
		return TopicInfo{}, ErrUnknownTopic // an empty list of topics would ask for all of them
	}
	res, err := askAny(ctx, c, func(b *sarama.Broker) (*sarama.MetadataResponse, time.Duration, error) {
		res, err := b.GetMetadata(sarama.NewMetadataRequest(protocolVersion, []string{name}))
		if err != nil {
			return nil, 0, err
		}
		return res, time.Duration(res.ThrottleTimeMs) * time.Millisecond, nil
	})
	if err != nil {
		return TopicInfo{}, err
	}
	addrs := make(map[int32]string, len(res.Brokers))
	var list []string
	for _, b := range res.Brokers {
		addrs[b.ID()] = b.Addr()
		list = append(list, b.Addr())
	}
	c.learn(list)
	info := TopicInfo{Name: name}
	if res.ClusterID != nil {
		info.ClusterID = *res.ClusterID
	}
	i := slices.IndexFunc(res.Topics, func(t *sarama.TopicMetadata) bool { return t.Name == name })
	if i < 0 {
		c.doubt()
		return TopicInfo{}, ErrUnknownTopic
	}
	topic := res.Topics[i]
	if topic.Err == sarama.ErrUnknownTopicOrPartition {
		c.doubt()
	}
	if topic.Err != sarama.ErrNoError {
		return TopicInfo{}, classify(topic.Err)
	}
	info.ID = position.TopicID(topic.Uuid)
	for _, p := range topic.Partitions {
		// A partition's error (LEADER_NOT_AVAILABLE, LISTENER_NOT_FOUND) means that it has no leader that can be reached;
		// REPLICA_NOT_AVAILABLE concerns followers alone.
		q := PartitionInfo{ID: p.ID, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, LeaderAddr: addrs[p.Leader]}
		if q.LeaderAddr == "" || p.Err != sarama.ErrNoError && p.Err != sarama.ErrReplicaNotAvailable {
			q.Leader, q.LeaderAddr = -1, ""
		}
		info.Partitions = append(info.Partitions, q)
	}
	slices.SortFunc(info.Partitions, func(a, b PartitionInfo) int { return int(a.ID) - int(b.ID) })
	return info, nil
}

// TopicSettings are what a topic's configuration says of retention, sizes and timestamps. What a broker does not know, as a
// managed one may not, is its zero value; a cleanup policy there always is.
type TopicSettings struct {
	// Authorized says that the cluster let us read the configuration. Where it is false, nothing else is known.
	Authorized      bool
	CleanupPolicy   string        // "compact", "delete" or "compact,delete"
	DeleteRetention time.Duration // delete.retention.ms: how long a tombstone stays
	MaxMessageBytes int           // max.message.bytes: of a record batch
	LogAppendTime   bool          // message.timestamp.type: timestamps are the broker's, not the producers'
}

// TopicSettings reads the topic's configuration. That the cluster's access control refuses it is no error.
func (c *Client) TopicSettings(ctx context.Context, topic string) (TopicSettings, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return TopicSettings{}, err
	}
	defer done()
	s, err := c.settings(ctx, topic)
	if errors.Is(err, ErrNotAuthorized) && errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		return TopicSettings{}, nil
	}
	if err != nil {
		return TopicSettings{}, fmt.Errorf("read the configuration of topic %q: %w", topic, err)
	}
	return s, nil
}

func (c *Client) settings(ctx context.Context, topic string) (TopicSettings, error) {
	names := []string{"cleanup.policy", "delete.retention.ms", "max.message.bytes", "message.timestamp.type"}
	res, err := askAny(ctx, c, func(b *sarama.Broker) (*sarama.DescribeConfigsResponse, time.Duration, error) {
		res, err := b.DescribeConfigs(&sarama.DescribeConfigsRequest{Version: 4, Resources: []*sarama.ConfigResource{
			{Type: sarama.TopicResource, Name: topic, ConfigNames: names},
		}})
		if err != nil {
			return nil, 0, err
		}
		return res, res.ThrottleTime, nil
	})
	if err != nil {
		return TopicSettings{}, err
	}
	if len(res.Resources) != 1 {
		return TopicSettings{}, fmt.Errorf("%w: %d resources in the response where one was asked for", ErrCorrupt, len(res.Resources))
	}
	r := res.Resources[0]
	if k := sarama.KError(r.ErrorCode); k != sarama.ErrNoError {
		return TopicSettings{}, classify(k)
	}
	s := TopicSettings{Authorized: true}
	for _, e := range r.Configs {
		switch e.Name {
		case "cleanup.policy":
			s.CleanupPolicy = e.Value
		case "message.timestamp.type":
			s.LogAppendTime = e.Value == "LogAppendTime"
		case "delete.retention.ms", "max.message.bytes":
			n, err := strconv.ParseInt(e.Value, 10, 64)
			if err != nil || n < 0 {
				return TopicSettings{}, fmt.Errorf("%w: %s is %q", ErrCorrupt, e.Name, e.Value)
			}
			if e.Name == "max.message.bytes" {
				s.MaxMessageBytes = int(n)
				continue
			}
			s.DeleteRetention = time.Duration(min(n, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
		}
	}
	if s.CleanupPolicy == "" {
		return TopicSettings{}, fmt.Errorf("%w: no cleanup.policy among the %d settings that came back", ErrCorrupt, len(r.Configs))
	}
	return s, nil
}
