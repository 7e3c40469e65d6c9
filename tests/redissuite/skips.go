package main

import (
	"fmt"
	"io"
)

var files = []string{"unit/type/string", "unit/keyspace", "unit/scan", "unit/protocol", "unit/quit", "unit/introspection", "unit/introspection-2", "unit/info-command", "unit/slowlog", "unit/tracking", "unit/pubsub",
	"unit/pause", "unit/latency-monitor", "unit/other"}

// skip is why tests, by their exact names, are not run.
type skip struct {
	reason string
	names  []string
}

// printSkips prints the list as a table.
func printSkips(w io.Writer) {
	_, _ = fmt.Fprintln(w, "| file | not run, since | tests |\n| --- | --- | --- |")
	for _, file := range files {
		for _, s := range skips[file] {
			for i, n := range s.names {
				if i == 0 {
					_, _ = fmt.Fprintf(w, "| `%s` | %s | %s", file, s.reason, n)
				} else {
					_, _ = fmt.Fprintf(w, "; %s", n)
				}
			}
			_, _ = fmt.Fprintln(w, " |")
		}
	}
}
