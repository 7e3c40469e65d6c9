package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// Reporter is an Instance that says what it is doing.
type Reporter interface {
	// Status is its topic's.
	Status(ctx context.Context) (TopicStatus, error)
	// Metric is the sum of a metric's samples that have all of the labels ("reason=expired"), of its topic alone where the
	// samples name one. ok is false where there is none.
	Metric(ctx context.Context, name string, labels ...string) (sum float64, ok bool, err error)
	// Logged are the lines of its log, as the attributes that they have.
	Logged() []map[string]any
	// HTTP asks its HTTP API.
	HTTP(ctx context.Context, path string) (code int, body []byte, err error)
}

// RedisServer is an Instance that speaks the Redis protocol.
type RedisServer interface {
	Redis() *redis.Client
	RedisAddr() string
}

// TopicStatus is one topic of /api/v1/status.
type TopicStatus struct {
	Name, ID, State, Reason                        string
	Since                                          time.Time
	Serving                                        bool
	Keys                                           int64
	AppliedRecords, KeylessRecords, InvalidRecords uint64
	Start                                          string
	Rebuild                                        *RebuildStatus
	SplitKeys, SplitKeysDeleted                    int64
	Rebuilds, Writes                               map[string]uint64
	RetentionRemoved, VerifiedRemoved              uint64
	Comparable                                     bool
	NotComparable                                  string
	Partitions                                     []PartitionStatus
}

// RebuildStatus is why and since when a topic is rebuilt or verified.
type RebuildStatus struct {
	Reason    string
	Since     time.Time
	Verifying bool
}

// PartitionStatus is one partition of it.
type PartitionStatus struct {
	Partition                                                int32
	Position, End, HighWatermark, LogStart, Lag, StartOffset int64
	LagHighWatermark                                         int64
	LagSeconds, FetchAgeSeconds                              float64
	LeaderEpoch                                              int32
	BlockedSince                                             *time.Time
}

var httpClient = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

func (d *daemon) http(ctx context.Context, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.adminAddr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

func (d *daemon) HTTP(ctx context.Context, path string) (int, []byte, error) {
	return d.http(ctx, path)
}

func (d *daemon) Status(ctx context.Context) (TopicStatus, error) {
	code, body, err := d.http(ctx, "/api/v1/status")
	if err != nil {
		return TopicStatus{}, err
	}
	var s struct{ Topics []TopicStatus }
	if err := json.Unmarshal(body, &s); err != nil || code != http.StatusOK || len(s.Topics) != 1 {
		return TopicStatus{}, fmt.Errorf("/api/v1/status: %d, %w: %.300s", code, err, body)
	}
	return s.Topics[0], nil
}

func (d *daemon) Metric(ctx context.Context, name string, labels ...string) (float64, bool, error) {
	code, body, err := d.http(ctx, "/metrics")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("/metrics: %d", code)
	}
	if err != nil {
		return 0, false, err
	}
	return daemontest.SumSamples(body, name, labels)
}

func (d *daemon) Logged() []map[string]any {
	var all []map[string]any
	for _, l := range d.Lines() {
		var m map[string]any
		if json.Unmarshal([]byte(l), &m) == nil {
			all = append(all, m)
		}
	}
	return all
}
