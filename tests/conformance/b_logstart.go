package conformance

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

func init() {
	durable := []Capability{Durable}
	register(
		Scenario{ID: "B3", Name: "the log starts above the checkpoint", Needs: durable, Run: func(ctx context.Context, r *Run) error {
			return startPassedPosition(ctx, r, true)
		}},
		Scenario{ID: "B3", Name: "the log's start passes an instance that stands still", Run: func(ctx context.Context, r *Run) error {
			return startPassedPosition(ctx, r, false)
		}},
		Scenario{ID: "B4", Name: "DeleteRecords while it runs", Run: deletedRecords},
		Scenario{ID: "B4", Name: "DeleteRecords of everything while it runs", Run: deletedAllRecords},
		Scenario{ID: "B4", Name: "DeleteRecords below the checkpoint while it is stopped", Needs: durable, Run: deletedRecordsWhileStopped},
		Scenario{ID: "B4", Name: "retention by time of a topic that is not compacted", Run: func(ctx context.Context, r *Run) error {
			return retention(ctx, r, map[string]string{"cleanup.policy": "delete"})
		}},
		Scenario{ID: "B4", Name: "retention by time of a compacted topic", Run: func(ctx context.Context, r *Run) error {
			// Compaction would merge the old segments with new ones, which keeps them.
			return retention(ctx, r, map[string]string{"cleanup.policy": "compact,delete", "min.compaction.lag.ms": "3600000"})
		}},
		Scenario{ID: "B4", Name: "clients that cache are told", Needs: []Capability{Redis}, Run: invalidatedByRetention},
	)
}

// startPassedPosition: what the log had between the checkpoint and its start now is gone, tombstones included; going on at
// the earliest offset would keep what they deleted.
func startPassedPosition(ctx context.Context, r *Run, stopped bool) error {
	topic, dir := r.Topic(1, deletable), ""
	if stopped {
		dir = r.TempDir()
	}
	seed(r, topic)
	i := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	if stopped {
		if err := i.Stop(ctx); err != nil {
			return err
		}
	} else {
		i.Pause()
		r.wake(topic)
	}
	change(r, topic)
	r.Produce(records(topic, "later", 5, "1")...)
	end := r.Cluster.Ends(r, topic)[0].HighWatermark
	r.Cluster.DeleteRecords(r, topic, 0, end-2)
	if stopped {
		i = r.Start(ctx, Spec{Topic: topic, DataDir: dir})
		r.Ready(ctx, i)
		r.HasNow(ctx, i, r.Truth(ctx, topic), "when ready")
	} else {
		i.Resume()
	}
	r.Has(ctx, i, map[string]string{"later3": "1", "later4": "1"}, 20*time.Second)
	r.AtEnd(ctx, i, topic)
	r.Rebuilt(ctx, i, "log-start", 1)
	r.loggedState(ctx, i, "Rebuilding", "log-start")
	r.Produce(record(topic, "after", "1"))
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("what is left of the log is what it serves")
	return nil
}

// retained checks that n entries are counted as removed by retention, and that this was no rebuild.
func (r *Run) retained(ctx context.Context, i Instance, topic string, n float64) {
	r.Measures(ctx, i, 10*time.Second, func(v float64, ok bool) bool { return ok && v == n }, "kafka_cache_retention_removed_total")
	r.Says(ctx, i, 5*time.Second, fmt.Sprintf("that retention has removed %v", n), func(s TopicStatus) bool { return float64(s.RetentionRemoved) == n })
	start := r.Cluster.Ends(r, topic)[0].Start
	r.Says(ctx, i, 10*time.Second, fmt.Sprintf("that the log starts at %d", start), func(s TopicStatus) bool {
		return len(s.Partitions) > 0 && s.Partitions[0].LogStart == start
	})
	r.NotRebuilt(ctx, i)
	r.loggedSoon(ctx, i, "the log's start moved: entries below it were removed")
}

