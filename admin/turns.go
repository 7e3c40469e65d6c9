package admin

import (
	"net/http"
	"time"
)

// turns bound what answers that grow with what the instance has hold at a time, however many peers ask and however slowly they read. It is safe for
// concurrent use.
type turns struct {
	free  chan struct{} // holds as many as are taken
	wait  time.Duration // for a turn
	write time.Duration // for an answer, to a peer that does not read
}

func newTurns() *turns {
	return &turns{free: make(chan struct{}, 8), wait: 5 * time.Second, write: 15 * time.Second}
}

// during has next answer during a turn, which ends when the peer has taken all but the last few kilobytes, or at the time for it.
func (t *turns) during(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(t.wait)
		defer timer.Stop()
		select {
		case t.free <- struct{}{}:
			defer func() { <-t.free }()
		case <-timer.C:
			w.Header().Set("Retry-After", "5")
			writeError(w, http.StatusServiceUnavailable, "too many answers are under way")
			return
		case <-r.Context().Done():
			return
		}
		// Only what is not a connection, as in tests, has no deadlines.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(t.write))
		next.ServeHTTP(w, r)
	})
}
