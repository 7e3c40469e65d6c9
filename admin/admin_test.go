package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer is a server over a real cache whose brokers are out of reach.
func newServer(t *testing.T) (*Server, *cache.Cache) {
	t.Helper()
	registry := prometheus.NewRegistry()
	c, err := cache.Open(t.Context(), cache.Config{
		Kafka:      kafka.Config{Bootstrap: []string{"127.0.0.1:1"}},
		Topics:     []cache.TopicConfig{{Name: "users", Writable: true}, {Name: "sessions"}},
		Identity:   "test.cache-0",
		Version:    "v0-test",
		Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := New(Config{Cache: c, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func get(t *testing.T, h http.Handler, method, path string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, nil)
	r.Host = "anything.example"
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

func TestPathsBeforeKafkaIsReached(t *testing.T) {
	s, _ := newServer(t)
	tests := []struct {
		method, path string
		code         int
		contentType  string
		body         []string
	}{
		{"GET", "/livez", 200, "text/plain; charset=utf-8", []string{"ok\n"}},
		{"GET", "/healthz", 200, "text/plain; charset=utf-8", []string{"ok\n"}},
		{"GET", "/readyz", 503, "text/plain; charset=utf-8", []string{"not ready: topic users: ", "; topic sessions: "}},
		{"GET", "/readyz?verbose", 503, "text/plain; charset=utf-8", []string{"[-]topic users database 0: ", "readyz check failed\n"}},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", []string{"go_goroutines ", "process_cpu_seconds_total ",
			`kafka_cache_instance_info{identity="test.cache-0",version="v0-test"} 1`, `kafka_cache_ready{topic="users"} 0`}},
		{"GET", "/", 200, "text/html; charset=utf-8", []string{"<title>test.cache-0 · kafka-cache</title>", "No partition is known yet."}},
		{"GET", "/api/v1/invalid", 403, "application/json", []string{"over loopback only"}},
		{"GET", "/api/v1/checksum", 400, "application/json", []string{"which topic?"}},
		{"GET", "/api/v1/checksum?full", 400, "application/json", []string{"which topic?"}},
		{"GET", "/api/v1/checksum?topic=users&full=maybe", 400, "application/json", []string{"full is true or false"}},
		{"GET", "/api/v1/checksum?topic=orders", 404, "application/json", []string{`"error": "cache: topic is not configured: \"orders\""`}},
		{"GET", "/api/v1/checksum?topic=users", 503, "application/json", []string{`"error": "topic users is not served: Starting: `, `"state": "Starting"`, `"reason": "`}},
		{"GET", "/api/v1/checksum?topic=users&full", 503, "application/json", []string{`"state": "Starting"`}},
		{"POST", "/api/v1/checksum?topic=users", 405, "application/json", nil},
		{"GET", "/api/v1/key", 403, "application/json", []string{"over loopback only"}},
		{"GET", "/api/v1/config", 200, "application/yaml", nil},
		{"GET", "/api/v1/history", 200, "application/json", []string{`"times":[]`}},
		{"GET", "/assets/page.js", 200, "text/javascript; charset=utf-8", []string{"EventSource"}},
		{"GET", "/assets/uplot/LICENSE", 200, "text/plain; charset=utf-8", []string{"MIT"}},
		{"GET", "/assets/", 404, "application/json", nil},
		{"GET", "/assets/../page.go", 307, "text/html; charset=utf-8", nil},
		{"GET", "/debug/pprof/heap", 403, "application/json", nil},
		{"GET", "/nope", 404, "application/json", []string{`"error": "no such path"`}},
		{"GET", "/api/v1/", 404, "application/json", []string{`"error"`}},
		{"POST", "/nope", 404, "application/json", nil},
		{"POST", "/readyz", 405, "application/json", []string{"only GET and HEAD"}},
		{"DELETE", "/", 405, "application/json", nil},
	}
	for _, tt := range tests {
		resp, body := get(t, s.Handler(), tt.method, tt.path)
		if resp.StatusCode != tt.code || resp.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), tt.code, tt.contentType)
		}
		for _, want := range tt.body {
			if !strings.Contains(body, want) {
				t.Errorf("%s %s: no %q in\n%s", tt.method, tt.path, want, body)
			}
		}
		for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"} {
			if resp.Header.Get(h) == "" {
				t.Errorf("%s %s: no %s", tt.method, tt.path, h)
			}
		}
		if tt.code == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, resp.Header.Get("Allow"))
		}
	}
}

