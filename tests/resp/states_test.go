package resp_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
)

// Where the topic is deleted, what it had goes on being answered, and who waits for more of it is told at once.
func TestDeletedTopic(t *testing.T) {
	f := start(t, nil)
	p, waiting := f.dial(), f.dial()
	p.ask("+OK\r\n", "select", "1")
	p.ask("+OK\r\n", "set", "k", "1")
	b, err := f.cache.Topic("b")
	if err != nil {
		t.Fatal(err)
	}
	future := position.New(b.Position().Topic(), position.Offset{Partition: 0, Next: 1000, LeaderEpoch: position.UnknownEpoch}).String()
	waiting.ask("+OK\r\n", "select", "1")
	waiting.send(frame("kafka.wait", future, "0"))
	if _, err := kadm.NewClient(f.client).DeleteTopics(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	refused := "-ERR the token belongs to another topic, or to an earlier topic of the same name as b\r\n"
	waiting.want(refused)
	waiting.ask(refused, "kafka.wait", future, "0")
	eventually(t, "the state says so", func() bool { return b.State() == cache.Stale })
	p.ask("$1\r\n1\r\n", "get", "k")
	p.ask(":1\r\n", "dbsize")
	if got := p.call("info", "kafka"); !strings.Contains(got, "topic1_reason:the topic does not exist any more") {
		t.Error(got)
	}
	// The other topics go on.
	p.ask("+OK\r\n", "select", "0")
	p.ask("+OK\r\n", "set", "k", "1")
}

// A topic that is not there is loading, and every refused command says what is missing.
func TestLoadingSaysWhy(t *testing.T) {
	f := start(t, nil, cache.TopicConfig{Name: "missing"})
	p := f.dial()
	p.ask("+OK\r\n", "select", "3")
	topic, err := f.cache.Topic("missing")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reason is known", func() bool {
		return strings.Contains(topic.Status().Reason, "missing") && strings.Contains(p.call("get", "k"), topic.Status().Reason)
	})
	want := "-LOADING kafka-cache is loading topic missing, state " + topic.State().String() + ": "
	for _, c := range [][]string{{"get", "k"}, {"dbsize"}, {"mget", "a", "b"}} {
		if got := p.call(c...); !strings.HasPrefix(got, want) || len(got) < len(want)+10 || strings.Count(got, "\n") != 1 {
			t.Errorf("%v: %q, want %q…", c, got, want)
		}
	}
}
