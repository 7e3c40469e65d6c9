package kafka

import (
	"context"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// Client looks things up and commits group offsets. It is safe for concurrent use. Connections are made on demand, and
// every call honours its context.
type Client struct{}

// NewClient checks the configuration. It starts nothing and touches no network.
func NewClient(c Config) (*Client, error) { return nil, ErrClosed }

// Close ends the connections. Calls that are under way, and later ones, return [ErrClosed].
func (c *Client) Close() error { return nil }

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

// Ends are the bounds of a partition's log.
type Ends struct {
	LogStart      int64     // its first offset
	LastStable    int64     // the end of what read_committed can reach: one past its last offset
	HighWatermark int64     // the end of what is replicated: one past its last offset
	AskedAt       time.Time // this machine's clock before the request
}

// TopicSettings are what a topic's configuration says of retention and sizes.
type TopicSettings struct {
	// Authorized says that the cluster let us read the configuration. Where it is false, nothing else is known.
	Authorized      bool
	CleanupPolicy   string        // "compact", "delete" or "compact,delete"
	DeleteRetention time.Duration // delete.retention.ms: how long a tombstone stays
	MaxMessageBytes int           // max.message.bytes: of a record batch
}

// ClusterID is the cluster's id.
func (c *Client) ClusterID(ctx context.Context) (string, error) { return "", ErrClosed }

// DescribeTopic returns the topic's id and partitions, or [ErrUnknownTopic].
func (c *Client) DescribeTopic(ctx context.Context, name string) (TopicInfo, error) {
	return TopicInfo{}, ErrClosed
}

// Ends asks the leaders for the bounds of the partitions' logs. Where some leaders are out of reach it returns what the
// others answered, and the joined errors.
func (c *Client) Ends(ctx context.Context, topic string, partitions []int32) (map[int32]Ends, error) {
	return nil, ErrClosed
}

// TopicSettings reads the topic's configuration.
func (c *Client) TopicSettings(ctx context.Context, topic string) (TopicSettings, error) {
	return TopicSettings{}, ErrClosed
}

// CommitGroup commits, for a group without members, the next offset of each partition of next.
func (c *Client) CommitGroup(ctx context.Context, group, topic string, next map[int32]int64, metadata string) error {
	return ErrClosed
}

// DeleteGroup deletes a group without members, and its offsets. A group that does not exist is no error.
func (c *Client) DeleteGroup(ctx context.Context, group string) error { return ErrClosed }
