package respserver

import (
	"fmt"
	"strconv"
	"time"

	"github.com/yolean/kafka-cache/respserver/glob"
	"github.com/yolean/kafka-cache/respserver/resp"
)

func serverCommands() []*command {
	const f, g = loadingOK, "server"
	fails := func(text string) func(*conn, [][]byte) { return func(c *conn, _ [][]byte) { c.fail(text) } }
	const noCluster = "ERR This instance has cluster support disabled"
	return []*command{
		{name: "info", arity: -1, flags: f, group: g, since: "1.0.0", complexity: "O(1)", summary: "Describes the instance, its topics and their lag.", run: runInfo},
		{name: "time", arity: 1, flags: f | fast, group: g, since: "2.6.0", complexity: "O(1)", summary: "Returns the instance's time in seconds and microseconds.", run: runTime},
		{name: "role", arity: 1, flags: f | fast | noscript, group: g, since: "2.8.12", complexity: "O(1)", summary: "Returns master, and the connected peers: writes go to the log through any instance.", run: runRole},
		{name: "config", arity: -2, flags: f | admin | noscript, group: g, since: "2.0.0", summary: "Container of configuration commands.", order: []*command{
			{name: "get", arity: -3, flags: f | admin | noscript, since: "2.0.0", complexity: "O(N)", summary: "Returns settings in Redis's names.", run: runConfigGet},
			{name: "set", arity: -4, flags: f | admin | noscript, since: "2.0.0", complexity: "O(1)", summary: "Is answered with an error: nothing is settable while running.", run: fails("ERR CONFIG SET is not supported: the configuration is made of flags, environment and file, at start")},
			{name: "resetstat", arity: 2, flags: f | admin | noscript, since: "2.0.0", complexity: "O(1)", summary: "Is answered with an error: counters only grow, as Prometheus asks for.", run: fails("ERR CONFIG RESETSTAT is not supported: counters only grow, as Prometheus asks for")},
		}},
		{name: "memory", arity: -2, flags: reads, group: g, since: "4.0.0", summary: "Container of memory commands.", order: []*command{
			{name: "usage", arity: -3, flags: reads, first: 2, last: 2, step: 1, since: "4.0.0", complexity: "O(1)", summary: "Estimates what a key and its value take.", run: runMemoryUsage},
		}},
		{name: "module", arity: -2, flags: f | admin | noscript, group: g, since: "4.0.0", summary: "Container of module commands.", order: []*command{
			{name: "list", arity: 2, flags: f | admin | noscript, complexity: "O(1)", summary: "Returns nothing: there are no modules.", run: func(c *conn, _ [][]byte) { c.out = resp.AppendArray(c.out, 0) }},
		}},
		{name: "latency", arity: -2, flags: f | admin | noscript, group: g, since: "2.8.13", summary: "Container of latency commands.", order: []*command{
			{name: "latest", arity: 2, flags: f | admin | noscript, complexity: "O(1)", summary: "Returns nothing: latencies are in the metrics.", run: func(c *conn, _ [][]byte) { c.out = resp.AppendArray(c.out, 0) }},
		}},
		{name: "slowlog", arity: -2, flags: f | admin | noscript, group: g, since: "2.2.12", summary: "Container of slow log commands.", order: []*command{
			{name: "get", arity: -2, flags: f | admin | noscript, complexity: "O(1)", summary: "Returns nothing: no slow log is kept.", run: func(c *conn, _ [][]byte) { c.out = resp.AppendArray(c.out, 0) }},
			{name: "len", arity: 2, flags: f | admin | noscript, complexity: "O(1)", summary: "Returns 0: no slow log is kept.", run: func(c *conn, _ [][]byte) { c.out = resp.AppendInt(c.out, 0) }},
		}},
		{name: "cluster", arity: -2, flags: f, group: "cluster", since: "3.0.0", summary: "Container of cluster commands: there is no cluster mode.", order: []*command{
			{name: "slots", arity: 2, flags: f, complexity: "O(1)", summary: "Is answered with an error.", run: fails(noCluster)},
			{name: "shards", arity: 2, flags: f, since: "7.0.0", complexity: "O(1)", summary: "Is answered with an error.", run: fails(noCluster)},
			{name: "info", arity: 2, flags: f, complexity: "O(1)", summary: "Is answered with an error.", run: fails(noCluster)},
			{name: "nodes", arity: 2, flags: f, complexity: "O(1)", summary: "Is answered with an error.", run: fails(noCluster)},
			{name: "myid", arity: 2, flags: f, complexity: "O(1)", summary: "Is answered with an error.", run: fails(noCluster)},
		}},
		{name: "readonly", arity: 1, flags: f | fast, group: "cluster", since: "3.0.0", complexity: "O(1)", summary: "Is answered with an error: there is no cluster mode.", run: fails(noCluster)},
		{name: "readwrite", arity: 1, flags: f | fast, group: "cluster", since: "3.0.0", complexity: "O(1)", summary: "Is answered with an error: there is no cluster mode.", run: fails(noCluster)},
	}
}

