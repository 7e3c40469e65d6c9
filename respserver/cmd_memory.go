package respserver

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	"github.com/yolean/kafka-cache/respserver/resp"
)

func memoryCommands() []*command {
	return []*command{
		{name: "memory", arity: -2, flags: reads, group: "server", since: "4.0.0", summary: "Container of memory commands.", order: []*command{
			{name: "usage", arity: -3, flags: reads, first: 2, last: 2, step: 1, since: "4.0.0", complexity: "O(1)", summary: "Estimates what a key and its value take.", run: runMemoryUsage},
			{name: "stats", arity: 2, flags: loadingOK | ofEveryTopic, since: "4.0.0", complexity: "O(topics)", summary: "Returns what takes memory.", run: runMemoryStats},
			{name: "doctor", arity: 2, flags: loadingOK, since: "4.0.0", complexity: "O(1)", summary: "Says for people what takes memory, and what is wrong with it.", run: runMemoryDoctor},
			{name: "purge", arity: 2, flags: loadingOK | admin, since: "4.0.0", complexity: "O(the heap)", summary: "Collects garbage, and gives back to the system what is free.", run: func(c *conn, _ [][]byte) {
				debug.FreeOSMemory()
				c.ok()
			}},
			{name: "malloc-stats", arity: 2, flags: loadingOK, since: "4.0.0", complexity: "O(1)", summary: "Says that there are no such statistics.", run: func(c *conn, _ [][]byte) {
				c.out = resp.AppendBulkString(c.out, "Stats not supported for the current allocator")
			}},
		}},
	}
}

// memoryUse is what the process takes, in bytes.
type memoryUse struct {
	resident, peak uint64 // of the machine's memory, now and at most; 0 where the system does not say
	heap, mapped   uint64 // live and dead objects of the Go heap, and what Go has mapped for them and all else
}

func readMemoryUse() (m memoryUse) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	m.heap, m.mapped = samples[0].Value.Uint64(), samples[1].Value.Uint64()-samples[2].Value.Uint64()
	if m.resident = residentBytes(); m.resident == 0 {
		m.resident = m.mapped
	}
	m.peak = max(peakBytes(), m.resident)
	return m
}

// residentBytes is what the process holds of the machine's memory, the resident index included; 0 where the system does not say.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}

// peakBytes is the most that residentBytes has been; 0 where the system does not say.
func peakBytes() uint64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(b, []byte("\nVmHWM:"))
	if !ok {
		return 0
	}
	var kilobytes uint64
	if _, err := fmt.Sscan(string(rest[:min(len(rest), 64)]), &kilobytes); err != nil {
		return 0
	}
	return kilobytes << 10
}

// runMemoryStats answers those of Redis's fields that mean something here, and those of Go.
func runMemoryStats(c *conn, _ [][]byte) {
	m := readMemoryUse()
	outside := c.srv.cfg.Cache.OutsideHeap()
	keys := int64(0)
	for _, t := range c.srv.topics {
		n, _ := t.Resident()
		keys += n
	}
	perKey := int64(0)
	if keys > 0 {
		perKey = outside / keys
	}
	number := func(name string, n int64) {
		c.out = resp.AppendBulkString(c.out, name)
		c.out = resp.AppendInt(c.out, n)
	}
	share := func(name string, part, whole float64) {
		c.out = resp.AppendBulkString(c.out, name)
		c.out = resp.AppendDouble(c.out, c.proto, 100*part/max(whole, 1))
	}
	c.out = resp.AppendMap(c.out, c.proto, 11)
	number("peak.allocated", int64(m.peak))
	number("total.allocated", int64(m.resident))
	number("clients.normal", c.srv.buffers.Load())
	number("overhead.total", max(0, int64(m.resident)-outside))
	number("keys.count", keys)
	number("keys.bytes-per-key", perKey)
	number("dataset.bytes", outside)
	share("dataset.percentage", min(float64(outside), float64(m.resident)), float64(m.resident))
	share("peak.percentage", float64(m.resident), float64(m.peak))
	number("go.heap.objects", int64(m.heap))
	number("go.mapped", int64(m.mapped))
}

func runMemoryDoctor(c *conn, _ [][]byte) {
	s := c.srv
	m := readMemoryUse()
	outside, buffers := s.cfg.Cache.OutsideHeap(), s.buffers.Load()
	var b strings.Builder
	fmt.Fprintf(&b, "The process holds %s, at most %s so far: %s in the stores' index and buffers, %s mapped by Go, of which %s are objects on its heap. Connections hold %s of %s.\n",
		bytesText(int64(m.resident)), bytesText(int64(m.peak)), bytesText(outside), bytesText(int64(m.mapped)), bytesText(int64(m.heap)), bytesText(buffers), bytesText(s.bufferLimit.Load()))
	found := false
	finding := func(is bool, text string) {
		if is {
			found = true
			b.WriteString(" * " + text + "\n")
		}
	}
	finding(s.pressed(), "Connections hold more than half of what they may: no more commands are taken from those that do not read. CLIENT LIST shows which (omem, qbuf).")
	finding(m.peak > 2*m.resident, "The most so far is more than twice of what is held now: a burst, or a topic that was read anew beside the one that was served.")
	finding(int64(m.mapped) > outside && m.mapped > 2*m.heap+(64<<20), "Go has mapped more than twice of what its heap holds. MEMORY PURGE gives it back; GOMEMLIMIT bounds it.")
	if !found {
		b.WriteString("Nothing is wrong with that.\n")
	}
	c.out = resp.AppendVerbatim(c.out, c.proto, b.String())
}

// entryOverhead is what the resident index takes for an entry beside its bytes: a slot of the table at its usual load and the
// entry's own header.
const entryOverhead = 40

func runMemoryUsage(c *conn, args [][]byte) {
	for i := 3; i < len(args); i += 2 {
		if !is(args[i], "samples") || i+1 == len(args) {
			c.fail(syntax)
			return
		}
		switch n, ok := parseInt(args[i+1]); {
		case !ok:
			c.fail(notInteger)
			return
		case n < 0:
			c.fail(syntax)
			return
		}
	}
	switch n, ok, answered := c.length(args[2]); {
	case answered:
	case ok:
		c.out = resp.AppendInt(c.out, int64(len(args[2])+n+entryOverhead))
	default:
		c.out = resp.AppendNull(c.out, c.proto)
	}
}
