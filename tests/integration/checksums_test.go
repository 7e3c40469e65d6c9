package integration

import (
	"fmt"
	"maps"
	"regexp"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

var checksumSample = regexp.MustCompile(`(?m)^(kafka_cache_checksum(?:_point)?\{[^}]*\}) (\S+)$`)

// checksums are the metrics that instances are compared by.
func checksums(t *testing.T, d *daemontest.Daemon) map[string]string {
	t.Helper()
	_, body, err := d.Get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range checksumSample.FindAllStringSubmatch(string(body), -1) {
		all[m[1]] = m[2]
	}
	return all
}

// TestChecksumsInMetrics: instances that have read the same show the same numbers, at their position and at the offsets that both have passed while they served; one that
// reads by other rules shows points of its own, so that nobody compares it.
func TestChecksumsInMetrics(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, map[string]string{"retention.ms": "-1"})
	a := serve(t, c, topic, "--identity", "test."+topic+".a")
	b := serve(t, c, topic, "--identity", "test."+topic+".b")
	other := serve(t, c, topic, "--identity", "test."+topic+".other", "--value-encoding", "binary")
	for _, d := range []*daemontest.Daemon{a, b, other} {
		d.WaitReady()
	}
	records := make([]*kgo.Record, 5000) // past 4096
	for i := range records {
		records[i] = record(topic, fmt.Sprintf("key-%d", i%700), fmt.Sprint(i))
	}
	c.Produce(t, records...)
	awaitEnd(t, c, a, topic)
	awaitEnd(t, c, b, topic)
	awaitEnd(t, c, other, topic)
	first := checksums(t, a)
	if second := checksums(t, b); len(first) != 4 || !maps.Equal(first, second) {
		t.Errorf("they differ, or are not of two points:\n%v\n%v", first, second)
	}
	name := func(metric, every string) string {
		return fmt.Sprintf(`kafka_cache_%s{every=%q,partition="0",topic=%q}`, metric, every, topic)
	}
	for _, every := range []string{"1", "4096"} {
		if theirs := checksums(t, other)[name("checksum_point", every)]; theirs == "" || theirs == first[name("checksum_point", every)] {
			t.Errorf("with other rules the point every %s is %q", every, theirs)
		}
	}

	// A record more: the position is another point, what was passed is not.
	c.Produce(t, record(topic, "key-0", "newer"))
	awaitEnd(t, c, a, topic)
	later := checksums(t, a)
	for _, metric := range []string{"checksum", "checksum_point"} {
		if later[name(metric, "1")] == first[name(metric, "1")] || later[name(metric, "4096")] != first[name(metric, "4096")] {
			t.Errorf("%s was %v and is %v", metric, first, later)
		}
	}
}
