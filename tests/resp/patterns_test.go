package resp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/respserver"
)

// TestPatternsThatTakeLong: keys are matched with a lock held that records are applied under, so what a pattern may take is bounded. One that takes much is
// matched with fewer keys at a time, and one that takes too much for a single key is refused.
func TestPatternsThatTakeLong(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	var want []string
	for i := range 40 {
		key := fmt.Sprintf("%03d%s", i, strings.Repeat("a", 2000))
		if i%7 == 0 {
			key += "b"
			want = append(want, key)
		}
		p.ask("+OK\r\n", "SET", key, "v")
	}
	much := "*" + strings.Repeat("a", 700) + "b" // a million steps where there is no b
	parse := func(reply string) (parts []string) {
		for i, part := range strings.Split(reply, "\r\n") {
			if i > 0 && part != "" && part[0] != '$' && part[0] != '*' {
				parts = append(parts, part)
			}
		}
		return parts
	}
	var found []string
	pages := 0
	for cursor := "0"; cursor != "0" || pages == 0; pages++ {
		parts := parse(p.call("SCAN", cursor, "MATCH", much, "COUNT", "100"))
		cursor = parts[0]
		found = append(found, parts[1:]...)
	}
	slices.Sort(found)
	if !slices.Equal(found, want) || pages < 3 {
		t.Errorf("SCAN finds %d of %d keys, in %d pages", len(found), len(want), pages)
	}
	found = parse(p.call("KEYS", much))
	slices.Sort(found)
	if !slices.Equal(found, want) {
		t.Errorf("KEYS finds %d of %d keys", len(found), len(want))
	}

	const refused = "-ERR the pattern takes more than 16777216 steps to be matched: use a shorter one, with fewer repetitions behind a *\r\n"
	p.ask("+OK\r\n", "SET", strings.Repeat("a", 10_000), "v")
	f.dial().ask("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "subscribe", "c")
	dear, long := "*"+strings.Repeat("a", 5_000)+"b", "*["+strings.Repeat("z", 17<<20)+"]"
	for _, args := range [][]string{{"SCAN", "0", "COUNT", "100", "MATCH", dear}, {"KEYS", dear}, {"SCAN", "0", "MATCH", long}, {"KEYS", long}, {"CONFIG", "GET", long},
		{"COMMAND", "LIST", "FILTERBY", "PATTERN", long}, {"PUBSUB", "CHANNELS", long}} {
		for cursor := "0"; ; { // what comes before the key that takes long is found
			if args[0] == "SCAN" {
				args[1] = cursor
			}
			reply := p.call(args...)
			if reply == refused {
				break
			}
			if parts := parse(reply); args[0] == "SCAN" && len(parts) > 0 && parts[0] != "0" {
				cursor = parts[0]
				continue
			}
			t.Errorf("%.60q answers %.200q", args, reply)
			break
		}
	}
	p.ask("+OK\r\n", "MULTI")
	p.ask("+QUEUED\r\n", "KEYS", dear)
	p.ask("*1\r\n"+refused, "EXEC")
	p.ask("+PONG\r\n", "PING")
}

// TestScanOfLongKeys: a page of long keys has them all, and ends where the reply would be longer than one may be.
func TestScanOfLongKeys(t *testing.T) {
	f := start(t, func(c *respserver.Config) { c.OutputLimit = 1 << 20 })
	p := f.dial()
	var want []string
	for i := range 40 {
		key := fmt.Sprintf("%02d%s", i, strings.Repeat("k", 100<<10))
		want = append(want, key)
		p.ask("+OK\r\n", "SET", key, "v")
	}
	var found []string
	pages := 0
	for cursor := "0"; cursor != "0" || pages == 0; pages++ {
		reply := p.call("SCAN", cursor, "COUNT", "40")
		if len(reply) > 1<<20+200<<10 {
			t.Errorf("a page has %d bytes", len(reply))
		}
		parts := strings.Split(reply, "\r\n")
		cursor = parts[2]
		for i := 5; i < len(parts); i += 2 {
			found = append(found, parts[i])
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, want) || pages < 4 || pages > 20 {
		t.Errorf("%d of %d keys are found in %d pages", len(found), len(want), pages)
	}
}
