package kafkatest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// GroupOffset is one line of what kafka-consumer-groups --describe prints.
type GroupOffset struct {
	Topic     string
	Partition int32
	Current   int64 // CURRENT-OFFSET: the next offset to read
	End       int64 // LOG-END-OFFSET
	Lag       int64
}

// DescribeGroup is what Kafka's own tool prints for the group: nothing when there is no such group.
func (c *Cluster) DescribeGroup(tb testing.TB, group string) []GroupOffset {
	tb.Helper()
	if !slices.Contains(c.ListGroups(tb), group) {
		return nil
	}
	printed, _ := c.tool(tb, nil, groupCommand, "--describe", "--group", group)
	out := string(printed)
	var rows []GroupOffset
	columns := map[string]int{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) > 0 && f[0] == "GROUP" {
			for i, name := range f {
				columns[name] = i
			}
			continue
		}
		if len(columns) == 0 || len(f) < len(columns) {
			continue
		}
		number := func(column string) int64 {
			n, err := strconv.ParseInt(f[columns[column]], 10, 64)
			if err != nil {
				tb.Fatalf("%s of group %s is %q in:\n%s", column, group, f[columns[column]], out)
			}
			return n
		}
		rows = append(rows, GroupOffset{
			Topic: f[columns["TOPIC"]], Partition: int32(number("PARTITION")),
			Current: number("CURRENT-OFFSET"), End: number("LOG-END-OFFSET"), Lag: number("LAG"),
		})
	}
	if len(rows) == 0 {
		tb.Fatalf("no offsets of group %s in:\n%s", group, out)
	}
	return rows
}

// ListGroups are the names of all groups, as Kafka's own tool lists them.
func (c *Cluster) ListGroups(tb testing.TB) []string {
	tb.Helper()
	printed, _ := c.tool(tb, nil, groupCommand, "--list")
	return strings.Fields(string(printed))
}
