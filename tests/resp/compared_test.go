package resp_test

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// comparedElsewhere are commands that both offer and whose replies other tests compare: with their state, or where they change it.
var comparedElsewhere = map[string]string{
	"discard": "TestMultiLikeRedis", "unwatch": "TestMultiLikeRedis", "subscribe": "TestSubscriptionsLikeRedis", "unsubscribe": "TestSubscriptionsLikeRedis",
	"psubscribe": "TestSubscriptionsLikeRedis", "punsubscribe": "TestSubscriptionsLikeRedis",
	"getbit": "TestRandomStreamsLikeRedis", "getex": "TestRandomStreamsLikeRedis", "object|freq": "TestRandomStreamsLikeRedis",
}

// incomparable are commands that both offer and whose replies cannot be the same; what is wrong with their arguments is compared, where Redis finds anything wrong.
var incomparable = map[string]string{
	"object|idletime": "is an error: when a key was read is not noted",
	"acl|log":         "is refused", "acl|genpass": "is refused",
}

// TestEveryCommandIsCompared: what both offer is compared byte for byte, each subcommand by itself.
func TestEveryCommandIsCompared(t *testing.T) {
	list := func(p *peer) (names []string) {
		p.send(frame("command", "list"))
		reply, err := wire.Reply(p.r)
		if err != nil {
			t.Fatal(err)
		}
		for r := bufio.NewScanner(strings.NewReader(reply)); r.Scan(); {
			if line := r.Text(); line[0] != '*' && line[0] != '$' {
				names = append(names, line)
			}
		}
		return names
	}
	theirs, ours := list(dial(t, startRedis(t))), list(start(t, nil).dial())
	if len(theirs) < 300 || len(ours) < 100 {
		t.Fatalf("%d and %d commands are listed", len(theirs), len(ours))
	}
	compared := map[string]bool{}
	for _, args := range sameBytes {
		compared[strings.ToLower(args[0])] = true
		if len(args) > 1 {
			compared[strings.ToLower(args[0]+"|"+args[1])] = true
		}
	}
	for _, name := range ours {
		_, elsewhere := comparedElsewhere[name]
		_, not := incomparable[name]
		switch both := slices.Contains(theirs, name); {
		case strings.HasSuffix(name, "|help"): // whose words are ours
		case both && !compared[name] && !elsewhere && !not:
			t.Errorf("%s is compared by no test", name)
		case compared[name] && (elsewhere || not), (elsewhere || not) && !both:
			t.Errorf("%s need not be listed", name)
		}
	}
}