func deletedRecords(ctx context.Context, r *Run) error {
	topic := r.Topic(2, deletable)
	r.Produce(records(topic, "k", 40, "1")...)
	r.Produce(records(topic, "k", 10, "2")...) // k0 to k9 are above what is deleted
	r.Produce(tombstone(topic, "k39"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	before := r.Truth(ctx, topic)
	r.Has(ctx, i, before, 10*time.Second)
	at := r.Cluster.Ends(r, topic)[0].HighWatermark / 2
	r.Cluster.DeleteRecords(r, topic, 0, at)
	after := r.Truth(ctx, topic)
	if len(after) >= len(before) {
		return fmt.Errorf("DeleteRecords up to %d has removed no key from the log", at)
	}
	r.Has(ctx, i, after, 15*time.Second)
	r.retained(ctx, i, topic, float64(len(before)-len(after)))
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Produce(record(topic, "k30", "3"), record(topic, "new", "1"))
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.Sawf("%d of %d keys left the cache", len(before)-len(after), len(before))
	return nil
}

func deletedAllRecords(ctx context.Context, r *Run) error {
	topic := r.Topic(1, deletable)
	r.Produce(records(topic, "k", 5000, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.Cluster.DeleteRecords(r, topic, 0, 5000)
	r.Has(ctx, i, map[string]string{}, 15*time.Second)
	r.retained(ctx, i, topic, 5000)
	r.sameAsFresh(ctx, i, topic)
	r.Produce(record(topic, "k1", "2"))
	r.Has(ctx, i, map[string]string{"k1": "2"}, 10*time.Second)
	r.Sawf("5000 keys left the cache")
	return nil
}

func deletedRecordsWhileStopped(ctx context.Context, r *Run) error {
	topic, dir := r.Topic(1, with(deletable, map[string]string{"delete.retention.ms": "3600000"})), r.TempDir()
	r.Produce(records(topic, "k", 30, "1")...)
	first := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, first)
	if err := first.Stop(ctx); err != nil {
		return err
	}
	r.Cluster.DeleteRecords(r, topic, 0, 20)
	r.Produce(record(topic, "new", "1"))
	second := r.Start(ctx, Spec{Topic: topic, DataDir: dir})
	r.Ready(ctx, second)
	// It may serve what it had until it knows where the log starts, and soon does.
	r.Has(ctx, second, r.Truth(ctx, topic), 15*time.Second)
	r.retained(ctx, second, topic, 20)
	r.sameAsFresh(ctx, second, topic)
	r.Sawf("20 of 30 keys left the cache")
	return nil
}

// retention waits until the broker itself has removed the oldest segments.
func retention(ctx context.Context, r *Run, config map[string]string) error {
	topic := r.Topic(1, with(config, map[string]string{"segment.ms": "100", "retention.ms": "3600000", "delete.retention.ms": "3600000"}))
	r.Produce(records(topic, "old", 30, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	r.Has(ctx, i, r.Truth(ctx, topic), 10*time.Second)
	r.Cluster.SetTopicConfig(r, topic, map[string]string{"retention.ms": "1000"})
	r.CompactUntil(ctx, 40*time.Second, topic, "retention removes the oldest records", without("old0", "old29"))
	// What is written now stays until the comparison.
	r.Cluster.SetTopicConfig(r, topic, map[string]string{"retention.ms": "3600000"})
	r.Produce(record(topic, "new", "1"))
	r.Await(ctx, 20*time.Second, "contents", func(within context.Context) error {
		got, err := i.All(within)
		if err != nil {
			return err
		}
		return difference(got, r.Truth(ctx, topic)) // which may take longer than is left
	})
	r.Measures(ctx, i, 5*time.Second, func(v float64, _ bool) bool { return v >= 30 }, "kafka_cache_retention_removed_total")
	r.NotRebuilt(ctx, i)
	r.AtEnd(ctx, i, topic)
	r.sameAsFresh(ctx, i, topic)
	r.Sawf("what retention removed left the cache")
	return nil
}

// invalidatedByRetention: a client that tracks is told of keys that leave because the log no longer has them, and of no others.
func invalidatedByRetention(ctx context.Context, r *Run) error {
	topic := r.Topic(1, deletable)
	r.Produce(records(topic, "k", 10, "1")...)
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	t, err := track(ctx, i.(RedisServer).RedisAddr())
	if err != nil {
		return err
	}
	defer t.conn.Close()
	r.Cluster.DeleteRecords(r, topic, 0, 4)
	told := map[string]bool{}
	for len(told) < 4 {
		keys, err := t.next(time.Now().Add(15 * time.Second))
		if err != nil {
			return fmt.Errorf("told of %v only: %w", told, err)
		}
		for _, k := range keys {
			told[k] = true
		}
	}
	for n := range 10 {
		if key := fmt.Sprintf("k%d", n); told[key] != (n < 4) {
			r.Errorf("told of %s: %v", key, told[key])
		}
		if _, found, err := i.Get(ctx, fmt.Sprintf("k%d", n)); err != nil || found != (n >= 4) {
			r.Errorf("k%d is there: %v, %v", n, found, err)
		}
	}
	r.Sawf("told of the 4 keys that left, and of no other")
	return nil
}

// tracker is a RESP3 connection that is told of every change.
type tracker struct {
	conn net.Conn
	in   *bufio.Reader
}

func track(ctx context.Context, addr string) (*tracker, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	t := &tracker{conn, bufio.NewReader(conn)}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte("HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n")); err != nil {
		return nil, err
	}
	for { // past the map of HELLO
		line, err := t.in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("turn tracking on: %w", err)
		}
		if line[0] == '-' {
			return nil, fmt.Errorf("turn tracking on: %s", strings.TrimSpace(line))
		}
		if line == "+OK\r\n" {
			return t, nil
		}
	}
}

// next are the keys of the next invalidation; "*" for one of everything.
func (t *tracker) next(deadline time.Time) ([]string, error) {
	if err := t.conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	line := func() (string, error) {
		s, err := t.in.ReadString('\n')
		return strings.TrimSuffix(s, "\r\n"), err
	}
	for _, want := range []string{">2", "$10", "invalidate"} {
		if s, err := line(); err != nil || s != want {
			return nil, fmt.Errorf("%q rather than %q: %w", s, want, err)
		}
	}
	head, err := line()
	if err != nil || head == "_" {
		return []string{"*"}, err
	}
	n, err := strconv.Atoi(strings.TrimPrefix(head, "*"))
	if err != nil {
		return nil, fmt.Errorf("an invalidation of %q", head)
	}
	var keys []string
	for range n {
		if _, err := line(); err != nil {
			return nil, err
		}
		k, err := line()
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
