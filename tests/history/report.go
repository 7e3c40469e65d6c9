package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// String is the report for people.
func (r *Report) String() string {
	var sb strings.Builder
	total := 0
	for _, n := range r.Events {
		total += n
	}
	fmt.Fprintf(&sb, "%d commands, %d records in the log, %d operations on %d keys checked, in %v\n", total, r.Records, r.Operations, r.Keys, r.Took.Round(time.Millisecond))
	sb.WriteString("commands:")
	for _, name := range slices.Sorted(maps.Keys(r.Events)) {
		fmt.Fprintf(&sb, " %s %d,", name, r.Events[name])
	}
	sb.WriteString("\nfaults:")
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&sb, " %v %d,", kind, r.Faults[kind])
	}
	sb.WriteString("\n")
	for _, t := range r.Troubles {
		fmt.Fprintf(&sb, "TROUBLE: %s\n", t)
	}
	for _, key := range r.Undecided {
		fmt.Fprintf(&sb, "UNDECIDED: key %s: the search took longer than %v\n", key, searchPatience)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(&sb, "VIOLATION: %s", v.What)
		if v.File != "" {
			fmt.Fprintf(&sb, "  visualised in %s\n", v.File)
		}
	}
	if r.More > 0 {
		fmt.Fprintf(&sb, "and violations of %d more keys\n", r.More)
	}
	if !r.Failed() {
		sb.WriteString("no violation\n")
	}
	return sb.String()
}
