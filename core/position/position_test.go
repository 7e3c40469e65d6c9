package position

import (
	"errors"
	"math"
	"testing"
)

var topicA = TopicID{1, 2, 3, 0xff}

func TestTokenRoundTrip(t *testing.T) {
	for _, p := range []Position{
		{},
		New(topicA),
		New(topicA, Offset{0, 0, UnknownEpoch}),
		New(topicA, Offset{7, math.MaxInt64, 3}, Offset{0, 12, UnknownEpoch}, Offset{math.MaxInt32, 1, 0}),
	} {
		q, err := Parse(p.String())
		if err != nil || q.String() != p.String() || q.Topic() != p.Topic() {
			t.Errorf("Parse(%q) = %v, %v", p, q, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	id := topicA.String()
	for _, s := range []string{
		"", "1", "1:", "2:" + id + ":0.1", "1:" + id, "1:short:0.1", "1:" + id + "=:0.1", "1:" + id + ":0", "1:" + id + ":0.", "1:" + id + ":.1",
		"1:" + id + ":-1.1", "1:" + id + ":0.-1", "1:" + id + ":+0.1", "1:" + id + ":00.1", "1:" + id + ":0.1,", "1:" + id + ":0.1,0.2", "1:" + id + ":1.1,0.2",
		"1:" + id + ":0.9223372036854775808", "1:" + id + ":2147483648.1", "1:" + id + ":0.1.x", "1:" + id + ":0.1.2.3",
	} {
		if p, err := Parse(s); !errors.Is(err, ErrToken) {
			t.Errorf("Parse(%q) = %v, %v; want ErrToken", s, p, err)
		}
	}
}

func TestCovers(t *testing.T) {
	at := New(topicA, Offset{0, 5, 1}, Offset{2, 7, UnknownEpoch})
	for _, c := range []struct {
		q    Position
		want bool
	}{
		{Position{}, true},
		{New(topicA), true},
		{OfRecord(topicA, 0, 4), true},
		{OfRecord(topicA, 0, 5), false},
		{OfRecord(topicA, 1, 0), false}, // a partition that has not been read yet
		{New(topicA, Offset{1, 0, UnknownEpoch}), true},
		{New(topicA, Offset{0, 5, UnknownEpoch}, Offset{2, 8, UnknownEpoch}), false},
		{OfRecord(TopicID{9}, 0, 0), false},
	} {
		if got := at.Covers(c.q); got != c.want {
			t.Errorf("%v covers %v: %v", at, c.q, got)
		}
	}
}

func TestMerge(t *testing.T) {
	p := OfRecord(topicA, 0, 4).Merge(OfRecord(topicA, 3, 9)).Merge(OfRecord(topicA, 0, 2))
	if want := New(topicA, Offset{0, 5, UnknownEpoch}, Offset{3, 10, UnknownEpoch}); p.String() != want.String() {
		t.Errorf("merged: %v, want %v", p, want)
	}
	other := OfRecord(TopicID{9}, 0, 0)
	if got := p.Merge(other); got.Topic() != other.Topic() {
		t.Errorf("a newer topic's position is kept beside the old: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1:" + topicA.String() + ":0.1,2.3.4")
	f.Add("1:" + topicA.String() + ":")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Errorf("%q parses and prints as %q", s, p)
		}
	})
}
