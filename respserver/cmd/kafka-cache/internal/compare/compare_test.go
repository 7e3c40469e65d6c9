package compare

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// patience bounds every wait: a test that reaches it has failed.
const patience = 20 * time.Second

// fake is an instance whose checksums are made by a function of how often the topic was asked for.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	full  int
}

// answer is an HTTP status and what is encoded as JSON.
type answer struct {
	code int
	body any
}

func ok(c cache.Checksum) answer { return answer{200, c} }

func refusal(code int, text string) answer { return answer{code, map[string]string{"error": text}} }

func newFake(t *testing.T, topics []string, of func(topic string, n int) answer) *fake {
	t.Helper()
	f := &fake{asked: map[string]int{}}
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, a answer) {
		w.WriteHeader(a.code)
		if text, raw := a.body.(string); raw {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(a.body)
	}
	mux.HandleFunc("/api/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		var s cache.Status
		for _, name := range topics {
			s.Topics = append(s.Topics, cache.TopicStatus{Name: name})
		}
		write(w, answer{200, s})
	})
	mux.HandleFunc("/api/v1/checksum", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		topic := r.URL.Query().Get("topic")
		f.asked[topic]++
		n := f.asked[topic]
		if r.URL.Query().Get("full") == "true" {
			f.full++
		}
		f.mu.Unlock()
		write(w, of(topic, n))
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) polls(topic string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[topic]
}

// holding is a checksum of partitions at the position, with the digests given.
func holding(topic string, position int64, digests ...string) cache.Checksum {
	c := cache.Checksum{Topic: topic, ID: "id", Identity: "i", Rules: "r", State: cache.Ready, Comparable: true}
	for i, d := range digests {
		c.Partitions = append(c.Partitions, cache.PartitionChecksum{Partition: int32(i), Position: position, Digest: d})
	}
	return c
}

