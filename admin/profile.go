package admin

import (
	"context"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// maxProfile is how long a profile over a time may take, so that it is written before the server's deadline.
const maxProfile = 30 * time.Second

// profiles answers what `go tool pprof` asks for. It is made from runtime/pprof: net/http/pprof would also put itself, without a guard, into the
// default mux of a program that uses this package.
type profiles struct {
	timed   chan struct{} // one profile over a time
	stopped context.Context
}

const profileIndex = `profiles: allocs, block, goroutine, heap, mutex, threadcreate (?debug=1 for text); profile?seconds=N (CPU), trace?seconds=N
`

func (p *profiles) index(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, profileIndex)
}

func (p *profiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("profile")
	if name == "profile" || name == "trace" {
		p.over(w, r, name)
		return
	}
	found := pprof.Lookup(name)
	if found == nil {
		writeError(w, http.StatusNotFound, "no such profile")
		return
	}
	debug, err := strconv.Atoi(r.URL.Query().Get("debug"))
	if err != nil && r.URL.Query().Has("debug") || debug < 0 || debug > 2 {
		writeError(w, http.StatusBadRequest, "debug is 0, 1 or 2")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	if r.Method == http.MethodHead {
		return
	}
	_ = found.WriteTo(w, debug) // a peer that has left has nobody to tell
}

// over profiles for the seconds that are asked for.
func (p *profiles) over(w http.ResponseWriter, r *http.Request, name string) {
	length := maxProfile
	if name == "trace" {
		length = time.Second
	}
	if r.URL.Query().Has("seconds") {
		n, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
		if err != nil || !(n > 0 && n <= maxProfile.Seconds()) {
			writeError(w, http.StatusBadRequest, "seconds is a number above 0 and at most 30")
			return
		}
		length = time.Duration(n * float64(time.Second))
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "application/octet-stream")
		return
	}
	select {
	case p.timed <- struct{}{}:
		defer func() { <-p.timed }()
	default:
		w.Header().Set("Retry-After", "30")
		writeError(w, http.StatusTooManyRequests, "another profile is under way: one at a time")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	begin, end := pprof.StartCPUProfile, pprof.StopCPUProfile
	if name == "trace" {
		begin, end = trace.Start, trace.Stop
	}
	if err := begin(w); err != nil { // somebody else of this process does
		writeError(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer end()
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-p.stopped.Done():
	}
}
