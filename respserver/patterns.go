package respserver

import (
	"strings"

	"github.com/yolean/kafka-cache/respserver/glob"
)

// Bounds of what a pattern may cost for one channel: ordinary ones look at each byte once or twice. One that needs more is not left unanswered: its subscribers
// are closed.
const (
	stepsPerByte = 16
	stepsAtLeast = 4 << 10
)

// patternTable finds the patterns that match a channel. It looks only at those whose beginning without special characters the channel has, so that thousands of
// them cost as much as the few that are meant. The lock of notifications guards it.
type patternTable struct {
	all     map[string]*pattern
	begins  map[string]map[*pattern]struct{} // by what they begin with
	lengths lengths                          // of that
}

// pattern is one, and who has subscribed to it.
type pattern struct {
	text []byte
	who  map[int64]*conn
}

// beginning is what a pattern has before its first special character.
func beginning(pattern string) string {
	if at := strings.IndexAny(pattern, `*?[\`); at >= 0 {
		return pattern[:at]
	}
	return pattern
}

func (t *patternTable) add(text string, c *conn) {
	p := t.all[text]
	if p == nil {
		p = &pattern{text: []byte(text), who: map[int64]*conn{}}
		if t.all == nil {
			t.all, t.begins = map[string]*pattern{}, map[string]map[*pattern]struct{}{}
		}
		t.all[text] = p
		begin := beginning(text)
		if t.begins[begin] == nil {
			t.begins[begin] = map[*pattern]struct{}{}
			t.lengths.add(len(begin))
		}
		t.begins[begin][p] = struct{}{}
	}
	p.who[c.id] = c
}

func (t *patternTable) remove(text string, c *conn) {
	p := t.all[text]
	if p == nil {
		return
	}
	delete(p.who, c.id)
	if len(p.who) > 0 {
		return
	}
	delete(t.all, text)
	begin := beginning(text)
	delete(t.begins[begin], p)
	if len(t.begins[begin]) == 0 {
		delete(t.begins, begin)
		t.lengths.remove(len(begin))
	}
}

// matching calls found for each pattern that matches, and dear for each of which that would take too long to find out.
func (t *patternTable) matching(channel []byte, found, dear func(p *pattern)) {
	for _, l := range t.lengths {
		if l.bytes > len(channel) {
			return
		}
		for p := range t.begins[string(channel[:l.bytes])] {
			steps := glob.Budget{Left: stepsAtLeast + stepsPerByte*(len(p.text)+len(channel))}
			switch matches := steps.Match(p.text[l.bytes:], channel[l.bytes:]); {
			case steps.Left < 0:
				dear(p)
			case matches:
				found(p)
			}
		}
	}
}
