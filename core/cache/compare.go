package cache

import (
	"fmt"
	"slices"
)

// Agreement says what comparing two checksums came to.
type Agreement string

// What a comparison can come to.
const (
	Agree         Agreement = "agree"
	Differ        Agreement = "differ"
	NotComparable Agreement = "not comparable" // never, as the instances are configured
	NotYet        Agreement = "not yet"        // there is no moment that both have a digest of: ask again
)

// Comparison is what comparing two instances' checksums of a topic came to: Differ where a partition differs, otherwise what keeps them from agreeing.
type Comparison struct {
	Agreement  Agreement
	Why        string // of NotComparable and NotYet
	Partitions []PartitionComparison
}

// PartitionComparison is one partition's part.
type PartitionComparison struct {
	Partition int32
	Agreement Agreement
	Offset    int64  // at which the digests were compared
	Why       string // of Differ and NotYet
}

// CompareChecksums compares what two instances hold of a topic: at the positions that they have, where those are the same, otherwise at the greatest offset that both have
// recorded a digest at, with the same log start. What depends on several partitions, values that another one's tombstones hide, is compared at the same positions of
// all partitions only.
func CompareChecksums(a, b Checksum) Comparison {
	switch {
	case a.Topic != b.Topic || a.ID != b.ID:
		return Comparison{Agreement: NotYet, Why: fmt.Sprintf("topic %s (%s) and topic %s (%s) are not the same", a.Topic, a.ID, b.Topic, b.ID)}
	case a.Rules != b.Rules:
		return Comparison{Agreement: NotComparable, Why: fmt.Sprintf("records are read by other rules: %q and %q", a.Rules, b.Rules)}
	case !a.Comparable:
		return Comparison{Agreement: NotComparable, Why: a.NotComparable}
	case !b.Comparable:
		return Comparison{Agreement: NotComparable, Why: b.NotComparable}
	}
	others := map[int32]PartitionChecksum{}
	for _, p := range b.Partitions {
		others[p.Partition] = p
	}
	c := Comparison{Agreement: Agree}
	add := func(p PartitionComparison) {
		c.Partitions = append(c.Partitions, p)
		switch {
		case p.Agreement == Differ:
			c.Agreement, c.Why = Differ, fmt.Sprintf("partition %d: %s", p.Partition, p.Why)
		case p.Agreement == NotYet && c.Agreement == Agree:
			c.Agreement, c.Why = NotYet, fmt.Sprintf("partition %d: %s", p.Partition, p.Why)
		}
	}
	same := samePositions(a.Partitions, b.Partitions)
	for _, p := range a.Partitions {
		q, ok := others[p.Partition]
		if !ok {
			add(PartitionComparison{Partition: p.Partition, Agreement: NotYet, Why: "only one of them has it"})
			continue
		}
		delete(others, p.Partition)
		add(comparePartitions(p, q, same))
	}
	for id := range others {
		add(PartitionComparison{Partition: id, Agreement: NotYet, Why: "only one of them has it"})
	}
	return c
}

// samePositions says that both have the same partitions, with the same positions and log starts.
func samePositions(a, b []PartitionChecksum) bool {
	return slices.EqualFunc(a, b, func(p, q PartitionChecksum) bool {
		return p.Partition == q.Partition && p.Position == q.Position && p.LogStart == q.LogStart
	})
}

// comparePartitions compares what two instances hold of a partition; same says that they are at the same positions of all partitions.
func comparePartitions(p, q PartitionChecksum, same bool) PartitionComparison {
	c := compareClaims(p, q, same)
	if c.Agreement != Agree || p.Hidden == 0 && q.Hidden == 0 {
		return c
	}
	switch {
	case !same:
		c.Agreement = NotYet
		c.Why = fmt.Sprintf("tombstones of other partitions hide %d and %d of its values, which can be compared at the same positions of all partitions only", p.Hidden, q.Hidden)
	case p.HiddenDigest != q.HiddenDigest:
		c.Agreement = Differ
		c.Why = fmt.Sprintf("tombstones of other partitions hide %d of its values in the first and %d in the second at offset %d", p.Hidden, q.Hidden, p.Position)
	}
	return c
}

// compareClaims compares the records of a partition that two instances hold, and the values where these were summed up.
func compareClaims(p, q PartitionChecksum, same bool) PartitionComparison {
	c := PartitionComparison{Partition: p.Partition}
	judge := func(offset int64, same bool, what string) PartitionComparison {
		c.Offset, c.Agreement = offset, Agree
		if !same {
			c.Agreement, c.Why = Differ, fmt.Sprintf("%s at offset %d", what, offset)
		}
		return c
	}
	if p.Position == q.Position && p.LogStart == q.LogStart {
		switch {
		case p.Digest != q.Digest:
			return judge(p.Position, false, "the digests differ")
		case p.Full != "" && q.Full != "" && p.Full != q.Full && !same:
			c.Agreement, c.Why = NotYet, "values can be compared at the same positions of all partitions only"
			return c
		case p.Full != "" && q.Full != "":
			return judge(p.Position, p.Full == q.Full, "the values differ")
		case p.Full == "" && q.Full == "":
			return judge(p.Position, true, "")
		}
	}
	if p.Full != "" || q.Full != "" {
		c.Agreement, c.Why = NotYet, fmt.Sprintf("values can be compared at the same position only: they are at %d and %d", p.Position, q.Position)
		return c
	}
	for i, j := len(p.Recorded)-1, len(q.Recorded)-1; i >= 0 && j >= 0; {
		x, y := p.Recorded[i], q.Recorded[j]
		switch {
		case x.Offset > y.Offset:
			i--
		case x.Offset < y.Offset:
			j--
		case x.LogStart != y.LogStart:
			i, j = i-1, j-1
		default:
			return judge(x.Offset, x.Digest == y.Digest, "the digests differ")
		}
	}
	c.Agreement = NotYet
	c.Why = fmt.Sprintf("no digest at a common offset: positions %d and %d, log starts %d and %d", p.Position, q.Position, p.LogStart, q.LogStart)
	return c
}
