package compare

import (
	"fmt"
	"io"
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
)

// Write writes a line a topic, and one for each partition that differs.
func Write(w io.Writer, topics []Topic) error {
	var b strings.Builder
	for _, t := range topics {
		fmt.Fprintf(&b, "%s: ", clean(t.Name))
		switch t.Agreement {
		case cache.Agree:
			fmt.Fprintf(&b, "agree (%s)\n", partitions(len(t.Partitions)))
		case cache.NotYet:
			fmt.Fprintf(&b, "not compared in time: %s\n", t.Why)
		case cache.Differ:
			b.WriteString("differ")
			if t.Why != "" {
				b.WriteString(" (" + t.Why + ")")
			}
			b.WriteByte('\n')
		default:
			fmt.Fprintf(&b, "%s: %s\n", t.Agreement, t.Why)
		}
		for _, p := range t.Partitions {
			if p.Agreement == cache.Differ {
				fmt.Fprintf(&b, "  %s\n", partitionText(p))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func partitions(n int) string {
	if n == 1 {
		return "1 partition"
	}
	return fmt.Sprintf("%d partitions", n)
}

func partitionText(p cache.PartitionComparison) string {
	return fmt.Sprintf("partition %d: %s", p.Partition, clean(p.Why))
}
