package respserver

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/respserver/resp"
)

func latencyCommands() []*command {
	const f = loadingOK | admin | noscript
	return []*command{
		{name: "latency", arity: -2, flags: f, group: "server", since: "2.8.13", summary: "Container of latency commands.", order: []*command{
			{name: "latest", arity: 2, flags: f, complexity: "O(1)", summary: "Returns the newest sample of each event, and its longest.", run: runLatencyLatest},
			{name: "history", arity: 3, flags: f, complexity: "O(1)", summary: "Returns the samples of an event.", run: runLatencyHistory},
			{name: "graph", arity: 3, flags: f, complexity: "O(1)", summary: "Draws the samples of an event, for people.", run: runLatencyGraph},
			{name: "reset", arity: -2, flags: f, complexity: "O(1)", summary: "Forgets the samples of some events, or of all.", run: runLatencyReset},
			{name: "doctor", arity: 2, flags: f, complexity: "O(1)", summary: "Says for people what the samples show.", run: runLatencyDoctor},
			{name: "histogram", arity: -2, flags: f, since: "7.0.0", complexity: "O(N)", summary: "Returns how long executions took, cumulatively, of some commands or all.", run: runLatencyHistogram},
		}},
	}
}

func runLatencyLatest(c *conn, _ [][]byte) {
	n, at := 0, len(c.out)
	for _, name := range latencyEvents {
		e := c.srv.latency.of(name)
		if e == nil {
			continue
		}
		n++
		last := e.samples[len(e.samples)-1]
		c.out = resp.AppendArray(c.out, 4)
		c.out = resp.AppendBulkString(c.out, name)
		c.out = resp.AppendInt(c.out, last.second)
		c.out = resp.AppendInt(c.out, last.took.Milliseconds())
		c.out = resp.AppendInt(c.out, e.most.Milliseconds())
	}
	c.headed(at, resp.AppendArray(nil, n))
}

// headed puts a header before what was answered from at on, whose length was not known before.
func (c *conn) headed(at int, header []byte) {
	c.out = append(c.out, header...)
	copy(c.out[at+len(header):], c.out[at:len(c.out)-len(header)])
	copy(c.out[at:], header)
}

func runLatencyHistory(c *conn, args [][]byte) {
	e := c.srv.latency.of(string(args[2]))
	if e == nil {
		e = &latencyEvent{}
	}
	c.out = resp.AppendArray(c.out, len(e.samples))
	for _, s := range e.samples {
		c.out = resp.AppendArray(c.out, 2)
		c.out = resp.AppendInt(c.out, s.second)
		c.out = resp.AppendInt(c.out, s.took.Milliseconds())
	}
}

func runLatencyReset(c *conn, args [][]byte) {
	names := latencyEvents
	if len(args) > 2 {
		names = nil
		for _, a := range args[2:] {
			names = append(names, string(a))
		}
	}
	n := int64(0)
	for _, name := range names {
		if c.srv.latency.reset(name) {
			n++
		}
	}
	c.out = resp.AppendInt(c.out, n)
}

func runLatencyDoctor(c *conn, _ [][]byte) {
	var b strings.Builder
	threshold := c.srv.latency.threshold.Load()
	if threshold == 0 {
		b.WriteString("Nothing is sampled: CONFIG SET latency-monitor-threshold <milliseconds> begins it, until the next start. How long every command took is in LATENCY HISTOGRAM and in the metrics.\n")
	}
	found := false
	for _, name := range latencyEvents {
		e := c.srv.latency.of(name)
		if e == nil {
			continue
		}
		found = true
		sum := time.Duration(0)
		for _, s := range e.samples {
			sum += s.took
		}
		fmt.Fprintf(&b, "%s: in %d of the seconds since %s something took %d ms or longer: %d ms on average of the longest in each, %d ms at most. SLOWLOG GET lists which commands.\n", name,
			len(e.samples), time.Unix(e.samples[0].second, 0).UTC().Format(time.RFC3339), threshold, (sum / time.Duration(len(e.samples))).Milliseconds(), e.most.Milliseconds())
	}
	if threshold > 0 && !found {
		fmt.Fprintf(&b, "Nothing took %d ms or longer.\n", threshold)
	}
	c.out = resp.AppendVerbatim(c.out, c.proto, b.String())
}

// runLatencyHistogram answers Redis's form: how many executions took at most so many microseconds, for each power of two at which that number grows.
func runLatencyHistogram(c *conn, args [][]byte) {
	var named []*command
	if len(args) == 2 {
		named = c.srv.table.all
	}
	seen := map[*command]bool{}
	for _, a := range args[2:] {
		m := c.srv.table.named(a)
		if m == nil || seen[m] {
			continue
		}
		seen[m] = true
		named = append(named, m)
		for _, sub := range m.order {
			if !seen[sub] {
				seen[sub] = true
				named = append(named, sub)
			}
		}
	}
	n, at := 0, len(c.out)
	for _, m := range named {
		calls, upTo := m.cumulative()
		if calls == 0 {
			continue
		}
		n++
		c.out = resp.AppendBulkString(c.out, m.name)
		c.out = resp.AppendMap(c.out, c.proto, 2)
		c.out = resp.AppendBulkString(c.out, "calls")
		c.out = resp.AppendInt(c.out, int64(calls))
		c.out = resp.AppendBulkString(c.out, "histogram_usec")
		steps, before := 0, uint64(0)
		mark := len(c.out)
		for i, total := range upTo {
			if total > before {
				steps++
				c.out = resp.AppendInt(c.out, 1<<i)
				c.out = resp.AppendInt(c.out, int64(total))
			}
			before = total
		}
		c.headed(mark, resp.AppendMap(nil, c.proto, steps))
	}
	c.headed(at, resp.AppendMap(nil, c.proto, n))
}

// octaves is how many powers of two of a microsecond the histograms reach.
const octaves = 28

// cumulative is how many executions there were, and how many of them took at most 2^i µs. The buckets' bounds are powers of two of a second, each a little
// less than that of microseconds under which it is told.
func (m *command) cumulative() (calls uint64, upTo [octaves]uint64) {
	for i, n := range m.sinceReset().native {
		if n == 0 {
			continue
		}
		calls += n
		micros := 1e6 * math.Exp2(float64(i)/(1<<nativeSchema)+nativeLowest)
		upTo[min(max(0, int(math.Ceil(math.Log2(micros)))), octaves-1)] += n
	}
	for i := 1; i < octaves; i++ {
		upTo[i] += upTo[i-1]
	}
	return calls, upTo
}
