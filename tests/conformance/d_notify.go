package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	register(
		Scenario{ID: "D6", Name: "what changes nothing is not notified", Needs: []Capability{Redis}, Run: notifiedOfChanges},
		Scenario{ID: "D6", Name: "a load notifies nothing", Brokers: []int{1}, Private: true, Needs: []Capability{Redis}, Run: loadNotifiesNothing},
		Scenario{ID: "D6", Name: "a rebuild notifies the difference or a flush", Needs: []Capability{Redis}, Run: rebuildNotifies},
	)
}

// tracked is a connection that is told of every key that changes (CLIENT TRACKING ON BCAST, over RESP3).
type tracked struct {
	conn net.Conn
	in   *bufio.Reader
}

// flushed stands in what tracked has read for "forget everything".
const flushed = "(flush)"

func (r *Run) track(ctx context.Context, i Instance) *tracked {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", i.(RedisServer).RedisAddr())
	if err != nil {
		r.Fatalf("connect: %v", err)
	}
	r.Cleanup(func() { conn.Close() })
	t := &tracked{conn: conn, in: bufio.NewReader(conn)}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			r.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, "HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n"); err != nil {
		r.Fatal(err)
	}
	for range 2 {
		v, err := t.read()
		if err == nil {
			err, _ = v.(error)
		}
		if err != nil {
			r.Fatalf("HELLO 3 and CLIENT TRACKING ON BCAST: %v", err)
		}
	}
	return t
}

// until reads which keys were said to have changed, up to the one that is asked for, which is not among them.
func (t *tracked) until(last string) (keys []string, err error) {
	for {
		v, err := t.read()
		if err != nil {
			return keys, fmt.Errorf("told of %q and then: %w", keys, err)
		}
		push, ok := v.([]any)
		if !ok || len(push) != 2 || push[0] != "invalidate" {
			return keys, fmt.Errorf("it says %v", v)
		}
		names, ok := push[1].([]any)
		if !ok {
			keys = append(keys, flushed)
			continue
		}
		for _, n := range names {
			if n == last {
				return keys, nil
			}
			keys = append(keys, fmt.Sprint(n))
		}
	}
}

// read reads one RESP3 value: strings, numbers and errors as such, aggregates as their elements, null as nil.
func (t *tracked) read() (any, error) {
	line, err := t.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, fmt.Errorf("an empty line")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':', '#', ',':
		return rest, nil
	case '-':
		return fmt.Errorf("%s", rest), nil
	case '_':
		return nil, nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%q is not RESP3", line)
	}
	switch kind {
	case '$', '=':
		b := make([]byte, n+2)
		_, err := io.ReadFull(t.in, b)
		return string(b[:n]), err
	case '%':
		n *= 2
	case '*', '~', '>':
	default:
		return nil, fmt.Errorf("%q is not RESP3", line)
	}
	all := make([]any, n)
	for i := range all {
		if all[i], err = t.read(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func notifiedOfChanges(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "a", "1"), record(topic, "b", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	t := r.track(ctx, i)
	// One linger is one batch, which is applied at once.
	client := r.Cluster.Client(r, kgo.ProducerLinger(50*time.Millisecond))
	end := 0
	for _, step := range []struct {
		name    string
		records []*kgo.Record
		want    string
	}{
		{"the same value again", []*kgo.Record{record(topic, "a", "1")}, ""},
		{"a tombstone of a key that is not there", []*kgo.Record{tombstone(topic, "missing")}, ""},
		{"another value", []*kgo.Record{record(topic, "a", "2")}, "a"},
		{"a new key, twice the same in one batch", []*kgo.Record{record(topic, "new", "1"), record(topic, "new", "1")}, "new"},
		{"a tombstone, twice in one batch", []*kgo.Record{tombstone(topic, "new"), tombstone(topic, "new")}, "new"},
		{"duplicates of two keys among others in one batch", []*kgo.Record{record(topic, "a", "2"), record(topic, "b", "1"), record(topic, "c", "1"), record(topic, "a", "2")}, "c"},
		{"the same empty value twice", []*kgo.Record{{Topic: topic, Key: []byte("e"), Value: []byte{}}, {Topic: topic, Key: []byte("e"), Value: []byte{}}}, "e"},
		{"another value after the same one in one batch", []*kgo.Record{record(topic, "a", "2"), record(topic, "a", "3"), record(topic, "a", "3")}, "a"},
	} {
		end++
		marker := fmt.Sprintf("marker%d", end)
		if err := client.ProduceSync(ctx, append(step.records, record(topic, marker, "x"))...).FirstErr(); err != nil {
			return err
		}
		told, err := t.until(marker)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if got := strings.Join(told, " "); got != step.want {
			r.Errorf("%s: told of %q, not of %q", step.name, got, step.want)
		}
	}
	r.Has(ctx, i, r.Truth(ctx, topic), 5*time.Second)
	r.Sawf("told of changes alone")
	return nil
}

// loadNotifiesNothing: the client is there before anything can be read, since the broker stands still until then.
func loadNotifiesNothing(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(records(topic, "k", 1000, "1")...)
	r.Produce(records(topic, "k", 1000, "2")...)
	r.Cluster.Brokers[0].Pause()
	r.Cleanup(r.Cluster.Brokers[0].Resume)
	i := r.Start(ctx, Spec{Topic: topic})
	t := r.track(ctx, i)
	r.Cluster.Brokers[0].Resume()
	r.Ready(ctx, i)
	r.Produce(record(topic, "end", "x"))
	told, err := t.until("end")
	if err != nil {
		return err
	}
	if len(told) > 0 && (len(told) > 1 || told[0] != flushed) {
		r.Errorf("the load has told of %d keys, %.100q", len(told), told)
	}
	r.HasNow(ctx, i, r.Truth(ctx, topic), "after the load")
	r.Sawf("nothing was told of 2000 records")
	return nil
}

func rebuildNotifies(ctx context.Context, r *Run) error {
	topic := r.Topic(1, nil)
	r.Produce(record(topic, "same", "1"), record(topic, "gone", "1"), record(topic, "changed", "1"))
	i := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, i)
	t := r.track(ctx, i)
	r.Cluster.DeleteTopic(r, topic)
	r.Cluster.CreateTopic(r, topic, 1, nil)
	r.Produce(record(topic, "same", "1"), record(topic, "changed", "2"), record(topic, "new", "1"))
	r.Await(ctx, 40*time.Second, "the new topic's contents", func(ctx context.Context) error {
		all, err := i.All(ctx)
		if err != nil {
			return err
		}
		return difference(all, map[string]string{"same": "1", "changed": "2", "new": "1"})
	})
	r.Produce(record(topic, "end", "x"))
	told, err := t.until("end")
	if err != nil {
		return err
	}
	heard := map[string]bool{}
	for _, k := range told {
		heard[k] = true
	}
	if !heard[flushed] && !(heard["gone"] && heard["changed"] && heard["new"]) {
		r.Errorf("told of %q, which is neither the difference nor a flush", told)
	}
	r.Sawf("told of %s", strings.Join(told, " "))
	return nil
}
