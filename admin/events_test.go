package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve runs the server with its sampler until the test ends, and gives its address.
func serve(t *testing.T, s *Server) (addr string, shutdown func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- s.Serve(l) }()
	go func() { ended <- s.Run(ctx) }()
	return l.Addr().String(), func() {
		t.Helper()
		deadline, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		if err := s.Shutdown(deadline); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

// Streams get events, are bounded in their number, outlive the server's read deadline by not having one, and end with Shutdown, which so takes no time.
func TestEvents(t *testing.T) {
	s, _ := newServer(t)
	s.interval = 20 * time.Millisecond
	s.http.ReadTimeout = 50 * time.Millisecond
	addr, shutdown := serve(t, s)
	var open []*http.Response
	for range maxStreams {
		resp, err := http.Get("http://" + addr + "/api/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		open = append(open, resp)
	}
	resp, err := http.Get("http://" + addr + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more than there may be: %d", resp.StatusCode)
	}
	lines := bufio.NewScanner(open[0].Body)
	lines.Buffer(nil, 1<<20)
	began, events := time.Now(), 0
	for lines.Scan() && (events < 5 || time.Since(began) < 300*time.Millisecond) {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		events++
		var event struct {
			Shape string
			Cells map[string][2]string
			Time  int64
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			t.Fatal(err)
		}
		if event.Cells["state"][0] != "Starting" || event.Shape == "" || event.Time == 0 {
			t.Errorf("event %+v", event)
		}
	}
	if err := lines.Err(); err != nil || events < 5 {
		t.Errorf("after %d events: %v", events, err)
	}
	shutdown()
	for _, r := range open {
		r.Body.Close()
	}
}

// A peer that does not read is cut off, and a stream that is read ends after its time.
func TestStreamsEndByThemselves(t *testing.T) {
	s, _ := newServer(t)
	s.interval = time.Hour // the events are this test's
	s.streams.write = 100 * time.Millisecond
	addr, shutdown := serve(t, s)
	defer shutdown()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	wait := func(what string, open bool) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for s.streams.any() != open {
			select {
			case <-tick.C:
				s.streams.tell(make([]byte, 1<<20)) // soon more than the kernel takes for a peer
			case <-deadline:
				t.Fatal(what)
			}
		}
	}
	wait("the stream does not open", true)
	wait("the stream of a peer that does not read does not end", false)

	s.streams.life = 10 * time.Millisecond
	resp, err := http.Get("http://" + addr + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("at the end of its time the stream ends with %v", err)
	}
}
