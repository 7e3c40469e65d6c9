package respserver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/respserver/resp"
)

// What LATENCY GRAPH draws with: as wide and high as Redis's.
const (
	graphColumns = 80
	graphRows    = 4
	graphTops    = "_o#" // of a column within its highest row
	graphBelow   = '|'
)

func runLatencyGraph(c *conn, args [][]byte) {
	name := string(args[2])
	e := c.srv.latency.of(name)
	if e == nil {
		c.fail("ERR No samples available for event '" + clip(args[2], 128) + "'")
		return
	}
	c.out = resp.AppendVerbatim(c.out, c.proto, e.graph(name, time.Now().Unix()))
}

// graph draws the samples, the oldest to the left, each over how long ago it was: read downwards, in seconds, minutes, hours or days.
func (e *latencyEvent) graph(name string, now int64) string {
	low, high := e.samples[0].took, time.Duration(0)
	for _, s := range e.samples {
		low, high = min(low, s.took), max(high, s.took)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", name, high.Milliseconds(), low.Milliseconds(), e.most.Milliseconds(), strings.Repeat("-", graphColumns))
	for some := range slices.Chunk(e.samples, graphColumns) {
		const steps = graphRows*len(graphTops) - 1
		for row := graphRows - 1; row >= 0; row-- {
			writeColumns(&b, some, func(s latencySample) byte {
				step := 0
				if high > low {
					step = int(int64(steps) * int64(s.took-low) / int64(high-low))
				}
				switch top := step / len(graphTops); {
				case row < top:
					return graphBelow
				case row == top:
					return graphTops[step%len(graphTops)]
				}
				return ' '
			})
		}
		b.WriteByte('\n')
		longest := 0
		for _, s := range some {
			longest = max(longest, len(ago(now-s.second)))
		}
		for i := range longest {
			writeColumns(&b, some, func(s latencySample) byte {
				if text := ago(now - s.second); i < len(text) {
					return text[i]
				}
				return ' '
			})
		}
	}
	return b.String()
}

// writeColumns writes a line with a character for each sample, without blanks at its end.
func writeColumns(b *strings.Builder, all []latencySample, of func(s latencySample) byte) {
	line := make([]byte, len(all))
	for i, s := range all {
		line[i] = of(s)
	}
	b.WriteString(strings.TrimRight(string(line), " "))
	b.WriteByte('\n')
}

// ago is a number of seconds in the largest unit of which there is one.
func ago(seconds int64) string {
	switch s := max(0, seconds); {
	case s < 60:
		return fmt.Sprint(s, "s")
	case s < 3600:
		return fmt.Sprint(s/60, "m")
	case s < 86400:
		return fmt.Sprint(s/3600, "h")
	default:
		return fmt.Sprint(s/86400, "d")
	}
}