func run(t *testing.T, a, b *fake, timeout time.Duration, full bool, topics ...string) []Topic {
	t.Helper()
	addr := func(f *fake) *url.URL {
		u, err := ParseAddress(strings.TrimPrefix(f.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	got, err := Run(t.Context(), Config{A: addr(a), B: addr(b), Topics: topics, Full: full, Timeout: timeout, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOutcomes(t *testing.T) {
	same := func(topic string, _ int) answer { return ok(holding(topic, 8, "a", "b")) }
	const short = 60 * time.Millisecond
	tests := []struct {
		name    string
		a, b    func(topic string, n int) answer
		timeout time.Duration
		want    cache.Agreement
		text    string // what is written
	}{
		{"agree", same, same, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"differ", same, func(topic string, _ int) answer { return ok(holding(topic, 8, "a", "x")) }, patience, cache.Differ,
			"t: differ\n  partition 1: the digests differ at offset 8\n"},
		{"a difference that is gone in the next poll", same, func(topic string, n int) answer {
			if n%2 == 1 && n < 6 {
				return ok(holding(topic, 8, "a", "x"))
			}
			return ok(holding(topic, 8, "a", "b"))
		}, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"a difference once, then nothing to compare, then agreement", same, func(topic string, n int) answer {
			switch n {
			case 1:
				return ok(holding(topic, 8, "x", "b"))
			case 2, 3:
				return ok(holding(topic, 9, "a", "b"))
			}
			return ok(holding(topic, 8, "a", "b"))
		}, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"partitions that agree one at a time", func(topic string, n int) answer {
			c := holding(topic, 8, "a", "b")
			c.Partitions[n%2].Position = 7
			return ok(c)
		}, same, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"positions never meet", same, func(topic string, _ int) answer { return ok(holding(topic, 9, "a", "b")) }, short, cache.NotYet,
			"t: not compared in time: partition 0: no digest at a common offset: positions 8 and 9, log starts 0 and 0\n"},
		{"other rules", same, func(topic string, _ int) answer {
			c := holding(topic, 8, "a", "b")
			c.Rules = "s"
			return ok(c)
		}, patience, cache.NotComparable, "t: not comparable: records are read by other rules: \"r\" and \"s\"\n"},
		{"not comparable by its own word", same, func(topic string, _ int) answer {
			c := holding(topic, 8, "a", "b")
			c.Comparable, c.NotComparable = false, "start -24h\x1b[2J is relative"
			return ok(c)
		}, patience, cache.NotComparable, "t: not comparable: start -24h [2J is relative\n"},
		{"not configured", same, func(string, int) answer { return refusal(404, "no topic t") }, patience, cache.NotComparable, "no topic t\n"},
		{"loading, then served", same, func(topic string, n int) answer {
			if n < 4 {
				return refusal(503, "topic t is not served: CatchingUp")
			}
			return ok(holding(topic, 8, "a", "b"))
		}, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"loading for ever", same, func(string, int) answer { return refusal(503, "topic t is not served: Rebuilding: truncated") }, short, cache.NotYet,
			": topic t is not served: Rebuilding: truncated\n"},
		{"busy with a full sum", func(topic string, n int) answer {
			if n < 3 {
				return refusal(429, "one at a time")
			}
			return ok(holding(topic, 8, "a", "b"))
		}, same, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"something else that listens", same, func(string, int) answer { return answer{200, "<html>"} }, short, cache.NotYet, "the answer to /api/v1/checksum is not kafka-cache's"},
		{"something else that refuses", same, func(string, int) answer { return answer{404, "nothing here"} }, short, cache.NotYet, "404 Not Found: this is perhaps not an admin address"},
		{"another topic's checksum", same, func(string, int) answer { return ok(holding("u", 8, "a", "b")) }, short, cache.NotYet, "the answer is not a checksum of topic t"},
		{"a recreated topic", func(topic string, n int) answer {
			c := holding(topic, 8, "x", "b")
			if c.ID = "old"; n > 1 {
				c = holding(topic, 8, "a", "b")
			}
			return ok(c)
		}, func(topic string, n int) answer {
			c := holding(topic, 8, "a", "b")
			if n == 1 {
				c.ID = "old"
			}
			return ok(c)
		}, patience, cache.Agree, "t: agree (2 partitions)\n"},
		{"an instance that is not ready", func(topic string, _ int) answer {
			c := holding(topic, 8, "x", "b")
			c.State = cache.Rebuilding
			return ok(c)
		}, same, patience, cache.Differ, "t: differ (their states are Rebuilding and Ready)\n  partition 0: the digests differ at offset 8\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, b := newFake(t, []string{"t"}, tt.a), newFake(t, []string{"t"}, tt.b)
			got := run(t, a, b, tt.timeout, false)
			var out strings.Builder
			if err := Write(&out, got); err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Agreement != tt.want || !strings.HasSuffix(out.String(), tt.text) && !strings.Contains(out.String(), tt.text) {
				t.Errorf("%+v\n%s\nwant %s: %s", got, out.String(), tt.want, tt.text)
			}
			if tt.want == cache.Differ && (a.polls("t") < 2 || b.polls("t") < 2) {
				t.Error("a difference was believed at first sight")
			}
		})
	}
}

// One topic does not wait for another, and is not asked for again once it is decided.
func TestSeveralTopics(t *testing.T) {
	a := newFake(t, []string{"t", "u", "v"}, func(topic string, n int) answer { return ok(holding(topic, 8, "a")) })
	b := newFake(t, nil, func(topic string, n int) answer {
		switch {
		case topic == "u":
			return ok(holding(topic, 8, "b"))
		case topic == "v" && n < 5:
			return refusal(503, "not yet")
		}
		return ok(holding(topic, 8, "a"))
	})
	got := run(t, a, b, patience, true)
	if len(got) != 3 || got[0].Agreement != cache.Agree || got[1].Agreement != cache.Differ || got[2].Agreement != cache.Agree {
		t.Errorf("%+v", got)
	}
	if a.polls("t") != 1 || a.polls("u") != 2 || a.polls("v") != 5 || a.full != 8 {
		t.Errorf("asked %v, of these %d for full sums", a.asked, a.full)
	}
	if got := run(t, a, b, patience, false, "u"); len(got) != 1 || got[0].Name != "u" {
		t.Errorf("--topic u: %+v", got)
	}
}

// The time bounds everything, also an instance that never answers.
func TestTimeIsOver(t *testing.T) {
	release := make(chan struct{})
	hung := newFake(t, []string{"t"}, func(topic string, _ int) answer { <-release; return ok(holding(topic, 8, "a")) })
	defer close(release)
	a := newFake(t, []string{"t"}, func(topic string, _ int) answer { return ok(holding(topic, 8, "a")) })
	begin := time.Now()
	for _, full := range []bool{false, true} {
		if got := run(t, a, hung, 50*time.Millisecond, full); got[0].Agreement != cache.NotYet || got[0].Why == "" {
			t.Errorf("%+v", got)
		}
	}
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	u, err := ParseAddress(down.URL)
	if err != nil {
		t.Fatal(err)
	}
	topics, err := Run(context.Background(), Config{A: u, B: u, Timeout: 50 * time.Millisecond, Interval: time.Millisecond})
	if err == nil || topics != nil || !strings.Contains(err.Error(), u.Host+": ") {
		t.Errorf("nobody listens: %v, %v", topics, err)
	}
	if d := time.Since(begin); d > patience {
		t.Errorf("it took %v", d)
	}
}

// TestNotHTTP names the address of a Redis port for that of the admin server, which no waiting mends.
func TestNotHTTP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, "-ERR wrong number of arguments for 'get' command\r\n")
			c.Close()
		}
	}()
	redis, err := ParseAddress(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const want = ": what answers does not speak HTTP: the address that is needed is that of --admin-addr"
	if _, err := Run(t.Context(), Config{A: redis, B: redis, Timeout: patience}); err == nil || err.Error() != redis.Host+want {
		t.Errorf("asked for its topics: %v", err)
	}
	same := newFake(t, []string{"t"}, func(topic string, _ int) answer { return ok(holding(topic, 8, "a")) })
	a, err := ParseAddress(same.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Run(t.Context(), Config{A: a, B: redis, Timeout: patience}); err != nil || got[0].Agreement != cache.NotComparable || got[0].Why != redis.Host+want {
		t.Errorf("asked for a checksum: %+v", got)
	}
}

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{"a:8080": "http://a:8080", "[::1]:8080": "http://[::1]:8080", "http://a": "http://a", "https://a:1/x": "https://a:1/x"} {
		if got, err := ParseAddress(in); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a", ":8080", "a:0", "a:x", "a:70000", "ftp://a", "http://", "http://u:secret@a", "http://a?x", "http://a#x", "a b:1", "http://a:99999"} {
		got, err := ParseAddress(in)
		if err == nil {
			t.Errorf("%q is taken for %s", in, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\nb\x1b[2J")
	f.Add(strings.Repeat("ü", 300))
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > maxErrorText+4 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q", got)
		}
	})
}
