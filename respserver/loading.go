package respserver

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/yolean/kafka-cache/core/cache"
)

// maxReason bounds what an error reply quotes of a reason, which may hold what a broker said.
const maxReason = 256

// loadingKept is how long the text of a topic's LOADING replies is used again in the same state: its status costs more than a command, and
// clients ask again and again.
const loadingKept = 100 * time.Millisecond

// loadingReply is the text of one topic's LOADING replies.
type loadingReply struct {
	mu    sync.Mutex
	state cache.State
	until time.Duration // in srv.now
	text  string
}

// loadingText is what data commands are answered with while their topic is not served: its state, and why.
func (s *Server) loadingText(t *cache.Topic) string {
	r := &s.loadingReplies[t.Index()]
	state, now := t.State(), s.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == state && now < r.until {
		return r.text
	}
	status := t.Status()
	r.state, r.until = status.State, now+loadingKept
	r.text = "LOADING kafka-cache is loading topic " + t.Name() + ", state " + status.State.String()
	if status.Reason != "" {
		r.text += ": " + clipReason(status.Reason)
	}
	return r.text
}

// clipReason is a reason on one line, and bounded.
func clipReason(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, reason)
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n] + "…"
}
