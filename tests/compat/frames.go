package compat

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// sent is a command that a tool sends, and what it can parse of the reply. %s is the prefix of keys.
type sent struct {
	args  []string
	reply string // a regular expression for the whole reply
}

// replay sends frames one by one and holds the replies to what the tool parses.
func replay(all ...sent) func(context.Context, *Stage, string) (string, error) {
	return func(ctx context.Context, s *Stage, prefix string) (string, error) {
		w, err := dialWire(ctx, s.plain.addr)
		if err != nil {
			return "", err
		}
		defer w.nc.Close()
		for _, c := range all {
			var args []string
			for _, a := range c.args {
				args = append(args, strings.ReplaceAll(a, "%s", prefix))
			}
			reply, err := w.call(wire.Frame(args...))
			if err != nil {
				return "", fmt.Errorf("%s: %w", args[0], err)
			}
			want := `(?s)^` + strings.ReplaceAll(c.reply, "%s", regexp.QuoteMeta(prefix)) + `$`
			if !regexp.MustCompile(want).MatchString(reply) {
				return "", fmt.Errorf("%s: %.300q is not like %q", strings.Join(args, " "), reply, want)
			}
		}
		return "", nil
	}
}

// memtier is what memtier_benchmark sends for its options, made by hand.
func memtier() Tool {
	var pairs []sent
	value := "truth" + strings.Repeat("x", 27) // 32 bytes are its default
	for _, key := range []string{"memtier-1", "memtier-4242", "memtier-10000000"} {
		pairs = append(pairs, sent{[]string{"SET", key, value}, `\+OK\r\n`}, sent{[]string{"GET", key}, `\$32\r\n` + value + `\r\n`})
	}
	pairs = append(pairs, sent{[]string{"GET", "memtier-none"}, `\$-1\r\n`}, sent{[]string{"MGET", "memtier-1", "memtier-none"}, `\*2\r\n\$32\r\n` + value + `\r\n\$-1\r\n`},
		sent{[]string{"WAIT", "1", "1000"}, `:1\r\n`})
	return Tool{Name: "memtier_benchmark, frames", Frames: true, Checks: []Check{
		{"`SET` and `GET` by its defaults, `--multi-key-get`, `--wait-ratio`", replay(pairs...)},
		{"`--select-db`, `--protocol resp3`", replay(sent{[]string{"SELECT", "1"}, `\+OK\r\n`}, sent{[]string{"HELLO", "3"}, `%7\r\n.*`}, sent{[]string{"GET", "memtier-none"}, `_\r\n`})},
		{"`--expiry-range` is refused, since records do not expire", replay(sent{[]string{"SETEX", "memtier-1", "10", value}, `-ERR .*do not expire.*\r\n`})},
		{"`--cluster-mode` is told that there is none", replay(sent{[]string{"CLUSTER", "SLOTS"}, `-ERR This instance has cluster support disabled\r\n`})},
	}}
}

// redisInsight is what Redis Insight sends when a database is added, and when its browser shows a key.
func redisInsight() Tool {
	const text = `[$=]\d+\r\n`
	return Tool{Name: "Redis Insight, frames", Frames: true, Checks: []Check{
		{"adds a database", replay(
			sent{[]string{"info"}, text + `.*redis_version:\d+\.\d+.*redis_mode:standalone.*used_memory:\d+.*connected_clients:\d+.*|` + text + `.*redis_version.*`},
			sent{[]string{"HELLO"}, `\*14\r\n.*version.*`},
			sent{[]string{"module", "list"}, `\*0\r\n`},
			sent{[]string{"command", "info", "get", "module", "ft.list"}, `\*\d+\r\n\*10\r\n.*get.*`},
			sent{[]string{"config", "get", "databases"}, `\*2\r\n\$9\r\ndatabases\r\n\$1\r\n3\r\n`},
			sent{[]string{"client", "list"}, text + `id=\d+ addr=.*`},
			sent{[]string{"cluster", "info"}, `-ERR This instance has cluster support disabled\r\n`},
			sent{[]string{"dbsize"}, `:\d+\r\n`},
		)},
		{"lists keys and shows one", replay(
			sent{[]string{"scan", "0", "MATCH", "*", "COUNT", "200"}, `\*2\r\n\$\d+\r\n\d+\r\n\*\d+\r\n.*`},
			sent{[]string{"type", "%sseed"}, `\+string\r\n`},
			sent{[]string{"ttl", "%sseed"}, `:-1\r\n`},
			sent{[]string{"memory", "usage", "%sseed", "SAMPLES", "0"}, `:\d+\r\n`},
			sent{[]string{"strlen", "%sseed"}, `:18\r\n`},
			sent{[]string{"getrange", "%sseed", "0", "4999"}, `\$18\r\ntruth from the log\r\n`},
			sent{[]string{"set", "%sedited", "truth", "KEEPTTL"}, `\+OK\r\n`},
		)},
	}}
}
