package cache

import (
	"strings"
	"testing"
)

// What tombstones of other partitions hide depends on all positions, and so does what the values are.
func TestCompareWhatDependsOnOtherPartitions(t *testing.T) {
	sums := func(position int64, hidden int64, digest, full string) Checksum {
		return Checksum{Topic: "t", ID: "id", Rules: "r", Comparable: true, Partitions: []PartitionChecksum{
			{Partition: 0, Position: 8, Digest: "a", Hidden: hidden, HiddenDigest: digest, Full: full},
			{Partition: 1, Position: position, Digest: "b", Recorded: []RecordedDigest{{Offset: 5, Digest: "c"}}},
		}}
	}
	for name, c := range map[string]struct {
		a, b Checksum
		want Agreement
		why  string
	}{
		"nothing is hidden":              {sums(9, 0, "", ""), sums(9, 0, "", ""), Agree, ""},
		"the same is hidden":             {sums(9, 1, "x", ""), sums(9, 1, "x", ""), Agree, ""},
		"in one only":                    {sums(9, 1, "x", ""), sums(9, 0, "", ""), Differ, "partition 0: tombstones of other partitions hide 1 of its values in the first and 0 in the second at offset 8"},
		"something else":                 {sums(9, 1, "x", ""), sums(9, 1, "y", ""), Differ, "hide 1 of its values in the first and 1 in the second"},
		"another partition is behind":    {sums(9, 1, "x", ""), sums(8, 0, "", ""), NotYet, "hide 1 and 0 of its values, which can be compared at the same positions"},
		"behind, and nothing is hidden":  {sums(9, 0, "", ""), sums(8, 0, "", ""), Agree, ""},
		"other values":                   {sums(9, 0, "", "x"), sums(9, 0, "", "y"), Differ, "the values differ at offset 8"},
		"other values, one is behind":    {sums(9, 0, "", "x"), sums(8, 0, "", "y"), NotYet, "values can be compared at the same positions of all partitions only"},
		"the same values, one is behind": {sums(9, 0, "", "x"), sums(8, 0, "", "x"), Agree, ""},
	} {
		if got := CompareChecksums(c.a, c.b); got.Agreement != c.want || !strings.Contains(got.Why, c.why) {
			t.Errorf("%s: %s, %q", name, got.Agreement, got.Why)
		}
		if got := CompareChecksums(c.b, c.a); got.Agreement != c.want {
			t.Errorf("%s, the other way round: %s, %q", name, got.Agreement, got.Why)
		}
	}
}