// Of sums that go through all values there is one at a time; the others go on.
func TestOneFullSumAtATime(t *testing.T) {
	s, _ := newServer(t)
	s.checksums.full <- struct{}{}
	resp, body := get(t, s.Handler(), "GET", "/api/v1/checksum?topic=users&full")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "one at a time") {
		t.Errorf("while another is under way: %d %s", resp.StatusCode, body)
	}
	if resp, _ := get(t, s.Handler(), "GET", "/api/v1/checksum?topic=users"); resp.StatusCode != 503 {
		t.Errorf("without the values: %d", resp.StatusCode)
	}
	<-s.checksums.full
	for range 3 { // each gives its turn back
		if resp, _ := get(t, s.Handler(), "GET", "/api/v1/checksum?topic=users&full=1"); resp.StatusCode != 503 {
			t.Errorf("one after the other: %d", resp.StatusCode)
		}
	}
}

// A topic that is not ready has one line, its own.
func TestVerboseSaysAReasonOnce(t *testing.T) {
	s, _ := newServer(t)
	_, body := get(t, s.Handler(), "GET", "/readyz?verbose")
	if n := strings.Count(body, "[-]"); n != 2 {
		t.Errorf("%d reasons of 2 topics in\n%s", n, body)
	}
	status := sample(0.1)
	if got := verbose(status, []string{"the instance is stopping"}); !strings.Contains(got, "[-]the instance is stopping\n") {
		t.Errorf("no reason of the instance in\n%s", got)
	}
}

func TestStatus(t *testing.T) {
	s, _ := newServer(t)
	resp, body := get(t, s.Handler(), "GET", "/api/v1/status")
	var got struct {
		Identity, Version, State, Since string
		Topics                          []struct {
			Name       string
			Database   int
			Writable   bool
			State      string
			Partitions []any
		}
	}
	d := json.NewDecoder(strings.NewReader(body))
	if err := d.Decode(&got); err != nil || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %s", err, body)
	}
	if got.Identity != "test.cache-0" || got.Version != "v0-test" || got.State == "" || len(got.Topics) != 2 ||
		got.Topics[1].Name != "sessions" || got.Topics[1].Database != 1 || !got.Topics[0].Writable || got.Topics[0].Partitions == nil {
		t.Errorf("status: %+v in\n%s", got, body)
	}
	if _, err := time.Parse(time.RFC3339, got.Since); err != nil {
		t.Error(err)
	}
}

func TestDrainingIsNotReadyAndLive(t *testing.T) {
	s, c := newServer(t)
	c.Drain()
	if resp, body := get(t, s.Handler(), "GET", "/readyz"); resp.StatusCode != 503 || !strings.Contains(body, "stopping") {
		t.Errorf("/readyz: %d %s", resp.StatusCode, body)
	}
	if resp, _ := get(t, s.Handler(), "GET", "/livez"); resp.StatusCode != 200 {
		t.Errorf("/livez: %d", resp.StatusCode)
	}
}

// sample is a status such as an instance with one ready topic has.
func sample(age float64) cache.Status {
	return cache.Status{Identity: "i", Version: "v", State: cache.Ready, Topics: []cache.TopicStatus{{
		Name: "users", State: cache.Ready, Serving: true, Since: time.Unix(1000, 0), Keys: 5, Resident: true,
		Partitions: []cache.PartitionStatus{
			{Partition: 0, Position: 812, End: 815, HighWatermark: 816, LogStart: 2, Lag: 3, LagSeconds: 1.25, LeaderEpoch: 3, FetchAgeSeconds: age},
			{Partition: 1, Position: 0, End: -1, HighWatermark: -1, LogStart: -1, LagSeconds: -1, LeaderEpoch: -1, FetchAgeSeconds: -1},
		},
	}}}
}