func runTime(c *conn, _ [][]byte) {
	now := time.Now()
	c.out = resp.AppendArray(c.out, 2)
	c.out = resp.AppendBulkString(c.out, strconv.FormatInt(now.Unix(), 10))
	c.out = resp.AppendBulkString(c.out, strconv.Itoa(now.Nanosecond()/1000))
}

// settings are what CONFIG GET knows: what clients ask for, and our limits under Redis's names.
func (s *Server) settings() [][2]string {
	onOff := map[bool]string{true: "yes", false: "no"}
	return [][2]string{
		{"appendonly", "no"}, {"save", ""},
		{"client-query-buffer-limit", strconv.Itoa(s.cfg.QueryLimit)},
		{"databases", strconv.Itoa(len(s.topics))},
		{"maxclients", strconv.Itoa(s.cfg.MaxClients)},
		{"maxmemory", "0"}, {"maxmemory-policy", "noeviction"},
		{"proto-max-bulk-len", strconv.Itoa(s.cfg.MaxBulk)},
		{"protected-mode", onOff[!s.cfg.Unprotected]},
		{"tcp-keepalive", strconv.Itoa(int(max(s.cfg.KeepAlive, 0) / time.Second))},
		{"timeout", strconv.Itoa(int(s.cfg.IdleTimeout / time.Second))},
	}
}

func runConfigGet(c *conn, args [][]byte) {
	var found [][2]string
	for _, kv := range c.srv.settings() {
		for _, pattern := range args[2:] {
			if glob.MatchFold(pattern, []byte(kv[0])) {
				if is(pattern, kv[0]) {
					kv[0] = string(pattern) // a name is answered as it was asked for
				}
				found = append(found, kv)
				break
			}
		}
	}
	c.out = resp.AppendMap(c.out, c.proto, len(found))
	for _, kv := range found {
		c.out = resp.AppendBulkString(c.out, kv[0])
		c.out = resp.AppendBulkString(c.out, kv[1])
	}
}

// entryOverhead is what the resident index takes for an entry beside its bytes: a slot of the table at its usual load and the
// entry's own header.
const entryOverhead = 40

func runMemoryUsage(c *conn, args [][]byte) {
	if len(args) != 3 && (len(args) != 5 || !is(args[3], "samples")) {
		c.fail(syntax)
		return
	}
	if len(args) == 5 {
		if n, ok := parseInt(args[4]); !ok || n < 0 {
			c.fail(notInteger)
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

// bytesText is a size for people.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%dB", n)
	}
	v, i := float64(n)/unit, 0
	for v >= unit && i < 3 {
		v /= unit
		i++
	}
	return fmt.Sprintf("%.2f%c", v, "KMGT"[i])
}
