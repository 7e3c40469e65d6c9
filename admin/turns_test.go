package admin

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// While as many answers are under way as there may be, others wait, then are refused; probes, metrics and checksums are not concerned.
func TestAnswersTakeTurns(t *testing.T) {
	s, _ := newServer(t)
	s.turns.wait = 10 * time.Millisecond
	for range cap(s.turns.free) {
		s.turns.free <- struct{}{}
	}
	for path, want := range map[string]int{"/": 503, "/api/v1/status": 503, "/api/v1/history": 503, "/api/v1/invalid": 503, "/api/v1/key": 503,
		"/livez": 200, "/metrics": 200, "/api/v1/checksum": 400, "/assets/page.css": 200} {
		w := ask(s, path, "127.0.0.1:1", nil)
		if w.Code != want || (w.Header().Get("Retry-After") == "") == (want == 503) {
			t.Errorf("%s: %d, Retry-After %q", path, w.Code, w.Header().Get("Retry-After"))
		}
	}
	s.turns.wait = time.Minute
	answered := make(chan int, 1)
	go func() { answered <- ask(s, "/api/v1/status", "127.0.0.1:1", nil).Code }()
	<-s.turns.free
	if code := <-answered; code != 200 {
		t.Errorf("once there is a turn: %d", code)
	}
}

// A peer that does not read gives its turn back.
func TestTurnsEnd(t *testing.T) {
	turns := &turns{free: make(chan struct{}, 1), wait: time.Minute, write: 50 * time.Millisecond}
	cut := make(chan error, 2)
	server := httptest.NewServer(turns.during(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 1<<20)
		for { // more than the kernel takes for a peer
			if _, err := w.Write(block); err != nil {
				cut <- err
				return
			}
		}
	})))
	defer server.Close()
	for range 2 { // the second waits for the turn of the first
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := <-cut; err == nil {
			t.Error("the answer ended without an error")
		}
	}
}