func TestReadiness(t *testing.T) {
	now := time.Unix(1002, 0) // partition 1 counts as 2 s old
	tests := []struct {
		name         string
		ready        bool
		maxStaleness time.Duration
		age          float64
		change       func(*cache.Status)
		want         []string
	}{
		{"ready", true, 0, 1e6, nil, nil},
		{"within the staleness", true, 5 * time.Second, 4, nil, nil},
		{"too stale", true, 5 * time.Second, 6, nil, []string{"topic users partition 0: last fetched 6s ago, more than 5s"}},
		{"never fetched", true, time.Second, 0, nil, []string{"topic users partition 1: last fetched 2s ago, more than 1s"}},
		{"loading", false, 0, 0, func(s *cache.Status) {
			s.Topics[0].Serving, s.Topics[0].State, s.Topics[0].Reason = false, cache.CatchingUp, "reading\nthe log"
		}, []string{"topic users: CatchingUp: reading the log"}},
		{"rebuilding while ready once", true, 0, 0, func(s *cache.Status) { s.Topics[0].Serving, s.Topics[0].State = false, cache.Rebuilding }, nil},
		{"stopping", false, 0, 0, func(s *cache.Status) { s.State = cache.Stopping }, []string{"the instance is stopping"}},
		{"between", false, 0, 0, nil, []string{"topics were still loading"}},
	}
	for _, tt := range tests {
		status := sample(tt.age)
		if tt.change != nil {
			tt.change(&status)
		}
		got := (&Server{maxStaleness: tt.maxStaleness}).unready(tt.ready, status, now)
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestVerbose(t *testing.T) {
	got := verbose(sample(0.1), nil)
	want := `[+]topic users database 0: Ready
   partition 0: position 812 end 815 lag 3 lagSeconds 1.2 fetchAgeSeconds 0.1
   partition 1: position 0 end unknown lag unknown lagSeconds unknown fetchAgeSeconds unknown
readyz check passed: i is ready
`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestPage(t *testing.T) {
	s, _ := newServer(t)
	status := sample(0.1)
	status.Identity = `<script>alert("x")</script>`
	status.Topics[0].Reason = "broker said <b>no</b>"
	blocked := time.Unix(1500, 0)
	status.Topics[0].Partitions[0].BlockedSince = &blocked
	status.Topics[0].Rebuild = &cache.RebuildStatus{Reason: "expired", Since: time.Unix(1400, 0), Verifying: true, Serving: true}
	status.Topics[0].SplitKeys, status.Topics[0].SplitKeysDeleted, status.Topics[0].Start, status.Topics[0].NotComparable = 7, 2, "-24h", "start -24h is relative"
	peers := &Peers{Connected: 1, Addresses: []Peer{{Addr: "a:1", State: "connected", AgeSeconds: 0.5, Positions: map[string]map[int32]int64{"users": {1: 7, 0: 812}}}}}
	rendered, err := s.render(Status{Status: status, Peers: peers}, time.Unix(2000, 0), &lookupView{Topic: "users", Key: `"><script>`})
	if err != nil {
		t.Fatal(err)
	}
	page := string(rendered.html)
	for _, want := range []string{">812<", ">815<", ">1.2<", ">unknown<", "&lt;script&gt;alert", "&lt;b&gt;no", "users 0:812 1:7",
		">1970-01-01T00:25:00Z<", ">–<", "what is there is compared with the log</span>, since ", "answered meanwhile", "<dd>-24h</dd>", "no: start -24h is relative"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	status.Topics[0].Resident = false
	rendered, err = s.render(Status{Status: status}, time.Unix(2000, 0), nil)
	if partly := string(rendered.html); err != nil || strings.Contains(page, "so far") || strings.Count(partly, ">5 so far, being read in<") != 2 {
		t.Errorf("a number of keys that is not known yet is in\n%s (%v)", partly, err)
	}
	// The policy lets nothing run or style that is within the page, so nothing may be.
	for _, unwanted := range []string{"<script>", "<style", " style=", " onclick=", "http://", "https://", "javascript:"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("%q is in the page", unwanted)
		}
	}
}

func TestServeAndShutdown(t *testing.T) {
	s, _ := newServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	// A header and a body over their limits are refused without ending the server.
	for _, request := range []string{
		"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"GARBAGE\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Error(err)
		}
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("%.20q: %q, %v", request, answer, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
}

// A request that hangs does not hold Shutdown beyond its context.
func TestShutdownCutsWhatHangs(t *testing.T) {
	s, _ := newServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n"); err != nil { // no end of the header
		t.Fatal(err)
	}
	// One answered request proves that the accept loop has passed the hanging connection.
	resp, err := http.Get("http://" + l.Addr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("Shutdown: nil, want the context's error")
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	_, c := newServer(t)
	for _, cfg := range []Config{{}, {Cache: c}, {Cache: c, Registry: prometheus.NewRegistry(), MaxStaleness: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is not refused", cfg)
		}
	}
}
