package respserver

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/yolean/kafka-cache/respserver/glob"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// setting is one that CONFIG GET tells, in Redis's name.
type setting struct {
	name, value string
	low, high   int64             // bounds of set's values
	set         func(value int64) // nil: it is made at start
}

// settings are what CONFIG GET knows: what clients ask for, and our limits under Redis's names.
func (s *Server) settings() []setting {
	onOff := map[bool]string{true: "yes", false: "no"}
	return []setting{
		{name: "appendonly", value: "no"}, {name: "save"},
		{name: "client-query-buffer-limit", value: strconv.Itoa(s.cfg.QueryLimit)},
		{name: "databases", value: strconv.Itoa(len(s.topics))},
		{name: "latency-monitor-threshold", value: strconv.FormatInt(s.latency.threshold.Load(), 10), low: 0, high: 1<<63 - 1, set: s.latency.threshold.Store},
		{name: "maxclients", value: strconv.Itoa(s.cfg.MaxClients)},
		{name: "maxmemory", value: "0"}, {name: "maxmemory-policy", value: "noeviction"},
		{name: "notify-keyspace-events", value: "g$KE"},
		{name: "proto-max-bulk-len", value: strconv.Itoa(s.cfg.MaxBulk)},
		{name: "protected-mode", value: onOff[!s.cfg.Unprotected]},
		{name: "slowlog-log-slower-than", value: strconv.FormatInt(s.slow.threshold.Load(), 10), low: -1, high: 1<<63 - 1, set: s.slow.threshold.Store},
		{name: "slowlog-max-len", value: strconv.FormatInt(s.slow.most.Load(), 10), low: 0, high: slowKeptMost, set: s.slow.setMost},
		{name: "tcp-keepalive", value: strconv.Itoa(int(max(s.cfg.KeepAlive, 0) / time.Second))},
		{name: "tracking-table-max-keys", value: strconv.FormatInt(s.tracking.most.Load(), 10), low: 0, high: 1<<63 - 1, set: s.tracking.setMost},
		{name: "timeout", value: strconv.Itoa(int(s.cfg.IdleTimeout / time.Second))},
	}
}

func (l *slowLog) setMost(n int64) {
	l.most.Store(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trim()
}

func runConfigGet(c *conn, args [][]byte) {
	var found []setting
	steps := glob.Budget{Left: scanSteps, Fold: true}
	for _, s := range c.srv.settings() {
		for _, pattern := range args[2:] {
			if steps.Match(pattern, []byte(s.name)) {
				if is(pattern, s.name) {
					s.name = string(pattern) // a name is answered as it was asked for
				}
				found = append(found, s)
				break
			}
		}
	}
	if steps.Left < 0 {
		c.tooDear()
		return
	}
	c.out = resp.AppendMap(c.out, c.proto, len(found))
	for _, s := range found {
		c.out = resp.AppendBulkString(c.out, s.name)
		c.out = resp.AppendBulkString(c.out, s.value)
	}
}

// runConfigSet sets all or nothing.
func runConfigSet(c *conn, args [][]byte) {
	if len(args)%2 != 0 {
		c.fail(syntax)
		return
	}
	refuse := func(name []byte, why string) {
		c.fail("ERR CONFIG SET failed (possibly related to argument '" + clip(name, 128) + "') - " + why)
	}
	const immutable = "can't set immutable config: it is made of flags, environment and file, at start"
	all := c.srv.settings()
	var chosen []*setting
	for i := 2; i < len(args); i += 2 {
		var s *setting
		for j := range all {
			if is(args[i], all[j].name) {
				s = &all[j]
			}
		}
		switch {
		case s == nil:
			refuse(args[i], immutable)
			return
		case slices.Contains(chosen, s): // which are few
			refuse(args[i], "duplicate parameter")
			return
		}
		chosen = append(chosen, s)
	}
	var apply []func()
	for i, s := range chosen {
		name, value := args[2+2*i], args[3+2*i]
		n, ok := parseInt(value)
		switch {
		case s.set == nil:
			refuse(name, immutable)
			return
		case !ok:
			refuse(name, "argument couldn't be parsed into an integer")
			return
		case n < s.low || n > s.high:
			refuse(name, fmt.Sprintf("argument must be between %d and %d inclusive", s.low, s.high))
			return
		}
		apply = append(apply, func() { s.set(n) })
	}
	for _, f := range apply {
		f()
	}
	c.ok()
}
