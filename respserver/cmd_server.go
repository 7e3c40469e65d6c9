package respserver

import (
	"fmt"
	"strconv"
	"time"

	"github.com/yolean/kafka-cache/respserver/resp"
)

func serverCommands() []*command {
	const f, g = loadingOK, "server"
	fails := func(text string) func(*conn, [][]byte) { return func(c *conn, _ [][]byte) { c.fail(text) } }
	const noCluster = "ERR This instance has cluster support disabled"
	return []*command{
		{name: "info", arity: -1, flags: f, group: g, since: "1.0.0", complexity: "O(1)", summary: "Describes the instance, its topics and their lag.", run: runInfo},
		{name: "time", arity: 1, flags: f | fast, group: g, since: "2.6.0", complexity: "O(1)", summary: "Returns the instance's time in seconds and microseconds.", run: runTime},
		{name: "lastsave", arity: 1, flags: f | fast, group: g, since: "1.0.0", complexity: "O(1)", summary: "Returns the time in seconds: what is acknowledged is in the log.", run: func(c *conn, _ [][]byte) {
			c.out = resp.AppendInt(c.out, time.Now().Unix())
		}},
		{name: "role", arity: 1, flags: f | fast | noscript, group: g, since: "2.8.12", complexity: "O(1)", summary: "Returns master, and the connected peers: writes go to the log through any instance.", run: runRole},
		{name: "config", arity: -2, flags: f | admin | noscript, group: g, since: "2.0.0", summary: "Container of configuration commands.", order: []*command{
			{name: "get", arity: -3, flags: f | admin | noscript, since: "2.0.0", complexity: "O(N)", summary: "Returns settings in Redis's names.", run: runConfigGet},
			{name: "set", arity: -4, flags: f | admin | noscript, since: "2.0.0", complexity: "O(1)", summary: "Sets what can be set while running: the bounds of the slow log, of latency samples and of the tracking table.", run: runConfigSet},
			{name: "resetstat", arity: 2, flags: f | admin | noscript, since: "2.0.0", complexity: "O(1)", summary: "Has INFO's counters begin anew; the metrics go on.", run: runConfigResetStat},
			{name: "rewrite", arity: 2, flags: f | admin | noscript, since: "2.8.0", complexity: "O(1)", summary: "Is answered with Redis's error of a server without a file.", run: fails("ERR The server is running without a config file")},
		}},
		{name: "module", arity: -2, flags: f | admin | noscript, group: g, since: "4.0.0", summary: "Container of module commands.", order: []*command{
			{name: "list", arity: 2, flags: f | admin | noscript, complexity: "O(1)", summary: "Returns nothing: there are no modules.", run: func(c *conn, _ [][]byte) { c.out = resp.AppendArray(c.out, 0) }},
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
