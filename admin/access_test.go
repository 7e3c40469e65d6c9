package admin

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ask asks as somebody at addr; change prepares the request.
func ask(s *Server, path, addr string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr, r.Host = addr, "127.0.0.1:8080"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

var privatePaths = []string{"/api/v1/invalid", "/api/v1/key?topic=users&key=a", "/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/profile?seconds=0.01"}

func TestPrivatePathsAreLoopbackOnlyWithoutACredential(t *testing.T) {
	s, _ := newServer(t)
	for _, path := range privatePaths {
		for _, addr := range []string{"127.0.0.1:1", "[::1]:1", "127.9.9.9:1"} {
			if w := ask(s, path, addr, nil); w.Code == 403 || w.Code == 401 {
				t.Errorf("%s from %s: %d", path, addr, w.Code)
			}
		}
		for what, change := range map[string]func(*http.Request){
			"another machine":            func(r *http.Request) { r.RemoteAddr = "10.0.0.1:1" },
			"another machine, IPv6":      func(r *http.Request) { r.RemoteAddr = "[fe80::1]:1" },
			"a name bound to loopback":   func(r *http.Request) { r.Host = "evil.example:8080" },
			"a proxy":                    func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.1") },
			"no address":                 func(r *http.Request) { r.RemoteAddr = "" },
			"another machine's loopback": func(r *http.Request) { r.RemoteAddr = "10.0.0.1:1"; r.Header.Set("X-Real-Ip", "127.0.0.1") },
		} {
			if w := ask(s, path, "127.0.0.1:1", change); w.Code != 403 {
				t.Errorf("%s by %s: %d", path, what, w.Code)
			}
		}
	}
	for _, path := range []string{"/", "/api/v1/status", "/metrics", "/livez"} {
		if w := ask(s, path, "10.0.0.1:1", nil); w.Code != 200 {
			t.Errorf("%s from another machine: %d", path, w.Code)
		}
	}
	if page := ask(s, "/?topic=users&key=a", "10.0.0.1:1", nil).Body.String(); !strings.Contains(page, "over loopback only") || strings.Contains(page, "<form") {
		t.Error("the page offers a look-up to another machine")
	}
}

// Every path but the probes asks for the token, whoever asks.
func TestToken(t *testing.T) {
	s, _ := newServer(t)
	s.SetTokens([][]byte{[]byte("0123456789abcdef"), []byte("another-token-of-mine")})
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for _, pattern := range s.Paths() {
		path := strings.NewReplacer("{$}", "", "{file...}", "page.css", "{profile}", "heap").Replace(pattern)
		if path == "/api/v1/events" {
			continue // it does not end; the guard is the same
		}
		probe := path == "/livez" || path == "/readyz" || path == "/healthz"
		for _, change := range []func(*http.Request){nil, bearer(""), bearer("0123456789abcde"), bearer("0123456789abcdef0"), func(r *http.Request) { r.SetBasicAuth("0123456789abcdef", "x") },
			func(r *http.Request) { r.Header.Set("Authorization", "Digest 0123456789abcdef") }} {
			w := ask(s, path, "127.0.0.1:1", change)
			if (w.Code == 401) == probe {
				t.Errorf("%s without the token: %d", path, w.Code)
			}
			if w.Code == 401 && len(w.Header().Values("WWW-Authenticate")) != 2 {
				t.Errorf("%s: WWW-Authenticate is %q", path, w.Header().Values("WWW-Authenticate"))
			}
		}
		for _, change := range []func(*http.Request){bearer("0123456789abcdef"), bearer("another-token-of-mine"), func(r *http.Request) { r.SetBasicAuth("me", "0123456789abcdef") }} {
			if w := ask(s, path, "10.0.0.1:1", change); w.Code == 401 || w.Code == 403 {
				t.Errorf("%s with the token: %d", path, w.Code)
			}
		}
	}
	s.SetTokens([][]byte{[]byte("a-new-token-of-mine")})
	if w := ask(s, "/api/v1/status", "127.0.0.1:1", bearer("0123456789abcdef")); w.Code != 401 {
		t.Errorf("with a token that was replaced: %d", w.Code)
	}
}

func TestClientCertificate(t *testing.T) {
	s, _ := newServer(t)
	s.access.certificates = true
	with := func(chains [][]*x509.Certificate) func(*http.Request) {
		return func(r *http.Request) { r.TLS = &tls.ConnectionState{VerifiedChains: chains} }
	}
	for path, want := range map[string]int{"/livez": 200, "/api/v1/status": 401, "/api/v1/invalid": 401} {
		if w := ask(s, path, "127.0.0.1:1", with(nil)); w.Code != want {
			t.Errorf("%s without a certificate: %d", path, w.Code)
		}
		if w := ask(s, path, "10.0.0.1:1", with([][]*x509.Certificate{{}})); w.Code != 200 {
			t.Errorf("%s with one: %d", path, w.Code)
		}
	}
}

func TestInvalidQueries(t *testing.T) {
	s, _ := newServer(t)
	for path, want := range map[string]string{
		"/api/v1/invalid":                        "200 []\n",
		"/api/v1/invalid?topic=users&limit=3":    "200 []\n",
		"/api/v1/invalid?topic=orders":           `404 {` + "\n" + `  "error": "cache: topic is not configured: \"orders\""` + "\n}\n",
		"/api/v1/invalid?limit=0":                `400 {` + "\n" + `  "error": "limit is a number from 1"` + "\n}\n",
		"/api/v1/key":                            "400 ",
		"/api/v1/key?topic=users":                "400 ",
		"/api/v1/key?topic=users&key=":           "400 ",
		"/api/v1/key?topic=users&key=a&key64=":   "400 ",
		"/api/v1/key?topic=users&key64=%21":      "400 ",
		"/api/v1/key?topic=orders&key=a":         "404 ",
		"/api/v1/key?topic=users&key64=YQ%3D%3D": "503 ",
		"/debug/pprof/nope":                      "404 ",
		"/debug/pprof/heap?debug=3":              "400 ",
		"/debug/pprof/profile?seconds=31":        "400 ",
		"/debug/pprof/profile?seconds=NaN":       "400 ",
		"/debug/pprof/trace?seconds=0":           "400 ",
	} {
		w := ask(s, path, "127.0.0.1:1", nil)
		if got := http.StatusText(w.Code); got == "" || !strings.HasPrefix(w.Result().Status[:4]+w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	for range maxLookups {
		s.lookups <- struct{}{}
	}
	if w := ask(s, "/api/v1/key?topic=users&key=a", "127.0.0.1:1", nil); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("while others are under way: %d", w.Code)
	}
	s.profiles.timed <- struct{}{}
	if w := ask(s, "/debug/pprof/profile", "127.0.0.1:1", nil); w.Code != 429 {
		t.Errorf("while another profile is under way: %d", w.Code)
	}
}
